// The registers of a frame, as far as they are known.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace jprof {

// By DWARF's numbers of x86-64: the general ones, and the pc.
class FrameRegisters {
 public:
  static constexpr size_t kCount = 17;
  static constexpr uint64_t kPc = 16;

  std::optional<uint64_t> Get(uint64_t number) const {
    if (number >= kCount || !(known_ >> number & 1)) return std::nullopt;
    return values_[number];
  }
  void Set(uint64_t number, uint64_t value) {
    values_[number] = value;
    known_ |= uint32_t{1} << number;
  }
  bool all_known() const { return known_ == (uint32_t{1} << kCount) - 1; }

 private:
  std::array<uint64_t, kCount> values_ = {};
  uint32_t known_ = 0;
};

}  // namespace jprof
