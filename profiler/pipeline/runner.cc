#include "profiler/pipeline/runner.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/capture/live_source.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr int kDrainIntervalMs = 100;
constexpr size_t kMaxQueuedEvents = 1 << 17;

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

absl::StatusOr<UniqueFd> OpenFile(const MapEvent& map) {
  return OpenMappedFile(map.pid, Mapping{map.range, map.offset, map.file, map.path});
}

}  // namespace

// Batches from the reader to the pipeline. Bounded by dropping samples and their stacks,
// never by waiting; what tells of mappings and names is always kept.
class Runner::Queue {
 public:
  void Push(std::vector<Event> batch) {
    uint64_t samples = 0;
    for (const Event& e : batch) samples += std::holds_alternative<SampleEvent>(e);
    absl::MutexLock lock(&mutex_);
    if (queued_events_ + batch.size() > kMaxQueuedEvents) {
      // Stacks go with the samples: what refers to one later is counted as without a stack.
      std::erase_if(batch, [](const Event& e) {
        return std::holds_alternative<SampleEvent>(e) || std::holds_alternative<StackEvent>(e) ||
               std::holds_alternative<KernelStackEvent>(e);
      });
      batch.push_back(LostEvent{LostEvent::What::kSamples, samples});
    }
    queued_events_ += batch.size();
    batches_.push_back(std::move(batch));
  }
  void Close(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    status_ = std::move(status);
  }

  // False when nothing came within the time, or nothing will come any more.
  bool Pop(std::vector<Event>& batch, absl::Duration timeout) {
    auto ready = [this]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !batches_.empty() || closed_; };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout);
    if (batches_.empty()) return false;
    batch = std::move(batches_.front());
    queued_events_ -= batch.size();
    batches_.pop_front();
    return true;
  }
  absl::Status status() {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

  std::atomic<bool> stop{false};

 private:
  absl::Mutex mutex_;
  std::deque<std::vector<Event>> batches_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_events_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

Runner::Runner(const RecordingOptions& options)
    : options_(options), queue_(std::make_unique<Queue>()) {}

Runner::~Runner() = default;

absl::Status Runner::CheckTarget() {
  const Pid id = options_.pid != 0 ? options_.pid : options_.tid;
  if (id == 0) {
    target_name_ = "all processes";
    return absl::OkStatus();
  }
  const absl::string_view what = options_.pid != 0 ? "process" : "thread";
  absl::StatusOr<ProcStatus> status = ReadProcStatus(id);
  absl::StatusOr<ProcStat> stat = ReadProcStat(id);
  if (!status.ok() || !stat.ok()) {
    return WithHint(absl::NotFoundError(absl::StrCat("there is no ", what, " ", id)),
                    options_.pid != 0 ? "pgrep -a NAME lists the processes of a name"
                                      : "ls /proc/PID/task lists the threads of a process");
  }
  if (options_.pid != 0 && status->thread_group != id) {
    return WithHint(absl::NotFoundError(absl::StrCat(id, " is a thread of process ",
                                                     status->thread_group, ", not a process")),
                    absl::StrCat("use -t ", id, " for the thread, -p ", status->thread_group,
                                 " for the process"));
  }
  if (stat->dead()) {
    return absl::NotFoundError(
        absl::StrCat(what, " ", id, " has exited already and waits for its parent (zombie)"));
  }
  sample_pid_ = status->thread_group;
  if (sample_pid_ == ::getpid()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", id, " is jprof itself"));
  }
  target_name_ = absl::StrCat(stat->comm, " (", options_.pid != 0 ? "pid " : "tid ", id, ")");
  target_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, sample_pid_, 0)));
  if (!target_.valid()) {
    return ErrnoStatus(errno, absl::StrCat("cannot watch process ", sample_pid_));
  }
  return Annotate(CheckAccess(sample_pid_, options_.use_helpers),
                  absl::StrCat("cannot look into ", target_name_));
}

absl::StatusOr<std::unique_ptr<Runner>> Runner::Attach(const RecordingOptions& options,
                                                       const RuntimeSet& runtimes) {
  auto runner = std::unique_ptr<Runner>(new Runner(options));
  runner->cpu_before_s_ = CpuSeconds();
  JPROF_RETURN_IF_ERROR(runner->CheckTarget());
  auto source = LiveSource::Open(
      {.pid = runner->sample_pid_, .tid = options.tid, .frequency_hz = options.frequency_hz},
      runtimes.bpf_object);
  if (!source.ok()) {
    return Annotate(source.status(), absl::StrCat("cannot sample ", runner->target_name_));
  }
  runner->source_ = *std::move(source);
  PipelineWorld world = {
      .open_file = OpenFile,
      .read_maps = ReadProcMaps,
      .open_memory = [](Pid pid) { return std::make_unique<LiveMemory>(pid); },
      .open_perf_map = [](Pid pid) { return PerfMap::Open(pid); },
  };
  runner->pipeline_ = std::make_unique<Pipeline>(
      PipelineOptions{
          .only_pid = runner->sample_pid_,
          .use_helpers = options.use_helpers,
          .period_ns = static_cast<int64_t>(1'000'000'000 / options.frequency_hz),
      },
      runtimes, runner->source_->layouts(), std::move(world));
  JPROF_RETURN_IF_ERROR(runner->Seed());
  return runner;
}

absl::Status Runner::Seed() {
  std::vector<Pid> pids = {sample_pid_};
  if (sample_pid_ == 0) {
    JPROF_ASSIGN_OR_RETURN(pids, ListProcesses());
  }
  uint64_t unreadable = 0;
  for (Pid pid : pids) {
    absl::Status access =
        sample_pid_ == 0 ? CheckAccess(pid, options_.use_helpers) : absl::OkStatus();
    if (!access.ok() && ++unreadable == 1) {
      access_warning_ = absl::StrCat("such as ", pid, ": ", access.message(), "; ", HintOf(access));
    }
    auto events = SynthesizeProcessEvents(pid, MonotonicNow());
    if (!events.ok()) {
      if (sample_pid_ == 0) continue;  // one of many, gone meanwhile
      return Annotate(events.status(), absl::StrCat("cannot look into ", target_name_));
    }
    for (Event& event : *events) pipeline_->Handle(std::move(event));
  }
  if (unreadable != 0) {
    access_warning_ = absl::StrCat(unreadable, " of ", pids.size(),
                                   " processes cannot be looked into, ", access_warning_);
  }
  return absl::OkStatus();
}

bool Runner::TargetIsGone() const {
  if (!target_.valid()) return false;
  pollfd fd = {target_.get(), POLLIN, 0};
  if (::poll(&fd, 1, 0) > 0) return true;
  return options_.tid != 0 && ::syscall(SYS_tgkill, sample_pid_, options_.tid, 0) != 0 &&
         errno == ESRCH;
}

void Runner::ReadRings() {
  absl::Status status;
  for (bool last = false; !last && status.ok();) {
    source_->Wait(kDrainIntervalMs);
    last = queue_->stop.load();
    std::vector<Event> batch;
    status = source_->Drain(batch, last);
    if (!batch.empty()) queue_->Push(std::move(batch));
  }
  queue_->Close(status);
}

absl::StatusOr<Runner::Ended> Runner::Record(
    const std::function<bool(const RecordingProgress&)>& go_on) {
  started_ns_ = MonotonicNow();
  started_unix_ns_ = UnixNow();
  JPROF_RETURN_IF_ERROR(source_->Start());
  std::thread reader(&Runner::ReadRings, this);

  Ended ended = Ended::kTime;
  std::vector<Event> batch;
  for (;;) {
    const uint64_t now = MonotonicNow();
    const int64_t elapsed = static_cast<int64_t>(now - started_ns_);
    if (options_.duration_ns != 0 && elapsed >= options_.duration_ns) break;
    if (TargetIsGone()) {
      ended = Ended::kTargetExited;
      break;
    }
    if (!go_on({elapsed, pipeline_->samples()})) {
      ended = Ended::kStopped;
      break;
    }
    int64_t wait_ns = int64_t{kDrainIntervalMs} * 1'000'000;
    if (options_.duration_ns != 0) wait_ns = std::min(wait_ns, options_.duration_ns - elapsed);
    if (queue_->Pop(batch, absl::Nanoseconds(wait_ns))) {
      for (Event& event : batch) pipeline_->Handle(std::move(event));
      batch.clear();
    } else if (!queue_->status().ok()) {
      break;
    }
  }
  absl::Status stopped = source_->Stop();
  stopped_ns_ = MonotonicNow();
  queue_->stop = true;
  source_->Wake();
  reader.join();
  while (queue_->Pop(batch, absl::ZeroDuration())) {
    for (Event& event : batch) pipeline_->Handle(std::move(event));
  }
  cpu_recording_s_ = CpuSeconds() - cpu_before_s_;
  JPROF_RETURN_IF_ERROR(queue_->status());
  JPROF_RETURN_IF_ERROR(stopped);
  return ended;
}

absl::StatusOr<Profile> Runner::Finish() {
  JPROF_ASSIGN_OR_RETURN(jp_counters counters, source_->ReadCounters());
  RecordingEnd end = {
      .samples_taken = counters.samples,
      .samples_lost = counters.samples_lost,
      .start_time_ns = started_unix_ns_,
      .start_monotonic_ns = started_ns_,
      .duration_ns = static_cast<int64_t>(stopped_ns_ - started_ns_),
  };
  JPROF_ASSIGN_OR_RETURN(Profile profile, pipeline_->Finish(end));
  if (profile.samples.empty()) {
    const double seconds = end.duration_ns * 1e-9;
    return WithHint(
        absl::NotFoundError(absl::StrFormat("no samples: %s used no CPU time in %.1f s that a "
                                            "sample at %d Hz would have met",
                                            target_name_, seconds, options_.frequency_hz)),
        TargetIsGone() ? "it exited; profile it while it runs"
                       : "it sleeps or is stopped; profile longer (-d) or at a higher rate (-F)");
  }
  profile.title = target_name_;
  profile.comments = {Verdict(profile), options_.command_line};
  return profile;
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
      absl::StrCat("level kernel (", source_->hardware() ? "cycles" : "cpu-clock", ")"),
  };
  for (const std::string& version : pipeline_->runtimes().recognised()) parts.push_back(version);
  parts.push_back(absl::StrFormat("own CPU %.2f s (%.2f %%)", cpu_recording_s_,
                                  seconds == 0 ? 0.0 : 100 * cpu_recording_s_ / seconds));
  return absl::StrJoin(parts, ", ");
}

std::vector<std::string> Runner::Warnings() const {
  std::vector<std::string> warnings;
  if (!access_warning_.empty()) warnings.push_back(access_warning_);
  for (const std::string& rejected : pipeline_->runtimes().rejected()) {
    warnings.push_back(absl::StrCat(
        rejected, ": its functions are named by /tmp/perf-PID.map alone, if there is one"));
  }
  constexpr size_t kPerfMapsNamed = 3;
  const std::vector<std::string> troubles = pipeline_->PerfMapTroubles();
  for (size_t i = 0; i < std::min(troubles.size(), kPerfMapsNamed); ++i) {
    warnings.push_back(absl::StrCat("perf map of ", troubles[i]));
  }
  auto warn = [&warnings](uint64_t count, absl::string_view what) {
    if (count != 0) warnings.push_back(absl::StrCat(count, " ", what));
  };
  warn(troubles.size() - std::min(troubles.size(), kPerfMapsNamed),
       "more perf maps are not used, or not in full");
  warn(pipeline_->accounting().sideband_lost,
       "records of mappings, execs and exits lost: frames mapped meanwhile may be unnamed");
  warn(source_->damaged_records(), "records of mappings, execs and exits damaged");
  warn(pipeline_->unopened_images(), "mapped files could not be opened: their frames are unnamed");
  warn(pipeline_->symbols_dropped(), "function names could not be read");
  if (absl::StatusOr<jp_counters> counters = source_->ReadCounters(); counters.ok()) {
    warn(counters->symbols_lost, "function names found no room in the ring");
  }
  return warnings;
}

}  // namespace jprof
