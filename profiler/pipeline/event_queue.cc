#include "profiler/pipeline/event_queue.h"

#include <utility>
#include <variant>

namespace jprof {
namespace {

size_t BytesOf(const Event& event) {
  size_t bytes = sizeof(event);
  if (auto* stack = std::get_if<StackEvent>(&event)) {
    bytes += stack->frames.size() * sizeof(stack->frames[0]);
  } else if (auto* kernel = std::get_if<KernelStackEvent>(&event)) {
    bytes += kernel->addresses.size() * sizeof(kernel->addresses[0]);
  } else if (auto* symbol = std::get_if<SymbolEvent>(&event)) {
    bytes += symbol->record.size();
  } else if (auto* map = std::get_if<MapEvent>(&event)) {
    bytes += map->path.size();
  }
  return bytes;
}

bool IsSampleOrStack(const Event& event) {
  return std::holds_alternative<SampleEvent>(event) || std::holds_alternative<StackEvent>(event) ||
         std::holds_alternative<KernelStackEvent>(event);
}

}  // namespace

void EventQueue::Push(std::vector<Event> batch) {
  size_t bytes = 0;
  uint64_t samples = 0;
  for (const Event& e : batch) {
    bytes += BytesOf(e);
    samples += std::holds_alternative<SampleEvent>(e);
  }
  absl::MutexLock lock(&mutex_);
  if (bytes_ + bytes > max_bytes_) {
    samples_lost_ += samples;
    std::erase_if(batch, IsSampleOrStack);
    bytes = 0;
    for (const Event& e : batch) bytes += BytesOf(e);
    if (bytes_ + bytes > 2 * max_bytes_) {
      sideband_lost_ += batch.size();
      return;
    }
  }
  if (batch.empty()) return;
  bytes_ += bytes;
  batches_.push_back({std::move(batch), bytes});
}

void EventQueue::Close(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  status_ = std::move(status);
}

EventQueue::Popped EventQueue::Pop(std::vector<Event>& batch, absl::Duration timeout) {
  auto ready = [this]()
                   ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !batches_.empty() || closed_; };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout);
  batch.clear();
  if (!batches_.empty()) {
    batch = std::move(batches_.front().events);
    bytes_ -= batches_.front().bytes;
    batches_.pop_front();
  }
  if (const uint64_t lost = std::exchange(samples_lost_, 0)) {
    batch.push_back(LostEvent{LostEvent::What::kSamples, lost});
  }
  if (const uint64_t lost = std::exchange(sideband_lost_, 0)) {
    batch.push_back(LostEvent{LostEvent::What::kSideband, lost});
  }
  if (!batch.empty()) return Popped::kBatch;
  return closed_ ? Popped::kClosed : Popped::kTimeout;
}

bool EventQueue::IsFilling() const {
  absl::MutexLock lock(&mutex_);
  return bytes_ > max_bytes_ / 64;
}

absl::Status EventQueue::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace jprof
