#include "profiler/stop/system_call.h"

#include <linux/futex.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/system_call_names.h"
#include "profiler/stop/unix_socket.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcText = 16 << 20;

// How the arguments of calls that wait are shown, one letter each: f descriptor, p pointer,
// d signed, u unsigned, x hexadecimal, m milliseconds (-1: none), o futex operation, w pid,
// t pointer to a timespec (0: none).
struct Shape {
  int64_t number;
  absl::string_view arguments;
};
constexpr Shape kShapes[] = {
    {SYS_read, "fpu"},          {SYS_write, "fpu"},         {SYS_readv, "fpu"},
    {SYS_writev, "fpu"},        {SYS_pread64, "fpuu"},      {SYS_pwrite64, "fpuu"},
    {SYS_preadv, "fpuu"},       {SYS_pwritev, "fpuu"},      {SYS_poll, "pum"},
    {SYS_ppoll, "put"},         {SYS_select, "dpppp"},      {SYS_pselect6, "dpppt"},
    {SYS_epoll_wait, "fpum"},   {SYS_epoll_pwait, "fpum"},  {SYS_epoll_pwait2, "fput"},
    {SYS_accept, "fpp"},        {SYS_accept4, "fppx"},      {SYS_connect, "fpu"},
    {SYS_recvfrom, "fpuxpp"},   {SYS_sendto, "fpuxpu"},     {SYS_recvmsg, "fpx"},
    {SYS_sendmsg, "fpx"},       {SYS_recvmmsg, "fpuxt"},    {SYS_futex, "podtp"},
    {SYS_nanosleep, "tp"},      {SYS_clock_nanosleep, "dxtp"},
    {SYS_wait4, "wpxp"},        {SYS_waitid, "dwpx"},       {SYS_fsync, "f"},
    {SYS_fdatasync, "f"},       {SYS_flock, "fx"},          {SYS_fcntl, "fdx"},
    {SYS_ioctl, "fxx"},         {SYS_pause, ""},            {SYS_rt_sigsuspend, "pu"},
    {SYS_rt_sigtimedwait, "ppt"}, {SYS_semop, "dpu"},       {SYS_semtimedop, "dput"},
    {SYS_msgrcv, "dpudx"},      {SYS_io_getevents, "xddpt"}, {SYS_io_uring_enter, "fuuxp"},
    {SYS_sched_yield, ""},      {SYS_restart_syscall, ""},  {SYS_close, "f"},
    {SYS_lseek, "fdd"},         {SYS_splice, "fpfpux"},     {SYS_sendfile, "ffpu"},
    {SYS_openat, "dpx"},        {SYS_mmap, "puxxfx"},       {SYS_munmap, "pu"},
    {SYS_madvise, "pud"},       {SYS_mprotect, "pux"},      {SYS_exit, "d"},
    {SYS_exit_group, "d"},      {SYS_tgkill, "ddd"},        {SYS_inotify_add_watch, "fpx"},
};

std::string FutexText(const SystemCall& call) {
  const uint64_t op = call.arguments[1] & FUTEX_CMD_MASK;
  absl::string_view name = op == FUTEX_WAIT            ? "FUTEX_WAIT"
                           : op == FUTEX_WAIT_BITSET     ? "FUTEX_WAIT_BITSET"
                           : op == FUTEX_LOCK_PI         ? "FUTEX_LOCK_PI"
                           : op == FUTEX_LOCK_PI2        ? "FUTEX_LOCK_PI2"
                           : op == FUTEX_WAIT_REQUEUE_PI ? "FUTEX_WAIT_REQUEUE_PI"
                           : op == FUTEX_WAKE            ? "FUTEX_WAKE"
                                                         : "";
  return name.empty() ? absl::StrCat("op ", op) : std::string(name);
}

std::string FdText(uint64_t value, const CallContext& context) {
  const int fd = static_cast<int>(value);
  std::string text = absl::StrCat(fd);
  if (fd < 0 || context.describe_fd == nullptr) return text;
  const std::string what = context.describe_fd(context.pid, fd);
  if (!what.empty()) absl::StrAppend(&text, "<", what, ">");
  return text;
}

std::string TimespecText(uint64_t address, const CallContext& context) {
  if (address == 0) return "no limit";
  struct Words {
    int64_t seconds, nanoseconds;
  };
  auto words = context.memory == nullptr ? std::nullopt
                                         : context.memory->ReadValue<Words>(Address{address});
  if (!words || words->seconds < 0 || words->nanoseconds < 0 ||
      words->nanoseconds >= 1'000'000'000) {
    return absl::StrFormat("0x%x", address);
  }
  return absl::StrFormat("%d.%03d s", words->seconds, words->nanoseconds / 1'000'000);
}

std::string ArgumentText(char shape, const SystemCall& call, size_t index,
                         const CallContext& context) {
  const uint64_t value = call.arguments[index];
  switch (shape) {
    case 'f':
      return FdText(value, context);
    case 'd':
    case 'w':
      return absl::StrCat(static_cast<int32_t>(value));
    case 'u':
      return absl::StrCat(value);
    case 'm':
      return static_cast<int32_t>(value) < 0 ? "no limit"
                                             : absl::StrCat(static_cast<int32_t>(value), " ms");
    case 'o':
      return FutexText(call);
    case 't':
      return TimespecText(value, context);
    default:
      return value == 0 ? "0" : absl::StrFormat("0x%x", value);
  }
}

std::vector<absl::string_view> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
}

bool ParseHex(absl::string_view text, uint64_t& value) {
  if (absl::StartsWith(text, "0x")) text.remove_prefix(2);
  return !text.empty() && absl::SimpleHexAtoi(text, &value);
}

// "7F000001:1F90" as /proc/net/tcp has it: words in the host's order.
std::string EndpointText(absl::string_view text) {
  const size_t colon = text.find(':');
  uint64_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleHexAtoi(text.substr(colon + 1), &port)) {
    return "";
  }
  const absl::string_view hex = text.substr(0, colon);
  if (hex.size() != 8 && hex.size() != 32) return "";
  uint32_t address[4] = {};
  for (size_t i = 0; i < hex.size() / 8; ++i) {
    uint64_t word = 0;
    if (!absl::SimpleHexAtoi(hex.substr(8 * i, 8), &word)) return "";
    address[i] = static_cast<uint32_t>(word);
  }
  char shown[INET6_ADDRSTRLEN] = {};
  const bool six = hex.size() == 32;
  ::inet_ntop(six ? AF_INET6 : AF_INET, address, shown, sizeof(shown));
  if (port == 0) return absl::StrCat(six ? "[" : "", shown, six ? "]" : "", ":*");
  return absl::StrCat(six ? "[" : "", shown, six ? "]:" : ":", port);
}

constexpr absl::string_view kTcpStates[] = {"",          "established", "syn-sent",  "syn-received",
                                            "fin-wait1", "fin-wait2",   "time-wait", "closed",
                                            "close-wait", "last-ack",   "listening", "closing"};

// The row of a socket in a /proc/PID/net file: its words.
std::vector<std::string> FindSocket(Pid pid, absl::string_view table, absl::string_view inode,
                                    size_t column) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/net/", table), kMaxProcText);
  if (!text.ok()) return {};
  for (absl::string_view row : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = Words(row);
    if (words.size() > column && words[column] == inode) {
      return {words.begin(), words.end()};
    }
  }
  return {};
}

std::string SocketText(Pid pid, absl::string_view inode) {
  for (absl::string_view table : {"tcp", "tcp6", "udp", "udp6"}) {
    const std::vector<std::string> row = FindSocket(pid, table, inode, 9);
    if (row.empty()) continue;
    uint64_t state = 0;
    const bool tcp = absl::StartsWith(table, "tcp");
    std::string text =
        absl::StrCat(table.substr(0, 3), " ", EndpointText(row[1]));
    if (tcp && absl::SimpleHexAtoi(row[3], &state) && state < std::size(kTcpStates)) {
      if (state == 10) return absl::StrCat(text, " listening");
      absl::StrAppend(&text, " -> ", EndpointText(row[2]));
      if (state != 1) absl::StrAppend(&text, " ", kTcpStates[state]);
    } else if (!absl::EndsWith(row[2], ":0000")) {
      absl::StrAppend(&text, " -> ", EndpointText(row[2]));
    }
    return text;
  }
  const std::vector<std::string> row = FindSocket(pid, "unix", inode, 6);
  if (row.empty()) return absl::StrCat("socket ", inode);
  if (row.size() > 7) return absl::StrCat("unix ", row[7]);
  uint32_t number = 0;
  if (absl::SimpleAtoi(inode, &number)) {
    const std::optional<UnixSocket> socket = AskUnixSocket(number);
    if (const uint32_t peer = socket ? socket->peer : 0; peer != 0) {
      const std::vector<std::string> other =
          FindSocket(pid, "unix", absl::StrCat(peer), 6);
      return absl::StrCat("unix ", inode, " -> ", peer,
                          other.size() > 7 ? absl::StrCat(" ", other[7]) : "");
    }
  }
  return absl::StrCat("unix ", inode);
}

std::string FdInfo(Pid pid, int fd) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/fdinfo/", fd), kMaxProcText);
  return text.ok() ? *text : "";
}

std::string EpollText(Pid pid, int fd) {
  size_t watched = 0;
  for (absl::string_view line : absl::StrSplit(FdInfo(pid, fd), '\n')) {
    watched += absl::StartsWith(line, "tfd:");
  }
  return absl::StrCat("epoll of ", watched, watched == 1 ? " file" : " files");
}

std::string EventText(Pid pid, int fd) {
  for (absl::string_view line : absl::StrSplit(FdInfo(pid, fd), '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    uint64_t count = 0;
    if (words.size() == 2 && words[0] == "eventfd-count:" && ParseHex(words[1], count)) {
      return absl::StrCat("eventfd, count ", count);
    }
  }
  return "eventfd";
}

}  // namespace

std::optional<SystemCall> CallOf(const user_regs_struct& r) {
  const auto number = static_cast<int64_t>(r.orig_rax);
  if (number < 0) return std::nullopt;
  return SystemCall{number, {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}};
}

std::optional<SleepingThread> ParseSyscallFile(absl::string_view text) {
  const std::vector<absl::string_view> words = Words(text);
  SleepingThread thread;
  int64_t number = 0;
  if (words.size() < 3 || !absl::SimpleAtoi(words[0], &number)) return std::nullopt;
  if (number >= 0) {
    if (words.size() != 9) return std::nullopt;
    thread.call.emplace();
    thread.call->number = number;
    for (size_t i = 0; i < 6; ++i) {
      if (!ParseHex(words[1 + i], thread.call->arguments[i])) return std::nullopt;
    }
  }
  if (!ParseHex(words[words.size() - 2], thread.sp) || !ParseHex(words.back(), thread.pc)) {
    return std::nullopt;
  }
  return thread;
}

Tid LockOwner(const SystemCall& call, const CallContext& context) {
  if (call.number != SYS_futex || context.memory == nullptr || context.is_thread == nullptr)
    return 0;
  const Address at{call.arguments[0]};
  const uint64_t op = call.arguments[1] & FUTEX_CMD_MASK;
  std::optional<uint32_t> owner;
  if (op == FUTEX_LOCK_PI || op == FUTEX_LOCK_PI2) {
    owner = context.memory->ReadValue<uint32_t>(at);
    if (owner) *owner &= FUTEX_TID_MASK;
  } else if (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET) {
    const auto expected = static_cast<uint32_t>(call.arguments[2]);
    if (expected == 2) {
      owner = context.memory->ReadValue<uint32_t>(at + 8);
    } else if ((expected & FUTEX_WAITERS) != 0) {  // a robust one
      owner = context.memory->ReadValue<uint32_t>(at);
      if (owner && (*owner & FUTEX_WAITERS) == 0) owner.reset();
      if (owner) *owner &= FUTEX_TID_MASK;
    }
  }
  if (!owner || !context.is_thread(context.pid, static_cast<Tid>(*owner))) return 0;
  return static_cast<Tid>(*owner);
}

std::string DescribeCall(const SystemCall& call, const CallContext& context) {
  const bool named = call.number >= 0 &&
                     static_cast<size_t>(call.number) < std::size(kSystemCallNames) &&
                     !kSystemCallNames[call.number].empty();
  const std::string name = named ? std::string(kSystemCallNames[call.number])
                                 : absl::StrCat("system call ", call.number);
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) {
    return s.number == call.number;
  });
  const absl::string_view letters = shape == std::end(kShapes) ? "xxxxxx" : shape->arguments;
  std::string text = absl::StrCat(name, "(");
  for (size_t i = 0; i < letters.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", ArgumentText(letters[i], call, i, context));
  }
  absl::StrAppend(&text, ")");
  if (call.number == SYS_futex) {
    const Tid owner = LockOwner(call, context);
    if (owner != 0) absl::StrAppend(&text, ", held by thread ", owner);
  }
  return text;
}

std::string DescribeFd(Pid pid, int fd) {
  char target[4096];
  const std::string link = absl::StrCat("/proc/", pid, "/fd/", fd);
  const ssize_t size = ::readlink(link.c_str(), target, sizeof(target));
  if (size <= 0) return "";
  const absl::string_view text(target, static_cast<size_t>(size));
  if (absl::StartsWith(text, "socket:[") && absl::EndsWith(text, "]")) {
    return SocketText(pid, text.substr(8, text.size() - 9));
  }
  if (text == "anon_inode:[eventpoll]") return EpollText(pid, fd);
  if (text == "anon_inode:[eventfd]") return EventText(pid, fd);
  if (absl::StartsWith(text, "anon_inode:")) {
    absl::string_view name = text.substr(11);
    if (absl::StartsWith(name, "[") && absl::EndsWith(name, "]")) {
      name = name.substr(1, name.size() - 2);
    }
    return std::string(name);
  }
  return std::string(text);
}

bool IsThreadOf(Pid pid, Tid tid) {
  return tid > 0 && ::access(absl::StrCat("/proc/", pid, "/task/", tid).c_str(), F_OK) == 0;
}

}  // namespace jprof
