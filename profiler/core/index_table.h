// Finds the row of a table by its content, without a second copy of the content: open addressing
// over hashes and row numbers. The rows stay in the owner's vector, are never changed and never
// removed. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace jprof {

class IndexTable {
 public:
  // The row with this hash for which `equals(row)` holds, else `next`, which is entered: the row
  // that the caller is about to append. Whether it was entered.
  template <typename Equals>
  std::pair<uint32_t, bool> FindOrAdd(size_t hash, size_t next, const Equals& equals) {
    if (used_ * 4 >= slots_.size() * 3) Grow();
    const uint32_t tag = Tag(hash);
    for (size_t at = tag & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.row == kFree) {
        slot = {tag, static_cast<uint32_t>(next)};
        ++used_;
        return {slot.row, true};
      }
      if (slot.tag == tag && equals(slot.row)) return {slot.row, false};
    }
  }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  struct Slot {
    uint32_t tag = 0;
    uint32_t row = kFree;
  };

  // All that is kept of a hash: it finds the slot again when the table grows.
  static uint32_t Tag(size_t hash) { return static_cast<uint32_t>(hash ^ hash >> 32); }

  void Grow() {
    std::vector<Slot> old =
        std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 16 : slots_.size() * 2));
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.row == kFree) continue;
      size_t at = slot.tag & mask_;
      while (slots_[at].row != kFree) at = (at + 1) & mask_;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, or none
  size_t mask_ = 0;
  size_t used_ = 0;
};

}  // namespace jprof
