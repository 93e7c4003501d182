// What the naming of one image may cost, whatever its file says: steps, time, memory. Each spending
// may be the last; from then on all fail. Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace jprof {

class WorkBudget {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    uint64_t steps = 400'000'000;            // an entry, row or attribute is about one
    uint64_t bytes = uint64_t{256} << 20;    // of memory for what a file says of its size
    Clock::duration time = std::chrono::seconds(2);
  };

  explicit WorkBudget(const Limits& limits)
      : steps_(limits.steps), bytes_(limits.bytes), deadline_(Clock::now() + limits.time) {}

  bool exhausted() const { return exhausted_; }

  // The time that was spent waiting for others does not count.
  void Extend(Clock::duration waited) { deadline_ += waited; }

  bool Spend(uint64_t steps = 1) {
    if (steps > steps_) exhausted_ = true;
    if (exhausted_) return false;
    steps_ -= steps;
    unchecked_ += steps;
    if (unchecked_ < kStepsPerCheck) return true;
    unchecked_ = 0;
    exhausted_ = Clock::now() >= deadline_;
    return !exhausted_;
  }

  // Memory that is in use; Release() what was given back.
  bool Reserve(uint64_t bytes) {
    if (bytes > bytes_) exhausted_ = true;
    if (exhausted_) return false;
    bytes_ -= bytes;
    // Filling it takes time as well.
    return Spend(bytes >> 6);
  }
  void Release(uint64_t bytes) { bytes_ += bytes; }

 private:
  static constexpr uint64_t kStepsPerCheck = 1 << 14;
  uint64_t steps_;
  uint64_t bytes_;
  uint64_t unchecked_ = 0;
  Clock::time_point deadline_;
  bool exhausted_ = false;
};

}  // namespace jprof
