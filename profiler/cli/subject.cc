#include "profiler/cli/subject.h"

#include <sys/user.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "helpers/native_runner.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/register_reader.h"
#include "profiler/capture/sample_walk.h"
#include "profiler/capture/sampled_memory.h"
#include "profiler/cli/frame_arguments.h"
#include "profiler/cli/native_arguments.h"
#include "profiler/cli/stack_copy.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/naming_deadline.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"
#include "profiler/stop/page_memory.h"
#include "profiler/stop/stopped_thread.h"
#include "profiler/stop/walk_tables.h"
#include "profiler/unwind/frame_stepper.h"
#include "profiler/unwind/unwind_cache.h"

namespace jprof {
namespace {

absl::StatusOr<UniqueFd> OpenFile(const MapEvent& map) {
  if (!map.file.valid() && map.path == "[vdso]") return OpenVdso();
  return OpenMappedFile(map.pid, Mapping{map.range, map.offset, map.file, map.path});
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

// One of several memories.
class ChosenMemory : public MemoryReader {
 public:
  void Choose(const MemoryReader& memory) { memory_ = &memory; }
  size_t Read(Address address, std::span<std::byte> out) const override {
    return memory_->Read(address, out);
  }

 private:
  const MemoryReader* memory_ = nullptr;
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
    thread.walk = walk(ToRegisters(t.registers, t.tid, 0), false);
    thread.walk.vectors = t.vectors;
    threads.push_back(std::move(thread));
  }
  return threads;
}

// Of stacks that are cut for want of registers; "": none is.
std::string NoteOnRegisters(const std::vector<CapturedThread>& threads) {
  const auto lacks = [](const CapturedThread& thread) { return !thread.registers.ok(); };
  const auto first = std::find_if(threads.begin(), threads.end(), lacks);
  if (first == threads.end()) return "";
  const auto count = std::count_if(first, threads.end(), lacks);
  return absl::StrCat(
      count, count == 1 ? " stack is" : " stacks are",
      " cut that may go on by a register of a thread that sleeps: it cannot be read (",
      first->registers.message(), "), and a stop might end the thread's call; it takes Linux 6.1, ",
      "and root or CAP_BPF and CAP_PERFMON");
}

}  // namespace

absl::Status TakeStacks(Subject subject, const StackNaming& naming, const RuntimeSet& runtimes,
                        StackReport& report, Profile& profile) {
  WalkTables tables;
  absl::StatusOr<UnwindCache> cache = UnwindCache::Open(UnwindCache::DefaultDirectory());
  const Pid pid = subject.pid;
  JPROF_ASSIGN_OR_RETURN(const std::optional<SourceMaps::Options> source_maps,
                         OpenSourceMaps(naming.source_maps, subject.world));
  if (source_maps) {
    subject.world.open_source_map = WithDeadline(std::move(subject.world.open_source_map));
  }
  Pipeline pipeline(PipelineOptions{.only_pid = pid,
                                    .tiers = naming.tiers,
                                    .async = naming.async,
                                    .inlines = naming.lines,
                                    .places = naming.arguments,
                                    .values = naming.arguments && naming.lines,
                                    .source_maps = source_maps,
                                    .unwind_sink = &tables,
                                    .unwind_cache = cache.ok() ? &*cache : nullptr},
                    runtimes, tables, std::move(subject.world));
  for (Event& event : subject.events) pipeline.Handle(std::move(event));
  while (pipeline.HasTablesToMake()) pipeline.HandlePending();

  PageMemory pages(*subject.memory);
  SampledMemory sampled;
  ChosenMemory memory;
  NativeRunner runner(runtimes, memory, tables.layouts());
  runner.SetTables(tables.pool(), tables.MappingsOf(pid));
  FrameStepper stepper(subject.find_frame_code);
  bool stands = false;  // the thread whose stack is walked
  runner.SetStepper([&](const WalkSoFar& walk) -> std::optional<FrameCaller> {
    // What a step needs is read from files, and a thread is not to stand for as long as that takes.
    if (stands || !stepper.can_find()) return std::nullopt;
    return stepper.Step(walk, memory);
  });
  runner.SetFrameObserver([&sampled](uint64_t stack_from) { sampled.AtFrame(stack_from); });
  const jp_process process = tables.ProcessOf(pid);
  ArgumentReader arguments([&](uint8_t runtime) { return pipeline.Instance(pid, runtime); });
  if (naming.arguments) runner.KeepPlaces();
  StackCopier copier(*subject.memory, subject.is_core ? 0 : pid);
  // Those of a walk that is not used are kept too: the runner tells of each once.
  std::vector<SymbolEvent> symbols;
  auto finish = [&](CapturedWalk walk, bool stands_still) {
    if (naming.arguments) {
      arguments.Learn(walk);
      if (stands_still) walk.arguments = arguments.Read(walk, memory, /*stands=*/!subject.is_core);
    }
    std::move(walk.symbols.begin(), walk.symbols.end(), std::back_inserter(symbols));
    walk.symbols.clear();
    return walk;
  };
  // The walk of a thread that runs again, over its stack as it was.
  auto walk_on = [&](const TaskSample& sample, CapturedWalk& walk) {
    memory.Choose(sampled);
    CapturedWalk whole =
        finish(WalkSample(runner, sampled, *subject.memory, process, sample).result, false);
    if (whole.stack.frames.size() > walk.stack.frames.size()) walk.GoOnAs(std::move(whole));
  };
  std::vector<CapturedThread> threads = subject.capture(
      [&](const Registers& registers, bool is_held) {
        pages.Forget();
        memory.Choose(pages);
        stands = is_held;
        const uint64_t since_ns = MonotonicNow();
        CapturedWalk walk = finish(runner.Walk(process, pid, registers), true);
        std::vector<FramePlace> places = walk.places;
        if (stands && walk.no_rule > 0) {
          places.push_back({.sp = registers.sp + StackCopier::kStackBytes});
          walk.rest = [&, since_ns, registers,
                       stack = copier.CopyStack(registers.sp)](CapturedWalk& of) {
            if (stack.empty()) return;
            walk_on({.time_ns = since_ns,
                     .pid = pid,
                     .tid = registers.tid,
                     .registers = registers,
                     .stack = stack},
                    of);
          };
        }
        stands = false;
        if (!naming.arguments) return walk;
        walk.registers = registers;
        walk.memory = subject.is_core ? std::make_shared<BorrowedMemory>(*subject.memory)
                                      : copier.Copy(registers, places);
        return walk;
      },
      [&](const TaskSample& sample) {
        memory.Choose(sampled);
        CapturedWalk walk =
            finish(WalkSample(runner, sampled, *subject.memory, process, sample).result, false);
        if (!naming.arguments) return walk;
        walk.registers = sample.registers;
        walk.memory = CopyOfSample(sample.registers.sp, sample.stack);
        return walk;
      });
  for (SymbolEvent& symbol : symbols) pipeline.Handle(std::move(symbol));

  report.title = subject.title;
  report.notes = subject.notes;
  if (std::string note = NoteOnRegisters(threads); !note.empty()) {
    report.notes.push_back(std::move(note));
  }
  uint32_t number = 0;
  absl::flat_hash_map<Tid, uint32_t> stack_numbers;
  for (CapturedThread& thread : threads) {
    pipeline.Handle(CommEvent{MonotonicNow(), pid, thread.tid, false, thread.name});
    SampleEvent sample = {.time_ns = MonotonicNow(), .pid = pid, .tid = thread.tid};
    if (!thread.walk.stack.frames.empty()) {
      sample.user_stack = thread.walk.stack.number = ++number;
      stack_numbers[thread.tid] = number;
      pipeline.Handle(std::move(thread.walk.stack));
    }
    pipeline.Handle(sample);
    ReportedThread& shown = report.threads.emplace_back();
    shown.tid = thread.tid;
    shown.name = thread.name;
    shown.state = thread.state;
    shown.cpu_ns = thread.cpu_ns;
    shown.pause_ns = thread.pause_ns;
    shown.kernel_function = thread.kernel_function;
    if (thread.call) shown.call = AsMade(*thread.call, *subject.memory);
    if (shown.call) shown.waits_in = DescribeCall(*shown.call, subject.calls);
    if (!thread.status.ok()) shown.trouble = std::string(thread.status.message());
  }
  JPROF_ASSIGN_OR_RETURN(profile, pipeline.Finish({.samples_taken = threads.size()}));
  for (const std::string& trouble : pipeline.symbol_troubles()) report.notes.push_back(trouble);
  absl::flat_hash_map<Tid, StackId> stacks;
  for (const ProfileSample& sample : profile.samples) {
    stacks[profile.threads[sample.thread.value].tid] = sample.stack;
  }
  for (size_t i = 0; i < threads.size(); ++i) {
    ReportedThread& thread = report.threads[i];
    thread.stack = stacks[thread.tid];
    const std::vector<StackId> places = pipeline.PlacesOf(stack_numbers[thread.tid]);
    auto show = [&](uint32_t frame, uint32_t level, std::vector<FrameArgument>& values) {
      if (frame < places.size() && places[frame].valid()) {
        thread.arguments[{places[frame].value, level}] = std::move(values);
      }
    };
    const CapturedWalk& walk = threads[i].walk;
    NativeArguments native =
        ReadNativeArguments(walk, pipeline.ValuesOf(stack_numbers[thread.tid]));
    for (auto& [place, values] : native) show(place.first, place.second, values);
    for (auto& [frame, values] : threads[i].walk.arguments) show(frame, 0, values);
  }
  report.has_arguments = naming.arguments;
  return absl::OkStatus();
}

absl::StatusOr<Subject> LiveSubject(Pid pid, const LiveMemory& memory, Running running) {
  JPROF_RETURN_IF_ERROR(CheckTarget(pid));
  Subject subject;
  subject.pid = pid;
  subject.memory = &memory;
  subject.world = {.open_file = OpenFile,
                   .read_maps = ReadProcMaps,
                   .open_memory = [](Pid p) { return std::make_unique<LiveMemory>(p); },
                   .open_perf_map = [](Pid p) { return PerfMap::Open(p); },
                   .open_jit_dump =
                       [](Pid p, UniqueFd file, absl::string_view name) {
                         return JitDump::Open(p, std::move(file), name);
                       },
                   .open_root = OpenRootOf,
                   .now = MonotonicNow};
  auto events = SynthesizeProcessEvents(pid, MonotonicNow());
  if (!events.ok()) return UnlessExited(pid, events.status());
  subject.events = *std::move(events);
  absl::StatusOr<std::string> comm = ReadThreadComm(pid, pid);
  subject.title = absl::StrCat(comm.ok() ? *comm : "process", " (pid ", pid, ")");
  subject.capture = [pid, running](const WalkFunction& walk,
                                   const WalkSampleFunction& walk_sample) {
    CaptureOptions options = {
        .may_stop = running == Running::kStop || running == Running::kStopWithRegisters,
        .wants_registers = running == Running::kStopWithRegisters};
    if (running == Running::kSample) {
      options.sample = [&](auto threads, const auto& asleep) {
        SampleThreads(threads, asleep, walk_sample);
      };
    }
    // Loaded when the first thread needs it.
    std::optional<absl::StatusOr<RegisterReader>> reader;
    options.read_registers =
        [&](Tid tid, const SleepingThread& asleep) -> absl::StatusOr<user_regs_struct> {
      if (!reader) reader = RegisterReader::Make(pid);
      if (!reader->ok()) return reader->status();
      return (*reader)->Read(tid, asleep.pc, asleep.sp);
    };
    return CaptureThreads(pid, walk, options);
  };
  subject.calls = LiveContext(pid, memory);
  return subject;
}

Subject CoreSubject(const CoreFile& core, const MappedFiles& files, const CoreMemory& memory,
                    const std::string& name) {
  Subject subject =
      CoreSubject(core, [&files](const MapEvent& map) { return files.Open(map); }, memory, name);
  subject.world.open_root = [&files](Pid) { return files.OpenSysroot(); };
  subject.notes = files.Troubles();
  if (core.missing_bytes() > 0) {
    subject.notes.push_back(absl::StrCat("the core file is cut short: ", core.missing_bytes(),
                                         " bytes of the process's memory are missing"));
  }
  return subject;
}

Subject CoreSubject(const CoreFile& core,
                    std::function<absl::StatusOr<UniqueFd>(const MapEvent&)> open_file,
                    const MemoryReader& memory, const std::string& name) {
  Subject subject;
  const Pid pid = subject.pid = core.pid();
  subject.title = absl::StrCat(core.comm().empty() ? "process" : core.comm(), " (pid ", pid,
                               "), core file ", name);
  if (core.signal() != 0) absl::StrAppend(&subject.title, ", signal ", core.signal());
  subject.memory = &memory;
  subject.is_core = true;
  subject.world = {
      .open_file = std::move(open_file),
      .read_maps = [&core](Pid) -> absl::StatusOr<std::vector<ProcMapping>> {
        return core.mappings();
      },
      .open_memory = [&memory](Pid) { return std::make_unique<BorrowedMemory>(memory); },
      .open_perf_map = [](Pid) -> absl::StatusOr<PerfMap> {
        return absl::NotFoundError("a core has none");
      },
      .now = MonotonicNow};
  subject.find_frame_code = [&](Pid, std::span<const uint64_t> addresses) {
    return FindFrameCode(core.mappings(), memory, addresses);
  };
  for (const ProcMapping& m : core.mappings()) {
    if (!m.executable) continue;
    subject.events.push_back(MapEvent{MonotonicNow(), pid, m.range, m.offset, m.file,
                                      m.path.empty() ? std::string(kAnonymousPath) : m.path});
  }
  subject.capture = [&core](const WalkFunction& walk, const WalkSampleFunction&) {
    return ThreadsOf(core, walk);
  };
  subject.calls = {.memory = &memory, .pid = pid};
  return subject;
}

}  // namespace jprof
