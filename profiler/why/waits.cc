#include "profiler/why/waits.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/descriptor.h"
#include "profiler/stop/unix_socket.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcBytes = 16 << 20;
constexpr int kPageSize = 4096;
constexpr size_t kMaxLinks = 8;
constexpr size_t kMaxThreadsOfOther = 64;
constexpr size_t kMaxPolledNamed = 4;
constexpr size_t kMaxAwaited = 8;
constexpr size_t kMaxWatchedRead = 64;

std::string TaskFile(Pid pid, Tid tid, absl::string_view name) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/task/", tid, "/", name), kMaxProcBytes);
  return text.ok() ? *std::move(text) : "";
}

std::vector<absl::string_view> Words(absl::string_view line) {
  return absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

struct Timespec {
  int64_t seconds, parts;
};

// `unit`: of its second word.
std::optional<double> SecondsAt(const CallContext& context, uint64_t address,
                                double unit = 1e-9) {
  if (address == 0) return std::nullopt;
  auto time = context.memory->ReadValue<Timespec>(Address{address});
  if (!time) return std::nullopt;
  return static_cast<double>(time->seconds) + static_cast<double>(time->parts) * unit;
}

std::optional<double> SleepOf(Pid pid, const SystemCall& call, const CallContext& context) {
  if (call.number == SYS_nanosleep) return SecondsAt(context, call.arguments[0]);
  std::optional<double> seconds = SecondsAt(context, call.arguments[2]);
  if (seconds && (call.arguments[1] & TIMER_ABSTIME) != 0) {
    const std::optional<int64_t> now = ClockOf(pid, static_cast<int>(call.arguments[0]));
    if (!now) return std::nullopt;
    *seconds -= static_cast<double>(*now) * 1e-9;
  }
  return seconds;
}

std::optional<double> LimitOf(const SystemCall& call, const CallContext& context) {
  auto milliseconds = [](uint64_t value) -> std::optional<double> {
    if (static_cast<int32_t>(value) < 0) return std::nullopt;
    return static_cast<int32_t>(value) * 1e-3;
  };
  switch (call.number) {
    case SYS_poll:
      return milliseconds(call.arguments[2]);
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      return milliseconds(call.arguments[3]);
    case SYS_ppoll:
      return SecondsAt(context, call.arguments[2]);
    case SYS_epoll_pwait2:
      return SecondsAt(context, call.arguments[3]);
    case SYS_select:
      return SecondsAt(context, call.arguments[4], 1e-6);
    default:
      return SecondsAt(context, call.arguments[4]);
  }
}

// A descriptor of the process as one of ours: the same open file, nothing is opened anew.
UniqueFd TakeFd(Pid pid, int fd) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return UniqueFd();
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
}

// The path that a connect() names; "" when it is none of a local socket, or has no name. An
// abstract one begins with '@', as /proc/net/unix has it.
std::string ConnectPath(const SystemCall& call, const CallContext& context) {
  sockaddr_un address = {};
  const size_t size = std::min<size_t>(call.arguments[2], sizeof(address));
  if (context.memory->Read(Address{call.arguments[1]},
                           std::as_writable_bytes(std::span(&address, 1)).first(size)) != size ||
      size <= offsetof(sockaddr_un, sun_path) || address.sun_family != AF_UNIX) {
    return "";
  }
  std::string path(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  if (path[0] == '\0') {
    path[0] = '@';
    return path;
  }
  return path.c_str();
}

bool SameNamespace(Pid pid, absl::string_view name) {
  char own[64], its[64];
  const ssize_t a = ::readlink(absl::StrCat("/proc/self/ns/", name).c_str(), own, sizeof(own));
  const ssize_t b =
      ::readlink(absl::StrCat("/proc/", pid, "/ns/", name).c_str(), its, sizeof(its));
  return a > 0 && a == b && std::memcmp(own, its, static_cast<size_t>(a)) == 0;
}

void AddOther(Pid pid, Pid other, std::vector<Pid>& others) {
  if (other != pid && other > 0 && std::find(others.begin(), others.end(), other) == others.end()) {
    others.push_back(other);
  }
}

void AddAwaited(Pid pid, int fd, Wait& wait) {
  if (wait.awaited.size() < kMaxAwaited) AddOther(pid, ProcessOfPidFd(pid, fd), wait.awaited);
}

bool IsOf(int64_t number, std::initializer_list<int64_t> numbers) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

}  // namespace

const std::string& WaitReader::LocalSockets(Pid pid) {
  char name[64];
  const ssize_t size =
      ::readlink(absl::StrCat("/proc/", pid, "/ns/net").c_str(), name, sizeof(name));
  auto [at, first] = local_sockets_.try_emplace(
      size > 0 ? std::string(name, static_cast<size_t>(size)) : absl::StrCat(pid));
  if (first) {
    auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/net/unix"), kMaxProcBytes);
    if (text.ok()) at->second = *std::move(text);
  }
  return at->second;
}

bool WaitReader::IsLocalSocket(Pid pid, absl::string_view inode) {
  for (absl::string_view line : absl::StrSplit(LocalSockets(pid), '\n')) {
    const auto words = Words(line);
    if (words.size() > 6 && words[6] == inode) return true;
  }
  return false;
}

uint32_t WaitReader::ListenerAt(Pid pid, absl::string_view path) {
  constexpr absl::string_view kListening = "00010000";
  uint32_t inode = 0;
  for (absl::string_view line : absl::StrSplit(LocalSockets(pid), '\n')) {
    const auto words = Words(line);
    if (words.size() > 7 && words[7] == path && words[3] == kListening &&
        absl::SimpleAtoi(words[6], &inode)) {
      return inode;
    }
  }
  return 0;
}

void WaitReader::AddHolders(Pid pid, absl::string_view link, Wait& wait) {
  for (const FdHolders::Holder& holder : holders_.Of(link)) {
    wait.self_too |= holder.pid == pid;
    AddOther(pid, holder.pid, wait.others);
  }
}

void WaitReader::ReadPipe(Pid pid, int fd, bool writes, Wait& wait) {
  wait.kind = writes ? Wait::Kind::kPipeWrite : Wait::Kind::kPipeRead;
  wait.object = "a pipe";
  for (const FdHolders::Holder& holder : holders_.Of(FdLink(pid, fd))) {
    const int mode = FdAccessMode(holder.pid, holder.fd);
    if (mode == O_RDWR || mode == (writes ? O_RDONLY : O_WRONLY)) {
      wait.self_too |= holder.pid == pid;
      AddOther(pid, holder.pid, wait.others);
    }
  }
  const UniqueFd pipe = TakeFd(pid, fd);
  int unread = 0;
  if (!pipe.valid() || ::ioctl(pipe.get(), FIONREAD, &unread) != 0) return;
  const int capacity = ::fcntl(pipe.get(), F_GETPIPE_SZ);
  if (capacity <= 0) return;
  wait.filling = absl::StrCat(unread, " of ", capacity, " bytes unread");
  wait.full = writes && unread + kPageSize > capacity;
}

void WaitReader::ReadSocket(Pid pid, int fd, const SystemCall& call, const CallContext& context,
                            bool writes, Wait& wait) {
  const std::string link = FdLink(pid, fd);
  uint32_t inode = 0;
  const absl::string_view number =
      absl::string_view(link).substr(8, link.size() < 9 ? 0 : link.size() - 9);
  const bool connects = call.number == SYS_connect;
  if (!absl::SimpleAtoi(number, &inode) || !IsLocalSocket(pid, number)) {
    const std::string path = connects ? ConnectPath(call, context) : "";
    if (path.empty()) {
      wait.kind = Wait::Kind::kNetwork;
      return;
    }
  }
  wait.object = "a local socket";
  if (connects) {
    wait.kind = Wait::Kind::kSocketConnect;
    const std::string path = ConnectPath(call, context);
    if (!path.empty()) wait.object = absl::StrCat("the local socket ", path);
    const uint32_t listener = ListenerAt(pid, path);
    if (listener == 0) return;
    AddHolders(pid, absl::StrCat("socket:[", listener, "]"), wait);
    if (const auto socket = AskUnixSocket(listener); socket && socket->listening) {
      wait.filling = absl::StrCat(
          socket->receive_queue,
          socket->receive_queue == 1 ? " connection waits" : " connections wait",
          " to be accepted, the backlog is ", socket->send_queue);
      wait.full = socket->receive_queue > socket->send_queue;
    }
    return;
  }
  wait.kind = writes ? Wait::Kind::kSocketWrite : Wait::Kind::kSocketRead;
  const auto socket = AskUnixSocket(inode);
  if (!socket) return;
  if (socket->listening) {  // is polled
    wait.object = absl::StrCat(DescribeFd(pid, fd), " listening");
    return;
  }
  AddHolders(pid, absl::StrCat("socket:[", socket->peer, "]"), wait);
  if (writes) {
    wait.filling = absl::StrCat(socket->send_queue, " bytes sent and not read");
    wait.full = socket->send_queue > 0;
  }
}

void WaitReader::ReadQueue(Pid pid, int id, bool sends, uint64_t bytes_to_send, Wait& wait) {
  wait.kind = sends ? Wait::Kind::kQueueSend : Wait::Kind::kQueueReceive;
  wait.object = absl::StrCat("System V message queue ", id);
  if (!SameNamespace(pid, "ipc")) return;
  auto text = ReadProcFile("/proc/sysvipc/msg", kMaxProcBytes);
  if (!text.ok()) return;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    // key msqid perms cbytes qnum lspid lrpid ...
    const auto words = Words(line);
    int row = -1;
    uint64_t bytes = 0;
    Pid sender = 0, receiver = 0;
    if (words.size() < 7 || !absl::SimpleAtoi(words[1], &row) || row != id ||
        !absl::SimpleAtoi(words[3], &bytes) || !absl::SimpleAtoi(words[5], &sender) ||
        !absl::SimpleAtoi(words[6], &receiver)) {
      continue;
    }
    const Pid other = sends ? receiver : sender;
    if (ReadProcStat(other).ok()) AddOther(pid, other, wait.others);
    msqid_ds queue;
    if (::msgctl(id, IPC_STAT, &queue) == 0) {
      wait.filling =
          absl::StrCat(bytes, " of ", queue.msg_qbytes, " bytes in ", words[4], " messages");
      wait.full = sends && bytes_to_send > 0 && bytes_to_send + bytes > queue.msg_qbytes;
    } else {
      wait.filling = absl::StrCat(bytes, " bytes in ", words[4], " messages");
    }
    if (sends && receiver == 0) absl::StrAppend(&wait.filling, ", none was ever received");
  }
}

void WaitReader::ReadPolled(Pid pid, const SystemCall& call, const CallContext& context,
                            Wait& wait) {
  const std::vector<PolledFd> polled = PolledFds(call, context);
  if (polled.size() == 1) {
    const int fd = polled[0].fd;
    wait.to_write = (polled[0].events & (POLLIN | POLLPRI | POLLOUT)) == POLLOUT;
    const std::string link = FdLink(pid, fd);
    if (absl::StartsWith(link, "pipe:[")) {
      ReadPipe(pid, fd, wait.to_write, wait);
    } else if (absl::StartsWith(link, "socket:[")) {
      ReadSocket(pid, fd, call, context, wait.to_write, wait);
    }
    if (wait.object.empty()) wait.object = DescribeFd(pid, fd);
  } else if (polled.size() > 1) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < std::min(polled.size(), kMaxPolledNamed); ++i) {
      texts.push_back(absl::StrCat(polled[i].fd, "<", DescribeFd(pid, polled[i].fd), ">"));
    }
    if (polled.size() > texts.size()) {
      texts.push_back(absl::StrCat(polled.size() - texts.size(), " more"));
    }
    wait.object = absl::StrCat("one of ", polled.size(), " files: ", absl::StrJoin(texts, ", "));
  }
  wait.kind = Wait::Kind::kPoll;
  wait.limit_s = LimitOf(call, context);
  for (size_t i = 0; i < std::min(polled.size(), kMaxWatchedRead); ++i) {
    AddAwaited(pid, polled[i].fd, wait);
  }
}

void WaitReader::FindVforkChild(Pid pid, Wait& wait) {
  auto processes = ListProcesses();
  if (!processes.ok()) return;
  for (Pid child : *processes) {
    auto stat = ReadProcStat(child);
    if (stat.ok() && stat->parent == pid &&
        ::syscall(SYS_kcmp, pid, child, KCMP_VM, 0, 0) == 0) {
      AddOther(pid, child, wait.others);
    }
  }
}

void WaitReader::Classify(Pid pid, const SystemCall& call, const CallContext& context, Wait& wait) {
  const int fd = static_cast<int>(call.arguments[0]);
  const bool reads =
      IsOf(call.number, {SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg});
  const bool writes =
      IsOf(call.number, {SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg, SYS_sendmmsg});
  wait.kind = Wait::Kind::kOther;
  if (reads || writes || call.number == SYS_connect) {
    const std::string link = FdLink(pid, fd);
    if (absl::StartsWith(link, "pipe:[")) {
      ReadPipe(pid, fd, writes, wait);
    } else if (absl::StartsWith(link, "socket:[")) {
      ReadSocket(pid, fd, call, context, writes, wait);
    }
  } else if (IsOf(call.number, {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2})) {
    wait.kind = Wait::Kind::kEvents;
    wait.limit_s = LimitOf(call, context);
    wait.object = DescribeFd(pid, fd);
    const std::vector<int> watched = WatchedFds(pid, fd);
    for (size_t i = 0; i < std::min(watched.size(), kMaxWatchedRead); ++i) {
      AddAwaited(pid, watched[i], wait);
    }
  } else if (IsOf(call.number, {SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6})) {
    ReadPolled(pid, call, context, wait);
  } else if (IsOf(call.number, {SYS_nanosleep, SYS_clock_nanosleep})) {
    wait.kind = Wait::Kind::kSleep;
    wait.limit_s = SleepOf(pid, call, context);
  } else if (call.number == SYS_futex) {
    wait.kind = Wait::Kind::kLock;
    wait.owner = LockOwner(call, context);
  } else if (IsOf(call.number, {SYS_msgsnd, SYS_msgrcv})) {
    ReadQueue(pid, fd, call.number == SYS_msgsnd, call.arguments[2], wait);
  } else if (IsOf(call.number, {SYS_wait4, SYS_waitid})) {
    wait.kind = Wait::Kind::kChild;
    const bool waitid = call.number == SYS_waitid;
    const auto child = static_cast<Pid>(call.arguments[waitid ? 1 : 0]);
    if (waitid && call.arguments[0] == P_PIDFD) AddAwaited(pid, child, wait);
    if (child > 0 && (!waitid || call.arguments[0] == P_PID)) {
      // The number may be of another pid namespace.
      auto stat = ReadProcStat(child);
      if (stat.ok() && stat->parent == pid) wait.awaited = {child};
    }
  } else if (IsOf(call.number, {SYS_vfork, SYS_clone, SYS_clone3}) && wait.uninterruptible) {
    wait.kind = Wait::Kind::kVfork;
    FindVforkChild(pid, wait);
  }
}

Wait WaitReader::Read(Pid pid, Tid tid) {
  Wait wait;
  auto stat = ParseProcStat(TaskFile(pid, tid, "stat"));
  if (!stat.ok() || stat->state == 'R' || stat->dead()) return wait;
  wait.uninterruptible = stat->state == 'D';
  const std::string wchan = TaskFile(pid, tid, "wchan");
  if (wchan != "0") wait.kernel_function = wchan;
  const auto asleep = ParseSyscallFile(TaskFile(pid, tid, "syscall"));
  const LiveMemory memory(pid);
  if (asleep && asleep->call) wait.made = AsMade(*asleep->call, memory);
  if (!wait.made) {
    if (wait.uninterruptible) wait.kind = Wait::Kind::kOther;
    return wait;
  }
  const CallContext context = LiveContext(pid, memory);
  wait.call = DescribeCall(*wait.made, context);
  Classify(pid, *wait.made, context, wait);
  return wait;
}

std::string WaitReader::WhatDoes(Pid pid) {
  auto stat = ReadProcStat(pid);
  if (!stat.ok()) return "is gone";
  if (stat->state == 'R') return "runs";
  if (stat->state == 'T') return "is stopped";
  if (stat->state == 't') return "is stopped by a debugger";
  std::vector<Tid> threads = ListThreads(pid).value_or(std::vector<Tid>());
  if (threads.size() > kMaxThreadsOfOther) threads.resize(kMaxThreadsOfOther);
  // The main one may have ended before the others.
  Tid told = stat->dead() ? 0 : pid;
  for (Tid tid : threads) {
    auto of_thread = ParseProcStat(TaskFile(pid, tid, "stat"));
    if (!of_thread.ok() || of_thread->dead()) continue;
    if (of_thread->state == 'R') return absl::StrCat("runs (thread ", tid, ")");
    if (told == 0) told = tid;
  }
  if (told == 0) return "has exited";
  const Wait wait = Read(pid, told);
  if (wait.call.empty()) return "sleeps";
  return absl::StrCat(wait.uninterruptible ? "sleeps uninterruptibly in " : "sleeps in ", wait.call,
                      told != pid          ? absl::StrCat(" (thread ", told, ")")
                      : threads.size() > 1 ? " (its main thread)"
                                           : "");
}

const std::vector<WaitReader::ThreadWait>& WaitReader::ThreadsOf(Pid pid) {
  auto [at, first] = threads_.try_emplace(pid);
  if (!first) return at->second;
  auto threads = ListThreads(pid);
  if (!threads.ok()) return at->second;
  if (threads->size() > kMaxThreadsOfOther) threads->resize(kMaxThreadsOfOther);
  for (Tid tid : *threads) {
    if (reads_left_ == 0) break;
    --reads_left_;
    at->second.push_back({tid, Read(pid, tid)});
  }
  return at->second;
}

namespace {

// Extends the chain by one of the processes that its last link waits for, none of which was tried
// before; true: to its end.
bool Extend(WaitReader& reader, std::set<Pid>& tried, WaitChain& chain) {
  const std::vector<Pid> others = chain.links.back().wait.others;
  if (chain.links.size() > 1 &&
      std::find(others.begin(), others.end(), chain.links.front().pid) != others.end()) {
    return true;
  }
  if (chain.links.size() >= kMaxLinks) return false;
  for (Pid other : others) {
    if (!tried.insert(other).second) continue;
    const std::vector<WaitReader::ThreadWait>& threads = reader.ThreadsOf(other);
    for (const WaitReader::ThreadWait& thread : threads) {
      if (thread.wait.others.empty()) continue;
      chain.links.push_back({other, thread.tid, thread.wait, threads.size() == 1});
      if (Extend(reader, tried, chain)) return true;
      chain.links.pop_back();
    }
  }
  return false;
}

}  // namespace

WaitChain FollowWaits(WaitReader& reader, Pid pid, Tid tid, const Wait& wait) {
  WaitChain chain;
  const auto threads = ListThreads(pid);
  chain.links.push_back({pid, tid, wait, threads.ok() && threads->size() == 1});
  std::set<Pid> tried = {pid};
  chain.closed =
      Extend(reader, tried, chain) &&
      std::all_of(chain.links.begin(), chain.links.end(), [&](const WaitChain::Link& link) {
        return reader.Read(link.pid, link.tid).made == link.wait.made;
      });
  return chain;
}

}  // namespace jprof
