// Which of many pieces of code lies at an address, where memory is used again and again: what is
// painted later covers what lay there before, whole or in part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "absl/container/btree_map.h"

namespace jprof {

// Value: small and copied when a range is cut in two. Not thread-safe.
template <typename Value>
class PaintedRanges {
 public:
  // begin < end. Adds two ranges at most.
  void Paint(uint64_t begin, uint64_t end, const Value& value) {
    auto same = ranges_.find(begin);
    if (same != ranges_.end() && same->second.end == end) {
      same->second.value = value;
      return;
    }
    Clear(begin, end);
    ranges_.emplace(begin, Range{end, value});
  }

  // begin < end. Adds one range at most.
  void Clear(uint64_t begin, uint64_t end) {
    auto it = ranges_.lower_bound(begin);
    if (it != ranges_.begin()) {
      auto before = std::prev(it);
      const Range older = before->second;
      if (older.end > begin) before->second.end = begin;
      if (older.end > end) {
        ranges_.emplace(end, older);
        return;
      }
    }
    while (it != ranges_.end() && it->first < end) {
      const Range older = it->second;
      it = ranges_.erase(it);
      if (older.end > end) {
        ranges_.emplace(end, older);
        return;
      }
    }
  }

  // nullptr: nothing lies there. Valid until the next change.
  const Value* Find(uint64_t address) const {
    auto after = ranges_.upper_bound(address);
    if (after == ranges_.begin()) return nullptr;
    const Range& range = std::prev(after)->second;
    return address < range.end ? &range.value : nullptr;
  }

  void Reset() { ranges_.clear(); }
  bool empty() const { return ranges_.empty(); }
  size_t size() const { return ranges_.size(); }
  size_t memory_bytes() const { return ranges_.size() * (sizeof(uint64_t) + sizeof(Range)); }

 private:
  struct Range {
    uint64_t end;
    Value value;
  };
  absl::btree_map<uint64_t, Range> ranges_;  // by begin; disjoint
};

}  // namespace jprof
