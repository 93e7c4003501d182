#include "profiler/cli/thread_samples.h"

#include <poll.h>

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/task_events.h"

namespace jprof {
namespace {

constexpr uint64_t kDeadlineNs = 1'000'000'000;
// A sample comes after half a millisecond of running, which may be in many short turns.
constexpr uint64_t kFrequencyHz = 1999;
constexpr int kRetryMs = 5;  // those that have gone to sleep are looked at so often

using Waiting = absl::flat_hash_map<Tid, CapturedThread*>;

// Events for all that are waited for; a thread that has none is waited for no longer.
absl::StatusOr<TaskEvents> OpenEvents(Waiting& waiting) {
  uint64_t frequency_hz = kFrequencyHz;
  if (auto rate = MaxSampleRate(); rate.ok()) frequency_hz = std::min(frequency_hz, *rate);
  absl::StatusOr<TaskEvents> events =
      TaskEvents::Open({.frequency_hz = frequency_hz, .threads = false, .children = false});
  if (!events.ok()) return events;
  absl::erase_if(waiting, [&](const auto& entry) {
    entry.second->status = events->AddThread(entry.first);
    return !entry.second->status.ok();
  });
  if (absl::Status started = events->Start(); !started.ok()) return started;
  return events;
}

void TakeSamples(TaskEvents& events, Waiting& waiting, const WalkSampleFunction& walk) {
  for (TaskEvents::Ring& ring : events.sample_rings()) {
    ring.ring.Drain([&](std::span<const std::byte> bytes) {
      auto record = ParseTaskRecord(bytes, events.kernel());
      if (!record.ok() || !record->sample || !record->sample->has_user) return;
      auto found = waiting.find(record->sample->tid);
      if (found == waiting.end()) return;
      found->second->walk = walk(*record->sample);
      found->second->registers = absl::OkStatus();
      waiting.erase(found);
    });
  }
}

}  // namespace

void SampleThreads(std::span<CapturedThread* const> threads,
                   const std::function<bool(CapturedThread&)>& asleep,
                   const WalkSampleFunction& walk) {
  Waiting waiting;
  for (CapturedThread* thread : threads) waiting[thread->tid] = thread;
  absl::StatusOr<TaskEvents> events = OpenEvents(waiting);
  std::vector<pollfd> rings;
  if (events.ok()) {
    for (const TaskEvents::Ring& ring : events->sample_rings()) {
      rings.push_back({ring.event.get(), POLLIN, 0});
    }
  }
  const uint64_t until = MonotonicNow() + kDeadlineNs;
  while (!waiting.empty() && MonotonicNow() < until) {
    ::poll(rings.data(), rings.size(), kRetryMs);
    if (events.ok()) TakeSamples(*events, waiting, walk);
    absl::erase_if(waiting, [&](const auto& entry) { return asleep(*entry.second); });
  }
  for (const auto& [tid, thread] : waiting) {
    thread->status =
        events.ok()
            ? absl::DeadlineExceededError(
                  "in a second it did not run long enough to be sampled, and did not sleep where "
                  "its whole stack can be read without its registers")
            : events.status();
  }
}

}  // namespace jprof
