// The process is stopped for as long as it takes to read its registers and to make a copy of it: a
// child with the same memory, page by page shared until one of the two writes. The core is written
// from the copy, which never executes anything, while the process runs.
#include "profiler/cli/core.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <new>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/capture/priority.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/core_output.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/core/status.h"
#include "profiler/corefile/core_writer.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/guard.h"
#include "profiler/stop/injected_call.h"
#include "profiler/stop/stopped_process.h"
#include "profiler/stop/thread_capture.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcBytes = 1 << 20;
constexpr absl::Duration kPausePerGib = absl::Milliseconds(60);  // at most: page tables are copied
constexpr uint64_t kMinFreeShare = 20;  // one of so many parts of the host's memory stays free
constexpr size_t kMaxNotForked = 256;
constexpr int kReapAttempts = 100;
constexpr uint64_t kMaxReapNs = 5'000'000'000;
constexpr int kMaxAttempts = 10;
constexpr int kLastNiceness = 19;
// Of /proc/PID/stat, as in proc(5).
constexpr size_t kFlagsField = 9, kFaultsField = 10, kUserTimeField = 14, kExitSignalField = 38;
constexpr uint64_t kNeverExecuted = 0x40;  // PF_FORKNOEXEC
constexpr uint64_t kMaxFaults = 16;

struct CoreOptions {
  Pid pid = 0;
  std::string output;
  bool stopped = false;
  bool mini = false;
  bool bundle = false;
  bool tell_copied = false;  // to jprof itself, at kCopiedFd
  bool help = false;
};

// The number behind `name` in a /proc file of lines; nullopt when it is not there.
std::optional<uint64_t> NumberIn(const std::string& path, absl::string_view name) {
  auto text = ReadProcFile(path, kMaxProcBytes);
  if (!text.ok()) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::StartsWith(line, name)) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line.substr(name.size()), absl::ByAnyChar(" \t"), absl::SkipEmpty());
    uint64_t number = 0;
    if (!words.empty() && absl::SimpleAtoi(words[0], &number)) return number;
  }
  return std::nullopt;
}

uint64_t FreeKib() { return NumberIn("/proc/meminfo", "MemAvailable:").value_or(0); }
uint64_t AllKib() { return NumberIn("/proc/meminfo", "MemTotal:").value_or(0); }

absl::Status CannotCopy(absl::string_view why) {
  return WithHint(
      absl::FailedPreconditionError(absl::StrCat("the process cannot be copied: ", why)),
      "--stopped writes the core while the process stands still");
}

struct LikelyCopy {
  Pid pid;
  bool ended;
};

// Children that may have been made for a core. Told by what hardly another child is: it has no
// signal at its end, never became another program, and touched next to no memory, since all that it
// may have done is exit.
std::vector<LikelyCopy> LikelyCopies(Pid pid) {
  std::vector<LikelyCopy> left;
  auto processes = ListProcesses();
  if (!processes.ok()) return left;
  for (Pid child : *processes) {
    auto text = ReadProcFile(absl::StrCat("/proc/", child, "/stat"), kMaxProcBytes);
    if (!text.ok()) continue;
    auto stat = ParseProcStat(*text);
    if (!stat.ok() || stat->parent != pid) continue;
    const absl::string_view line = absl::StripAsciiWhitespace(*text);
    const std::vector<absl::string_view> fields = absl::StrSplit(line.substr(line.rfind(')')), ' ');
    const auto number = [&fields](size_t field) {
      uint64_t value = 0;
      const bool there = fields.size() > field - 2 && absl::SimpleAtoi(fields[field - 2], &value);
      return there ? value : UINT64_MAX;
    };
    if (number(kExitSignalField) == 0 && (number(kFlagsField) & kNeverExecuted) != 0 &&
        number(kUserTimeField) == 0 && number(kFaultsField) <= kMaxFaults) {
      left.push_back({child, stat->state == 'Z'});
    }
  }
  return left;
}

// What the guarding process must know when the other one is killed.
struct Shared {
  std::atomic<Pid> copy{0};
  std::atomic<bool> making{false};  // it may have been made, and its number not been told
};

// A system call of the process that leaves nothing of an ended child behind.
absl::Status Reap(Tid main, const std::vector<ProcMapping>& maps, const CodePlaces& places,
                  Pid child) {
  const InjectedCall wait = {SYS_wait4, {static_cast<uint64_t>(child), 0, __WALL | WNOHANG, 0}};
  JPROF_ASSIGN_OR_RETURN(const InjectedResult result,
                         Inject(main, maps, places, {.calls = {wait}}));
  const bool forgotten =
      !result.values.empty() && (result.values[0] == child || result.values[0] == -ECHILD);
  return forgotten ? absl::OkStatus() : absl::AbortedError("the copy has not ended yet");
}

// Have the process share memory with its children that it did not, or the other way round.
std::vector<InjectedCall> AdviceCalls(const std::vector<AddressRange>& ranges, int advice) {
  std::vector<InjectedCall> calls;
  for (const AddressRange& range : ranges) {
    calls.push_back({SYS_madvise,
                     {range.begin.value, range.size(), static_cast<uint64_t>(advice)}});
  }
  return calls;
}

// How the process is copied. It stays so whoever dies: what is changed in it is changed back by
// calls of its own.
Injection CopyInjection(Pid pid, int niceness, const std::vector<AddressRange>& not_forked,
                        Shared& shared) {
  Injection injection;
  injection.calls = AdviceCalls(not_forked, MADV_DOFORK);
  injection.calls.push_back({SYS_clone, {CLONE_FILES}, true});
  injection.undo = AdviceCalls(not_forked, MADV_DONTFORK);
  // All wait for the thread that is copied, so it goes first meanwhile.
  injection.undo.push_back({SYS_setpriority, {PRIO_PROCESS, 0, static_cast<uint64_t>(niceness)}});
  injection.before = [pid, &shared] {
    shared.making = true;
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), kFirstNiceness);
  };
  injection.made = [&shared](Pid child) { shared.copy = child; };
  return injection;
}

absl::Status CheckAdvice(const Injection& injection, const InjectedResult& result) {
  for (size_t i = 0; i < result.values.size(); ++i) {
    const bool undoes = i >= injection.calls.size();
    const InjectedCall& call =
        undoes ? injection.undo[i - injection.calls.size()] : injection.calls[i];
    // Where nothing is mapped in between, it says so, and has done it all the same.
    if (call.number == SYS_madvise && result.values[i] < 0 && result.values[i] != -ENOMEM) {
      return ErrnoStatus(static_cast<int>(-result.values[i]), "madvise in the process");
    }
  }
  return absl::OkStatus();
}

// Does `work` while the main thread stands. Aborted: try again, it stopped too late;
// DeadlineExceeded: it does not.
absl::Status WithMainStopped(Pid pid, absl::FunctionRef<absl::Status()> work) {
  JPROF_ASSIGN_OR_RETURN(StoppedThread main, StoppedThread::Seize(pid));
  {
    PauseLimit limit;
    absl::Status stopped = main.Interrupt();
    if (stopped.ok()) stopped = main.AwaitStop({}, &limit);
    if (stopped.ok()) return work();
    if (!absl::IsDeadlineExceeded(stopped)) return stopped;
  }
  std::vector<StoppedThread> late;
  late.push_back(std::move(main));
  if (LetGo(std::move(late))) return absl::AbortedError("its main thread was late");
  return absl::DeadlineExceededError("its main thread did not stop in time");
}

// The same until it need not be tried again, or for some seconds.
absl::Status RetryWithMainStopped(Pid pid, absl::FunctionRef<absl::Status()> work) {
  absl::Status done = absl::OkStatus();
  const uint64_t until = NowNs() + kMaxReapNs;
  for (int attempt = 0; attempt < kReapAttempts && NowNs() < until; ++attempt) {
    done = WithMainStopped(pid, work);
    if (!absl::IsFailedPrecondition(done) && !absl::IsAborted(done)) break;
    const timespec pause = {0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return done;
}

// Has the process forget a copy that ends by itself.
absl::Status Forget(Pid pid, const CodePlaces& places, Pid copy) {
  return RetryWithMainStopped(pid, [&]() -> absl::Status {
    JPROF_ASSIGN_OR_RETURN(const std::vector<ProcMapping> maps, ReadProcMaps(pid));
    return Reap(pid, maps, places, copy);
  });
}

// Ends the copy and has the process forget it.
absl::Status EndCopy(Pid pid, const CodePlaces& places, Pid copy) {
  ::kill(copy, SIGKILL);
  int status;
  while (::waitpid(copy, &status, __WALL) < 0 && errno == EINTR) {
  }
  return Forget(pid, places, copy);
}

// The copy whose maker was killed before it got to know its number. 0: none was made.
absl::StatusOr<Pid> FindUntoldCopy(Pid pid, const std::vector<LikelyCopy>& before) {
  Pid copy = 0;
  // Where the main thread stops, the call that makes the copy has ended.
  JPROF_RETURN_IF_ERROR(RetryWithMainStopped(pid, [&] {
    for (const LikelyCopy& child : LikelyCopies(pid)) {
      const bool is_new = std::none_of(before.begin(), before.end(), [&](const LikelyCopy& old) {
        return old.pid == child.pid;
      });
      if (is_new) copy = child.pid;
    }
    return absl::OkStatus();
  }));
  return copy;
}

absl::StatusOr<CodePlaces> PlacesOf(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(const std::vector<ProcMapping> maps, ReadProcMaps(pid));
  std::optional<CodePlaces> places = FindCodePlaces(LiveMemory(pid), maps);
  if (!places) return CannotCopy("no C library's code that jprof knows is in it");
  return *places;
}

absl::Status CheckFreeMemory() {
  if (FreeKib() >= AllKib() / kMinFreeShare) return absl::OkStatus();
  return absl::ResourceExhaustedError("given up: the host runs out of memory");
}

// What the process holds back from its children. It may have changed since `before` was read; to
// read it anew takes a while, so that is done only if its mappings are others.
absl::StatusOr<std::vector<CoreArea>> AreasNow(Pid pid, std::vector<CoreArea> before) {
  JPROF_ASSIGN_OR_RETURN(const std::vector<ProcMapping> maps, ReadProcMaps(pid));
  if (std::equal(maps.begin(), maps.end(), before.begin(), before.end(),
                 [](const ProcMapping& m, const CoreArea& area) { return m == area.mapping; })) {
    return before;
  }
  return ReadCoreAreas(pid);
}

// A child of the process with the same memory. The process stands still.
absl::StatusOr<Pid> MakeCopy(Pid pid, const CodePlaces& places, std::vector<CoreArea> before,
                             const std::vector<LikelyCopy>& before_us, Shared& shared) {
  JPROF_ASSIGN_OR_RETURN(const std::vector<CoreArea> areas, AreasNow(pid, std::move(before)));
  std::vector<ProcMapping> maps;
  for (const CoreArea& area : areas) maps.push_back(area.mapping);
  const std::vector<AddressRange> not_forked = NotForkedRanges(areas);
  if (not_forked.size() > kMaxNotForked) {
    return CannotCopy("it keeps too many pieces of memory from its children");
  }
  const int niceness = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  const Injection injection = CopyInjection(pid, niceness, not_forked, shared);
  const absl::StatusOr<InjectedResult> made = Inject(pid, maps, places, injection);
  if (made.ok()) shared.making = false;
  // A security module may have forbidden the process its own setpriority().
  if (!made.ok() || made->values.empty() || made->values.back() != 0) {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), niceness);
  }
  if (!made.ok()) return WithHint(made.status(), "try again, or --stopped");
  if (made->child == 0) {
    const int64_t cloned = made->values[not_forked.size()];
    return CannotCopy(ErrnoStatus(static_cast<int>(-cloned), "clone").message());
  }
  // Its end takes as long as its making, and has time.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(made->child), kLastNiceness);
  JPROF_RETURN_IF_ERROR(CheckAdvice(injection, *made));
  for (const LikelyCopy& child : before_us) {
    if (child.ended) static_cast<void>(Reap(pid, maps, places, child.pid));
  }
  return made->child;
}

absl::Status MainThreadEnded(Pid pid) {
  return WithHint(
      absl::FailedPreconditionError(absl::StrCat("the main thread of process ", pid,
                                                 " has ended: there is no core without it")),
      absl::StrCat("jprof stacks ", pid, " shows the threads that live"));
}

// What failed before there was a copy, by its cause if that is the end of the process.
absl::Status ExplainEnd(Pid pid, const absl::Status& status) {
  if (status.ok() || HasExited(pid)) return UnlessExited(pid, status);
  const absl::StatusOr<ProcStat> main = ReadProcStat(pid);
  return main.ok() && main->ending ? MainThreadEnded(pid) : status;
}

// One attempt of WhileStopped(). Aborted: a thread came to its stop too late, for want of a CPU;
// DeadlineExceeded: it does not, and stays traced.
absl::StatusOr<uint64_t> TryWhileStopped(Pid pid, std::optional<absl::Duration> limit,
                                         CoreProcess& process,
                                         absl::FunctionRef<absl::Status()> work) {
  std::optional<PauseLimit> timer;
  if (limit) timer.emplace(*limit);
  if (timer && !timer->armed()) {
    return absl::UnavailableError("not stopped: no timer that would let it go on is to be had");
  }
  std::vector<StoppedThread> late;
  absl::StatusOr<StoppedProcess> stopped =
      StoppedProcess::Stop(pid, {}, timer ? &*timer : nullptr, late);
  if (!stopped.ok()) {
    timer.reset();
    if (!LetGo(std::move(late))) return stopped.status();
    if (absl::IsDeadlineExceeded(stopped.status())) {
      return absl::AbortedError(stopped.status().message());
    }
    return ExplainStop(pid, stopped.status());
  }
  process.threads = stopped->ReadRegisters();
  JPROF_RETURN_IF_ERROR(work());
  const uint64_t since_ns = stopped->stands_since_ns();
  { const StoppedProcess released = *std::move(stopped); }
  return NowNs() - since_ns;
}

// Does `work` while the process stands still, after its registers have been read; how long that
// was. `limit`: of the pause.
absl::StatusOr<uint64_t> WhileStopped(Pid pid, std::optional<absl::Duration> limit,
                                      CoreProcess& process,
                                      absl::FunctionRef<absl::Status()> work) {
  const int niceness = Niceness();
  SetNiceness(kFirstNiceness);
  absl::StatusOr<uint64_t> pause_ns = TryWhileStopped(pid, limit, process, work);
  for (int i = 1; i < kMaxAttempts && absl::IsAborted(pause_ns.status()); ++i) {
    pause_ns = TryWhileStopped(pid, limit, process, work);
  }
  SetNiceness(niceness);
  return pause_ns;
}

// What is open as kCopiedFd without having been given may be a file of somebody, and soon the core.
absl::Status CheckCopiedFd() {
  struct stat told;
  if (::fstat(kCopiedFd, &told) == 0 && S_ISFIFO(told.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--tell-copied writes to descriptor ", kCopiedFd, ", which must be a pipe"));
}

// To who waits for it; who is gone does not matter.
void TellCopied() {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const char byte = 0;
  while (::write(kCopiedFd, &byte, 1) < 0 && errno == EINTR) {
  }
  ::signal(SIGPIPE, before);
}

struct Copied {
  CodePlaces places;
  Pid copy = 0;
  uint64_t pause_ns = 0;  // for which the process stood still
};

absl::StatusOr<Copied> CopyProcess(Pid pid, CoreProcess& process,
                                   const std::vector<LikelyCopy>& before_us, Shared& shared) {
  Copied result;
  JPROF_ASSIGN_OR_RETURN(result.places, PlacesOf(pid));
  JPROF_ASSIGN_OR_RETURN(std::vector<CoreArea> areas, ReadCoreAreas(pid));
  const auto rss_kib = static_cast<double>(
      NumberIn(absl::StrCat("/proc/", pid, "/status"), "VmRSS:").value_or(0));
  const auto make_copy = [&]() -> absl::Status {
    JPROF_ASSIGN_OR_RETURN(
        result.copy, MakeCopy(pid, result.places, std::move(areas), before_us, shared));
    return absl::OkStatus();
  };
  JPROF_ASSIGN_OR_RETURN(
      result.pause_ns,
      WhileStopped(pid, kMaxPause + kPausePerGib * (rss_kib / (1 << 20)), process, make_copy));
  return result;
}

// The core, from a copy; how long the process stood still.
absl::StatusOr<uint64_t> WriteFromCopy(const CoreOptions& options, CoreProcess& process,
                                       const RuntimeSet& runtimes,
                                       const std::vector<LikelyCopy>& before_us,
                                       CoreOutput& output, Shared& shared) {
  const Pid pid = options.pid;
  const absl::StatusOr<Copied> copied = CopyProcess(pid, process, before_us, shared);
  if (!copied.ok()) return ExplainEnd(pid, copied.status());
  if (options.tell_copied) TellCopied();
  const Pid copy = copied->copy;
  // Should memory run short, it goes first.
  std::ofstream(absl::StrCat("/proc/", copy, "/oom_score_adj")) << 1000;
  const absl::Status written = output.WriteCoreOf(copy, process, runtimes, CheckFreeMemory);
  if (written.ok()) output.CollectFiles(copy);
  if (EndCopy(pid, copied->places, copy).ok()) shared.copy = 0;
  JPROF_RETURN_IF_ERROR(written);
  return copied->pause_ns;
}

absl::StatusOr<CoreOutput> OpenOutput(const CoreOptions& options) {
  if (options.tell_copied) JPROF_RETURN_IF_ERROR(CheckCopiedFd());
  const Pid pid = options.pid;
  absl::Status target = CheckTarget(pid);
  if (!absl::IsNotFound(target)) target = ExplainEnd(pid, target);
  JPROF_RETURN_IF_ERROR(target);
  if (LivingThread(pid).value_or(pid) != pid) return UnlessExited(pid, MainThreadEnded(pid));
  if (!options.stopped) JPROF_RETURN_IF_ERROR(CheckCopyable(pid));
  const bool to_stdout = options.output == "-";
  if (to_stdout && ::isatty(STDOUT_FILENO) == 1) {
    return WithHint(absl::InvalidArgumentError("a core is binary and standard output is a terminal"),
                    "redirect it, or name a file: -o FILE");
  }
  return CoreOutput::Open(to_stdout ? "" : options.output, {options.mini, options.bundle});
}

absl::Status Run(const CoreOptions& options, const RuntimeSet& runtimes,
                 const std::vector<LikelyCopy>& before_us, CoreOutput& output, Shared& shared) {
  const Pid pid = options.pid;
  absl::StatusOr<CoreProcess> described = DescribeProcess(pid);
  if (!described.ok()) return ExplainEnd(pid, described.status());
  CoreProcess& process = *described;
  uint64_t pause_ns = 0;
  if (options.stopped) {
    const absl::StatusOr<uint64_t> stood_ns = WhileStopped(pid, std::nullopt, process, [&] {
      return output.WriteCoreOf(pid, process, runtimes, CheckFreeMemory);
    });
    if (!stood_ns.ok()) return ExplainEnd(pid, stood_ns.status());
    pause_ns = *stood_ns;
    if (options.tell_copied) TellCopied();
    output.CollectFiles(pid);
  } else {
    JPROF_ASSIGN_OR_RETURN(
        pause_ns, WriteFromCopy(options, process, runtimes, before_us, output, shared));
  }
  JPROF_RETURN_IF_ERROR(output.Commit(pid));
  std::string told = absl::StrFormat("%d threads, %d MiB of memory", process.threads.size(),
                                     output.written_bytes() >> 20);
  // Who stopped it before knows for how long.
  if (!options.tell_copied) {
    absl::StrAppendFormat(&told, "; the process stood still for %.1f ms",
                          static_cast<double>(pause_ns) / 1e6);
  }
  PrintNote(told);
  return absl::OkStatus();
}

absl::Status Check(const Arguments& arguments, CoreOptions& out) {
  if (arguments.words.empty() || out.output.empty()) {
    return WithHint(absl::InvalidArgumentError("core takes a process and a file"),
                    "use: jprof core PID -o FILE");
  }
  if (arguments.words.size() > 1) return absl::InvalidArgumentError("core takes one process");
  JPROF_ASSIGN_OR_RETURN(out.pid, ParsePid(arguments.words[0]));
  return absl::OkStatus();
}

CommandSyntax<CoreOptions> Syntax() {
  using O = CoreOptions;
  return {
      .text =
          {.name = "core",
           .summary = "write a core file of a process that runs on",
           .usage = "core PID -o FILE [options]\n",
           .about =
               "Writes a core file that gdb, eu-stack and jprof stacks read, of a process that runs on. It stands\n"
               "still only until its registers are read and its memory is shared with a copy; the file is\n"
               "written from the copy. Only pages in memory take room. Its threads notice what they would of\n"
               "SIGSTOP and SIGCONT: some waits with a limit fail with EINTR (epoll_wait, sockets), and a write or\n"
               "send of which a part is done returns that part. The main thread may notice it twice.\n"},
      .options = {{{"-o", "--output", "FILE", "the core file; mode 0600; - for standard output"}, &O::output},
                  {{"", "--mini", "",
                    "of memory only what jprof stacks reads of it, and the stacks: some MB"},
                   &O::mini},
                  {{"", "--bundle", "",
                    "packed, .tar.gz, with the program's and libraries' files;\n"
                    "unpacked, elsewhere: jprof stacks core.PID/core --sysroot core.PID/root"},
                   &O::bundle},
                  {{"", "--stopped", "",
                    "no copy: the process stands still until the file is written"},
                   &O::stopped},
                  {{"", "--tell-copied", "", ""}, &O::tell_copied}},
      .check = Check};
}

// After a guarded process that was killed. The copy has ended or is about to: by the kernel with
// its tracer, or by itself. The process is still to forget it.
void CleanUp(Pid pid, const std::vector<LikelyCopy>& before_us, Shared& shared) {
  const uint64_t until = NowNs() + kMaxReapNs;
  const auto is_left = [&shared] { return shared.copy != 0 || shared.making; };
  for (int i = 0; is_left() && i < kMaxAttempts && NowNs() < until; ++i) {
    static_cast<void>(RunGuarded([&] {
      if (shared.copy == 0) {
        const absl::StatusOr<Pid> untold = FindUntoldCopy(pid, before_us);
        if (!untold.ok() && ReadProcStat(pid).ok()) return 1;
        shared.copy = untold.value_or(0);
      }
      shared.making = false;
      auto stat = ReadProcStat(shared.copy);
      const bool is_there = stat.ok() && stat->parent == pid;
      auto places = is_there ? PlacesOf(pid) : CodePlaces();
      if (!is_there || (places.ok() && Forget(pid, *places, shared.copy).ok())) {
        shared.copy = 0;
      }
      return 0;
    }));
  }
  if (is_left() && !HasExited(pid)) {
    PrintWarning("the process may keep an ended child until the next jprof core of it");
  }
}

int WriteCoreFile(const CoreOptions& options, const RuntimeSet& runtimes) {
  void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
  if (page == MAP_FAILED) return ReportedStatus(ErrnoStatus(errno, "mmap"));
  Shared& shared = *new (page) Shared;
  // Here, so that a file that has a name meanwhile loses it however the other process ends.
  absl::StatusOr<CoreOutput> output = OpenOutput(options);
  if (!output.ok()) return ReportedStatus(AsUsageError(output.status()));
  const std::vector<LikelyCopy> before_us =
      options.stopped ? std::vector<LikelyCopy>() : LikelyCopies(options.pid);
  absl::StatusOr<int> exit_status = StatusOfGuarded(
      [&] { return AsUsageError(Run(options, runtimes, before_us, *output, shared)); });
  // Nobody need wait, also where the other process was killed.
  if (options.tell_copied) ::close(kCopiedFd);
  CleanUp(options.pid, before_us, shared);
  // The stop of a main thread that ends is told when all others have ended.
  if (absl::IsDeadlineExceeded(exit_status.status())) {
    exit_status = UnlessExited(options.pid, exit_status.status());
  }
  {
    const CoreOutput closed = *std::move(output);
  }
  return ReportedGuarded(exit_status);
}

}  // namespace

absl::Status CheckCopyable(Pid pid) {
  const std::string status = absl::StrCat("/proc/", pid, "/status");
  if (NumberIn(status, "Seccomp:").value_or(0) != 0) {
    return CannotCopy("its seccomp filter may end it for making a child");
  }
  auto text = ReadProcFile(status, kMaxProcBytes);
  if (text.ok()) {
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (absl::StartsWith(line, "x86_Thread_features:") && absl::StrContains(line, "shstk")) {
        return CannotCopy("it has a shadow stack");
      }
    }
  }
  // What the process writes while it is copied is in memory twice: at worst, all of it.
  const uint64_t own = NumberIn(status, "RssAnon:").value_or(0);
  if (FreeKib() < own / 4 + AllKib() / kMinFreeShare) {
    return CannotCopy("too little memory is free for what it writes meanwhile");
  }
  return absl::OkStatus();
}

CommandText CoreText() { return TextOf(Syntax()); }

int CoreMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&runtimes](const CoreOptions& options) {
    return WriteCoreFile(options, runtimes);
  });
}

}  // namespace jprof
