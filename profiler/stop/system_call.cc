#include "profiler/stop/system_call.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>
#include <span>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "profiler/stop/descriptor.h"
#include "profiler/stop/system_call_arguments.h"
#include "profiler/stop/system_call_names.h"

namespace jprof {
namespace {

constexpr size_t kMaxShownText = 256;
constexpr size_t kMaxPolled = 1024;
constexpr size_t kMaxPolledShown = 4;
constexpr uint64_t kNsOfSecond = 1'000'000'000;

// nullptr: it is not known how many it has.
const absl::string_view* LettersOf(int64_t number) {
  const auto* found =
      std::find_if(std::begin(kSystemCallArguments), std::end(kSystemCallArguments),
                   [number](const SystemCallArguments& a) { return a.number == number; });
  return found == std::end(kSystemCallArguments) ? nullptr : &found->letters;
}

uint64_t FutexCommand(const SystemCall& call) { return call.arguments[1] & FUTEX_CMD_MASK; }

// Those that this operation reads.
absl::string_view FutexLetters(const SystemCall& call) {
  switch (FutexCommand(call)) {
    case FUTEX_WAIT:
      return "podt";
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return "poda";
    case FUTEX_WAIT_REQUEUE_PI:
      return "podap";
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      return "pod";
    case FUTEX_UNLOCK_PI:
    case FUTEX_TRYLOCK_PI:
      return "po";
    default:
      return "podupx";
  }
}

// Without those that the call does not read by what its others say: what is in their registers
// belongs to somebody else.
absl::string_view LettersRead(const SystemCall& call, absl::string_view letters) {
  const auto& a = call.arguments;
  auto mode_if_created = [letters](uint64_t flags) {
    const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return creates ? letters : letters.substr(0, letters.size() - 1);
  };
  switch (call.number) {
    case SYS_open:
      return mode_if_created(a[1]);
    case SYS_openat:
      return mode_if_created(a[2]);
    case SYS_mq_open:
      return letters.substr(0, (a[1] & O_CREAT) != 0 ? 4 : 2);
    case SYS_mremap:
      return letters.substr(0, (a[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ? 5 : 4);
    case SYS_fcntl: {
      constexpr uint64_t kAlone[] = {F_GETFD,  F_GETFL,    F_GETOWN,
                                     F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS};
      const bool alone = std::find(std::begin(kAlone), std::end(kAlone), a[1]) != std::end(kAlone);
      return letters.substr(0, alone ? 2 : 3);
    }
    case SYS_futex:
      return FutexLetters(call);
    default:
      return letters;
  }
}

std::string FutexText(const SystemCall& call) {
  const uint64_t op = FutexCommand(call);
  absl::string_view name = op == FUTEX_WAIT            ? "FUTEX_WAIT"
                           : op == FUTEX_WAIT_BITSET     ? "FUTEX_WAIT_BITSET"
                           : op == FUTEX_LOCK_PI         ? "FUTEX_LOCK_PI"
                           : op == FUTEX_LOCK_PI2        ? "FUTEX_LOCK_PI2"
                           : op == FUTEX_WAIT_REQUEUE_PI ? "FUTEX_WAIT_REQUEUE_PI"
                           : op == FUTEX_WAKE            ? "FUTEX_WAKE"
                                                         : "";
  return name.empty() ? absl::StrCat("op ", op) : std::string(name);
}

std::string Hexadecimal(uint64_t value) {
  return value == 0 ? "0" : absl::StrFormat("0x%x", value);
}

std::string FdText(int fd, const CallContext& context) {
  std::string text = absl::StrCat(fd);
  if (fd < 0 || context.describe_fd == nullptr) return text;
  const std::string what = context.describe_fd(context.pid, fd);
  if (!what.empty()) absl::StrAppend(&text, "<", what, ">");
  return text;
}

std::string ClockText(int clock) {
  switch (clock) {
    case CLOCK_REALTIME:
      return "CLOCK_REALTIME";
    case CLOCK_MONOTONIC:
      return "CLOCK_MONOTONIC";
    case CLOCK_BOOTTIME:
      return "CLOCK_BOOTTIME";
    case CLOCK_TAI:
      return "CLOCK_TAI";
    default:
      return absl::StrCat(clock);
  }
}

// A timespec or, of a call from before there were any, a timeval. nullopt: none can be read there.
std::optional<int64_t> NanosecondsAt(uint64_t address, const CallContext& context,
                                     bool timeval = false) {
  struct Words {
    int64_t seconds, rest;
  };
  const int64_t unit = timeval ? 1000 : 1;
  auto words = context.memory == nullptr ? std::nullopt
                                         : context.memory->ReadValue<Words>(Address{address});
  constexpr int64_t kMaxSeconds = INT64_MAX / kNsOfSecond - 1;
  if (!words || words->seconds < 0 || words->seconds > kMaxSeconds || words->rest < 0 ||
      words->rest >= static_cast<int64_t>(kNsOfSecond) / unit) {
    return std::nullopt;
  }
  return words->seconds * static_cast<int64_t>(kNsOfSecond) + words->rest * unit;
}

std::string SecondsText(int64_t ns) {
  return absl::StrFormat("%d.%03d s", ns / kNsOfSecond, ns / 1'000'000 % 1000);
}

std::string LimitText(uint64_t address, const CallContext& context, bool timeval = false) {
  if (address == 0) return "no limit";
  const std::optional<int64_t> ns = NanosecondsAt(address, context, timeval);
  return ns ? SecondsText(*ns) : Hexadecimal(address);
}

// "until 58569.072 s of CLOCK_MONOTONIC (in 4.931 s)"; `named`: the clock is an argument as well.
std::string DeadlineText(uint64_t address, int clock, const CallContext& context,
                         bool named = false) {
  if (address == 0) return "no limit";
  const std::optional<int64_t> ns = NanosecondsAt(address, context);
  if (!ns) return Hexadecimal(address);
  const std::string text = absl::StrCat("until ", SecondsText(*ns), named ? "" : " of ",
                                        named ? "" : ClockText(clock));
  const std::optional<int64_t> now =
      context.now_ns == nullptr ? std::nullopt : context.now_ns(context.pid, clock);
  if (!now) return text;
  return *now >= *ns ? absl::StrCat(text, " (passed)")
                     : absl::StrCat(text, " (in ", SecondsText(*ns - *now), ")");
}

// Of the calls that take a time or a deadline.
std::string TimeText(const SystemCall& call, uint64_t address, const CallContext& context) {
  if (call.number == SYS_clock_nanosleep) {
    return (call.arguments[1] & TIMER_ABSTIME) == 0
               ? LimitText(address, context)
               : DeadlineText(address, static_cast<int>(call.arguments[0]), context,
                              /*named=*/true);
  }
  const bool calendar = (call.arguments[1] & FUTEX_CLOCK_REALTIME) != 0 ||
                        FutexCommand(call) == FUTEX_LOCK_PI;
  return DeadlineText(address, calendar ? CLOCK_REALTIME : CLOCK_MONOTONIC, context);
}

std::string QuotedText(uint64_t address, const CallContext& context) {
  char bytes[kMaxShownText + 1];
  const size_t size =
      address == 0 || context.memory == nullptr
          ? 0
          : context.memory->Read(Address{address}, std::as_writable_bytes(std::span(bytes)));
  const absl::string_view text(bytes, ::strnlen(bytes, size));
  if (text.size() < size) return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
  if (size < sizeof(bytes)) return Hexadecimal(address);  // nothing ends it that can be read
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text.substr(0, kMaxShownText)), "\"...");
}

std::string EventsText(int16_t events) {
  constexpr std::pair<int, absl::string_view> kNames[] = {
      {POLLIN, "POLLIN"}, {POLLPRI, "POLLPRI"}, {POLLOUT, "POLLOUT"}, {POLLRDHUP, "POLLRDHUP"}};
  std::vector<absl::string_view> names;
  for (const auto& [bit, name] : kNames) {
    if ((events & bit) != 0) names.push_back(name);
  }
  return absl::StrJoin(names, "|");
}

std::vector<PolledFd> PollSet(const SystemCall& call, const CallContext& context) {
  static_assert(sizeof(pollfd) == 8);
  if (context.memory == nullptr) return {};
  std::vector<pollfd> set(std::min<uint64_t>(call.arguments[1], kMaxPolled));
  if (!context.memory->ReadExactly(Address{call.arguments[0]},
                                   std::as_writable_bytes(std::span(set)))) {
    return {};
  }
  std::vector<PolledFd> fds;
  for (const pollfd& of_set : set) {
    if (of_set.fd >= 0) fds.push_back({of_set.fd, of_set.events});
  }
  return fds;
}

// One of the sets of select().
std::vector<PolledFd> SelectSet(const SystemCall& call, size_t index, const CallContext& context) {
  constexpr int16_t kEvents[] = {0, POLLIN, POLLOUT, POLLPRI};
  const auto wanted = static_cast<int32_t>(call.arguments[0]);
  const uint64_t address = call.arguments[index];
  if (context.memory == nullptr || wanted <= 0 || address == 0) return {};
  const size_t count = std::min<size_t>(wanted, kMaxPolled);
  std::vector<uint8_t> bytes((count + 7) / 8);
  if (!context.memory->ReadExactly(Address{address}, std::as_writable_bytes(std::span(bytes)))) {
    return {};
  }
  std::vector<PolledFd> fds;
  for (size_t fd = 0; fd < count; ++fd) {
    if ((bytes[fd / 8] >> fd % 8 & 1) != 0) fds.push_back({static_cast<int>(fd), kEvents[index]});
  }
  return fds;
}

// "{5<pipe:[1]> POLLIN, 7<...> POLLIN and 3 more}".
std::string SetText(const std::vector<PolledFd>& fds, uint64_t address, bool with_events,
                    const CallContext& context) {
  if (fds.empty()) return Hexadecimal(address);
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(fds.size(), kMaxPolledShown); ++i) {
    const std::string events = with_events ? EventsText(fds[i].events) : "";
    texts.push_back(
        absl::StrCat(FdText(fds[i].fd, context), events.empty() ? "" : " ", events));
  }
  const size_t more = fds.size() - texts.size();
  return absl::StrCat("{", absl::StrJoin(texts, ", "),
                      more == 0 ? std::string() : absl::StrCat(" and ", more, " more"), "}");
}

std::string ArgumentText(char letter, const SystemCall& call, size_t index,
                         const CallContext& context) {
  const uint64_t value = call.arguments[index];
  const auto narrow = static_cast<int32_t>(value);
  switch (letter) {
    case 'f':
      return FdText(narrow, context);
    case 'F':
      return narrow == AT_FDCWD ? "AT_FDCWD" : FdText(narrow, context);
    case 's':
      return QuotedText(value, context);
    case 'd':
      return absl::StrCat(narrow);
    case 'u':
      return absl::StrCat(value);
    case 'l':
      return absl::StrCat(static_cast<int64_t>(value));
    case 'm':
      return narrow < 0 ? "no limit" : absl::StrCat(narrow, " ms");
    case 'o':
      return FutexText(call);
    case 'c':
      return ClockText(narrow);
    case 'A':
      return value == TIMER_ABSTIME ? "TIMER_ABSTIME" : Hexadecimal(value);
    case 'P':
      return SetText(PollSet(call, context), value, /*with_events=*/true, context);
    case 'S':
      return SetText(SelectSet(call, index, context), value, /*with_events=*/false, context);
    case 't':
      return LimitText(value, context);
    case 'v':
      return LimitText(value, context, /*timeval=*/true);
    case 'a':
      return TimeText(call, value, context);
    case 'r':
      return DeadlineText(value, CLOCK_REALTIME, context);
    default:
      return Hexadecimal(value);
  }
}

std::vector<absl::string_view> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
}

bool ParseHex(absl::string_view text, uint64_t& value) {
  if (absl::StartsWith(text, "0x")) text.remove_prefix(2);
  return !text.empty() && absl::SimpleHexAtoi(text, &value);
}

bool SameTimeNamespace(Pid pid) {
  char own[64], its[64];
  const ssize_t a = ::readlink("/proc/self/ns/time", own, sizeof(own));
  const ssize_t b =
      ::readlink(absl::StrCat("/proc/", pid, "/ns/time").c_str(), its, sizeof(its));
  return a > 0 && a == b && std::memcmp(own, its, static_cast<size_t>(a)) == 0;
}

}  // namespace

std::optional<SystemCall> CallOf(const user_regs_struct& r) {
  const auto number = static_cast<int64_t>(r.orig_rax);
  if (number < 0) return std::nullopt;
  return SystemCall{number, {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}, r.rip};
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
  if (thread.call) thread.call->pc = thread.pc;
  return thread;
}

std::optional<SystemCall> AsMade(const SystemCall& call, const MemoryReader& memory) {
  // mov $N,%eax; syscall
  constexpr uint8_t kMove = 0xb8, kSyscall[] = {0x0f, 0x05};
  struct __attribute__((packed)) Code {
    uint8_t move;
    uint32_t number;
    uint8_t syscall[2];
  } code;
  const auto instruction =
      call.pc < sizeof(code)
          ? std::nullopt
          : memory.ReadValue<std::array<uint8_t, 2>>(Address{call.pc - sizeof(kSyscall)});
  if (!instruction) return call;
  if (std::memcmp(instruction->data(), kSyscall, sizeof(kSyscall)) != 0) return std::nullopt;
  const auto before = memory.ReadValue<Code>(Address{call.pc - sizeof(code)});
  if (call.number != SYS_restart_syscall || !before || before->move != kMove) return call;
  const SystemCall made{before->number, call.arguments, call.pc};
  return RestartsByAnotherCall(made) ? made : call;
}

bool RestartsByAnotherCall(const SystemCall& call) {
  switch (call.number) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_poll:  // also without a limit
      return true;
    case SYS_futex:
      return call.arguments[3] != 0;
    default:
      return false;
  }
}

Tid LockOwner(const SystemCall& call, const CallContext& context) {
  if (call.number != SYS_futex || context.memory == nullptr || context.is_thread == nullptr)
    return 0;
  const Address at{call.arguments[0]};
  const uint64_t op = FutexCommand(call);
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

std::vector<PolledFd> PolledFds(const SystemCall& call, const CallContext& context) {
  if (call.number == SYS_poll || call.number == SYS_ppoll) return PollSet(call, context);
  if (call.number != SYS_select && call.number != SYS_pselect6) return {};
  std::vector<PolledFd> fds;
  for (const size_t index : {1, 2, 3}) {
    for (const PolledFd& polled : SelectSet(call, index, context)) {
      auto known = std::find_if(fds.begin(), fds.end(),
                                [&](const PolledFd& other) { return other.fd == polled.fd; });
      if (known == fds.end()) {
        fds.push_back(polled);
      } else {
        known->events = static_cast<int16_t>(known->events | polled.events);
      }
    }
  }
  return fds;
}

std::string DescribeCall(const SystemCall& call, const CallContext& context) {
  const bool named = call.number >= 0 &&
                     static_cast<size_t>(call.number) < std::size(kSystemCallNames) &&
                     !kSystemCallNames[call.number].empty();
  const std::string name = named ? std::string(kSystemCallNames[call.number])
                                 : absl::StrCat("system call ", call.number);
  const absl::string_view* all = LettersOf(call.number);
  if (all == nullptr) return absl::StrCat(name, "(...)");
  const absl::string_view letters = LettersRead(call, *all);
  std::vector<std::string> texts;
  for (size_t i = 0; i < letters.size(); ++i) {
    if (letters[i] != '-') texts.push_back(ArgumentText(letters[i], call, i, context));
  }
  std::string text = absl::StrCat(name, "(", absl::StrJoin(texts, ", "), ")");
  if (call.number == SYS_futex) {
    const Tid owner = LockOwner(call, context);
    if (owner != 0) absl::StrAppend(&text, ", held by thread ", owner);
  }
  return text;
}

CallContext LiveContext(Pid pid, const MemoryReader& memory) {
  return {.memory = &memory,
          .describe_fd = DescribeFd,
          .is_thread = IsThreadOf,
          .now_ns = ClockOf,
          .pid = pid};
}

bool IsThreadOf(Pid pid, Tid tid) {
  return tid > 0 && ::access(absl::StrCat("/proc/", pid, "/task/", tid).c_str(), F_OK) == 0;
}

std::optional<int64_t> ClockOf(Pid pid, int clock) {
  const bool shifted = clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
  if (!shifted && clock != CLOCK_REALTIME && clock != CLOCK_TAI) return std::nullopt;
  timespec now;
  if ((shifted && !SameTimeNamespace(pid)) || ::clock_gettime(clock, &now) != 0) {
    return std::nullopt;
  }
  return now.tv_sec * static_cast<int64_t>(kNsOfSecond) + now.tv_nsec;
}

}  // namespace jprof
