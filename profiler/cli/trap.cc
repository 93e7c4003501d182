// A trap is a recording whose samples are the hits of a probe (profiler/capture/probe.h). What is
// done to the thread is done by the kernel half, in the system call; what needs time, here.
#include "profiler/cli/trap.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "export/text.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/core.h"
#include "profiler/cli/probe_run.h"
#include "profiler/cli/stack_report.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/guard.h"
#include "profiler/trap/spec.h"

extern char** environ;

namespace jprof {
namespace {

struct TrapOptions {
  std::string spec;
  std::string on;
  int signal = 0;        // sent at a hit; 0: none
  bool core = false;
  bool stopped = false, mini = false;  // how the core is written
  std::string command;   // started at a hit; "": none
  std::string output;    // of the core; "": core.PID
  uint32_t count = 1;
  int64_t duration_ns = 0;
  bool allow_stop = false, allow_signal = false, allow_exec = false;
  bool json = false;
  bool help = false;
};

constexpr uint32_t kMaxCount = 1'000'000'000;
constexpr uint32_t kEnoughHits = 2'000'000'000;  // far from both kMaxCount and an overflow
constexpr useconds_t kPauseUs = 50'000;
constexpr uint64_t kLostNs = 100'000'000;  // a hit comes sooner after its process has stopped
constexpr size_t kMaxWriters = 4;  // of cores at a time: each holds a copy of a process

// Sees to it that processes which wait for this one go on when it is gone: a child, which shares
// the probe's memory and hears of our end. It is in a session of its own, so that what ends a whole
// group of processes spares it.
class Releaser {
 public:
  absl::Status Start(jp_probe_state& state) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    const UniqueFd from(ends[0]);
    to_ = UniqueFd(ends[1]);
    child_ = ::fork();
    if (child_ < 0) return ErrnoStatus(errno, "fork");
    if (child_ != 0) return absl::OkStatus();
    // There were threads: nothing but system calls from here on.
    ::setsid();
    ::close(ends[1]);
    char byte;
    while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    // The probe is still there, since its links are ours as well: it meets no more from now on.
    // What it has begun on another CPU ends within the pause.
    __atomic_store_n(&state.hits, kEnoughHits, __ATOMIC_SEQ_CST);
    for (int time = 0; time < 2; ++time) {
      ::usleep(kPauseUs);
      for (uint32_t& stopped : state.stopped) {
        const auto pid = static_cast<pid_t>(__atomic_load_n(&stopped, __ATOMIC_ACQUIRE));
        if (pid > 0) ::kill(pid, SIGCONT);
      }
    }
    ::_exit(0);
  }
  ~Releaser() { End(); }
  // They go on now; none is met any more.
  void End() {
    to_.Reset();
    if (child_ <= 0) return;
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
    child_ = 0;
  }

 private:
  UniqueFd to_;
  pid_t child_ = 0;
};

// Lets processes go on that stopped for this one.
class StoppedProcesses {
 public:
  explicit StoppedProcesses(jp_probe_state& state) : state_(state) {}
  // Before the hits that have come are acted on.
  void Look() {
    const uint64_t now = NowNs();
    for (size_t i = 0; i < JP_PROBE_STOPPED; ++i) {
      const uint32_t pid = __atomic_load_n(&state_.stopped[i], __ATOMIC_ACQUIRE);
      Waiting& wait = waits_[i];
      if (pid != wait.pid) wait = {.pid = pid, .since_ns = now};
      wait.is_lost = pid != 0 && now - wait.since_ns >= kLostNs;
    }
  }
  // The slot is the hit's alone until it is cleared.
  void GoOn(uint32_t pid, uint32_t slot) {
    ::kill(static_cast<pid_t>(pid), SIGCONT);
    if (slot >= JP_PROBE_STOPPED) return;
    waits_[slot] = {};
    __atomic_store_n(&state_.stopped[slot], 0, __ATOMIC_RELEASE);
  }
  // Those whose hit was lost: it would have come by now.
  void GoOnIfLost() {
    for (uint32_t i = 0; i < JP_PROBE_STOPPED; ++i) {
      if (waits_[i].is_lost) GoOn(waits_[i].pid, i);
    }
  }

 private:
  struct Waiting {
    uint32_t pid = 0;
    uint64_t since_ns = 0;
    bool is_lost = false;
  };
  jp_probe_state& state_;
  std::array<Waiting, JP_PROBE_STOPPED> waits_ = {};
};

// Starts a program. `tells`: open in it as kCopiedFd, if it is not -1; 0: it could not be started.
pid_t Start(const std::vector<std::string>& words, const std::vector<std::string>& environment,
            int tells) {
  std::vector<char*> argv, envp;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  for (char** e = environ; *e != nullptr; ++e) envp.push_back(*e);
  for (const std::string& word : environment) envp.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  // Not what jprof ignores.
  sigset_t as_usual;
  ::sigemptyset(&as_usual);
  for (int number : {SIGPIPE, SIGXFSZ}) ::sigaddset(&as_usual, number);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigdefault(&attributes, &as_usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  if (tells >= 0) ::posix_spawn_file_actions_adddup2(&files, tells, kCopiedFd);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), envp.data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  return failed == 0 ? pid : 0;
}

// Its exit status as a shell has it, when it has ended.
int AwaitEnd(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool HasEnded(pid_t pid) {
  siginfo_t ended = {};
  return ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid == pid;
}

// The command of each hit, one at a time, in their order. No process waits for it.
class Commands {
 public:
  // `command` outlives this; "": none.
  explicit Commands(const std::string& command) : command_(command) {}
  ~Commands() { CollectAll(); }
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  void Run(const jp_probe_hit& hit) {
    if (command_.empty()) return;
    hits_.push_back(hit);
    Collect();
  }
  // What has ended meanwhile.
  void Collect() {
    while (!hits_.empty()) {
      if (!running_) running_ = StartFor(hits_.front());
      if (*running_ != 0 && !HasEnded(*running_)) return;
      CollectFirst();
    }
  }
  void CollectAll() {
    for (Collect(); !hits_.empty(); Collect()) CollectFirst();
  }

 private:
  pid_t StartFor(const jp_probe_hit& hit) const {
    return Start({"/bin/sh", "-c", command_},
                 {absl::StrCat("JPROF_PID=", hit.tgid), absl::StrCat("JPROF_TID=", hit.tid)}, -1);
  }
  void CollectFirst() {
    const int failed = *running_ == 0 ? 127 : AwaitEnd(*running_);
    if (failed != 0) PrintWarning(absl::StrCat("the command ended with status ", failed));
    running_.reset();
    hits_.pop_front();
  }

  const std::string& command_;
  std::deque<jp_probe_hit> hits_;  // whose command has not ended; the first one's runs
  std::optional<pid_t> running_;   // 0: it could not be started
};

// Whether SIGSTOP took effect, in a moment: one that is ending does not stop any more.
bool IsStopped(Pid pid) {
  for (int tries = 0; tries < 500; ++tries) {
    const absl::StatusOr<ProcStat> stat = ReadProcStat(LivingThread(pid).value_or(pid));
    if (!stat.ok() || stat->dead()) return false;
    if (stat->state == 'T') return true;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return false;
}

// The programs that write cores. A process stands only until its program has copied it.
class CoreWriters {
 public:
  // Both outlive this. The command comes after the core.
  CoreWriters(const TrapOptions& options, Commands& commands)
      : options_(options), commands_(commands) {}
  ~CoreWriters() { CollectAll(); }
  CoreWriters(const CoreWriters&) = delete;
  CoreWriters& operator=(const CoreWriters&) = delete;

  // Of a process that is stopped. Returns when it may go on: it is copied, or it will not be.
  void Write(const jp_probe_hit& hit);
  // The process of the last one goes on from now on.
  void GoesOn();
  // What has been written meanwhile.
  void Collect();
  void CollectAll();

 private:
  struct Writer {
    jp_probe_hit hit;
    std::string file;
    pid_t pid;  // 0: it was not started
    uint64_t stood_ns = 0;
  };
  bool MustWaitFor(Pid process) const;
  void CollectFirst();

  const TrapOptions& options_;
  Commands& commands_;
  std::map<std::string, int> written_;  // files by their name, without a number
  std::vector<Writer> writers_;         // the oldest first
};

// Who copies a process must be alone at it.
bool CoreWriters::MustWaitFor(Pid process) const {
  return writers_.size() >= kMaxWriters ||
         std::any_of(writers_.begin(), writers_.end(), [process](const Writer& writer) {
           return static_cast<Pid>(writer.hit.tgid) == process;
         });
}

void CoreWriters::Write(const jp_probe_hit& hit) {
  const auto process = static_cast<Pid>(hit.tgid);
  Collect();
  while (MustWaitFor(process)) CollectFirst();
  std::string file = options_.output.empty() ? absl::StrCat("core.", process) : options_.output;
  if (const int number = ++written_[file]; number > 1) absl::StrAppend(&file, ".", number);
  Writer writer = {.hit = hit, .file = file, .pid = 0};
  std::vector<std::string> command = {"/proc/self/exe", "core", absl::StrCat(process), "-o", file,
                                      "--tell-copied"};
  if (options_.stopped) command.push_back("--stopped");
  if (options_.mini) command.push_back("--mini");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) == 0) {
    const UniqueFd told(ends[0]);
    writer.pid = Start(command, {}, UniqueFd(ends[1]).get());
    char byte;
    while (::read(told.get(), &byte, 1) < 0 && errno == EINTR) {
    }
  }
  writers_.push_back(std::move(writer));
}

void CoreWriters::GoesOn() { writers_.back().stood_ns = NowNs() - writers_.back().hit.time_ns; }

void CoreWriters::CollectFirst() {
  const Writer writer = std::move(writers_.front());
  writers_.erase(writers_.begin());
  if (writer.pid != 0 && AwaitEnd(writer.pid) == 0) {
    PrintNote(absl::StrFormat("the core is in %s; process %d stood still for %.1f ms", writer.file,
                              writer.hit.tgid, static_cast<double>(writer.stood_ns) / 1e6));
  } else {
    PrintWarning(absl::StrCat("no core of process ", writer.hit.tgid, " was written"));
  }
  commands_.Run(writer.hit);
}

void CoreWriters::Collect() {
  while (!writers_.empty() && (writers_[0].pid == 0 || HasEnded(writers_[0].pid))) CollectFirst();
}

void CoreWriters::CollectAll() {
  while (!writers_.empty()) CollectFirst();
}

// True: a core is being written, from a copy.
bool ActOn(const TrapOptions& options, const jp_probe_hit& hit, CoreWriters& cores,
           Commands& commands) {
  const auto pid = static_cast<Pid>(hit.tgid);
  const bool stops = options.core || options.signal == SIGSTOP;
  if (stops && !IsStopped(pid)) {
    PrintWarning(
        absl::StrCat("process ", pid, " did not stop: it was ending, or somebody let it go on"));
  } else if (options.core) {
    cores.Write(hit);
    return true;
  } else if (options.signal == SIGSTOP) {
    PrintNote(absl::StrCat("process ", pid, " is stopped; kill -CONT ", pid, " lets it go on"));
  }
  commands.Run(hit);
  return false;
}

std::string HitText(const jp_probe_hit& hit, const ProbeRunResult& result, StackId stack) {
  const std::string comm(hit.comm, strnlen(hit.comm, sizeof(hit.comm)));
  std::string text = absl::StrCat(ShownText(absl::StrCat(comm, " (pid ", hit.tgid, ", thread ",
                                                         hit.tid, ", uid ", hit.uid, "): ")),
                                  DescribeHit(hit), "\n");
  absl::StrAppend(&text, stack.valid() ? StackText(result.profile, stack) : "  no stack\n");
  return text;
}

// What was not measured is left out.
std::string HitJson(const jp_probe_hit& hit, const ProbeRunResult& result, StackId stack) {
  const std::string comm(hit.comm, strnlen(hit.comm, sizeof(hit.comm)));
  const bool returned = hit.point == JP_PROBE_AT_EXIT && !JP_PROBE_INTERRUPTED(hit.ret);
  return absl::StrCat("{\"pid\":", hit.tgid, ",\"tid\":", hit.tid, ",\"uid\":", hit.uid,
                      ",\"comm\":", JsonText(comm), ",\"time_ns\":", hit.time_ns,
                      ",\"what\":", JsonText(DescribeHit(hit)),
                      returned ? absl::StrCat(",\"ret\":", hit.ret) : "",
                      hit.duration_ns == 0 ? "" : absl::StrCat(",\"duration_ns\":", hit.duration_ns),
                      ",\"frames\":", StackJson(result.profile, stack), "}");
}

// What acts on a process takes effect before its next instruction: there must be one.
absl::Status CheckActs(const TrapOptions& options, const TrapSpec& spec) {
  if (options.signal == 0 || !spec.at_end) return absl::OkStatus();
  return WithHint(
      absl::InvalidArgumentError(
          "at its end a process cannot be stopped, and gets no signal any more: --do takes stacks "
          "and exec there"),
      "what calls that end can be trapped: --on uprobe:LIBC:_exit 'arg0!=0', with the C library "
      "that /proc/PID/maps names");
}

// A thread that there is not cannot be met; its number would go to another one.
absl::Status CheckThreads(const jp_probe_config& config) {
  for (uint32_t i = 0; i < config.term_count; ++i) {
    const jp_probe_term& term = config.terms[i];
    if (term.field == JP_PROBE_TID && term.op == JP_PROBE_EQ &&
        !ReadProcStat(static_cast<Tid>(term.value)).ok()) {
      return absl::NotFoundError(absl::StrCat("there is no thread ", term.value));
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const TrapOptions& options, const RuntimeSet& runtimes) {
  absl::StatusOr<TrapSpec> parsed = ParseTrap(options.spec, options.on);
  if (!parsed.ok()) return AsUsageError(parsed.status());
  TrapSpec& spec = *parsed;
  if (absl::Status acts = CheckActs(options, spec); !acts.ok()) return AsUsageError(acts);
  JPROF_RETURN_IF_ERROR(CheckThreads(spec.probe.config));
  if (options.core && !options.stopped && spec.probe.pid != 0) {
    JPROF_RETURN_IF_ERROR(CheckCopyable(spec.probe.pid));
  }
  for (const std::string& note : spec.notes) PrintNote(note);
  spec.probe.config.max_hits = options.count;
  spec.probe.config.signal = static_cast<uint32_t>(options.signal);
  spec.probe.config.stays_stopped_for_us = options.core;
  Commands commands(options.command);
  CoreWriters cores(options, commands);
  Releaser releaser;
  std::unique_ptr<StoppedProcesses> stopped;
  uint32_t acted = 0;
  const absl::StatusOr<ProbeRunResult> run =
      RunProbe({.probe = &spec.probe,
                .duration_ns = options.duration_ns,
                .armed = absl::StrCat("armed: ", options.on, options.on.empty() ? "" : " ",
                                      options.spec, " (Ctrl-C ends it)"),
                .processes_wait = options.core,
                .prepare = [&](jp_probe_state& shared) -> absl::Status {
                  if (!options.core) return absl::OkStatus();
                  stopped = std::make_unique<StoppedProcesses>(shared);
                  return releaser.Start(shared);
                },
                .go_on =
                    [&](const std::vector<jp_probe_hit>& hits, const jp_probe_state& now) {
                      if (stopped != nullptr) stopped->Look();
                      for (const jp_probe_hit& hit : hits) {
                        const bool copied =
                            !ProbeRunInterrupted() && ActOn(options, hit, cores, commands);
                        if (stopped != nullptr) stopped->GoOn(hit.tgid, hit.slot);
                        if (copied) cores.GoesOn();
                      }
                      cores.Collect();
                      commands.Collect();
                      if (stopped != nullptr) stopped->GoOnIfLost();
                      acted += static_cast<uint32_t>(hits.size());
                      return acted + now.lost < options.count;
                    }},
               runtimes);
  // Before anything that may take long: one whose hit was lost may still stand.
  releaser.End();
  JPROF_RETURN_IF_ERROR(run.status());
  const ProbeRunResult& result = *run;
  cores.CollectAll();
  commands.CollectAll();
  std::string text;
  std::vector<std::string> hits;
  for (size_t i = 0; i < result.hits.size(); ++i) {
    hits.push_back(options.json ? HitJson(result.hits[i], result, result.stacks[i])
                                : HitText(result.hits[i], result, result.stacks[i]));
  }
  text = options.json ? absl::StrCat("[", absl::StrJoin(hits, ",\n"), "]\n")
                      : absl::StrJoin(hits, "\n");
  JPROF_RETURN_IF_ERROR(WriteStandardOutput(text));
  for (const std::string& warning : ProbeWarnings(result)) PrintWarning(warning);
  if (result.hits.empty()) return absl::NotFoundError("the trap was not met");
  return absl::OkStatus();
}

absl::Status TakeAction(absl::string_view action, TrapOptions& options) {
  auto send = [&](int signal) -> absl::Status {
    if (options.signal != 0)
      return absl::InvalidArgumentError("--do takes one of stop, abort, core, signal");
    options.signal = signal;
    return absl::OkStatus();
  };
  if (action == "stacks") return absl::OkStatus();  // always
  if (action == "stop") return send(SIGSTOP);
  if (action == "abort") return send(SIGABRT);
  if (action == "core") {
    options.core = true;
    return send(SIGSTOP);
  }
  if (absl::StartsWith(action, "signal=")) {
    const int number = SignalNumber(action.substr(7));
    if (number < 0)
      return absl::InvalidArgumentError(
          absl::StrCat("there is no signal '", action.substr(7), "'"));
    return send(number);
  }
  if (absl::StartsWith(action, "exec=") && action.size() > 5) {
    options.command = std::string(action.substr(5));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--do takes stacks, stop, abort, core, signal=NAME or exec=COMMAND, not '", action, "'"));
}

absl::Status CheckAllowed(const TrapOptions& options) {
  auto needs = [](bool allowed, absl::string_view what, absl::string_view option) -> absl::Status {
    if (allowed) return absl::OkStatus();
    return WithHint(absl::InvalidArgumentError(absl::StrCat(what, " alters the process")),
                    absl::StrCat("say ", option, " as well, if that is what you want"));
  };
  if (options.signal == SIGSTOP) {
    JPROF_RETURN_IF_ERROR(needs(options.allow_stop, "stopping", "--allow-stop"));
  } else if (options.signal != 0) {
    JPROF_RETURN_IF_ERROR(needs(options.allow_signal, "a signal", "--allow-signal"));
  }
  if (!options.command.empty()) {
    JPROF_RETURN_IF_ERROR(needs(options.allow_exec, "a command", "--allow-exec"));
  }
  return absl::OkStatus();
}

absl::Status TakeCount(absl::string_view value, TrapOptions& out) {
  if (absl::SimpleAtoi(value, &out.count) && out.count >= 1 && out.count <= kMaxCount) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--count takes a number from 1 to ", kMaxCount, ", not '", value, "'"));
}

absl::Status Check(const Arguments& arguments, TrapOptions& out) {
  if (arguments.words.empty() && out.on.empty()) {
    return WithHint(absl::InvalidArgumentError("trap takes a condition"),
                    "use: jprof trap 'close errno=EBADF comm=node'");
  }
  if (arguments.words.size() > 1) {
    return absl::InvalidArgumentError("trap takes one condition: put it in quotation marks");
  }
  if (!arguments.words.empty()) out.spec = arguments.words[0];
  if ((out.stopped || out.mini) && !out.core) {
    return absl::InvalidArgumentError("--stopped and --mini go with --do core");
  }
  if (!out.output.empty() && !out.core) {
    return absl::InvalidArgumentError("-o names the file of a core: it goes with --do core");
  }
  if (out.output == "-") {
    return absl::InvalidArgumentError("-o takes a file: standard output is for the stacks");
  }
  return CheckAllowed(out);
}

CommandSyntax<TrapOptions> Syntax() {
  using O = TrapOptions;
  return {
      .text =
          {.name = "trap",
           .summary = "print the stack at the very system call, signal or function call",
           .usage =
               "trap 'CALL TERM...' [--do ACTION]... [options]\n"
               "trap --on signal=SEGV|exit=nonzero|uprobe:BINARY:SYMBOL ['TERM...'] [options]\n",
           .about =
               "Waits for a system call that all terms are true of, in any process, and prints the stack of the\n"
               "thread at that instant, JavaScript and native frames. Then it is gone.\n"
               "\n"
               "  jprof trap 'close errno=EBADF comm=node'\n"
               "  jprof trap 'openat path=/etc/app/* errno!=0 pid=4711'\n"
               "  jprof trap 'fsync duration>100ms' --count 10\n"
               "  jprof trap 'unlink path=/var/lib/db/*' --do stop --allow-stop\n",
           .more =
               "terms: ret, errno, arg0 to arg5, fd, pid, tid, uid with = != < <= > >= and a number (errno: a\n"
               "  name); duration with a time; comm, path, buf with = != and a text, * for any more behind\n"
               "  it; cgroup=PATH. The system call: a name, several with commas, or any.\n"
               "\n"
               "actions, besides the stack:\n"
               "  stop         SIGSTOP, before the thread executes another instruction (--allow-stop)\n"
               "  core         a core file as of jprof core; the process goes on (--allow-stop)\n"
               "  abort        SIGABRT: the kernel's core, and the process's end (--allow-signal)\n"
               "  signal=NAME  (--allow-signal)\n"
               "  exec=COMMAND by the shell, with JPROF_PID and JPROF_TID (--allow-exec)\n"
               "  At a process's end (exit, exit_group, --on exit=nonzero) exec alone; at --on signal=NAME the\n"
               "  others act if the process handles that signal.\n"},
      .options =
          {
              {{"", "--do", "ACTION", "what to do besides printing the stack", true}, TakeAction},
              {{"", "--on", "EVENT", "wait for this in place of a system call"}, &O::on},
              {{"", "--count", "N", "hits until it ends (default 1)"}, TakeCount},
              {{"-d", "--duration", "TIME", "ends after 30s, 5m, 1h"}, &O::duration_ns},
              {{"-o", "--output", "FILE",
                "the core's (default core.PID; the next ones get .2, .3)"},
               &O::output},
              {{"", "--stopped", "", "the core without a copy, as of jprof core"}, &O::stopped},
              {{"", "--mini", "", "a small core, as of jprof core"}, &O::mini},
              {{"", "--allow-stop", "", "may stop the process"}, &O::allow_stop},
              {{"", "--allow-signal", "", "may send it a signal"}, &O::allow_signal},
              {{"", "--allow-exec", "", "may start a command"}, &O::allow_exec},
              {{"", "--json", "", "for programs"}, &O::json},
          },
      .check = Check};
}

}  // namespace

CommandText TrapText() { return TextOf(Syntax()); }

int TrapMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const TrapOptions& options) {
    return ReportedStatus(Run(options, runtimes));
  });
}

}  // namespace jprof
