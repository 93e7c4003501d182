// The registers of a frame, as far as they are known.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace jprof {

// xmm0 to xmm15.
using VectorRegisters = std::array<std::array<char, 16>, 16>;

// By DWARF's numbers of x86-64: the general ones, and the pc.
class FrameRegisters {
 public:
  static constexpr size_t kCount = 17;
  static constexpr uint64_t kPc = 16;

  // nullopt: not known, or there is none of that number.
  std::optional<uint64_t> Get(uint64_t number) const {
    return number < kCount ? values_[number] : std::nullopt;
  }
  void Set(uint64_t number, std::optional<uint64_t> value) { values_[number] = value; }
  bool all_known() const {
    return std::all_of(values_.begin(), values_.end(), [](const auto& v) { return v.has_value(); });
  }

 private:
  std::array<std::optional<uint64_t>, kCount> values_;
};

}  // namespace jprof
