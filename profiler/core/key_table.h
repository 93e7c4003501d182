// Numbers by keys that are as good as random: hashes, so that keys are all that is compared. One
// place in memory is looked at for each, mostly. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "profiler/core/large_array.h"

namespace jprof {

class KeyTable {
 public:
  // With room for so many at first.
  explicit KeyTable(size_t keys) : slots_(SlotsFor(keys)) {}

  size_t size() const { return size_; }
  // For one who knows what will be looked up: brings it into the processor's cache.
  void Expect(uint64_t key) const { __builtin_prefetch(&slots_[key & (slots_.size() - 1)]); }
  // What was added with the key; 0: nothing.
  uint32_t Find(uint64_t key) const { return slots_[Place(key)].value; }
  // `value`: not 0. The key is not there yet.
  void Add(uint64_t key, uint32_t value) {
    if (size_ * 4 >= slots_.size() * 3) Grow();
    slots_[Place(key)] = {key, value};
    ++size_;
  }
  void Clear() {
    slots_.Clear();
    size_ = 0;
  }

 private:
  struct Slot {
    uint64_t key;
    uint32_t value;  // 0: free
  };

  static size_t SlotsFor(size_t keys) {  // a power of two
    size_t slots = 16;
    while (slots * 3 < keys * 4) slots *= 2;
    return slots;
  }
  // Where it is, or the free slot where it would be.
  size_t Place(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = key & mask;
    while (slots_[at].value != 0 && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }
  void Grow() {
    const LargeArray<Slot> old = std::exchange(slots_, LargeArray<Slot>(2 * slots_.size()));
    for (const Slot& slot : old) {
      if (slot.value != 0) slots_[Place(slot.key)] = slot;
    }
  }

  LargeArray<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace jprof
