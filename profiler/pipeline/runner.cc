#include "profiler/pipeline/runner.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/capture/kernel_lookup.h"
#include "profiler/capture/priority.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/event_queue.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/pipeline/target_task.h"
#include "profiler/pipeline/verdict.h"
#include "profiler/process/cpu_time.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"
#include "profiler/process/process_table.h"
#include "profiler/process/resident_memory.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr int kDrainIntervalMs = 100;
// Processes that execute something new have no names until we have heard of it.
constexpr int kDrainIntervalOfCommandMs = 20;
// Behind a sample in a file that is not known yet.
constexpr int kHasteMs = LiveSource::kSortMarginNs / 1'000'000 + 2;
// Of files with call-frame tables.
constexpr uint32_t kMappingsOfOne = 1 << 14;
constexpr uint32_t kMappingsOfAll = 1 << 17;
// Call-frame tables that are made before the first sample.
constexpr uint64_t kFirstTablesNs = 1'000'000'000;
// Of all processes, most of those that start end before.
constexpr uint64_t kSettleNs = 200'000'000;

// Of whoever reads files for their names, too.
double CpuSeconds(const std::shared_ptr<SymbolizerProcess>& symbolizer) {
  return static_cast<double>(OwnCpuTime(symbolizer == nullptr ? 0 : symbolizer->pid())) * 1e-9;
}

int64_t UnixNow() {
  timespec t;
  ::clock_gettime(CLOCK_REALTIME, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Of the descriptors that are not in use yet. The rest is for perf maps, two each, and for what is
// read in passing.
size_t MaxPinnedFiles() {
  constexpr size_t kForOthers = 768;
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // They are given out from the lowest number on.
  const UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const size_t used = next.valid() ? static_cast<size_t>(next.get()) : limit.rlim_cur;
  const size_t left = limit.rlim_cur - std::min<size_t>(used, limit.rlim_cur);
  return left - std::min(kForOthers, left / 2);
}

absl::StatusOr<UniqueFd> OpenFile(const MapEvent& map) {
  if (!map.file.valid() && map.path == "[vdso]") return OpenVdso();
  return OpenMappedFile(map.pid, Mapping{map.range, map.offset, map.file, map.path});
}

// Empty where the kernel does not answer for single addresses.
KernelNames::Asker MakeKernelAsker() {
  absl::StatusOr<KernelLookup> lookup = KernelLookup::Make();
  if (!lookup.ok()) return nullptr;
  return [lookup = std::make_shared<KernelLookup>(*std::move(lookup))](uint64_t address) {
    return lookup->Find(address);
  };
}

ReadFilePart ReaderOf(const std::shared_ptr<TargetFiles>& files, Pid pid) {
  return [files, pid](const UniqueFd& path_only, uint64_t offset, const std::string& name) {
    return files->ReadPart(pid, path_only, offset, name);
  };
}

// Has what may wait for ever done by `files`.
void OpenThrough(const std::shared_ptr<TargetFiles>& files, const std::string& perf_map_folder,
                 PipelineWorld& world) {
  world.open_file = [files](const MapEvent& map) {
    return map.file.valid() ? files->OpenMapped(map) : OpenFile(map);
  };
  world.open_file_through = [files](const MapEvent& map, Pid root_of) {
    return files->OpenOfGone(map, root_of == 0 ? ::getpid() : root_of);
  };
  world.read_maps = [files](Pid pid) { return files->ReadMaps(pid); };
  world.open_memory = [files](Pid pid) {
    return std::make_unique<ResidentMemory>(pid, std::make_unique<TargetMemory>(files, pid));
  };
  world.describe = [read_maps = world.read_maps](Pid pid, uint64_t time_ns) {
    return SynthesizeProcessEvents(pid, time_ns, read_maps);
  };
  world.open_perf_map = [files, perf_map_folder](Pid pid) {
    PerfMapOptions options = {.folder = perf_map_folder};
    options.open = [files, pid](const UniqueFd& process, const std::string& path, LinkPolicy links,
                                absl::string_view name) {
      return files->OpenInProcess(pid, process, path, links, name);
    };
    options.read_part = ReaderOf(files, pid);
    return PerfMap::Open(pid, options);
  };
  world.open_jit_dump = [files](Pid pid, UniqueFd file, absl::string_view name) {
    return JitDump::Open(pid, std::move(file), name, ReaderOf(files, pid));
  };
  world.image_files = {
      .open_again = [files](const UniqueFd& path_only,
                            const std::string& path) { return files->OpenAgain(path_only, path); },
      .open_debug_file = [files](const UniqueFd& root,
                                 const std::string& path) { return files->OpenBelow(root, path); }};
}

absl::StatusOr<UniqueFd> OpenFileThrough(const MapEvent& map, Pid root_of) {
  return OpenFileOfGoneProcess(root_of == 0 ? ::getpid() : root_of,
                               Mapping{map.range, map.offset, map.file, map.path}, map.time_ns);
}

}  // namespace

// Left to the thread that was given up, if one was: so it is one allocation, and knows no Runner.
struct Runner::Work {
  std::unique_ptr<LiveSource> source;
  std::optional<UnwindCache> cache;  // none where there is no directory for it
  std::unique_ptr<Pipeline> pipeline;
  EventQueue queue;
  int drain_interval_ms = kDrainIntervalMs;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> samples{0};
  AwaitedThread handler;
  absl::Status periodic_status;  // of the pipeline's thread
  std::optional<Checkpoints> checkpoints;  // behind the pipeline, whose tables it uses

  void ReadRings() {
    absl::Status status;
    int wait_ms = drain_interval_ms;
    for (bool last = false; !last && status.ok();) {
      const bool in_haste = source->Wait(wait_ms);
      wait_ms = in_haste ? std::min(kHasteMs, drain_interval_ms) : drain_interval_ms;
      last = stop.load();
      std::vector<Event> batch;
      if (status.ok()) status = source->Drain(batch, last);
      queue.Push(std::move(batch));
    }
    queue.Close(status);
  }

  void HandleEvents(int niceness, const Periodic& periodic) {
    handler.Begin();
    const int niceness_in_haste = Niceness();
    bool in_haste = true;
    std::vector<Event> batch;
    auto wait = [this, &periodic] {
      return pipeline->HasTablesToMake() ? absl::ZeroDuration()
             : pipeline->HasPending() || periodic ? absl::Milliseconds(kDrainIntervalMs)
                                                  : absl::InfiniteDuration();
    };
    for (;;) {
      // Without its tables a stack is cut, so they are made first.
      if (std::exchange(in_haste, stop || queue.IsFilling() || pipeline->HasTablesToMake()) !=
          in_haste) {
        SetNiceness(in_haste ? niceness_in_haste : niceness);
      }
      if (queue.Pop(batch, wait()) == EventQueue::Popped::kClosed) break;
      for (Event& event : batch) pipeline->Handle(std::move(event));
      pipeline->HandlePending();
      samples = pipeline->samples();
      if (periodic) periodic_status.Update(periodic(*this, false));
      if (!periodic_status.ok()) break;  // which ends the recording, and is told
    }
    if (periodic && periodic_status.ok()) periodic_status.Update(periodic(*this, true));
    handler.End();
  }
};

Runner::Runner(const RecordingOptions& options, Targets targets)
    : options_(options), targets_(std::move(targets)), work_(std::make_unique<Work>()) {}

BpfProbe* Runner::probe() { return work_->source->probe(); }

Runner::~Runner() {
  StopReading().IgnoreError();
  if (given_up_) static_cast<void>(work_.release());  // leaked on purpose
}

absl::Status Runner::GiveUp() {
  given_up_ = true;
  return WithHint(
      absl::DeadlineExceededError(
          absl::StrCat(targets_.name(),
                       ": its files or memory, or the output's file system, do not answer; given "
                       "up after 10 s without any")),
      "look for a network or FUSE file system that hangs, or a userfaultfd: /proc/PID/maps");
}

absl::Status Runner::Await(std::function<void(Work&)> work) {
  TargetTask task([work = std::move(work), shared = work_.get()] { work(*shared); });
  return task.WaitWhileItWorks(absl::Seconds(10), [this] { return CpuTimeOfWorkNs(); })
             ? absl::OkStatus()
             : GiveUp();
}

void Runner::StartReading() {
  reader_ = std::make_unique<TargetTask>([work = work_.get()] { work->ReadRings(); });
}

absl::Status Runner::StopReading() {
  const std::unique_ptr<TargetTask> reader = std::move(reader_);
  if (reader == nullptr) return absl::OkStatus();
  work_->stop = true;
  work_->source->Wake();
  work_->handler.LendPriority();
  if (reader->WaitWhileItWorks(absl::Seconds(10), [&reader] { return reader->CpuTimeNs(); })) {
    return absl::OkStatus();
  }
  const absl::Status given_up = GiveUp();
  work_->queue.Close(given_up);
  return given_up;
}

int64_t Runner::CpuTimeOfWorkNs() {
  const int64_t reader_ns = reader_ == nullptr ? 0 : reader_->CpuTimeNs();
  const uint64_t steps = options_.symbolizer == nullptr ? 0 : options_.symbolizer->progress();
  return WorkOfOthersNs(steps) - reader_ns;
}

absl::StatusOr<std::unique_ptr<Runner>> Runner::Attach(const RecordingOptions& options,
                                                       const RuntimeSet& runtimes) {
  const double cpu_before_s = CpuSeconds(options.symbolizer);
  JPROF_ASSIGN_OR_RETURN(Targets targets, Targets::Open(options.targets));
  auto runner = std::unique_ptr<Runner>(new Runner(options, std::move(targets)));
  runner->cpu_before_s_ = cpu_before_s;
  const Targets& of = runner->targets_;
  const bool one = of.only_pid() != 0;
  const uint32_t mappings = one ? kMappingsOfOne : kMappingsOfAll;
  auto source = LiveSource::Open(
      {.level = options.level,
       .pid = of.only_pid(),
       .tid = options.targets.tid,
       .selected = of.OfSome(),
       .children = options.targets.children,
       .cgroup_fd = of.cgroup() ? of.cgroup()->directory.get() : -1,
       .comm = options.targets.comm,
       .frequency_hz = options.frequency_hz,
       .mappings = mappings,
       .probe = options.probe,
       .find_frame_code = FrameCodeFinder(options.symbolizer)},
      runtimes);
  if (!source.ok()) {
    return Annotate(source.status(), absl::StrCat("cannot sample ", of.name()));
  }
  runner->work_->source = *std::move(source);
  if (!options.targets.command_name.empty()) {
    runner->work_->drain_interval_ms = kDrainIntervalOfCommandMs;
  }
  absl::StatusOr<UnwindCache> cache = UnwindCache::Open(UnwindCache::DefaultDirectory());
  if (cache.ok()) runner->work_->cache = *std::move(cache);
  PipelineWorld world = {
      .open_file = OpenFile,
      .open_file_through = OpenFileThrough,
      .read_maps = ReadProcMaps,
      .describe = [](Pid pid, uint64_t time_ns) { return SynthesizeProcessEvents(pid, time_ns); },
      .read_cgroup = ReadCgroup,
      .open_memory = [](Pid pid) { return std::make_unique<LiveMemory>(pid); },
      .open_perf_map =
          [folder = options.perf_map_folder](Pid pid) {
            return PerfMap::Open(pid, {.folder = folder});
          },
      .open_jit_dump = [](Pid pid, UniqueFd file, absl::string_view name) {
        return JitDump::Open(pid, std::move(file), name);
      },
      .open_root = OpenRootOf,
      .symbolize = options.symbolizer == nullptr
                       ? SymbolizeFunction()
                       : [symbolizer = options.symbolizer](std::vector<ImageQuery>& queries,
                                                           int threads, DebugFileFinder* finder) {
                           symbolizer->Symbolize(queries, threads, finder);
                         },
      .now = MonotonicNow,
      .period_ns = [source = runner->work_->source.get()](uint64_t time_ns) {
        return source->PeriodNs(time_ns);
      },
  };
  if (runner->work_->source->ring() == nullptr) world.name_kernel = MakeKernelAsker;
  JPROF_ASSIGN_OR_RETURN(std::optional<SourceMaps::Options> source_maps,
                         OpenSourceMaps(options.source_maps, world));
  if (options.symbolizer != nullptr && options.symbolizer->has_stand_ins()) {
    runner->files_ = std::make_shared<TargetFiles>(options.symbolizer);
    OpenThrough(runner->files_, options.perf_map_folder, world);
    if (options.source_maps == "auto") {
      world.open_source_map = [files = runner->files_](Pid pid, const std::string& path) {
        return files->OpenNamed(pid, path);
      };
    }
  }
  runner->describe_ = world.describe;
  size_t max_pinned_files = MaxPinnedFiles();
  if (source_maps) {
    source_maps->max_open = std::min(source_maps->max_open, max_pinned_files / 4);
    max_pinned_files -= source_maps->max_open;
  }
  if (options.symbolizer != nullptr) {
    world.read_source_maps = [symbolizer = options.symbolizer](
                                 std::vector<SourceMapQuery>& queries) {
      symbolizer->ReadSourceMaps(queries);
    };
  }
  // The level ring meets no mapping that it was not told of.
  const uint64_t settle_ns = one || runner->work_->source->ring() != nullptr ? 0 : kSettleNs;
  runner->work_->pipeline = std::make_unique<Pipeline>(
      PipelineOptions{
          .only_pid = of.only_pid(),
          .use_helpers = options.targets.use_helpers,
          .tiers = options.tiers,
          .async = options.async,
          .inlines = options.inlines,
          .lines = options.lines,
          .source_maps = source_maps,
          .period_ns = static_cast<int64_t>(1'000'000'000 / runner->work_->source->frequency_hz()),
          .max_pinned_files = max_pinned_files,
          .live = options.snapshot_ns != 0 || options.on_checkpoint,
          .unwind_sink = &runner->work_->source->tables(),
          .unwind_limits = {.mappings = mappings, .settle_ns = settle_ns},
          .unwind_cache = cache.ok() ? &*runner->work_->cache : nullptr,
      },
      runtimes, runner->work_->source->layouts(), std::move(world));
  if (of.OfSome()) JPROF_RETURN_IF_ERROR(runner->targets_.Select(*runner->work_->source));
  // From here on, so that no ring runs over while that of many processes is told.
  runner->StartReading();
  JPROF_RETURN_IF_ERROR(runner->Seed());
  return runner;
}

namespace {

struct Seeded {
  absl::Status status;
  std::string warning;  // "" for none
};

// Tells the pipeline what is there already: of these processes, or of all.
Seeded SeedPipeline(Pipeline& pipeline, const DescribeFunction& describe,
                    const std::vector<Pid>& pids, bool one, bool use_helpers) {
  uint64_t unreadable = 0;
  std::string first;
  for (Pid pid : pids) {
    absl::Status access = one ? absl::OkStatus() : CheckAccess(pid, use_helpers);
    if (!access.ok() && ++unreadable == 1) {
      first = absl::StrCat("such as ", pid, ": ", access.message(), "; ", HintOf(access));
    }
    auto events = describe(pid, MonotonicNow());
    if (!events.ok()) {
      if (!one) continue;  // one of many, gone meanwhile
      return {events.status(), ""};
    }
    for (Event& event : *events) pipeline.Handle(std::move(event));
  }
  pipeline.HandlePending(kFirstTablesNs);
  if (unreadable == 0) return {};
  return {absl::OkStatus(), absl::StrCat(unreadable, " of ", pids.size(),
                                         " processes cannot be looked into, ", first)};
}

}  // namespace

absl::Status Runner::Seed() {
  // Not of ours: see Work.
  auto seeded = std::make_shared<Seeded>();
  JPROF_ASSIGN_OR_RETURN(std::vector<Pid> pids, targets_.List());
  const bool one = targets_.pids().size() == 1;
  JPROF_RETURN_IF_ERROR(Await(
      [seeded, describe = describe_, pids = std::move(pids), one,
       use_helpers = options_.targets.use_helpers](Work& work) {
        *seeded = SeedPipeline(*work.pipeline, describe, pids, one, use_helpers);
      }));
  access_warning_ = std::move(seeded->warning);
  return Annotate(seeded->status, absl::StrCat("cannot look into ", targets_.name()));
}

absl::StatusOr<Runner::Ended> Runner::Record(
    const std::function<bool(const RecordingProgress&)>& go_on) {
  Work& work = *work_;
  started_ns_ = MonotonicNow();
  started_unix_ns_ = UnixNow();
  JPROF_RETURN_IF_ERROR(work.source->Start());
  target_cpu_before_ns_ = target_cpu_after_ns_ = CpuTimeOfTargets();
  if (options_.on_checkpoint) {
    work.checkpoints.emplace(options_.on_checkpoint, options_.niceness, started_ns_);
  }
  TargetTask handler([&work, niceness = options_.niceness,
                      periodic = options_.snapshot_ns != 0 ? Snapshots() : CheckpointsOf()] {
    work.HandleEvents(niceness, periodic);
  });

  Governor governor(options_.max_cpu_percent);
  Ended ended = Ended::kTime;
  for (;;) {
    const uint64_t now = MonotonicNow();
    const int64_t elapsed = static_cast<int64_t>(now - started_ns_);
    if (options_.duration_ns != 0 && elapsed >= options_.duration_ns) break;
    if (targets_.AreGone()) {
      ended = Ended::kTargetExited;
      break;
    }
    // One that exits cannot be asked at the end.
    if (targets_.pids().size() == 1) target_cpu_after_ns_ = CpuTimeOfTargets();
    if (!go_on({elapsed, work.samples, Govern(governor, now)})) {
      ended = Ended::kStopped;
      break;
    }
    int64_t wait_ns = options_.go_on_every_ns;
    if (options_.duration_ns != 0) wait_ns = std::min(wait_ns, options_.duration_ns - elapsed);
    if (options_.snapshot_ns != 0) wait_ns = 0;
    if (handler.WaitFor(absl::Nanoseconds(wait_ns))) break;  // the rings cannot be read any more
  }
  absl::Status stopped = work.source->Stop();
  stopped_ns_ = MonotonicNow();
  if (ended != Ended::kTargetExited) target_cpu_after_ns_ = CpuTimeOfTargets();
  max_rate_hz_ = MaxSampleRate().value_or(0);
  const absl::Status read = StopReading();
  if (!handler.WaitWhileItWorks(absl::Seconds(10), [this] { return CpuTimeOfWorkNs(); })) {
    return GiveUp();
  }
  JPROF_RETURN_IF_ERROR(read);
  cpu_recording_s_ = CpuSeconds(options_.symbolizer) - cpu_before_s_;
  JPROF_RETURN_IF_ERROR(work.queue.status());
  JPROF_RETURN_IF_ERROR(work.periodic_status);
  JPROF_RETURN_IF_ERROR(stopped);
  return ended;
}

std::string Runner::Govern(Governor& governor, uint64_t now_ns) {
  LiveSource& source = *work_->source;
  const bool too_much = governor.TakesTooMuch(now_ns, [&] {
    const Pid reader = options_.symbolizer == nullptr ? 0 : options_.symbolizer->pid();
    return OwnCpuTime(reader) + source.ProgramTimeNs();
  });
  if (!too_much) return "";
  const absl::StatusOr<bool> halved = source.HalveRate();
  const std::string why =
      absl::StrFormat("own CPU was above %g %% for 10 s", options_.max_cpu_percent);
  if (!halved.ok()) {
    return absl::StrCat(why, ", and the rate cannot be lowered: ", halved.status().message());
  }
  if (!*halved) return "";
  return absl::StrFormat("%s: sampled at %.3g Hz from now on", why, source.rates().back().hz());
}

std::optional<uint64_t> Runner::CpuTimeOfTargets() const {
  const RingSampler* ring = work_->source->ring();
  // Not of user code alone; and the hits of a probe have no rate.
  const bool comparable = options_.probe == nullptr && (ring == nullptr || ring->kernel_too());
  return comparable ? targets_.CpuTimeNs() : std::nullopt;
}

SamplingRate Runner::Rate() const {
  const LiveSource& source = *work_->source;
  SamplingRate rate = {.asked_hz = static_cast<double>(options_.frequency_hz),
                       .granted_hz = static_cast<double>(source.frequency_hz()),
                       .counted_share = source.CountedShare(),
                       .throttled_times = source.throttled_times(),
                       .throttled_ns = source.throttled_ns()};
  if (max_rate_hz_ != 0 && max_rate_hz_ < source.frequency_hz()) {
    rate.lowered_to_hz = static_cast<double>(max_rate_hz_);
  }
  if (target_cpu_before_ns_ && target_cpu_after_ns_ &&
      *target_cpu_after_ns_ > *target_cpu_before_ns_) {
    rate.target_cpu_ns = *target_cpu_after_ns_ - *target_cpu_before_ns_;
  }
  return rate;
}

absl::StatusOr<Profile> Runner::Finish() {
  JPROF_ASSIGN_OR_RETURN(jp_counters counters, work_->source->ReadCounters());
  const RecordingEnd end = {
      .samples_taken = counters.samples - work_->source->foreign_samples(),
      .samples_lost = counters.samples_lost,
      .start_time_ns = started_unix_ns_,
      .start_monotonic_ns = started_ns_,
      .duration_ns = static_cast<int64_t>(stopped_ns_ - started_ns_),
      .rate = Rate(),
  };
  // Not of ours: see Work.
  auto finished = std::make_shared<absl::StatusOr<Profile>>();
  JPROF_RETURN_IF_ERROR(
      Await([finished, end](Work& work) { *finished = work.pipeline->Finish(end); }));
  JPROF_ASSIGN_OR_RETURN(Profile profile, *std::move(finished));
  if (profile.samples.empty()) return NoSamples(end.duration_ns);
  profile.title = targets_.name();
  Accounting& a = profile.accounting;
  if (files_ != nullptr) a.silent_processes = files_->silent_processes();
  profile.comments = {
      Verdict(profile),
      SamplesText(a), RateText(a), options_.command_line};
  for (std::string& change : ChangesText(*work_->source, started_ns_)) {
    profile.comments.push_back(std::move(change));
  }
  if (std::string trouble = files_ == nullptr ? "" : files_->Trouble(); !trouble.empty()) {
    profile.comments.push_back(std::move(trouble));
  }
  const SymbolizerProcess* const symbolizer = options_.symbolizer.get();
  if (const auto parts = symbolizer == nullptr ? std::nullopt : symbolizer->sandbox()) {
    profile.comments.push_back(
        absl::StrCat("files were read for names by processes with ", SandboxText(*parts)));
  }
  if (const RingSampler* ring = work_->source->ring()) {
    profile.comments.insert(profile.comments.begin() + 1, RingQualityText(*ring));
  }
  return profile;
}

Runner::Periodic Runner::Snapshots() const {
  struct Last {
    uint64_t time_ns;
    int64_t unix_ns;
    uint64_t samples_lost = 0;
  };
  return [last = Last{started_ns_, started_unix_ns_}, title = targets_.name(),
          interval_ns = static_cast<uint64_t>(options_.snapshot_ns),
          asked_hz = static_cast<double>(options_.frequency_hz),
          sink = options_.on_snapshot](Work& work, bool is_last) mutable -> absl::Status {
    const uint64_t now_ns = MonotonicNow();
    if (!is_last && now_ns < last.time_ns + interval_ns) return absl::OkStatus();
    JPROF_ASSIGN_OR_RETURN(const jp_counters counters, work.source->ReadCounters());
    const uint64_t lost = counters.samples_lost - last.samples_lost;
    const RecordingEnd end = {
        .samples_lost = lost,
        .start_time_ns = last.unix_ns,
        .start_monotonic_ns = last.time_ns,
        .duration_ns = static_cast<int64_t>(now_ns - last.time_ns),
        .rate = {.asked_hz = asked_hz,
                 .granted_hz = static_cast<double>(work.source->frequency_hz())}};
    JPROF_ASSIGN_OR_RETURN(Profile profile, work.pipeline->TakeSnapshot(end));
    profile.title = title;
    profile.comments = {LevelText(*work.source)};
    for (const std::string& version : work.pipeline->runtimes().recognised()) {
      profile.comments.push_back(version);
    }
    // Naming may have taken long: what comes next is as long as was asked for.
    last = {now_ns, UnixNow(), counters.samples_lost};
    sink(std::move(profile));
    return absl::OkStatus();
  };
}

// What is said of the profile so far.
struct Runner::SoFar {
  std::string title, level, command_line;
  std::vector<std::string> changes;
  std::vector<std::string> runtimes;
  double cpu_s = 0;

  void Describe(Profile& profile) const {
    profile.title = title;
    profile.comments = {
        absl::StrFormat(
            "the first %.1f s of a recording that did not end: written while it went on",
            profile.duration_ns * 1e-9),
        VerdictText(profile, level, runtimes, cpu_s), SamplesText(profile.accounting),
        RateText(profile.accounting), command_line};
    profile.comments.insert(profile.comments.end(), changes.begin(), changes.end());
  }
};

Runner::Periodic Runner::CheckpointsOf() const {
  if (!options_.on_checkpoint) return nullptr;
  return [started_ns = started_ns_, started_unix_ns = started_unix_ns_, title = targets_.name(),
          command_line = options_.command_line, cpu_before_s = cpu_before_s_,
          symbolizer = options_.symbolizer,
          asked_hz = static_cast<double>(options_.frequency_hz)](Work& work,
                                                                 bool is_last) -> absl::Status {
    const uint64_t now_ns = MonotonicNow();
    if (is_last || work.stop) {
      if (is_last) work.checkpoints->Stop();
      return absl::OkStatus();
    }
    if (!work.checkpoints->IsDue(now_ns)) return absl::OkStatus();
    JPROF_ASSIGN_OR_RETURN(const jp_counters counters, work.source->ReadCounters());
    const RecordingEnd end = {
        .samples_lost = counters.samples_lost,
        .start_time_ns = started_unix_ns,
        .start_monotonic_ns = started_ns,
        .duration_ns = static_cast<int64_t>(now_ns - started_ns),
        .rate = {.asked_hz = asked_hz,
                 .granted_hz = static_cast<double>(work.source->frequency_hz()),
                 .counted_share = work.source->CountedShare()}};
    work.checkpoints->Begin(
        [&] { return work.pipeline->Draft(end); },
        [so_far = SoFar{title, LevelText(*work.source), command_line,
                        ChangesText(*work.source, started_ns),
                        work.pipeline->runtimes().recognised(),
                        CpuSeconds(symbolizer) - cpu_before_s}](
            Profile& profile) { so_far.Describe(profile); },
        now_ns);
    return absl::OkStatus();
  };
}

absl::Status Runner::NoSamples(int64_t duration_ns) const {
  // A busy thread may just have missed its first sample.
  constexpr int64_t kFewPeriods = 3;
  const bool too_short =
      duration_ns < kFewPeriods * (1'000'000'000 / static_cast<int64_t>(options_.frequency_hz));
  const std::string message =
      too_short
          ? absl::StrFormat("no samples: %s was recorded for %.3f s alone, too short for %d Hz",
                            targets_.name(), duration_ns * 1e-9, options_.frequency_hz)
          : absl::StrFormat("no samples: %s used no CPU time in %.1f s that a sample at %d Hz "
                            "would have met",
                            targets_.name(), duration_ns * 1e-9, options_.frequency_hz);
  return WithHint(absl::NotFoundError(message),
                  targets_.AreGone() ? "it exited; profile it while it runs"
                  : too_short    ? "profile longer (-d), or at a higher rate (-F)"
                                 : targets_.WhyIdle());
}

std::string Runner::Verdict(const Profile& profile) const {
  return VerdictText(profile, LevelText(*work_->source), work_->pipeline->runtimes().recognised(),
                     cpu_recording_s_);
}

std::vector<std::string> Runner::Warnings() const {
  if (given_up_) return {};  // all that could be told is still being worked on
  std::vector<std::string> warnings = WarningTexts(ShortcomingsOf(
      *work_->source, *work_->pipeline, started_ns_, options_.probe == nullptr));
  if (!access_warning_.empty()) warnings.insert(warnings.begin(), access_warning_);
  if (std::string trouble = files_ == nullptr ? "" : files_->Trouble(); !trouble.empty()) {
    warnings.push_back(std::move(trouble));
  }
  return warnings;
}

}  // namespace jprof
