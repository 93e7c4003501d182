#include "profiler/stop/thread_capture.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "helpers/abi/records.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"
#include "profiler/stop/descriptor.h"
#include "profiler/stop/guard.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcBytes = 64 << 10;
constexpr int kMaxRounds = 8;
// Of a thread that wakes up and falls asleep all the time.
constexpr int kMaxLooks = 100;
constexpr size_t kWarmedBytes = 64 << 10;
constexpr int kFirstNiceness = -20;
// With all of a process's threads that do not stop.
constexpr Patience kPatienceWithAll = {.longest = absl::Seconds(10), .shortest = absl::Seconds(2)};
constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
constexpr int kFlagsField = 9, kStackField = 28;  // of /proc/PID/stat, as in proc(5)

std::string TaskFile(Pid pid, Tid tid, absl::string_view name) {
  absl::StatusOr<std::string> text =
      ReadProcFile(absl::StrCat("/proc/", pid, "/task/", tid, "/", name), kMaxProcBytes);
  return text.ok() ? *std::move(text) : "";
}

// Where the kernel's scheduler counts nothing: it has no such file, or one that says that.
bool CountsNothing(absl::string_view schedstat) {
  return schedstat.empty() || absl::StripTrailingAsciiWhitespace(schedstat) == "0 0 0";
}

// What changes with each of a thread's turns on a CPU; "": not known.
std::string TurnsOf(Pid pid, Tid tid) {
  std::string turns = TaskFile(pid, tid, "schedstat");
  if (!CountsNothing(turns)) return turns;
  // How often it has left one is always counted: these lines are the last.
  const std::string status = TaskFile(pid, tid, "status");
  const size_t at = status.find("\nvoluntary_ctxt_switches:");
  return at == status.npos ? "" : status.substr(at);
}

// A numbered field of a stat file behind the name; 0 when it is not there.
uint64_t StatField(absl::string_view stat, int field) {
  const size_t close = stat.rfind(')');
  if (close == absl::string_view::npos) return 0;
  const std::vector<absl::string_view> fields = absl::StrSplit(stat.substr(close + 1), ' ');
  const size_t index = static_cast<size_t>(field - 2);
  uint64_t value = 0;
  if (index >= fields.size() ||
      !absl::SimpleAtoi(absl::StripAsciiWhitespace(fields[index]), &value))
    return 0;
  return value;
}

// Whether a stop changes nothing for the one who made this call (signal(7)).
bool GoesOnUnseen(Pid pid, const SystemCall& call) {
  switch (call.number) {
    case SYS_futex:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_vfork:
      return true;
    case SYS_read:
    case SYS_readv:
      // A socket's may have a limit. A terminal's returns what it has read so far, as any write
      // does.
      return absl::StartsWith(DescribeFd(pid, static_cast<int>(call.arguments[0])), "pipe:");
    default:
      return false;
  }
}

// Whether a filter of its own looks at its calls, and may end it for one of them.
bool IsFiltered(absl::string_view status) {
  constexpr absl::string_view kName = "\nSeccomp:\t";
  const size_t at = status.find(kName);
  return at == status.npos || absl::StartsWith(status.substr(at + kName.size()), "2");
}

bool IsWhole(const NativeRunner::Result& walk) {
  // One that ends near the base may have needed a register there.
  if (walk.stack.end != WalkEnd::kRoot) return false;
  return std::none_of(walk.stack.frames.begin(), walk.stack.frames.end(), [](const RawFrame& f) {
    return f.kind == RawFrame::Kind::kUnresolved;
  });
}

// The calling thread waits for no CPU until its end, if that is permitted: else whom it stops would
// wait with it.
void GoFirst() {
  sched_param lowest = {};
  lowest.sched_priority = ::sched_get_priority_min(SCHED_FIFO);
  if (::sched_setscheduler(0, SCHED_FIFO, &lowest) != 0) {
    ::setpriority(PRIO_PROCESS, 0, kFirstNiceness);
  }
}

// Where it left user space; nullopt: it runs, or that cannot be told.
std::optional<SleepingThread> PlaceOfSleeper(const std::string& syscall_file) {
  std::optional<SleepingThread> asleep = ParseSyscallFile(syscall_file);
  if (asleep && asleep->pc == 0) asleep.reset();
  return asleep;
}

// All that /proc says of them.
Registers RegistersOf(const SleepingThread& asleep, const CapturedThread& thread) {
  Registers registers;
  registers.pc = asleep.pc;
  registers.sp = asleep.sp;
  registers.fp = registers.rdi = registers.r13 = kUnknownRegister;
  registers.others.fill(kUnknownRegister);
  registers.others[JP_REGISTER_RSP] = asleep.sp;
  registers.tid = thread.tid;
  registers.stack_base = thread.stack_base;
  registers.all_known = false;
  return registers;
}

class Capturer {
 public:
  Capturer(Pid pid, const WalkFunction& walk, const CaptureOptions& options)
      : pid_(pid), walk_(walk), options_(options) {}

  // nullopt: it has exited.
  std::optional<CapturedThread> Capture(Tid tid);
  enum class Look {
    kRuns,  // or that cannot be told
    kRan,   // meanwhile
    kCut,   // asleep; its walk needs registers that cannot be read
    kRoot,  // asleep; its walk needs none
    kAll,   // asleep, with all its registers
  };
  Look LookAsleep(CapturedThread& thread);

 private:
  void CaptureByAnyMeans(CapturedThread& thread);
  // Whether a sleeper may be stopped all the same.
  bool MayWake(const CapturedThread& thread) const;
  // On a thread of its own.
  void CaptureStopped(CapturedThread& thread, bool may_sleep);
  // Aborted: it fell asleep, and may not; or in another call than the one looked at.
  void Stop(CapturedThread& thread, bool may_sleep);
  absl::Status AwaitStop(StoppedThread& thread, PauseLimit& limit);
  // DeadlineExceeded: others took too long to stop for this one to be told to.
  absl::Status CheckPatience(const CapturedThread& thread) const;
  absl::StatusOr<Registers> ReadRegisters(const SleepingThread& asleep,
                                          const CapturedThread& thread) const;

  const Pid pid_;
  const WalkFunction& walk_;
  const CaptureOptions& options_;
  Patience left_ = kPatienceWithAll;
};

absl::StatusOr<Registers> Capturer::ReadRegisters(const SleepingThread& asleep,
                                                  const CapturedThread& thread) const {
  if (!options_.read_registers) return absl::UnimplementedError("nobody reads them");
  JPROF_ASSIGN_OR_RETURN(const user_regs_struct registers,
                         options_.read_registers(thread.tid, asleep));
  return ToRegisters(registers, thread.tid, thread.stack_base);
}

Capturer::Look Capturer::LookAsleep(CapturedThread& thread) {
  const std::string turns = TurnsOf(pid_, thread.tid);
  const std::string before = TaskFile(pid_, thread.tid, "syscall");
  const std::optional<SleepingThread> asleep = PlaceOfSleeper(before);
  if (turns.empty() || !asleep) return Look::kRuns;
  absl::Status trouble;
  bool all_known = false;
  CapturedWalk walk;
  const auto walk_with_all = [&] {
    const absl::StatusOr<Registers> registers = ReadRegisters(*asleep, thread);
    trouble = registers.status();
    all_known = registers.ok();
    if (all_known) walk = walk_(*registers, false);
  };
  if (options_.wants_registers) walk_with_all();
  if (!all_known) walk = walk_(RegistersOf(*asleep, thread), false);
  if (!all_known && !options_.wants_registers && !IsWhole(walk)) walk_with_all();
  if (TaskFile(pid_, thread.tid, "syscall") != before ||
      TurnsOf(pid_, thread.tid) != turns) {
    return Look::kRan;
  }
  const Look look = all_known ? Look::kAll : IsWhole(walk) ? Look::kRoot : Look::kCut;
  thread.call = asleep->call;
  thread.is_whole = look != Look::kCut;
  thread.registers = thread.is_whole ? absl::OkStatus() : trouble;
  thread.walk = std::move(walk);
  return look;
}

absl::Status Capturer::CheckPatience(const CapturedThread& thread) const {
  if (left_.longest <= absl::ZeroDuration()) {
    return absl::DeadlineExceededError("not stopped: other threads got no CPU to stop in time");
  }
  if (thread.state == 'D' && left_.shortest <= absl::ZeroDuration()) {
    return absl::DeadlineExceededError(
        "not stopped: it sleeps uninterruptibly, as others that did not stop in time");
  }
  return absl::OkStatus();
}

absl::Status Capturer::AwaitStop(StoppedThread& thread, PauseLimit& limit) {
  Patience patience;
  patience.longest = std::min(patience.longest, left_.longest);
  patience.shortest = std::min(patience.shortest, left_.shortest);
  const uint64_t since_ns = NowNs();
  absl::Status status = thread.AwaitStop(patience, &limit);
  if (absl::IsDeadlineExceeded(status)) {
    const absl::Duration waited = absl::Nanoseconds(NowNs() - since_ns);
    left_.longest -= waited;
    left_.shortest -= waited;
  }
  return status;
}

void Capturer::Stop(CapturedThread& thread, bool may_sleep) {
  // So that a new thread's first allocations are not made while the target stands.
  { const std::vector<std::byte> warmed(kWarmedBytes); }
  absl::StatusOr<StoppedThread> seized = StoppedThread::Seize(thread.tid);
  if (!seized.ok()) {
    thread.status = ExplainStop(pid_, seized.status(), thread.tid);
    return;
  }
  PauseLimit limit;
  if (!limit.armed()) {
    thread.status =
        absl::UnavailableError("not stopped: no timer that would let it go on is to be had");
    return;
  }
  GoFirst();
  const std::optional<SleepingThread> asleep =
      PlaceOfSleeper(TaskFile(pid_, thread.tid, "syscall"));
  if (asleep && (!may_sleep || (thread.state != 'T' && asleep->call != thread.call))) {
    thread.status = absl::AbortedError("it fell asleep");
    return;
  }
  thread.status = seized->Interrupt();
  if (thread.status.ok()) thread.status = AwaitStop(*seized, limit);
  if (!thread.status.ok()) return;
  const user_regs_struct& registers = seized->registers();
  thread.walk = walk_(ToRegisters(registers, thread.tid, thread.stack_base), true);
  if (options_.wants_registers) thread.walk.vectors = seized->ReadVectors();
  thread.call = CallOf(registers);
  const uint64_t begin = seized->stands_since_ns();
  { const StoppedThread released = *std::move(seized); }
  thread.pause_ns = NowNs() - begin;
}

void Capturer::CaptureStopped(CapturedThread& thread, bool may_sleep) {
  thread.status = CheckPatience(thread);
  if (!thread.status.ok()) return;
  // The kernel lets go what a thread traces when that ends, also one that was told to stop and
  // has not come to it yet: for want of a CPU, or since it waits for a device.
  std::thread([&] { Stop(thread, may_sleep); }).join();
  if (auto rest = std::exchange(thread.walk.rest, nullptr)) rest(thread.walk);
}

bool Capturer::MayWake(const CapturedThread& thread) const {
  // Its owner's stop has done to a call what another one can do.
  if (thread.state == 'T' || !thread.call) return true;
  return GoesOnUnseen(pid_, *thread.call) &&
         !(RestartsByAnotherCall(*thread.call) && IsFiltered(TaskFile(pid_, thread.tid, "status")));
}

void Capturer::CaptureByAnyMeans(CapturedThread& thread) {
  const CapturedThread unseen = thread;
  for (int looks = 0; looks < kMaxLooks; ++looks) {
    const Look look = LookAsleep(thread);
    if (look == Look::kRuns) {
      CaptureStopped(thread, false);
      if (!absl::IsAborted(thread.status)) return;
    }
    if (look == Look::kRuns || look == Look::kRan) continue;
    thread.status = absl::OkStatus();
    // Outside of a call there are values in vector registers too.
    const bool is_enough =
        options_.wants_registers ? look == Look::kAll && thread.call : look != Look::kCut;
    if (is_enough || !MayWake(thread)) return;
    CapturedThread stopped = thread;
    stopped.registers = absl::OkStatus();
    CaptureStopped(stopped, true);
    if (absl::IsAborted(stopped.status)) {
      thread = unseen;
      continue;
    }
    if (stopped.status.ok() || look == Look::kCut) thread = std::move(stopped);
    return;
  }
  thread.status = absl::DeadlineExceededError(
      "not stopped: it was neither seen to run nor to sleep for as long as its stack is read");
}

std::optional<CapturedThread> Capturer::Capture(Tid tid) {
  CapturedThread thread;
  thread.tid = tid;
  const absl::StatusOr<std::string> stat =
      ReadProcFile(absl::StrCat("/proc/", pid_, "/task/", tid, "/stat"), kMaxProcBytes);
  if (absl::IsNotFound(stat.status())) return std::nullopt;
  absl::StatusOr<ProcStat> parsed = stat.ok() ? ParseProcStat(*stat) : stat.status();
  if (!parsed.ok()) {
    thread.status = parsed.status();
    return thread;
  }
  if (parsed->dead()) return std::nullopt;
  thread.name = parsed->comm;
  thread.state = parsed->state;
  if (tid == pid_) thread.stack_base = StatField(*stat, kStackField);
  if (thread.state != 'R') {
    // "0" where it does not sleep in the kernel.
    const std::string wchan = TaskFile(pid_, tid, "wchan");
    if (wchan != "0") thread.kernel_function = wchan;
  }
  if (options_.may_stop) {
    CaptureByAnyMeans(thread);
  } else {
    LookAsleep(thread);
  }
  if (absl::IsNotFound(thread.status)) return std::nullopt;
  const std::string schedstat = TaskFile(pid_, tid, "schedstat");
  uint64_t cpu_ns = 0;
  if (!CountsNothing(schedstat) &&
      absl::SimpleAtoi(absl::string_view(schedstat).substr(0, schedstat.find(' ')), &cpu_ns)) {
    thread.cpu_ns = cpu_ns;
  }
  return thread;
}

}  // namespace

void CapturedWalk::GoOnAs(CapturedWalk whole) {
  const std::vector<RawFrame>& told = stack.frames;
  std::vector<RawFrame>& frames = whole.stack.frames;
  auto same = [](const RawFrame& a, const RawFrame& b) {
    return a.address == b.address && a.is_return_address == b.is_return_address;
  };
  const auto first = std::mismatch(told.begin(), told.end(), frames.begin(), frames.end(), same);
  const auto last = std::mismatch(told.rbegin(), std::make_reverse_iterator(first.first),
                                  frames.rbegin(), std::make_reverse_iterator(first.second), same);
  const auto before = static_cast<size_t>(first.first - told.begin());
  const auto behind = static_cast<size_t>(last.first - told.rbegin());
  absl::flat_hash_map<uint32_t, std::vector<FrameArgument>> values;
  for (auto& [index, of] : arguments) {
    if (index < before) {
      values[index] = std::move(of);
    } else if (index >= told.size() - behind) {
      values[static_cast<uint32_t>(index + frames.size() - told.size())] = std::move(of);
    }
  }
  std::copy(told.begin(), first.first, frames.begin());
  std::copy(told.rbegin(), last.first, frames.rbegin());
  arguments = std::move(values);
  stack = std::move(whole.stack);
  places = std::move(whole.places);
  unreadable = whole.unreadable;
  corrupt = whole.corrupt;
  no_rule = whole.no_rule;
}

std::vector<CapturedThread> CaptureThreads(Pid pid, const WalkFunction& walk,
                                           const CaptureOptions& options) {
  Capturer capturer(pid, walk, options);
  std::vector<CapturedThread> result;
  absl::flat_hash_set<Tid> seen;
  for (int round = 0; round < kMaxRounds; ++round) {
    absl::StatusOr<std::vector<Tid>> threads = ListThreads(pid);
    if (!threads.ok()) break;
    bool any = false;
    for (Tid tid : *threads) {
      if (!seen.insert(tid).second) continue;
      any = true;
      if (std::optional<CapturedThread> thread = capturer.Capture(tid)) {
        result.push_back(*std::move(thread));
      }
    }
    if (!any) break;
  }
  if (options.sample) {
    std::vector<CapturedThread*> running;
    for (CapturedThread& thread : result) {
      if (!thread.is_whole) running.push_back(&thread);
    }
    if (!running.empty()) {
      options.sample(running, [&](CapturedThread& thread) {
        const Capturer::Look look = capturer.LookAsleep(thread);
        const bool captured = look == Capturer::Look::kRoot || look == Capturer::Look::kAll;
        const absl::StatusOr<ProcStat> stat = ReadProcStat(thread.tid);
        if (stat.ok() ? stat->dead() : absl::IsNotFound(stat.status())) {
          if (!captured) thread.status = absl::NotFoundError("it exited meanwhile");
          return true;
        }
        if (captured && stat.ok()) thread.state = stat->state;
        return captured;
      });
    }
    std::erase_if(result, [](const CapturedThread& t) { return absl::IsNotFound(t.status); });
  }
  std::sort(result.begin(), result.end(),
            [](const CapturedThread& a, const CapturedThread& b) { return a.tid < b.tid; });
  return result;
}

absl::Status CheckTarget(Pid pid) {
  JPROF_RETURN_IF_ERROR(CheckProcFileSystem());
  if (pid == ::getpid() || pid == ::getppid()) {
    absl::StatusOr<std::string> own = ReadProcFile("/proc/self/comm", kMaxProcBytes);
    absl::StatusOr<std::string> its =
        ReadProcFile(absl::StrCat("/proc/", pid, "/comm"), kMaxProcBytes);
    if (pid == ::getpid() || (own.ok() && its.ok() && *own == *its)) {
      return absl::InvalidArgumentError(absl::StrCat("process ", pid, " is jprof itself"));
    }
  }
  absl::StatusOr<ProcStatus> status = ReadProcStatus(pid);
  absl::StatusOr<std::string> stat =
      ReadProcFile(absl::StrCat("/proc/", pid, "/stat"), kMaxProcBytes);
  if (!status.ok() || !stat.ok()) {
    return WithHint(absl::NotFoundError(absl::StrCat("there is no process ", pid)),
                    "pgrep -a NAME lists the processes of a name");
  }
  if (status->thread_group != pid) {
    return WithHint(absl::InvalidArgumentError(absl::StrCat(pid, " is a thread of process ",
                                                            status->thread_group)),
                    absl::StrCat("name the process: ", status->thread_group));
  }
  JPROF_ASSIGN_OR_RETURN(const ProcStat parsed, ParseProcStat(*stat));
  if (parsed.dead() && !LivingThread(pid).ok()) {
    return absl::NotFoundError(
        absl::StrCat("process ", pid, " has exited already and waits for its parent (zombie)"));
  }
  if ((StatField(*stat, kFlagsField) & kKernelThread) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(pid, " is a kernel thread: it has no user space"));
  }
  JPROF_RETURN_IF_ERROR(
      Annotate(CheckAccess(pid, true), absl::StrCat("cannot look into process ", pid)));
  return CheckProgram(pid);
}

absl::Status ExplainStop(Pid pid, const absl::Status& status, Tid tid) {
  if (!absl::IsPermissionDenied(status)) return status;
  absl::StatusOr<std::string> text =
      ReadProcFile(absl::StrCat("/proc/", tid == 0 ? pid : tid, "/status"), kMaxProcBytes);
  if (text.ok()) {
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      Pid tracer = 0;
      if (!absl::StartsWith(line, "TracerPid:") ||
          !absl::SimpleAtoi(absl::StripAsciiWhitespace(line.substr(10)), &tracer) || tracer == 0) {
        continue;
      }
      absl::StatusOr<ProcStat> by = ReadProcStat(tracer);
      return WithHint(
          absl::FailedPreconditionError(absl::StrCat(
              "process ", pid, " is traced already, by ", by.ok() ? by->comm : "process", " (pid ",
              tracer, ")")),
          "detach that one first");
    }
  }
  absl::Status access = CheckAccess(pid, true);
  if (!access.ok()) return Annotate(access, absl::StrCat("cannot stop process ", pid));
  return WithHint(absl::PermissionDeniedError(absl::StrCat("process ", pid, " may not be traced")),
                  "run as root; in a container with --cap-add SYS_PTRACE, or from outside of it");
}

}  // namespace jprof
