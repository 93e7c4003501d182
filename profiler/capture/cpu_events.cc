#include "profiler/capture/cpu_events.h"

#include <algorithm>
#include <utility>

#include "profiler/core/status.h"

namespace jprof {
namespace {

// Enough for a storm of mappings within one drain; for one process, whose own events are few, as
// well, since the rings carry those of all processes.
constexpr size_t kSidebandPages = 32;
// A quarter of that, some 300 mappings: the rest is for those that come until the reader runs. What
// is less waits for the next drain, so that a busy machine does not wake us at each of its execs.
constexpr uint32_t kSidebandWakeupBytes = kSidebandPages * 4096 / 4;

constexpr uint64_t kLookEveryNs = 1'000'000'000;
constexpr size_t kMaxChanges = 64;

void AddTimes(const UniqueFd& sampling, EventReading& sum) {
  if (!sampling.valid()) return;
  const EventReading times = ReadEvent(sampling).value_or(EventReading());
  sum.enabled_ns += times.enabled_ns;
  sum.running_ns += times.running_ns;
}

}  // namespace

absl::Status CpuEvents::OpenSampling(const std::vector<int>& cpus, SamplingSource source) {
  sampling_.clear();
  for (int cpu : cpus) {
    JPROF_ASSIGN_OR_RETURN(SamplingEvent event,
                           OpenSamplingEvent(cpu, options_.frequency_hz, source));
    sampling_.push_back(std::move(event));
  }
  return absl::OkStatus();
}

absl::Status CpuEvents::Open() {
  JPROF_ASSIGN_OR_RETURN(cpus_, options_.online());
  if (!options_.sampling) return absl::OkStatus();
  JPROF_RETURN_IF_ERROR(OpenSampling(cpus_, options_.source));
  auto is_hardware = [](const SamplingEvent& event) { return event.hardware; };
  hardware_ = std::all_of(sampling_.begin(), sampling_.end(), is_hardware);
  if (!hardware_ && std::any_of(sampling_.begin(), sampling_.end(), is_hardware)) {
    JPROF_RETURN_IF_ERROR(OpenSampling(cpus_, SamplingSource::kCpuClock));
  }
  if (!hardware_ && options_.source == SamplingSource::kBest) {
    options_.source = SamplingSource::kCpuClock;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CpuEvents::OpenNext() {
  if (options_.source == SamplingSource::kTaskClock) return false;
  options_.source = hardware_ ? SamplingSource::kCpuClock : SamplingSource::kTaskClock;
  JPROF_RETURN_IF_ERROR(Open());
  return true;
}

absl::Status CpuEvents::Begin(Attach attach) {
  absl::MutexLock lock(&mutex_);
  attach_ = std::move(attach);
  for (size_t i = 0; i < cpus_.size(); ++i) {
    JPROF_RETURN_IF_ERROR(
        Add(cpus_[i], options_.sampling ? std::move(sampling_[i].fd) : UniqueFd()));
  }
  sampling_.clear();
  return absl::OkStatus();
}

absl::Status CpuEvents::Add(int cpu, UniqueFd sampling) {
  if (sampling.valid()) JPROF_RETURN_IF_ERROR(attach_(sampling.get()));
  JPROF_ASSIGN_OR_RETURN(UniqueFd sideband, OpenSidebandEvent(cpu, kSidebandWakeupBytes));
  JPROF_ASSIGN_OR_RETURN(PerfRing ring, PerfRing::Map(sideband.get(), kSidebandPages));
  if (sampling.valid()) JPROF_RETURN_IF_ERROR(RedirectEvent(sampling, sideband));
  JPROF_RETURN_IF_ERROR(EnableEvent(sideband));
  if (started_ && sampling.valid()) JPROF_RETURN_IF_ERROR(EnableEvent(sampling));
  rings_.push_back({cpu, std::move(sampling), std::move(sideband), std::move(ring), {}, 0});
  return absl::OkStatus();
}

absl::Status CpuEvents::Reopen(int cpu) {
  UniqueFd sampling;
  if (options_.sampling) {
    JPROF_ASSIGN_OR_RETURN(SamplingEvent event,
                           OpenSamplingEvent(cpu, options_.frequency_hz, options_.source));
    if (event.hardware != hardware_) {
      return absl::FailedPreconditionError("it has no such event as the others");
    }
    sampling = std::move(event.fd);
  }
  return Add(cpu, std::move(sampling));
}

absl::Status CpuEvents::Start() {
  absl::MutexLock lock(&mutex_);
  started_ = true;
  for (const Ring& r : rings_) {
    if (r.sampling.valid()) JPROF_RETURN_IF_ERROR(EnableEvent(r.sampling));
  }
  return absl::OkStatus();
}

absl::Status CpuEvents::Stop() {
  absl::MutexLock lock(&mutex_);
  started_ = false;
  for (const Ring& r : rings_) {
    if (r.sampling.valid()) JPROF_RETURN_IF_ERROR(DisableEvent(r.sampling));
  }
  return absl::OkStatus();
}

absl::Status CpuEvents::SetFrequency(uint64_t frequency_hz) {
  absl::MutexLock lock(&mutex_);
  auto set = [&](uint64_t hz) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    absl::Status status;
    for (const Ring& r : rings_) {
      if (r.sampling.valid()) status.Update(SetEventFrequency(r.sampling, hardware_, hz));
    }
    return status;
  };
  absl::Status status = set(frequency_hz);
  if (status.ok()) {
    options_.frequency_hz = frequency_hz;
  } else {
    // Samples of two rates would be weighed alike.
    set(options_.frequency_hz).IgnoreError();
  }
  return status;
}

void CpuEvents::Note(Change change) {
  auto last = std::find_if(changes_.rbegin(), changes_.rend(),
                           [&](const Change& c) { return c.cpu == change.cpu; });
  // What is tried each second fails each second.
  const bool said = last != changes_.rend() && change.online && last->online &&
                    !change.trouble.empty() && last->trouble == change.trouble;
  if (!said && changes_.size() < kMaxChanges) changes_.push_back(std::move(change));
}

bool CpuEvents::WasAway(Ring& ring) {
  const uint64_t before_ns = ring.enabled_ns;
  ring.enabled_ns = ReadEvent(ring.sideband).value_or(EventReading()).enabled_ns;
  return before_ns != 0 && ring.enabled_ns <= before_ns;
}

void CpuEvents::Update(uint64_t now_ns, absl::FunctionRef<void(Ring&)> last) {
  if (now_ns < next_look_ns_) return;
  next_look_ns_ = now_ns + kLookEveryNs;
  absl::StatusOr<std::vector<int>> online = options_.online();
  if (!online.ok()) return;  // asked again
  absl::MutexLock lock(&mutex_);
  std::erase_if(rings_, [&](Ring& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool stays = std::binary_search(online->begin(), online->end(), r.cpu) && !WasAway(r);
    if (stays) return false;
    last(r);
    gone_throttled_times_ += r.throttling.times();
    gone_throttled_ns_ += r.throttling.ns();
    AddTimes(r.sampling, gone_times_);
    gone_lost_ += LostRecords(r.sideband);
    std::erase(cpus_, r.cpu);
    Note({r.cpu, false, now_ns, ""});
    return true;
  });
  for (int cpu : *online) {
    if (std::find(cpus_.begin(), cpus_.end(), cpu) != cpus_.end()) continue;
    const absl::Status reopened = Reopen(cpu);
    if (reopened.ok()) cpus_.push_back(cpu);
    Note({cpu, true, now_ns, std::string(reopened.message())});
  }
}

std::vector<CpuEvents::Change> CpuEvents::changes() const {
  absl::MutexLock lock(&mutex_);
  return changes_;
}

uint64_t CpuEvents::throttled_times() const {
  absl::MutexLock lock(&mutex_);
  uint64_t sum = gone_throttled_times_;
  for (const Ring& r : rings_) sum += r.throttling.times();
  return sum;
}

uint64_t CpuEvents::throttled_ns() const {
  absl::MutexLock lock(&mutex_);
  uint64_t sum = gone_throttled_ns_;
  for (const Ring& r : rings_) sum += r.throttling.ns();
  return sum;
}

double CpuEvents::CountedShare() const {
  absl::MutexLock lock(&mutex_);
  EventReading sum = gone_times_;
  for (const Ring& r : rings_) AddTimes(r.sampling, sum);
  if (sum.running_ns == 0 || sum.running_ns >= sum.enabled_ns) return 1;
  return static_cast<double>(sum.running_ns) / static_cast<double>(sum.enabled_ns);
}

uint64_t CpuEvents::LostSideband() const {
  absl::MutexLock lock(&mutex_);
  uint64_t lost = gone_lost_;
  for (const Ring& r : rings_) lost += LostRecords(r.sideband);
  return lost;
}

}  // namespace jprof
