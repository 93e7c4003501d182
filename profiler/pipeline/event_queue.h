// Batches of events from the reader to the pipeline. Bounded by dropping, never by waiting: first
// samples and their stacks, which are most of it, and when the pipeline stands still for long all
// else too; what was dropped is counted and told as LostEvents. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "profiler/core/event.h"

namespace jprof {

class EventQueue {
 public:
  // Samples and stacks are dropped beyond `max_bytes` of events, all beyond twice that.
  explicit EventQueue(size_t max_bytes = size_t{64} << 20) : max_bytes_(max_bytes) {}

  // Stacks go with the samples: a sample that refers to one later is counted as without a stack,
  // until the source, told of the loss, has given the stack a new number.
  void Push(std::vector<Event> batch);
  // Nothing comes any more.
  void Close(absl::Status status);

  enum class Popped { kBatch, kTimeout, kClosed };
  // The oldest batch; kClosed when all were handed out.
  Popped Pop(std::vector<Event>& batch, absl::Duration timeout);

  // Whether it fills: the pipeline does not keep up.
  bool IsFilling() const;

  // Of Close(); OK before.
  absl::Status status() const;

 private:
  struct Batch {
    std::vector<Event> events;
    size_t bytes = 0;
  };

  const size_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::deque<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // By LostEvent::What; told with the next batch.
  std::array<uint64_t, 4> lost_ ABSL_GUARDED_BY(mutex_) = {};
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace jprof
