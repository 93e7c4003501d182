#include "profiler/cli/stacks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "helpers/native_runner.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/options.h"
#include "profiler/cli/stack_report.h"
#include "profiler/core/status.h"
#include "profiler/corefile/core_file.h"
#include "profiler/corefile/mapped_files.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"
#include "profiler/stop/guard.h"
#include "profiler/stop/page_memory.h"
#include "profiler/stop/stopped_thread.h"
#include "profiler/stop/thread_capture.h"
#include "profiler/stop/walk_tables.h"
#include "profiler/unwind/unwind_cache.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

struct StacksOptions {
  std::string target;
  MappedFiles::Places places;
  StackReportOptions report;
  bool json = false;
  bool help = false;
  bool async = false;
  bool tiers = false;
};

uint64_t MonotonicNow() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

absl::StatusOr<UniqueFd> OpenFile(const MapEvent& map) {
  if (!map.file.valid() && map.path == "[vdso]") return OpenVdso();
  return OpenMappedFile(map.pid, Mapping{map.range, map.offset, map.file, map.path});
}

// The threads of one process and how to read it, live or not.
struct Subject {
  Pid pid = 0;
  std::string title;
  PipelineWorld world;
  std::vector<Event> events;  // that made it what it is
  const MemoryReader* memory = nullptr;
  std::function<std::vector<CapturedThread>(const WalkFunction&)> capture;
  CallContext calls;
  std::vector<std::string> notes;
};

// From threads to a report: walks and names.
absl::Status Report(Subject subject, const StacksOptions& options, const RuntimeSet& runtimes,
                    StackReport& report, Profile& profile) {
  WalkTables tables;
  absl::StatusOr<UnwindCache> cache = UnwindCache::Open(UnwindCache::DefaultDirectory());
  const Pid pid = subject.pid;
  Pipeline pipeline(PipelineOptions{.only_pid = pid,
                                    .tiers = options.tiers,
                                    .async = options.async,
                                    .unwind_sink = &tables,
                                    .unwind_cache = cache.ok() ? &*cache : nullptr},
                    runtimes, tables, std::move(subject.world));
  for (Event& event : subject.events) pipeline.Handle(std::move(event));
  while (pipeline.HasTablesToMake()) pipeline.HandlePending();

  PageMemory memory(*subject.memory);
  NativeRunner runner(runtimes, memory, tables.layouts());
  runner.SetTables(tables.pool(), tables.MappingsOf(pid));
  const jp_process process = tables.ProcessOf(pid);
  std::vector<CapturedThread> threads = subject.capture([&](const Registers& registers) {
    memory.Forget();
    return runner.Walk(process, pid, registers);
  });

  report.title = subject.title;
  report.notes = subject.notes;
  uint32_t number = 0;
  for (CapturedThread& thread : threads) {
    for (SymbolEvent& symbol : thread.walk.symbols) pipeline.Handle(std::move(symbol));
    pipeline.Handle(CommEvent{MonotonicNow(), pid, thread.tid, false, thread.name});
    SampleEvent sample = {.time_ns = MonotonicNow(), .pid = pid, .tid = thread.tid};
    if (!thread.walk.stack.frames.empty()) {
      sample.user_stack = thread.walk.stack.number = ++number;
      pipeline.Handle(std::move(thread.walk.stack));
    }
    pipeline.Handle(sample);
    ReportedThread shown;
    shown.tid = thread.tid;
    shown.name = thread.name;
    shown.state = thread.state;
    shown.cpu_ns = thread.cpu_ns;
    shown.pause_ns = thread.pause_ns;
    shown.kernel_function = thread.kernel_function;
    if (thread.call) shown.waits_in = DescribeCall(*thread.call, subject.calls);
    if (!thread.status.ok()) shown.trouble = std::string(ExplainStop(pid, thread.status).message());
    report.threads.push_back(std::move(shown));
  }
  JPROF_ASSIGN_OR_RETURN(profile, pipeline.Finish({.samples_taken = threads.size()}));
  for (const std::string& trouble : pipeline.symbol_troubles()) report.notes.push_back(trouble);
  absl::flat_hash_map<Tid, StackId> stacks;
  for (const ProfileSample& sample : profile.samples) {
    stacks[profile.threads[sample.thread.value].tid] = sample.stack;
  }
  for (ReportedThread& thread : report.threads) thread.stack = stacks[thread.tid];
  return absl::OkStatus();
}

absl::StatusOr<Subject> LiveSubject(Pid pid, const LiveMemory& memory) {
  JPROF_RETURN_IF_ERROR(CheckTarget(pid));
  Subject subject;
  subject.pid = pid;
  subject.memory = &memory;
  subject.world = {.open_file = OpenFile,
                   .read_maps = ReadProcMaps,
                   .open_memory = [](Pid p) { return std::make_unique<LiveMemory>(p); },
                   .open_perf_map = [](Pid p) { return PerfMap::Open(p); },
                   .open_root = OpenRootOf,
                   .now = MonotonicNow};
  JPROF_ASSIGN_OR_RETURN(subject.events, SynthesizeProcessEvents(pid, MonotonicNow()));
  absl::StatusOr<std::string> comm = ReadThreadComm(pid, pid);
  subject.title = absl::StrCat(comm.ok() ? *comm : "process", " (pid ", pid, ")");
  subject.capture = [pid](const WalkFunction& walk) { return CaptureThreads(pid, walk, {}); };
  subject.calls = {.memory = &memory, .describe_fd = DescribeFd, .is_thread = IsThreadOf, .pid = pid};
  return subject;
}

// Hands on what it borrows.
class BorrowedMemory : public MemoryReader {
 public:
  explicit BorrowedMemory(const MemoryReader& memory) : memory_(memory) {}
  size_t Read(Address address, std::span<std::byte> out) const override {
    return memory_.Read(address, out);
  }

 private:
  const MemoryReader& memory_;
};

std::vector<CapturedThread> ThreadsOf(const CoreFile& core, const WalkFunction& walk) {
  std::vector<CapturedThread> threads;
  for (const CoreFile::Thread& t : core.threads()) {
    CapturedThread thread;
    thread.tid = t.tid;
    thread.name = t.name.empty() ? core.comm() : t.name;
    thread.state = t.state;
    thread.cpu_ns = t.cpu_ns;
    thread.call = CallOf(t.registers);
    thread.walk = walk(ToRegisters(t.registers, t.tid, 0));
    threads.push_back(std::move(thread));
  }
  return threads;
}

// All three outlive the result.
Subject CoreSubject(const CoreFile& core, const MappedFiles& files, const CoreMemory& memory,
                    const std::string& name) {
  Subject subject;
  const Pid pid = subject.pid = core.pid();
  subject.title = absl::StrCat(core.comm().empty() ? "process" : core.comm(), " (pid ", pid,
                               "), core file ", name);
  if (core.signal() != 0) absl::StrAppend(&subject.title, ", signal ", core.signal());
  subject.memory = &memory;
  subject.world = {
      .open_file = [&files](const MapEvent& map) { return files.Open(map); },
      .read_maps = [&core](Pid) -> absl::StatusOr<std::vector<ProcMapping>> {
        return core.mappings();
      },
      .open_memory = [&memory](Pid) { return std::make_unique<BorrowedMemory>(memory); },
      .open_perf_map = [](Pid) -> absl::StatusOr<PerfMap> {
        return absl::NotFoundError("a core has none");
      },
      .now = MonotonicNow};
  for (const ProcMapping& m : core.mappings()) {
    if (!m.executable) continue;
    subject.events.push_back(MapEvent{MonotonicNow(), pid, m.range, m.offset, m.file,
                                      m.path.empty() ? std::string(kAnonymousPath) : m.path});
  }
  subject.capture = [&core](const WalkFunction& walk) { return ThreadsOf(core, walk); };
  subject.calls = {.memory = &memory, .pid = pid};
  subject.notes = files.Troubles();
  if (core.missing_bytes() > 0) {
    subject.notes.push_back(absl::StrCat("the core file is cut short: ", core.missing_bytes(),
                                         " bytes of the process's memory are missing"));
  }
  return subject;
}

absl::Status Run(const StacksOptions& options, const RuntimeSet& runtimes) {
  StackReport report;
  Profile profile;
  Pid pid = 0;
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(const std::unique_ptr<SymbolizerProcess> symbolizer,
                         SymbolizerProcess::Start());
  auto symbolize = [&symbolizer](std::vector<ImageQuery>& queries, int threads,
                                 DebugFileFinder* finder) {
    symbolizer->Symbolize(queries, threads, finder);
  };
  if (absl::SimpleAtoi(options.target, &pid)) {
    if (pid < 1) return absl::InvalidArgumentError(absl::StrCat(options.target, " is no process"));
    const LiveMemory memory(pid);
    JPROF_ASSIGN_OR_RETURN(Subject subject, LiveSubject(pid, memory));
    subject.world.symbolize = symbolize;
    JPROF_RETURN_IF_ERROR(Report(std::move(subject), options, runtimes, report, profile));
  } else {
    UniqueFd fd(::open(options.target.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) {
      return ErrnoStatus(errno, absl::StrCat("cannot read core file ", options.target));
    }
    JPROF_ASSIGN_OR_RETURN(const CoreFile core, CoreFile::Open(std::move(fd), options.target));
    const MappedFiles files(core, options.places);
    const CoreMemory memory(core, files);
    Subject subject = CoreSubject(core, files, memory, options.target);
    subject.world.symbolize = symbolize;
    JPROF_RETURN_IF_ERROR(Report(std::move(subject), options, runtimes, report, profile));
  }
  if (report.threads.empty()) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " exited meanwhile"));
  }
  // What keeps jprof from all threads alike is the command's failure.
  if (std::all_of(report.threads.begin(), report.threads.end(), [](const ReportedThread& t) {
        return !t.stack.valid() && !t.trouble.empty();
      })) {
    return absl::PermissionDeniedError(report.threads[0].trouble);
  }
  const std::string text = options.json
                               ? StackReportJson(report, profile, options.report)
                               : StackReportText(report, profile, options.report);
  std::signal(SIGPIPE, SIG_IGN);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return ErrnoStatus(errno, "cannot write standard output");
  }
  return absl::OkStatus();
}

absl::StatusOr<StacksOptions> ParseStacksOptions(const std::vector<std::string>& arguments) {
  StacksOptions options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    // The value of an option, in the same word or the next one.
    auto value = [&](absl::string_view name, std::string& out) -> absl::Status {
      if (argument.size() > name.size()) {
        out = argument.substr(name.size() + 1);
      } else if (++i < arguments.size()) {
        out = arguments[i];
      } else {
        return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
      }
      return absl::OkStatus();
    };
    auto is = [&](absl::string_view name) {
      return argument == name || absl::StartsWith(argument, absl::StrCat(name, "="));
    };
    if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--json") {
      options.json = true;
    } else if (argument == "--all") {
      options.report.one_by_one = true;
    } else if (argument == "--async") {
      options.async = true;
    } else if (argument == "--tiers") {
      options.tiers = true;
    } else if (is("--exe")) {
      JPROF_RETURN_IF_ERROR(value("--exe", options.places.program));
    } else if (is("--sysroot")) {
      JPROF_RETURN_IF_ERROR(value("--sysroot", options.places.sysroot));
    } else if (is("--filter")) {
      JPROF_RETURN_IF_ERROR(value("--filter", options.report.filter));
      const std::string wrong = CheckFilter(options.report.filter);
      if (!wrong.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--filter '", options.report.filter, "': ", wrong));
      }
    } else if (absl::StartsWith(argument, "-")) {
      return WithHint(absl::InvalidArgumentError(absl::StrCat("unknown option ", argument)),
                      "see jprof stacks --help");
    } else if (options.target.empty()) {
      options.target = argument;
    } else {
      return absl::InvalidArgumentError("stacks takes one process, or one core file");
    }
  }
  if (options.target.empty() && !options.help) {
    return WithHint(absl::InvalidArgumentError("stacks takes a process or a core file"),
                    "use: jprof stacks PID, or jprof stacks CORE");
  }
  Pid pid;
  if (absl::SimpleAtoi(options.target, &pid) &&
      !(options.places.program.empty() && options.places.sysroot.empty())) {
    return absl::InvalidArgumentError("--exe and --sysroot are for a core file, not for a process");
  }
  return options;
}

}  // namespace

std::string StacksHelp() {
  return "usage: jprof stacks PID [options]\n"
         "       jprof stacks CORE [--exe FILE] [--sysroot FOLDER] [options]\n"
         "\n"
         "Prints what every thread of a process, or of a core file, is doing, once: JavaScript and native frames,\n"
         "innermost first, and what a sleeping thread waits for. Equal stacks are put together.\n"
         "Threads that sleep are not stopped; the others are, one by one, for a fraction of a\n"
         "millisecond.\n"
         "\n"
         "options:\n"
         "  --all           each thread by itself\n"
         "  --filter REGEX  threads with a frame, a name or a system call that matches\n"
         "  --exe FILE      the core's program, where it does not lie at its path\n"
         "  --sysroot FOLDER  where the core's files lie\n"
         "  --json          for programs\n"
         "  --async         who awaits what runs\n"
         "  --tiers         ~interpreted, ^baseline, +maglev, *turbofan\n"
         "  -h, --help      print this help\n";
}

int StacksMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  absl::StatusOr<StacksOptions> options = ParseStacksOptions(arguments);
  if (!options.ok()) {
    PrintError(options.status());
    return 2;
  }
  if (options->help) {
    std::fputs(StacksHelp().c_str(), stdout);
    return 0;
  }
  absl::StatusOr<int> result = RunGuarded([&] {
    absl::Status status = Run(*options, runtimes);
    if (status.ok()) return 0;
    PrintError(status);
    return absl::IsInvalidArgument(status) ? 2 : 1;
  });
  if (result.ok()) return *result;
  PrintError(result.status());
  return 1;
}

}  // namespace jprof
