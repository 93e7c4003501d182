// Numbers in V8's tables: 7 bits per byte, lowest first; the top bit says that more follow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace jprof::v8 {

class NumberReader {
 public:
  // `at` may lie behind the end: then there is nothing to read.
  explicit NumberReader(std::span<const std::byte> bytes, size_t at = 0)
      : bytes_(bytes), at_(std::min(at, bytes.size())) {}

  bool AtEnd() const { return at_ == bytes_.size(); }
  std::optional<uint8_t> Byte() {
    if (AtEnd()) return std::nullopt;
    return std::to_integer<uint8_t>(bytes_[at_++]);
  }
  std::optional<uint64_t> Unsigned() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      auto byte = Byte();
      if (!byte) return std::nullopt;
      value |= uint64_t{*byte & 0x7fu} << std::min(shift, 63);
      if ((*byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }
  // Zig-zag: 0, -1, 1, -2 ...
  std::optional<int64_t> Signed() {
    auto value = Unsigned();
    if (!value) return std::nullopt;
    return static_cast<int64_t>(*value >> 1) ^ -static_cast<int64_t>(*value & 1);
  }
  // With the flag in the lowest bit of each byte, as V8 7 writes some.
  std::optional<uint64_t> UnsignedFlagLast() {
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      auto byte = Byte();
      if (!byte) return std::nullopt;
      value |= static_cast<uint64_t>(*byte >> 1) << shift;
      if ((*byte & 1) == 0) return value;
    }
    return std::nullopt;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_;
};

}  // namespace jprof::v8
