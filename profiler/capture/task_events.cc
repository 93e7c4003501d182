#include "profiler/capture/task_events.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kPageBytes = 4096;
// Of what the reader may be late for.
constexpr uint64_t kSlackOfHz = 20;  // 1/20 s
constexpr size_t kFewestSamples = 8;
constexpr size_t kMostPages = 1024;
constexpr size_t kFewestPages = 8;
constexpr uint32_t kStackBytes[] = {32 << 10, 16 << 10, 8 << 10, 4 << 10};
constexpr size_t kSampleBytes = 1536;  // the rest of a sample, with a kernel stack
constexpr size_t kSidebandPages = 8;
constexpr uint32_t kSidebandWakeupBytes = kSidebandPages * kPageBytes / 4;
constexpr uint64_t kLookEveryNs = 1'000'000'000;

size_t SamplesWanted(uint64_t frequency_hz) {
  return std::max<size_t>(kFewestSamples, frequency_hz / kSlackOfHz);
}

uint64_t SumOfLost(const std::vector<UniqueFd>& events) {
  uint64_t sum = 0;
  for (const UniqueFd& event : events) sum += LostRecords(event);
  return sum;
}

}  // namespace

absl::Status TaskEvents::MapRingsOf(int cpu, size_t pages) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd sampling, OpenRingEvent(cpu, 0));
  JPROF_ASSIGN_OR_RETURN(PerfRing samples, PerfRing::Map(sampling.get(), pages));
  JPROF_ASSIGN_OR_RETURN(UniqueFd sideband, OpenRingEvent(cpu, kSidebandWakeupBytes));
  JPROF_ASSIGN_OR_RETURN(PerfRing records, PerfRing::Map(sideband.get(), kSidebandPages));
  sample_rings_.push_back({std::move(sampling), std::move(samples)});
  sideband_rings_.push_back({std::move(sideband), std::move(records)});
  return absl::OkStatus();
}

absl::Status TaskEvents::MapRings(size_t pages) {
  sample_rings_.clear();
  sideband_rings_.clear();
  for (int cpu : cpus_) JPROF_RETURN_IF_ERROR(MapRingsOf(cpu, pages));
  return absl::OkStatus();
}

absl::StatusOr<TaskEvents> TaskEvents::Open(const Options& options) {
  TaskEvents events;
  events.online_ = options.online;
  JPROF_ASSIGN_OR_RETURN(events.cpus_, options.online());
  const size_t samples = SamplesWanted(options.frequency_hz);
  size_t pages = std::min(
      kMostPages, std::bit_ceil(samples * (kStackBytes[0] + kSampleBytes) / kPageBytes));
  for (;;) {
    absl::Status mapped = events.MapRings(pages);
    if (mapped.ok()) break;
    if (!absl::IsPermissionDenied(mapped) || pages == kFewestPages) return mapped;
    pages /= 2;
  }
  events.ring_pages_ = pages;
  events.options_ = {.frequency_hz = options.frequency_hz,
                     .stack_bytes = kStackBytes[std::size(kStackBytes) - 1],
                     .kernel = true,
                     .inherit = options.threads,
                     .inherit_children = options.children,
                     .clock = options.clock};
  for (uint32_t bytes : kStackBytes) {
    if (pages * kPageBytes / (bytes + kSampleBytes) < samples) continue;
    events.options_.stack_bytes = bytes;
    break;
  }
  absl::StatusOr<UniqueFd> tried =
      OpenTaskSamplingEvent(::gettid(), events.cpus_[0], events.options_);
  if (absl::IsPermissionDenied(tried.status())) {
    events.options_.kernel = false;
    tried = OpenTaskSamplingEvent(::gettid(), events.cpus_[0], events.options_);
  }
  if (!tried.ok()) return tried.status();
  return events;
}

absl::Status TaskEvents::AddThreadOn(Tid tid, size_t place) {
  const int cpu = cpus_[place];
  JPROF_ASSIGN_OR_RETURN(UniqueFd sideband, OpenTaskSidebandEvent(tid, cpu, options_));
  JPROF_RETURN_IF_ERROR(RedirectEvent(sideband, sideband_rings_[place].event));
  JPROF_RETURN_IF_ERROR(EnableEvent(sideband));
  sideband_.push_back(std::move(sideband));
  JPROF_ASSIGN_OR_RETURN(UniqueFd sampling, OpenTaskSamplingEvent(tid, cpu, options_));
  JPROF_RETURN_IF_ERROR(RedirectEvent(sampling, sample_rings_[place].event));
  JPROF_ASSIGN_OR_RETURN(const uint64_t number, EventNumber(sampling));
  threads_.Opened(number, tid, static_cast<uint32_t>(cpu));
  absl::MutexLock lock(mutex_.get());
  if (started_) JPROF_RETURN_IF_ERROR(EnableEvent(sampling));
  sampling_.push_back(std::move(sampling));
  return absl::OkStatus();
}

absl::Status TaskEvents::AddThread(Tid tid) {
  if (!added_.insert(tid).second) return absl::OkStatus();
  for (size_t i = 0; i < cpus_.size(); ++i) JPROF_RETURN_IF_ERROR(AddThreadOn(tid, i));
  return absl::OkStatus();
}

absl::Status TaskEvents::ForEachThread(Pid pid, absl::flat_hash_set<Tid>& added, ThreadAdder add) {
  // Threads that start meanwhile are met in the next round, whether they inherited all or not.
  for (size_t before = SIZE_MAX; before != added.size();) {
    before = added.size();
    JPROF_ASSIGN_OR_RETURN(std::vector<Tid> threads, ListThreads(pid));
    for (Tid tid : threads) {
      absl::Status status = add(tid);
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status TaskEvents::AddProcess(Pid pid) {
  return ForEachThread(pid, added_, [this](Tid tid) { return AddThread(tid); });
}

absl::Status TaskEvents::AddCpu(int cpu, const std::vector<Pid>& processes) {
  JPROF_RETURN_IF_ERROR(MapRingsOf(cpu, ring_pages_));
  cpus_.push_back(cpu);
  const size_t place = cpus_.size() - 1;
  absl::flat_hash_set<Tid> added;
  auto add = [&](Tid tid) {
    return added.insert(tid).second ? AddThreadOn(tid, place) : absl::OkStatus();
  };
  if (!options_.inherit) {
    for (Tid tid : added_) JPROF_RETURN_IF_ERROR(add(tid));
    return absl::OkStatus();
  }
  for (Pid pid : processes) {
    const absl::Status status = ForEachThread(pid, added, add);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

std::vector<TaskEvents::NewCpu> TaskEvents::Update(
    uint64_t now_ns, absl::FunctionRef<std::vector<Pid>()> processes) {
  std::vector<NewCpu> came;
  if (now_ns < next_look_ns_) return came;
  next_look_ns_ = now_ns + kLookEveryNs;
  const absl::StatusOr<std::vector<int>> online = online_();
  if (!online.ok()) return came;  // asked again
  for (int cpu : *online) {
    if (std::find(cpus_.begin(), cpus_.end(), cpu) != cpus_.end() || !tried_.insert(cpu).second) {
      continue;
    }
    came.push_back({cpu, AddCpu(cpu, processes())});
  }
  return came;
}

absl::Status TaskEvents::Start() {
  absl::MutexLock lock(mutex_.get());
  started_ = true;
  for (const UniqueFd& event : sampling_) JPROF_RETURN_IF_ERROR(EnableEvent(event));
  return absl::OkStatus();
}

absl::Status TaskEvents::Stop() {
  absl::MutexLock lock(mutex_.get());
  started_ = false;
  for (const UniqueFd& event : sampling_) JPROF_RETURN_IF_ERROR(DisableEvent(event));
  return absl::OkStatus();
}

uint64_t TaskEvents::LostSamples() const { return SumOfLost(sampling_); }
uint64_t TaskEvents::LostSideband() const { return SumOfLost(sideband_); }

}  // namespace jprof
