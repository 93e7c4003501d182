// A process is looked at three times: the stack of each thread that sleeps, then a second of
// samples, then what each thread waits for at the end of it, and who is at the other end. It is
// never stopped.
#include "profiler/cli/why.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "export/text.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/priority.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/subject.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/runner.h"
#include "profiler/pipeline/target_files.h"
#include "profiler/process/proc_status.h"
#include "profiler/why/explanation.h"
#include "profiler/why/nested.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

// The answer is there in two seconds: where it takes long to begin, as on a busy machine, it
// watches for less than one.
constexpr int64_t kWatchNs = 1'000'000'000, kMinWatchNs = 500'000'000;
constexpr int64_t kAnswerNs = 2'000'000'000, kNamingNs = 300'000'000;
constexpr uint64_t kHz = 99;
constexpr int kLooksAtStop = 10;
constexpr useconds_t kLookAtStopUs = 10'000;
constexpr size_t kMaxProcBytes = 64 << 10;
constexpr size_t kMaxChains = 64;
constexpr size_t kMaxChildren = 8;
constexpr size_t kExitCodeField = 52;  // of /proc/PID/stat, as in proc(5)

struct WhyOptions {
  Pid pid = 0;
  Pid baseline = 0;         // 0: none
  std::string source_maps;  // as RecordingOptions has it
  bool json = false;
  bool help = false;
};

std::string TaskFile(Pid pid, Tid tid, absl::string_view name) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/task/", tid, "/", name), kMaxProcBytes);
  return text.ok() ? *std::move(text) : "";
}

// The number behind `name` in a thread's status; 0 when it is not there.
uint64_t StatusNumber(Pid pid, Tid tid, absl::string_view name) {
  uint64_t number = 0;
  for (absl::string_view line : absl::StrSplit(TaskFile(pid, tid, "status"), '\n')) {
    if (!absl::StartsWith(line, name)) continue;
    line.remove_prefix(name.size());
    while (!line.empty() && (line[0] == '\t' || line[0] == ' ')) line.remove_prefix(1);
    if (absl::SimpleAtoi(line, &number)) return number;
  }
  return 0;
}

// What the kernel counts of a thread.
struct Counts {
  uint64_t cpu_ns = 0;
  uint64_t queued_ns = 0;
  uint64_t sleeps = 0;
};
Counts CountsOf(Pid pid, Tid tid) {
  Counts counts;
  const std::string text = TaskFile(pid, tid, "schedstat");
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  if (words.size() >= 2) {
    static_cast<void>(absl::SimpleAtoi(words[0], &counts.cpu_ns));
    static_cast<void>(absl::SimpleAtoi(words[1], &counts.queued_ns));
  }
  counts.sleeps = StatusNumber(pid, tid, "voluntary_ctxt_switches:");
  return counts;
}

bool IsCLibrary(absl::string_view path) {
  const absl::string_view name = path.substr(path.rfind('/') + 1);
  for (absl::string_view beginning : {"libc.so", "libc-2.", "libpthread.so", "libpthread-2.",
                                      "librt.so", "librt-2.", "ld-linux", "ld-2.", "ld-musl",
                                      "libc.musl", "[vdso]"}) {
    if (absl::StartsWith(name, beginning)) return true;
  }
  return false;
}

std::vector<FrameFacts> FactsOf(const Profile& profile, StackId stack, absl::string_view program) {
  std::vector<FrameFacts> facts;
  for (const StackFrame& frame : FramesOf(profile, stack)) {
    const absl::string_view path =
        frame.image == nullptr ? "" : profile.String(frame.image->path);
    facts.push_back({std::string(profile.String(frame.function->name)), PlaceText(profile, frame),
                     frame.function->kind,
                     frame.function->kind == FrameKind::kNative && path == program,
                     IsCLibrary(path)});
  }
  return facts;
}

// All that is said of one process.
class Watcher {
 public:
  Watcher(Pid pid, std::string source_maps, const RuntimeSet& runtimes,
          std::shared_ptr<SymbolizerProcess> symbolizer)
      : source_maps_(std::move(source_maps)),
        runtimes_(runtimes),
        symbolizer_(std::move(symbolizer)) {
    facts_.pid = pid;
  }
  absl::StatusOr<Facts> Watch();

 private:
  absl::Status TakeFirstStacks();
  absl::Status TakeSamples();
  void LookAgain(const absl::flat_hash_map<Tid, Counts>& before);
  void AddOther(Pid pid);
  void AddZombie();
  void FindChildren();

  const uint64_t begun_ns_ = MonotonicNow();
  const std::string source_maps_;
  const RuntimeSet& runtimes_;
  const std::shared_ptr<SymbolizerProcess> symbolizer_;
  WaitReader reader_;
  std::string program_;  // path of its file
  Facts facts_;
};

void Watcher::AddOther(Pid pid) {
  if (pid <= 0 || pid == facts_.pid || facts_.others.contains(pid)) return;
  auto stat = ReadProcStat(pid);
  facts_.others[pid] = {stat.ok() ? stat->comm : "process", reader_.WhatDoes(pid)};
}

void Watcher::AddZombie() {
  auto text = ReadProcFile(absl::StrCat("/proc/", facts_.pid, "/stat"), kMaxProcBytes);
  auto stat = ReadProcStat(facts_.pid);
  if (stat.ok()) facts_.parent = stat->parent;
  AddOther(facts_.parent);
  if (!text.ok()) return;
  const std::vector<std::string> fields = absl::StrSplit(text->substr(text->rfind(')') + 1), ' ');
  int code = 0;
  // It is zero, too, for those who may not know it.
  if (fields.size() > kExitCodeField - 2 &&
      absl::SimpleAtoi(absl::StripAsciiWhitespace(fields[kExitCodeField - 2]), &code) &&
      code != 0) {
    facts_.ended = WIFSIGNALED(code) ? absl::StrCat("killed by signal ", WTERMSIG(code))
                                     : absl::StrCat("exit status ", WEXITSTATUS(code));
  }
}

absl::Status Watcher::TakeFirstStacks() {
  const LiveMemory memory(facts_.pid);
  JPROF_ASSIGN_OR_RETURN(Subject subject, LiveSubject(facts_.pid, memory, Running::kLeave));
  subject.find_frame_code = FrameCodeFinder(symbolizer_);
  subject.world.symbolize = [this](std::vector<ImageQuery>& queries, int threads,
                                   DebugFileFinder* finder) {
    symbolizer_->Symbolize(queries, threads, finder);
  };
  subject.world.read_source_maps = [this](std::vector<SourceMapQuery>& queries) {
    symbolizer_->ReadSourceMaps(queries);
  };
  StackReport report;
  Profile profile;
  const StackNaming naming = {.source_maps = source_maps_};
  JPROF_RETURN_IF_ERROR(TakeStacks(std::move(subject), naming, runtimes_, report, profile));
  for (const ReportedThread& thread : report.threads) {
    ThreadFacts facts;
    facts.tid = thread.tid;
    facts.name = thread.name;
    facts.state = thread.state;
    facts.frames = FactsOf(profile, thread.stack, program_);
    facts.first_call = thread.call;
    facts_.threads.push_back(std::move(facts));
  }
  return absl::OkStatus();
}

absl::Status Watcher::TakeSamples() {
  auto runner = Runner::Attach({.targets = {.pids = {facts_.pid}},
                                .frequency_hz = kHz,
                                .duration_ns = kWatchNs,
                                .source_maps = source_maps_,
                                .niceness = Niceness(),
                                .symbolizer = symbolizer_},
                               runtimes_);
  if (!runner.ok()) return runner.status();
  absl::flat_hash_map<Tid, Counts> before;
  if (auto threads = ListThreads(facts_.pid); threads.ok()) {
    for (Tid tid : *threads) before[tid] = CountsOf(facts_.pid, tid);
  }
  const uint64_t begin_ns = MonotonicNow();
  auto ended = (*runner)->Record([this](const RecordingProgress& progress) {
    return progress.elapsed_ns < kMinWatchNs ||
           MonotonicNow() < begun_ns_ + static_cast<uint64_t>(kAnswerNs - kNamingNs);
  });
  facts_.seconds = static_cast<double>(MonotonicNow() - begin_ns) / 1e9;
  if (!ended.ok()) return ended.status();
  if (*ended == Runner::Ended::kTargetExited) {
    return absl::NotFoundError(absl::StrCat("process ", facts_.pid, " exited meanwhile"));
  }
  LookAgain(before);
  auto profile = (*runner)->Finish();
  if (absl::IsNotFound(profile.status())) return absl::OkStatus();  // no sample: it used no CPU
  if (!profile.ok()) return profile.status();
  absl::flat_hash_map<uint32_t, uint32_t> numbers;
  for (const ProfileSample& sample : profile->samples) {
    auto [at, first] = numbers.try_emplace(sample.stack.value, numbers.size());
    if (first) facts_.stacks.push_back(FactsOf(*profile, sample.stack, program_));
    facts_.samples.push_back({profile->threads[sample.thread.value].tid, at->second});
  }
  return absl::OkStatus();
}

// States, counts and waits at the end.
void Watcher::LookAgain(const absl::flat_hash_map<Tid, Counts>& before) {
  auto threads = ListThreads(facts_.pid);
  if (!threads.ok()) return;
  std::vector<ThreadFacts> first = std::exchange(facts_.threads, {});
  for (Tid tid : *threads) {
    auto stat = ParseProcStat(TaskFile(facts_.pid, tid, "stat"));
    if (!stat.ok() || stat->dead()) continue;
    ThreadFacts facts;
    auto known = std::find_if(first.begin(), first.end(),
                              [tid](const ThreadFacts& t) { return t.tid == tid; });
    if (known != first.end()) facts = std::move(*known);
    facts.first_state = facts.state;
    facts.tid = tid;
    facts.name = stat->comm;
    facts.state = stat->state;
    const Counts now = CountsOf(facts_.pid, tid);
    auto then = before.find(tid);
    facts.was_there = then != before.end();
    const Counts since = facts.was_there ? then->second : Counts();
    // What of a thread that ends meanwhile could not be read is 0.
    facts.cpu_ns = now.cpu_ns - std::min(now.cpu_ns, since.cpu_ns);
    facts.queued_ns = now.queued_ns - std::min(now.queued_ns, since.queued_ns);
    facts.sleeps = now.sleeps - std::min(now.sleeps, since.sleeps);
    facts.wait = reader_.Read(facts_.pid, tid);
    // A full pipe can hold less than its size: of each page a part may be in use.
    facts.wait.full |= facts.wait.kind == Wait::Kind::kPipeWrite && facts.was_there &&
                       facts.cpu_ns == 0 && facts.sleeps == 0;
    facts_.threads.push_back(std::move(facts));
  }
  auto main = std::find_if(facts_.threads.begin(), facts_.threads.end(),
                           [this](const ThreadFacts& t) { return t.tid == facts_.pid; });
  if (main != facts_.threads.end()) std::rotate(facts_.threads.begin(), main, main + 1);
  size_t chains = 0;
  for (ThreadFacts& thread : facts_.threads) {
    if (thread.wait.others.empty() || ++chains > kMaxChains) continue;
    thread.chain = FollowWaits(reader_, facts_.pid, thread.tid, thread.wait);
    for (Pid other : thread.wait.others) AddOther(other);
    for (const WaitChain::Link& link : thread.chain.links) AddOther(link.pid);
  }
  if (facts_.threads.empty()) return;
  const ThreadFacts& told = facts_.threads[0];
  for (Pid child : told.wait.awaited) AddOther(child);
  if (told.wait.kind == Wait::Kind::kChild || RunsChild(told.frames)) FindChildren();
}

void Watcher::FindChildren() {
  auto processes = ListProcesses();
  if (!processes.ok()) return;
  for (Pid child : *processes) {
    auto stat = ReadProcStat(child);
    if (!stat.ok() || stat->dead() || stat->parent != facts_.pid ||
        facts_.children.size() == kMaxChildren) {
      continue;
    }
    facts_.children.push_back(child);
    AddOther(child);
  }
}

absl::StatusOr<Facts> Watcher::Watch() {
  // If its main thread has ended, the state is that of one which lives.
  const Tid living = LivingThread(facts_.pid).value_or(facts_.pid);
  auto stat = ReadProcStat(living);
  // A tracer stops it at each system call, too: what passes is no stop.
  for (int i = 0; i < kLooksAtStop && stat.ok() && stat->state == 't'; ++i) {
    ::usleep(kLookAtStopUs);
    stat = ReadProcStat(living);
  }
  if (stat.ok()) {
    facts_.name = ReadProcStat(facts_.pid).value_or(*stat).comm;
    facts_.state = stat->state;
  }
  if (stat.ok() && stat->dead()) {
    AddZombie();
    return facts_;
  }
  JPROF_RETURN_IF_ERROR(CheckTarget(facts_.pid));
  char program[4096];
  const ssize_t size =
      ::readlink(absl::StrCat("/proc/", living, "/exe").c_str(), program, sizeof(program));
  if (size > 0) program_.assign(program, static_cast<size_t>(size));
  JPROF_RETURN_IF_ERROR(TakeFirstStacks());
  if (facts_.state == 'T' || facts_.state == 't') {
    facts_.tracer = static_cast<Pid>(StatusNumber(facts_.pid, facts_.pid, "TracerPid:"));
    AddOther(facts_.tracer);
    LookAgain({});
  } else {
    JPROF_RETURN_IF_ERROR(TakeSamples());
  }
  return facts_;
}

std::string TextOf(const Facts& facts, const Explanation& explanation,
                   const std::vector<std::string>& comparison) {
  std::string text = absl::StrCat(
      ShownText(absl::StrCat(facts.name, " (pid ", facts.pid, "): ", explanation.sentence)), "\n");
  for (const std::string& line : explanation.evidence)
    absl::StrAppend(&text, "  ", ShownText(line), "\n");
  if (!comparison.empty()) absl::StrAppend(&text, "beside a healthy one:\n");
  for (const std::string& line : comparison) absl::StrAppend(&text, "  ", ShownText(line), "\n");
  return text;
}

std::string JsonOf(const Facts& facts, const Explanation& explanation,
                   const std::vector<std::string>& comparison) {
  auto list = [](const std::vector<std::string>& lines) {
    return absl::StrJoin(lines, ",", [](std::string* out, const std::string& line) {
      absl::StrAppend(out, "\n", JsonText(line));
    });
  };
  return absl::StrCat("{\"pid\":", facts.pid, ",\"name\":", JsonText(facts.name),
                      ",\"cause\":", JsonText(explanation.cause),
                      ",\"sentence\":", JsonText(explanation.sentence), ",\"evidence\":[",
                      list(explanation.evidence), "],\"baseline\":[", list(comparison), "]}\n");
}

absl::Status Run(const WhyOptions& options, const RuntimeSet& runtimes) {
  if (Niceness() == 0) SetNiceness(kFirstNiceness);
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(std::shared_ptr<SymbolizerProcess> symbolizer, StartFileReaders());
  auto watch = [&](Pid pid) {
    return Watcher(pid, options.source_maps, runtimes, symbolizer).Watch();
  };
  JPROF_ASSIGN_OR_RETURN(const Facts facts, watch(options.pid));
  const Explanation explanation = Explain(facts);
  std::vector<std::string> comparison;
  if (options.baseline != 0) {
    JPROF_ASSIGN_OR_RETURN(const Facts healthy, watch(options.baseline));
    comparison = Compare(facts, healthy);
  }
  const std::string text = options.json ? JsonOf(facts, explanation, comparison)
                                        : TextOf(facts, explanation, comparison);
  return WriteStandardOutput(text);
}

absl::Status Check(const Arguments& arguments, WhyOptions& out) {
  if (arguments.words.empty()) {
    return WithHint(absl::InvalidArgumentError("why takes a process"), "use: jprof why PID");
  }
  if (arguments.words.size() > 1) return absl::InvalidArgumentError("why takes one process");
  JPROF_ASSIGN_OR_RETURN(out.pid, ParsePid(arguments.words[0]));
  return absl::OkStatus();
}

CommandSyntax<WhyOptions> Syntax() {
  using O = WhyOptions;
  return {
      .text =
          {.name = "why",
           .summary = "say in one sentence what a process does, or waits for",
           .usage = "why PID [options]\n",
           .about =
               "Watches a process for a second and says in one sentence what it does or waits for: spinning in a\n"
               "function, collecting garbage, blocked in a write to a pipe and who should read it, deadlocked,\n"
               "stopped, idle; below it the evidence.\n"},
      .options = {{{"", "--baseline", "PID", "says how it differs from this one, which is well"},
                   &O::baseline},
                  {{"", "--source-maps", "auto|FOLDER", "functions of scripts by their originals"},
                   &O::source_maps},
                  {{"", "--json", "", "for programs"}, &O::json}},
      .check = Check};
}

}  // namespace

CommandText WhyText() { return TextOf(Syntax()); }

int WhyMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const WhyOptions& options) {
    return ReportedGuarded([&] { return AsUsageError(Run(options, runtimes)); });
  });
}

}  // namespace jprof
