// Gives out runs of a numbered space, first fit. What is given back is not used again for a while:
// the kernel half may be reading it at that moment, for some microseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

namespace jprof {

class RangeAllocator {
 public:
  static constexpr uint64_t kRestNs = 1'000'000'000;

  explicit RangeAllocator(uint32_t size) {
    if (size > 0) free_[0] = size;
  }

  // nullopt: no run of that length is free. `count` is not 0.
  std::optional<uint32_t> Allocate(uint32_t count, uint64_t now_ns) {
    while (!resting_.empty() && resting_.front().until_ns <= now_ns) {
      Insert(resting_.front().first, resting_.front().count);
      resting_.pop_front();
    }
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second < count) continue;
      const uint32_t first = it->first;
      const uint32_t left = it->second - count;
      free_.erase(it);
      if (left > 0) free_[first + count] = left;
      return first;
    }
    return std::nullopt;
  }
  void Free(uint32_t first, uint32_t count, uint64_t now_ns) {
    resting_.push_back({now_ns + kRestNs, first, count});
  }

 private:
  struct Resting {
    uint64_t until_ns;
    uint32_t first;
    uint32_t count;
  };

  void Insert(uint32_t first, uint32_t count) {
    auto after = free_.lower_bound(first);
    if (after != free_.end() && after->first == first + count) {
      count += after->second;
      after = free_.erase(after);
    }
    if (after != free_.begin()) {
      auto before = std::prev(after);
      if (before->first + before->second == first) {
        before->second += count;
        return;
      }
    }
    free_[first] = count;
  }

  std::map<uint32_t, uint32_t> free_;  // first -> count; no two touch
  std::deque<Resting> resting_;        // oldest first
};

}  // namespace jprof
