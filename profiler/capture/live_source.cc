#include "profiler/capture/live_source.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <future>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "profiler/capture/priority.h"
#include "profiler/capture/record_parser.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// At the least between two wake-ups by samples.
constexpr int kWishIntervalMs = 10;
// For five seconds in which the reader does not run, of samples and some new stacks among them.
constexpr uint64_t kRingBytesPerHz = 512;  // and CPU
constexpr uint64_t kLeastRingBytes = 4 << 20;
constexpr uint64_t kMostRingBytes = 32 << 20;

uint32_t RingBytes(uint64_t hz, size_t cpus) {
  const uint64_t wanted = std::min(hz * cpus * kRingBytesPerHz, kMostRingBytes);
  return static_cast<uint32_t>(std::bit_ceil(std::max(wanted, kLeastRingBytes)));
}

// The first version of the kernel's struct sched_attr, whose header goes with no other.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // ns: the slice
  uint64_t deadline = 0;
  uint64_t period = 0;
};

// The calling thread runs for short, and asks to run soon: a scheduler that knows slices
// (Linux 6.12) lets it go first when it wakes up. It takes no privilege; others refuse or ignore
// it.
void AskForPromptness() {
  SchedulingAttributes attr;
  attr.nice = Niceness();
  attr.runtime = 100'000;  // the shortest there is
  ::syscall(SYS_sched_setattr, 0, &attr, 0);
}

}  // namespace

absl::Status LiveSource::OpenKernelLevel(const Options& options, const RuntimeSet& runtimes) {
  cpus_ = std::make_unique<CpuEvents>(CpuEvents::Options{.frequency_hz = frequency_hz_,
                                                         .sampling = options.probe == nullptr,
                                                         .online = options.online_cpus});
  JPROF_RETURN_IF_ERROR(cpus_->Open());
  // Beside the loading, which takes longer.
  std::future<bool> fires;
  if (options.probe == nullptr) {
    fires = std::async(std::launch::async, options.event_fires, cpus_->source(), cpus_->hardware());
  }
  const uint32_t ring_bytes =
      options.ring_bytes != 0 ? options.ring_bytes : RingBytes(frequency_hz_, cpus_->count());
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<BpfSampler> sampler,
                         BpfSampler::Load(runtimes.bpf_object, {.only_pid = options.pid,
                                                                .only_tid = options.tid,
                                                                .skip_foreign = options.selected,
                                                                .cgroup_fd = options.cgroup_fd,
                                                                .comm = options.comm,
                                                                .ring_bytes = ring_bytes,
                                                                .mappings = options.mappings,
                                                                .probe = options.probe}));
  JPROF_RETURN_IF_ERROR(ReplaceSilentEvents(options, !fires.valid() || fires.get()));
  JPROF_RETURN_IF_ERROR(
      cpus_->Begin([s = sampler.get()](int event_fd) { return s->Attach(event_fd); }));
  bpf_ = sampler.get();
  sampler_ = std::move(sampler);
  return absl::OkStatus();
}

absl::Status LiveSource::ReplaceSilentEvents(const Options& options, bool fires) {
  while (!fires) {
    silent_events_.emplace_back(event_name());
    JPROF_ASSIGN_OR_RETURN(const bool has_next, cpus_->OpenNext());
    if (!has_next) {
      return NoEventFires();
    }
    fires = options.event_fires(cpus_->source(), cpus_->hardware());
  }
  return absl::OkStatus();
}

std::string LiveSource::event_name() const {
  if (ring_ != nullptr) return ClockName(ring_->events().clock());
  return cpus_->hardware() ? "cycles" : ClockName(cpus_->source());
}

absl::Status LiveSource::OpenRingLevel(const Options& options, const RuntimeSet& runtimes) {
  JPROF_ASSIGN_OR_RETURN(const SamplingSource clock,
                         ChooseClock(options.event_fires, silent_events_));
  JPROF_ASSIGN_OR_RETURN(TaskEvents events, TaskEvents::Open({.frequency_hz = frequency_hz_,
                                                              .threads = options.tid == 0,
                                                              .children = options.children,
                                                              .clock = clock,
                                                              .online = options.online_cpus}));
  if (options.tid != 0) {
    JPROF_RETURN_IF_ERROR(events.AddThread(options.tid));
  } else if (options.pid != 0) {
    JPROF_RETURN_IF_ERROR(events.AddProcess(options.pid));
  }
  auto sampler = std::make_unique<RingSampler>(runtimes, std::move(events), options.mappings,
                                               options.find_frame_code);
  ring_ = sampler.get();
  sampler_ = std::move(sampler);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LiveSource>> LiveSource::Open(const Options& options,
                                                             const RuntimeSet& runtimes) {
  auto source = std::unique_ptr<LiveSource>(new LiveSource);
  source->only_pid_ = options.pid;
  source->frequency_hz_ = options.frequency_hz;
  if (absl::StatusOr<uint64_t> most = MaxSampleRate(); most.ok()) {
    source->frequency_hz_ = std::min(options.frequency_hz, *most);
  }
  if (options.selected) source->filter_.emplace(options.children);
  source->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!source->wake_.valid()) return ErrnoStatus(errno, "eventfd");
  if (options.level != CaptureLevel::kRing) {
    absl::Status& kernel = source->kernel_level_;
    kernel = source->OpenKernelLevel(options, runtimes);
    if (kernel.ok()) return source;
    const bool of_some = (options.pid != 0 || options.selected) && options.cgroup_fd < 0 &&
                         options.comm.empty();
    if (options.level == CaptureLevel::kKernel || !of_some || options.probe != nullptr)
      return kernel;
    source->cpus_.reset();
    source->silent_events_.clear();
  }
  JPROF_RETURN_IF_ERROR(source->OpenRingLevel(options, runtimes));
  return source;
}

absl::Status LiveSource::Select(const std::vector<Pid>& pids, const std::vector<Pid>& others) {
  for (Pid pid : others) sampler_->SetForeign(pid, true);
  for (Pid pid : pids) {
    filter_->Add(pid);
    sampler_->SetForeign(pid, false);
    if (ring_ != nullptr) {
      absl::Status added = ring_->events().AddProcess(pid);
      if (!added.ok() && !absl::IsNotFound(added)) return added;
    }
  }
  return absl::OkStatus();
}

absl::Status LiveSource::Start() {
  if (ring_ != nullptr) return ring_->events().Start();
  if (probe() != nullptr) return probe()->Attach();
  return cpus_->Start();
}

absl::Status LiveSource::Stop() {
  if (ring_ != nullptr) return ring_->events().Stop();
  if (probe() != nullptr) probe()->Detach();
  return cpus_->Stop();
}

absl::StatusOr<bool> LiveSource::HalveRate() {
  absl::MutexLock lock(&mutex_);
  const uint64_t before_hz =
      rates_.empty() ? frequency_hz_ : 1'000'000'000 / rates_.back().period_ns;
  uint64_t hz = before_hz / 2;
  if (hz == 0 || probe() != nullptr) return false;
  // The kernel may have lowered its maximum meanwhile, and refuses what is above it.
  hz = std::min(hz, MaxSampleRate().value_or(hz));
  uint32_t period_ns = static_cast<uint32_t>(1'000'000'000 / hz);
  if (ring_ != nullptr) {
    // Threads that started meanwhile have events of their own, which nobody can set.
    ring_->SetKeepOneOf(uint32_t{2} << rates_.size());
    period_ns = static_cast<uint32_t>((1'000'000'000 / frequency_hz_) << (rates_.size() + 1));
  } else {
    JPROF_RETURN_IF_ERROR(cpus_->SetFrequency(hz));
  }
  rates_.push_back({MonotonicNow(), period_ns});
  return true;
}

std::vector<LiveSource::Rate> LiveSource::rates() const {
  absl::MutexLock lock(&mutex_);
  return rates_;
}

uint32_t LiveSource::PeriodNs(uint64_t time_ns) const {
  absl::MutexLock lock(&mutex_);
  uint32_t period_ns = static_cast<uint32_t>(1'000'000'000 / frequency_hz_);
  for (const Rate& rate : rates_) {
    if (time_ns >= rate.since_ns) period_ns = rate.period_ns;
  }
  return period_ns;
}

std::vector<CpuEvents::Change> LiveSource::cpu_changes() const {
  if (cpus_ != nullptr) return cpus_->changes();
  absl::MutexLock lock(&mutex_);
  return new_cpus_;
}

void LiveSource::UpdateCpus(uint64_t now_ns) {
  auto processes = [this] {
    if (!filter_) return std::vector<Pid>{only_pid_};
    return std::vector<Pid>(filter_->pids().begin(), filter_->pids().end());
  };
  for (const TaskEvents::NewCpu& came : ring_->events().Update(now_ns, processes)) {
    absl::MutexLock lock(&mutex_);
    new_cpus_.push_back({came.cpu, true, now_ns, std::string(came.status.message())});
  }
}

bool LiveSource::Wait(int timeout_ms) {
  std::vector<pollfd> fds;
  fds.push_back({wake_.get(), POLLIN, 0});
  if (ring_ != nullptr) {
    WaitAtRing(timeout_ms, std::move(fds));
    return false;
  }
  for (const CpuEvents::Ring& r : cpus_->rings()) fds.push_back({r.sideband.get(), POLLIN, 0});
  const int least_ms = std::min(timeout_ms, kWishIntervalMs);
  if (::poll(fds.data(), fds.size(), least_ms) != 0) return false;
  fds.push_back({bpf_->wish_fd(), POLLIN, 0});
  ::poll(fds.data(), fds.size(), timeout_ms - least_ms);
  const bool wished = (fds.back().revents & POLLIN) != 0;
  if (wished) bpf_->HaveWish();
  return wished;
}

void LiveSource::WaitAtRing(int timeout_ms, std::vector<pollfd> fds) {
  if (!std::exchange(asked_for_promptness_, true)) AskForPromptness();
  for (const TaskEvents::Ring& r : ring_->events().sideband_rings()) {
    fds.push_back({r.event.get(), POLLIN, 0});
  }
  const auto samples = static_cast<ptrdiff_t>(fds.size());
  for (const TaskEvents::Ring& r : ring_->events().sample_rings()) {
    fds.push_back({r.event.get(), POLLIN, 0});
  }
  const uint64_t until_ns = MonotonicNow() + static_cast<uint64_t>(timeout_ms) * 1'000'000;
  for (uint64_t now = 0; samples_status_.ok() && (now = MonotonicNow()) < until_ns;) {
    const int left_ms = static_cast<int>((until_ns - now + 999'999) / 1'000'000);
    ::poll(fds.data(), fds.size(), left_ms);
    samples_status_ = TakeSamples();
    if (std::any_of(fds.begin(), fds.begin() + samples,
                    [](const pollfd& fd) { return fd.revents != 0; })) {
      break;
    }
  }
}

void LiveSource::Wake() { ::eventfd_write(wake_.get(), 1); }

bool LiveSource::Takes(const Event& event) {
  const bool takes = filter_->Takes(event);
  if (auto* fork = std::get_if<ForkEvent>(&event);
      fork != nullptr && fork->pid != fork->parent_pid) {
    sampler_->SetForeign(fork->pid, !takes);
  }
  foreign_samples_ += !takes && std::holds_alternative<SampleEvent>(event);
  return takes;
}

// Events of the side-band may be of all processes; a process's own are what matters to its profile.
void LiveSource::Take(Event event) {
  if (only_pid_ != 0) {
    const Pid pid = PidOf(event);
    if (pid != 0 && pid != only_pid_) return;
  }
  if (EventTime(event)) {
    sorter_.Push(std::move(event));
  } else {
    timeless_.push_back(std::move(event));
  }
}

void LiveSource::TakeSidebandOfTasks() {
  for (TaskEvents::Ring& r : ring_->events().sideband_rings()) TakeSideband(r.ring, nullptr);
}

absl::Status LiveSource::TakeSamples() {
  // The ring's are walked as they come, so it is told first whose they are.
  if (ring_ != nullptr) TakeSidebandOfTasks();
  return sampler_->Drain([this](Event event) { Take(std::move(event)); });
}

void LiveSource::TellRing(const Event& event) {
  if (auto* exit = std::get_if<ExitEvent>(&event)) {
    ring_->events().threads().Ended(exit->tid);
  } else if (auto* fork = std::get_if<ForkEvent>(&event)) {
    if (fork->pid != fork->parent_pid) ring_->OnFork(*fork);
  } else if (auto* comm = std::get_if<CommEvent>(&event)) {
    if (comm->exec) ring_->OnExec(*comm);
  }
}

void LiveSource::TakeSideband(PerfRing& ring, Throttling* throttling) {
  DrainResult result = ring.Drain([this, throttling](std::span<const std::byte> record) {
    if (auto throttle = ParseThrottleRecord(record);
        throttling != nullptr && throttle.ok() && throttle->has_value()) {
      throttling->Take(**throttle);
      return;
    }
    auto event = ParseSidebandRecord(record);
    if (!event.ok()) {
      ++damaged_records_;
      return;
    }
    if (!event->has_value()) return;
    if (auto* lost = std::get_if<LostEvent>(&**event)) sideband_lost_told_ += lost->count;
    if (ring_ != nullptr) TellRing(**event);
    Take(*std::move(*event));
  });
  damaged_records_ += result.corrupt();
}

uint64_t LiveSource::LostAtEnd() {
  const uint64_t lost =
      ring_ == nullptr ? cpus_->LostSideband() : ring_->events().LostSideband();
  return lost - std::min(lost, sideband_lost_told_);
}

double LiveSource::CountedShare() const {
  return cpus_ == nullptr ? 1 : cpus_->CountedShare();
}

uint64_t LiveSource::throttled_times() const {
  return ring_ == nullptr ? cpus_->throttled_times() : ring_->throttled_times();
}

uint64_t LiveSource::throttled_ns() const {
  return ring_ == nullptr ? cpus_->throttled_ns() : ring_->throttled_ns();
}

absl::Status LiveSource::Drain(std::vector<Event>& out, bool last) {
  const uint64_t began_ns = MonotonicNow();
  JPROF_RETURN_IF_ERROR(samples_status_);
  JPROF_RETURN_IF_ERROR(TakeSamples());
  if (cpus_ != nullptr) {
    auto take = [this](CpuEvents::Ring& r) { TakeSideband(r.ring, &r.throttling); };
    cpus_->Update(began_ns, take);
    for (CpuEvents::Ring& r : cpus_->rings()) take(r);
  } else {
    UpdateCpus(began_ns);
    TakeSidebandOfTasks();
  }
  std::move(timeless_.begin(), timeless_.end(), std::back_inserter(out));
  timeless_.clear();
  auto release = [&](Event event) {
    if (!filter_ || Takes(event)) out.push_back(std::move(event));
  };
  if (last) {
    sorter_.Flush(release);
    if (ring_ != nullptr) ring_->CountLostAtEnd();
    if (const uint64_t lost = LostAtEnd()) {
      out.push_back(LostEvent{LostEvent::What::kSideband, lost});
    }
  } else {
    sorter_.Release(began_ns - kSortMarginNs, release);
  }
  return absl::OkStatus();
}

}  // namespace jprof
