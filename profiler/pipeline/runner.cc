#include "profiler/pipeline/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/capture/priority.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/event_queue.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/pipeline/target_task.h"
#include "profiler/process/cpu_time.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr int kDrainIntervalMs = 100;
// Processes that execute something new have no names until we have heard of it.
constexpr int kDrainIntervalOfCommandMs = 20;
// Behind a sample in a file that is not known yet.
constexpr int kHasteMs = LiveSource::kSortMarginNs / 1'000'000 + 2;
constexpr size_t kTargetsNamed = 3;
// Of files with call-frame tables.
constexpr uint32_t kMappingsOfOne = 1 << 14;
constexpr uint32_t kMappingsOfAll = 1 << 17;
// Call-frame tables that are made before the first sample.
constexpr uint64_t kFirstTablesNs = 1'000'000'000;
// Of all processes, most of those that start end before.
constexpr uint64_t kSettleNs = 200'000'000;

double CpuSeconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t UnixNow() {
  timespec t;
  ::clock_gettime(CLOCK_REALTIME, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Of the descriptors that are not in use yet. The rest is for perf maps, two each, and for what is read in
// passing.
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
  absl::Status snapshot_status;  // of the pipeline's thread

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

  void HandleEvents(int niceness, const TakeSnapshot& snapshot) {
    handler.Begin();
    const int niceness_in_haste = Niceness();
    bool in_haste = true;
    std::vector<Event> batch;
    auto wait = [this, &snapshot] {
      return pipeline->HasTablesToMake() ? absl::ZeroDuration()
             : pipeline->HasPending() || snapshot ? absl::Milliseconds(kDrainIntervalMs)
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
      if (snapshot) snapshot_status.Update(snapshot(*this, false));
      if (!snapshot_status.ok()) break;  // which ends the recording, and is told
    }
    if (snapshot && snapshot_status.ok()) snapshot_status.Update(snapshot(*this, true));
    handler.End();
  }
};

Runner::Runner(const RecordingOptions& options)
    : options_(options), work_(std::make_unique<Work>()) {}

BpfProbe* Runner::probe() { return work_->source->probe(); }

Runner::~Runner() {
  StopReading();
  if (given_up_) static_cast<void>(work_.release());  // leaked on purpose
}

absl::Status Runner::GiveUp() {
  given_up_ = true;
  return WithHint(
      absl::DeadlineExceededError(absl::StrCat(
          target_name_, ": its files or memory do not answer; given up after 10 s without any")),
      "look for a network or FUSE file system that hangs, or a userfaultfd: /proc/PID/maps");
}

absl::Status Runner::Await(std::function<void(Work&)> work) {
  TargetTask task([work = std::move(work), shared = work_.get()] { work(*shared); });
  return task.WaitWhileItWorks(absl::Seconds(10), [this] { return CpuTimeOfWorkNs(); })
             ? absl::OkStatus()
             : GiveUp();
}

void Runner::StartReading() { reader_ = std::thread(&Work::ReadRings, work_.get()); }

void Runner::StopReading() {
  if (!reader_.joinable()) return;
  work_->stop = true;
  work_->source->Wake();
  work_->handler.LendPriority();
  reader_.join();
}

int64_t Runner::CpuTimeOfWorkNs() {
  int64_t reader_ns = 0;
  clockid_t clock;
  timespec t;
  if (reader_.joinable() && ::pthread_getcpuclockid(reader_.native_handle(), &clock) == 0 &&
      ::clock_gettime(clock, &t) == 0) {
    reader_ns = int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }
  // Files are read for their names in other processes, whose time we do not see, but their messages.
  constexpr int64_t kOneStepNs = 1'000'000;
  const uint64_t steps = options_.symbolizer == nullptr ? 0 : options_.symbolizer->progress();
  return CpuTimeOfOthersNs() - reader_ns + static_cast<int64_t>(steps) * kOneStepNs;
}

absl::Status Runner::CheckTargets() {
  std::vector<Pid> ids = options_.pids;
  if (options_.tid != 0) ids = {options_.tid};
  if (ids.empty()) target_name_ = "all processes";
  if (!options_.cgroup.empty()) {
    absl::StatusOr<Cgroup> cgroup = FindCgroup(options_.cgroup);
    if (!cgroup.ok()) {
      return WithHint(Annotate(cgroup.status(), "--cgroup"),
                      "cat /proc/PID/cgroup tells that of a process; systemd-cgls lists all");
    }
    cgroup_ = *std::move(cgroup);
    const absl::string_view container = ContainerId(cgroup_->path);
    target_name_ = container.empty() ? absl::StrCat("cgroup ", cgroup_->path)
                                     : absl::StrCat("container ", container.substr(0, 12));
  }
  if (!options_.comm.empty()) {
    if (ids.empty() && !cgroup_) target_name_ = "all processes and threads";
    absl::StrAppend(&target_name_, target_name_.empty() ? "" : " ", "named ", options_.comm);
  }
  for (Pid id : ids) JPROF_RETURN_IF_ERROR(CheckTarget(id));
  if (ids.size() > kTargetsNamed) {
    absl::StrAppend(&target_name_, " and ", ids.size() - kTargetsNamed, " more");
  }
  return absl::OkStatus();
}

absl::Status Runner::CheckTarget(Pid id) {
  const bool is_process = options_.tid == 0;
  const absl::string_view what = is_process ? "process" : "thread";
  absl::StatusOr<ProcStatus> status = ReadProcStatus(id);
  absl::StatusOr<ProcStat> stat = ReadProcStat(id);
  if (!status.ok() || !stat.ok()) {
    if (!ReadProcStat(::getpid()).ok()) {
      return WithHint(absl::FailedPreconditionError("/proc does not show even jprof's own process"),
                      "mount -t proc proc /proc");
    }
    return WithHint(absl::NotFoundError(absl::StrCat("there is no ", what, " ", id)),
                    is_process ? "pgrep -a NAME lists the processes of a name"
                                      : "ls /proc/PID/task lists the threads of a process");
  }
  if (is_process && status->thread_group != id) {
    return WithHint(absl::NotFoundError(absl::StrCat(id, " is a thread of process ",
                                                     status->thread_group, ", not a process")),
                    absl::StrCat("use -t ", id, " for the thread, -p ", status->thread_group,
                                 " for the process"));
  }
  if (stat->dead()) {
    return absl::NotFoundError(
        absl::StrCat(what, " ", id, " has exited already and waits for its parent (zombie)"));
  }
  const Pid pid = status->thread_group;
  if (pid == ::getpid()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", id, " is jprof itself"));
  }
  const std::string name =
      absl::StrCat(options_.command_name.empty() ? stat->comm : options_.command_name, " (",
                   stat->kernel_thread ? "a thread of the kernel, " : "", is_process ? "pid " : "tid ",
                   id, ")");
  pids_.push_back(pid);
  if (pids_.size() <= kTargetsNamed) {
    absl::StrAppend(&target_name_, target_name_.empty() ? "" : ", ", name);
  }
  targets_.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!targets_.back().valid()) {
    return ErrnoStatus(errno, absl::StrCat("cannot watch process ", pid));
  }
  return Annotate(CheckAccess(pid, options_.use_helpers),
                  absl::StrCat("cannot look into ", name));
}

absl::StatusOr<std::unique_ptr<Runner>> Runner::Attach(const RecordingOptions& options,
                                                       const RuntimeSet& runtimes) {
  auto runner = std::unique_ptr<Runner>(new Runner(options));
  runner->cpu_before_s_ = CpuSeconds();
  JPROF_RETURN_IF_ERROR(runner->CheckTargets());
  const bool one = runner->pids_.size() == 1 && !runner->OfSome();
  const Pid only_pid = one ? runner->pids_[0] : 0;
  const uint32_t mappings = one ? kMappingsOfOne : kMappingsOfAll;
  auto source = LiveSource::Open(
      {.level = options.level,
       .pid = only_pid,
       .tid = options.tid,
       .selected = runner->OfSome(),
       .children = options.children,
       .cgroup_fd = runner->cgroup_ ? runner->cgroup_->directory.get() : -1,
       .comm = options.comm,
       .frequency_hz = options.frequency_hz,
       .mappings = mappings,
       .probe = options.probe},
      runtimes);
  if (!source.ok()) {
    return Annotate(source.status(), absl::StrCat("cannot sample ", runner->target_name_));
  }
  runner->work_->source = *std::move(source);
  if (!options.command_name.empty()) runner->work_->drain_interval_ms = kDrainIntervalOfCommandMs;
  absl::StatusOr<UnwindCache> cache = UnwindCache::Open(UnwindCache::DefaultDirectory());
  if (cache.ok()) runner->work_->cache = *std::move(cache);
  PipelineWorld world = {
      .open_file = OpenFile,
      .open_file_through = OpenFileThrough,
      .read_maps = ReadProcMaps,
      .describe = SynthesizeProcessEvents,
      .read_cgroup = ReadCgroup,
      .open_memory = [](Pid pid) { return std::make_unique<LiveMemory>(pid); },
      .open_perf_map = [](Pid pid) { return PerfMap::Open(pid); },
      .open_jit_dump = JitDump::Open,
      .open_root = OpenRootOf,
      .symbolize = options.symbolizer == nullptr
                       ? SymbolizeFunction()
                       : [symbolizer = options.symbolizer](std::vector<ImageQuery>& queries,
                                                           int threads, DebugFileFinder* finder) {
                           symbolizer->Symbolize(queries, threads, finder);
                         },
      .now = MonotonicNow,
  };
  JPROF_ASSIGN_OR_RETURN(std::optional<SourceMaps::Options> source_maps,
                         OpenSourceMaps(options.source_maps, world));
  if (options.symbolizer != nullptr) {
    world.read_source_maps = [symbolizer = options.symbolizer](
                                 std::vector<SourceMapQuery>& queries) {
      symbolizer->ReadSourceMaps(queries);
    };
  }
  runner->work_->pipeline = std::make_unique<Pipeline>(
      PipelineOptions{
          .only_pid = only_pid,
          .use_helpers = options.use_helpers,
          .tiers = options.tiers,
          .async = options.async,
          .inlines = options.inlines,
          .lines = options.lines,
          .source_maps = source_maps,
          .period_ns = static_cast<int64_t>(1'000'000'000 / runner->work_->source->frequency_hz()),
          .max_pinned_files = MaxPinnedFiles(),
          .live = options.snapshot_ns != 0,
          .unwind_sink = &runner->work_->source->tables(),
          .unwind_limits = {.mappings = mappings, .settle_ns = one ? 0 : kSettleNs},
          .unwind_cache = cache.ok() ? &*runner->work_->cache : nullptr,
      },
      runtimes, runner->work_->source->layouts(), std::move(world));
  if (runner->OfSome()) JPROF_RETURN_IF_ERROR(runner->Select());
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
Seeded SeedPipeline(Pipeline& pipeline, const std::vector<Pid>& pids, bool one,
                    bool use_helpers) {
  uint64_t unreadable = 0;
  std::string first;
  for (Pid pid : pids) {
    absl::Status access = one ? absl::OkStatus() : CheckAccess(pid, use_helpers);
    if (!access.ok() && ++unreadable == 1) {
      first = absl::StrCat("such as ", pid, ": ", access.message(), "; ", HintOf(access));
    }
    auto events = SynthesizeProcessEvents(pid, MonotonicNow());
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

// Forks are told of since the source was opened, so whoever comes during this is met twice at most.
absl::Status Runner::Select() {
  JPROF_ASSIGN_OR_RETURN(std::vector<Pid> all, ListProcesses());
  absl::flat_hash_set<Pid> selected(pids_.begin(), pids_.end());
  if (options_.children) {
    absl::flat_hash_map<Pid, std::vector<Pid>> children;
    for (Pid pid : all) {
      if (absl::StatusOr<ProcStat> stat = ReadProcStat(pid); stat.ok()) {
        children[stat->parent].push_back(pid);
      }
    }
    for (size_t i = 0; i < pids_.size(); ++i) {
      for (Pid child : children[pids_[i]]) {
        if (child != ::getpid() && selected.insert(child).second) pids_.push_back(child);
      }
    }
  }
  std::erase_if(all, [&selected](Pid pid) { return selected.contains(pid); });
  return work_->source->Select(pids_, all);
}

absl::Status Runner::Seed() {
  // Not of ours: see Work.
  auto seeded = std::make_shared<Seeded>();
  std::vector<Pid> pids = pids_;
  if (cgroup_) {
    pids = ListCgroup(*cgroup_);
  } else if (pids.empty()) {
    JPROF_ASSIGN_OR_RETURN(pids, ListProcesses());
  }
  std::erase(pids, ::getpid());
  const bool one = pids_.size() == 1;
  JPROF_RETURN_IF_ERROR(Await(
      [seeded, pids = std::move(pids), one, use_helpers = options_.use_helpers](Work& work) {
        *seeded = SeedPipeline(*work.pipeline, pids, one, use_helpers);
      }));
  access_warning_ = std::move(seeded->warning);
  return Annotate(seeded->status, absl::StrCat("cannot look into ", target_name_));
}

bool Runner::TargetsAreGone() const {
  if (targets_.empty()) return false;
  if (options_.tid != 0 && ::syscall(SYS_tgkill, pids_[0], options_.tid, 0) != 0 &&
      errno == ESRCH) {
    return true;
  }
  return std::all_of(targets_.begin(), targets_.end(), [](const UniqueFd& target) {
    pollfd fd = {target.get(), POLLIN, 0};
    return ::poll(&fd, 1, 0) > 0;
  });
}

std::optional<uint64_t> Runner::CpuTimeOfTargets() const {
  auto known = [](const absl::StatusOr<uint64_t>& ns) {
    return ns.ok() ? std::optional(*ns) : std::nullopt;
  };
  const RingSampler* ring = work_->source->ring();
  // Of processes that start and end meanwhile nobody knows, nor of threads by their names, nor of user
  // code alone; and the hits of a probe have no rate.
  if (options_.probe != nullptr || options_.children || !options_.comm.empty() || (ring != nullptr && !ring->kernel_too())) {
    return std::nullopt;
  }
  if (options_.tid != 0) return known(CpuTimeOfThread(pids_[0], options_.tid));
  if (cgroup_) return pids_.empty() ? known(CpuTimeOfCgroup(*cgroup_)) : std::nullopt;
  if (pids_.empty()) return known(CpuTimeOfHost());
  uint64_t sum = 0;
  for (Pid pid : pids_) {
    const absl::StatusOr<uint64_t> ns = CpuTimeOfProcess(pid);
    if (!ns.ok()) return std::nullopt;
    sum += *ns;
  }
  return sum;
}

absl::StatusOr<Runner::Ended> Runner::Record(
    const std::function<bool(const RecordingProgress&)>& go_on) {
  Work& work = *work_;
  started_ns_ = MonotonicNow();
  started_unix_ns_ = UnixNow();
  JPROF_RETURN_IF_ERROR(work.source->Start());
  target_cpu_before_ns_ = target_cpu_after_ns_ = CpuTimeOfTargets();
  TargetTask handler([&work, niceness = options_.niceness, snapshot = Snapshots()] {
    work.HandleEvents(niceness, snapshot);
  });

  Ended ended = Ended::kTime;
  for (;;) {
    const uint64_t now = MonotonicNow();
    const int64_t elapsed = static_cast<int64_t>(now - started_ns_);
    if (options_.duration_ns != 0 && elapsed >= options_.duration_ns) break;
    if (TargetsAreGone()) {
      ended = Ended::kTargetExited;
      break;
    }
    // One that exits cannot be asked at the end.
    if (pids_.size() == 1) target_cpu_after_ns_ = CpuTimeOfTargets();
    if (!go_on({elapsed, work.samples})) {
      ended = Ended::kStopped;
      break;
    }
    int64_t wait_ns = int64_t{kDrainIntervalMs} * 1'000'000;
    if (options_.duration_ns != 0) wait_ns = std::min(wait_ns, options_.duration_ns - elapsed);
    if (options_.snapshot_ns != 0) wait_ns = 0;
    if (handler.WaitFor(absl::Nanoseconds(wait_ns))) break;  // the rings cannot be read any more
  }
  absl::Status stopped = work.source->Stop();
  stopped_ns_ = MonotonicNow();
  if (ended != Ended::kTargetExited) target_cpu_after_ns_ = CpuTimeOfTargets();
  max_rate_hz_ = MaxSampleRate().value_or(0);
  StopReading();
  if (!handler.WaitWhileItWorks(absl::Seconds(10), [this] { return CpuTimeOfWorkNs(); })) {
    return GiveUp();
  }
  cpu_recording_s_ = CpuSeconds() - cpu_before_s_;
  JPROF_RETURN_IF_ERROR(work.queue.status());
  JPROF_RETURN_IF_ERROR(work.snapshot_status);
  JPROF_RETURN_IF_ERROR(stopped);
  return ended;
}

namespace {

// Fewer samples say nothing of the rate.
constexpr double kFewSamples = 30;
constexpr double kMuchLess = 0.9;

double ExpectedSamples(const SamplingRate& rate) {
  return rate.granted_hz * static_cast<double>(rate.target_cpu_ns) * 1e-9;
}

std::string RateText(const Accounting& a) {
  const SamplingRate& rate = a.rate;
  std::string text = absl::StrFormat("rate: %g Hz asked, %g granted", rate.asked_hz, rate.granted_hz);
  if (rate.target_cpu_ns != 0) {
    absl::StrAppendFormat(&text, ", %.1f achieved: %d samples taken in %.3f s of the targets' CPU time",
                          rate.AchievedHz(a.taken), a.taken, rate.target_cpu_ns * 1e-9);
  }
  absl::StrAppendFormat(&text, "; throttled %d times, for %.3f s of all CPUs", rate.throttled_times,
                        rate.throttled_ns * 1e-9);
  return text;
}

// "99 Hz"; "98.7 of 99 Hz"; "949.2 of 1000 Hz, 5000 asked".
std::string ShortRate(const Accounting& a) {
  const SamplingRate& rate = a.rate;
  std::string text = absl::StrFormat("%g Hz", rate.granted_hz);
  if (ExpectedSamples(rate) >= kFewSamples) {
    text = absl::StrFormat("%.1f of %s", rate.AchievedHz(a.taken), text);
  }
  if (rate.granted_hz != rate.asked_hz) absl::StrAppendFormat(&text, ", %g asked", rate.asked_hz);
  return text;
}

void WarnOfRate(const Accounting& a, std::vector<std::string>& warnings) {
  const SamplingRate& rate = a.rate;
  if (rate.granted_hz < rate.asked_hz) {
    warnings.push_back(absl::StrFormat(
        "%g Hz asked; sampled at %g Hz, which kernel.perf_event_max_sample_rate allows",
        rate.asked_hz, rate.granted_hz));
  }
  if (rate.lowered_to_hz != 0) {
    warnings.push_back(absl::StrFormat(
        "the kernel lowered kernel.perf_event_max_sample_rate to %g while it was sampled at %g Hz: "
        "samples are missing; a lower -F takes them all",
        rate.lowered_to_hz, rate.granted_hz));
  }
  if (rate.throttled_times != 0) {
    warnings.push_back(absl::StrFormat(
        "the kernel stopped the sampling %d times, for %.3f s of all CPUs together",
        rate.throttled_times, rate.throttled_ns * 1e-9));
  }
  const double expected = ExpectedSamples(rate);
  if (expected >= 10 * kFewSamples && static_cast<double>(a.taken) < kMuchLess * expected) {
    warnings.push_back(absl::StrFormat(
        "%d samples where the targets' CPU time of %.1f s at %g Hz makes %.0f: the others did not "
        "happen (the sampling was throttled, the virtual machine stood still, or another BPF program "
        "ran)",
        a.taken, rate.target_cpu_ns * 1e-9, rate.granted_hz, expected));
  }
}

// "" when none was lost.
// `cure`: what would lose none; "": nothing that the user could do.
std::string LossText(const Accounting& a, absl::string_view cure) {
  if (a.taken == a.kept) return "";
  std::vector<std::string> reasons;
  auto add = [&reasons](uint64_t count, absl::string_view why) {
    if (count != 0) reasons.push_back(absl::StrCat(count, " ", why));
  };
  add(a.dropped_ring_full, "found no room in the ring");
  add(a.dropped_queue_full, "came faster than they could be named");
  add(a.dropped_no_stack, "came without their stack");
  return absl::StrCat(a.taken - a.kept, " of ", a.taken, " samples lost: ",
                      absl::StrJoin(reasons, ", "), cure.empty() ? "" : "; ", cure);
}

}  // namespace

SamplingRate Runner::Rate() const {
  const LiveSource& source = *work_->source;
  SamplingRate rate = {.asked_hz = static_cast<double>(options_.frequency_hz),
                       .granted_hz = static_cast<double>(source.frequency_hz()),
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
  profile.title = target_name_;
  const Accounting& a = profile.accounting;
  profile.comments = {
      Verdict(profile),
      absl::StrCat("samples: ", a.taken, " taken = ", a.kept, " kept + ", a.dropped_ring_full,
                   " without room in the ring + ", a.dropped_no_stack, " without their stack + ",
                   a.dropped_queue_full, " the reader was late for"),
      RateText(a), options_.command_line};
  if (work_->source->ring() != nullptr) {
    profile.comments.insert(profile.comments.begin() + 1, RingQuality());
  }
  return profile;
}

namespace {

std::string LevelText(const LiveSource& source) {
  if (source.ring() == nullptr) {
    return absl::StrCat("level kernel (", source.hardware() ? "cycles" : "cpu-clock", ")");
  }
  return source.ring()->kernel_too() ? "level ring (cpu-clock)"
                                     : "level ring (cpu-clock of user code, nothing of the kernel)";
}

}  // namespace

Runner::TakeSnapshot Runner::Snapshots() const {
  if (options_.snapshot_ns == 0) return nullptr;
  struct Last {
    uint64_t time_ns;
    int64_t unix_ns;
    uint64_t samples_lost = 0;
  };
  return [last = Last{started_ns_, started_unix_ns_}, title = target_name_,
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

absl::Status Runner::NoSamples(int64_t duration_ns) const {
  // A busy thread may just have missed its first sample.
  constexpr int64_t kFewPeriods = 3;
  const bool too_short =
      duration_ns < kFewPeriods * (1'000'000'000 / static_cast<int64_t>(options_.frequency_hz));
  const std::string message =
      too_short
          ? absl::StrFormat("no samples: %s was recorded for %.3f s alone, too short for %d Hz",
                            target_name_, duration_ns * 1e-9, options_.frequency_hz)
          : absl::StrFormat("no samples: %s used no CPU time in %.1f s that a sample at %d Hz "
                            "would have met",
                            target_name_, duration_ns * 1e-9, options_.frequency_hz);
  return WithHint(absl::NotFoundError(message),
                  TargetsAreGone() ? "it exited; profile it while it runs"
                  : too_short    ? "profile longer (-d), or at a higher rate (-F)"
                                 : "it sleeps or is stopped; profile longer (-d) or at a higher "
                                   "rate (-F)");
}

std::string Runner::RingQuality() const {
  RingSampler::Quality q = work_->source->ring()->quality();
  auto delay_ms = [&q](size_t percent) {
    if (q.delays_us.empty()) return 0.0;
    auto at = q.delays_us.begin() + static_cast<ptrdiff_t>((q.delays_us.size() - 1) * percent / 100);
    std::nth_element(q.delays_us.begin(), at, q.delays_us.end());
    return *at * 1e-3;
  };
  return absl::StrFormat(
      "level ring: stacks of the instant, up to %d KiB, their functions read after it: 50 %% within "
      "%.2f ms, 99 %% within %.2f ms; %d samples read too late for names; %d stacks reach beyond the "
      "copy, %d of them changed before they were read, and are cut",
      work_->source->ring()->stack_bytes() >> 10, delay_ms(50), delay_ms(99), q.late, q.beyond,
      q.cut);
}

std::string Runner::Verdict(const Profile& profile) const {
  const Accounting& a = profile.accounting;
  auto percent = [](uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  const double seconds = profile.duration_ns * 1e-9;
  std::vector<std::string> parts = {
      absl::StrFormat("%d samples in %.1f s", a.kept, seconds),
      absl::StrFormat("%d lost", a.taken - a.kept),
      absl::StrFormat("%.1f %% rooted", percent(a.rooted, a.kept)),
      absl::StrFormat("%.1f %% of frames unnamed", percent(a.frames_unnamed, a.frames)),
      ShortRate(a),
      LevelText(*work_->source),
  };
  for (const std::string& version : work_->pipeline->runtimes().recognised()) {
    parts.push_back(version);
  }
  parts.push_back(absl::StrFormat("own CPU %.2f s (%.2f %%)", cpu_recording_s_,
                                  seconds == 0 ? 0.0 : 100 * cpu_recording_s_ / seconds));
  return absl::StrJoin(parts, ", ");
}

std::vector<std::string> Runner::Warnings() const {
  std::vector<std::string> warnings;
  if (given_up_) return warnings;  // all that could be told is still being worked on
  if (!access_warning_.empty()) warnings.push_back(access_warning_);
  if (const absl::Status& kernel = work_->source->kernel_level(); !kernel.ok()) {
    warnings.push_back(absl::StrCat(
        "level ring, ", work_->source->ring()->kernel_too() ? "" : "without the kernel's part, ",
        "since ", kernel.message(), HintOf(kernel).empty() ? "" : "; ", HintOf(kernel)));
  }
  const RuntimeTable& runtimes = work_->pipeline->runtimes();
  for (const std::string& rejected : runtimes.rejected()) {
    warnings.push_back(absl::StrCat(
        rejected, ": its functions are named by a jitdump or /tmp/perf-PID.map alone, if there is one"));
  }
  constexpr size_t kPerfMapsNamed = 3;
  const std::vector<std::string> troubles = work_->pipeline->PerfMapTroubles();
  for (size_t i = 0; i < std::min(troubles.size(), kPerfMapsNamed); ++i) {
    warnings.push_back(absl::StrCat("perf map of ", troubles[i]));
  }
  const std::vector<std::string> dump_troubles = work_->pipeline->JitDumpTroubles();
  for (size_t i = 0; i < std::min(dump_troubles.size(), kPerfMapsNamed); ++i) {
    warnings.push_back(absl::StrCat("jitdump of ", dump_troubles[i]));
  }
  auto warn = [&warnings](uint64_t count, absl::string_view what) {
    if (count != 0) warnings.push_back(absl::StrCat(count, " ", what));
  };
  warn(troubles.size() - std::min(troubles.size(), kPerfMapsNamed),
       "more perf maps are not used, or not in full");
  warn(dump_troubles.size() - std::min(dump_troubles.size(), kPerfMapsNamed),
       "more jitdumps are not used, or not in full");
  const Accounting& a = work_->pipeline->accounting();
  if (const std::string loss = LossText(a, options_.probe != nullptr ? "" : "a lower -F loses none");
      !loss.empty()) warnings.push_back(loss);
  WarnOfRate(a, warnings);
  warn(a.sideband_lost,
       "records of mappings, execs and exits lost: frames mapped meanwhile may be unnamed");
  warn(work_->source->damaged_records(), "records of mappings, execs and exits damaged");
  warn(work_->pipeline->unopened_images(),
       "mapped files could not be opened: their frames are unnamed");
  warn(work_->pipeline->images_over_limit(),
       "mapped files are more than may be kept open (ulimit -n): their frames are unnamed");
  for (const std::string& trouble : work_->pipeline->symbol_troubles()) {
    warnings.push_back(trouble);
  }
  warn(work_->pipeline->symbols_dropped(), "function names could not be read");
  warn(runtimes.processes_without_room(),
       "processes found no room in the kernel: their functions have no names");
  warn(runtimes.ranges_without_room(),
       "small ranges of code found no room in the kernel: their functions have no names");
  if (const UnwindTables* tables = work_->pipeline->unwind_tables()) {
    warn(tables->tables_without_room(),
         "call-frame tables are too large or found no room: that code is walked by frame pointers");
    warn(tables->processes_without_room(),
         "processes have more mappings than there was room for: walked by frame pointers");
  }
  const KeptSamples& kept = work_->pipeline->kept_samples();
  if (kept.time_step_ns() != 0) {
    warnings.push_back(absl::StrFormat(
        "more samples than are kept one by one: times are exact to %g s%s", kept.time_step_ns() * 1e-9,
        kept.processes_by_name() ? ", threads and processes are told apart by name alone"
        : kept.threads_by_name() ? ", threads of a process by name alone"
                                 : ""));
  }
  warn(a.left_out,
       "samples are of more functions and stacks than are kept: shown as [left out]");
  if (absl::StatusOr<jp_counters> counters = work_->source->ReadCounters(); counters.ok()) {
    warn(counters->symbols_lost, "function names found no room in the ring");
  }
  return warnings;
}

}  // namespace jprof
