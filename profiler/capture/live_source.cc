#include "profiler/capture/live_source.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "profiler/capture/record_parser.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// At the least between two wake-ups by samples.
constexpr int kWishIntervalMs = 10;
// Enough for a storm of mappings within one drain; for one process, whose own events are few, as
// well, since the rings carry those of all processes.
constexpr size_t kSidebandPages = 32;
// A quarter of that, some 300 mappings: the rest is for those that come until the reader runs. What
// is less waits for the next drain, so that a busy machine does not wake us at each of its execs.
constexpr uint32_t kSidebandWakeupBytes = kSidebandPages * 4096 / 4;

absl::Status OpenSamplingEvents(const std::vector<int>& cpus, uint64_t hz, SamplingSource source,
                                std::vector<SamplingEvent>& events) {
  events.clear();
  for (int cpu : cpus) {
    auto event = OpenSamplingEvent(cpu, hz, source);
    if (!event.ok()) return event.status();
    events.push_back(*std::move(event));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t MonotonicNow() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

absl::StatusOr<std::unique_ptr<LiveSource>> LiveSource::Open(const Options& options,
                                                             absl::string_view bpf_object) {
  auto source = std::unique_ptr<LiveSource>(new LiveSource);
  source->only_pid_ = options.pid;
  if (options.selected) source->filter_.emplace(options.children);
  source->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!source->wake_.valid()) return ErrnoStatus(errno, "eventfd");
  JPROF_ASSIGN_OR_RETURN(std::vector<int> cpus, OnlineCpus());
  JPROF_RETURN_IF_ERROR(
      OpenSamplingEvents(cpus, options.frequency_hz, SamplingSource::kBest, source->events_));
  // Samples of two kinds have no common weight: where not every CPU has cycles, all take the clock.
  bool all_hardware = true, any_hardware = false;
  for (const SamplingEvent& event : source->events_) {
    all_hardware &= event.hardware;
    any_hardware |= event.hardware;
  }
  if (any_hardware && !all_hardware) {
    JPROF_RETURN_IF_ERROR(
        OpenSamplingEvents(cpus, options.frequency_hz, SamplingSource::kCpuClock, source->events_));
  }
  source->hardware_ = all_hardware;

  JPROF_ASSIGN_OR_RETURN(source->sampler_,
                         BpfSampler::Load(bpf_object, {.only_pid = options.pid,
                                                       .only_tid = options.tid,
                                                       .skip_foreign = options.selected,
                                                       .cgroup_fd = options.cgroup_fd,
                                                       .comm = options.comm,
                                                       .ring_bytes = options.ring_bytes,
                                                       .mappings = options.mappings}));
  for (const SamplingEvent& event : source->events_) {
    JPROF_RETURN_IF_ERROR(source->sampler_->Attach(event.fd.get()));
  }
  for (int cpu : cpus) {
    JPROF_ASSIGN_OR_RETURN(UniqueFd event, OpenSidebandEvent(cpu, kSidebandWakeupBytes));
    JPROF_ASSIGN_OR_RETURN(PerfRing ring, PerfRing::Map(event.get(), kSidebandPages));
    JPROF_RETURN_IF_ERROR(EnableEvent(event));
    source->sideband_.push_back({std::move(event), std::move(ring)});
  }
  return source;
}

void LiveSource::Select(const std::vector<Pid>& pids, const std::vector<Pid>& others) {
  for (Pid pid : others) sampler_->SetForeign(pid, true);
  for (Pid pid : pids) {
    filter_->Add(pid);
    sampler_->SetForeign(pid, false);
  }
}

absl::Status LiveSource::Start() {
  for (const SamplingEvent& event : events_) JPROF_RETURN_IF_ERROR(EnableEvent(event.fd));
  return absl::OkStatus();
}

absl::Status LiveSource::Stop() {
  for (const SamplingEvent& event : events_) JPROF_RETURN_IF_ERROR(DisableEvent(event.fd));
  return absl::OkStatus();
}

bool LiveSource::Wait(int timeout_ms) {
  std::vector<pollfd> fds;
  fds.reserve(sideband_.size() + 2);
  fds.push_back({wake_.get(), POLLIN, 0});
  for (const Sideband& s : sideband_) fds.push_back({s.event.get(), POLLIN, 0});
  const int least_ms = std::min(timeout_ms, kWishIntervalMs);
  if (::poll(fds.data(), fds.size(), least_ms) != 0) return false;
  fds.push_back({sampler_->wish_fd(), POLLIN, 0});
  ::poll(fds.data(), fds.size(), timeout_ms - least_ms);
  const bool wished = (fds.back().revents & POLLIN) != 0;
  if (wished) sampler_->HaveWish();
  return wished;
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

absl::Status LiveSource::Drain(std::vector<Event>& out, bool last) {
  const uint64_t began_ns = MonotonicNow();
  auto take = [&](Event event) {
    // Side-band events cover the whole system; a process's own are what matters to its profile.
    if (only_pid_ != 0) {
      const Pid pid = PidOf(event);
      if (pid != 0 && pid != only_pid_) return;
    }
    if (EventTime(event)) {
      sorter_.Push(std::move(event));
    } else {
      out.push_back(std::move(event));
    }
  };
  JPROF_RETURN_IF_ERROR(sampler_->Drain(take));
  for (Sideband& s : sideband_) {
    DrainResult result = s.ring.Drain([&](std::span<const std::byte> record) {
      auto event = ParseSidebandRecord(record);
      if (!event.ok()) {
        ++damaged_records_;
      } else if (event->has_value()) {
        take(*std::move(*event));
      }
    });
    damaged_records_ += result.corrupt();
  }
  auto release = [&](Event event) {
    if (!filter_ || Takes(event)) out.push_back(std::move(event));
  };
  if (last) {
    sorter_.Flush(release);
  } else {
    sorter_.Release(began_ns - kSortMarginNs, release);
  }
  return absl::OkStatus();
}

}  // namespace jprof
