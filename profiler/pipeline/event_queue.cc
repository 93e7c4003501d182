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

LostEvent::What WhatIsLostWith(const Event& event) {
  if (std::holds_alternative<SampleEvent>(event)) return LostEvent::What::kSamples;
  if (std::holds_alternative<SymbolEvent>(event)) return LostEvent::What::kSymbols;
  if (std::holds_alternative<StackEvent>(event) ||
      std::holds_alternative<KernelStackEvent>(event)) {
    return LostEvent::What::kStacks;
  }
  return LostEvent::What::kSideband;
}

}  // namespace

void EventQueue::Push(std::vector<Event> batch) {
  size_t bytes = 0;
  for (const Event& e : batch) bytes += BytesOf(e);
  absl::MutexLock lock(&mutex_);
  auto drop = [this](const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++lost_[static_cast<size_t>(WhatIsLostWith(event))];
  };
  if (bytes_ + bytes > max_bytes_) {
    std::erase_if(batch, [&](const Event& e) {
      const LostEvent::What what = WhatIsLostWith(e);
      if (what != LostEvent::What::kSamples && what != LostEvent::What::kStacks) return false;
      drop(e);
      return true;
    });
    bytes = 0;
    for (const Event& e : batch) bytes += BytesOf(e);
    if (bytes_ + bytes > 2 * max_bytes_) {
      for (const Event& e : batch) drop(e);
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
  for (size_t what = 0; what < lost_.size(); ++what) {
    if (const uint64_t lost = std::exchange(lost_[what], 0)) {
      batch.push_back(LostEvent{static_cast<LostEvent::What>(what), lost});
    }
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
