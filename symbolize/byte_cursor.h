// Little-endian bytes of an untrusted file, read one value after the other. Reading beyond the end
// gives zeros and makes ok() false for good, so a caller may check once, behind several reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "absl/strings/string_view.h"

namespace jprof {

class ByteCursor {
 public:
  explicit ByteCursor(std::span<const uint8_t> bytes)
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  bool ok() const { return ok_; }
  size_t position() const { return static_cast<size_t>(at_ - begin_); }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  uint8_t U8() { return Number<uint8_t>(); }
  uint16_t U16() { return Number<uint16_t>(); }
  uint32_t U32() { return Number<uint32_t>(); }
  uint64_t U64() { return Number<uint64_t>(); }
  // Of 1, 2, 3, 4 or 8 bytes.
  uint64_t Unsigned(size_t size) {
    uint64_t value = 0;
    if (!Has(size) || size > sizeof(value)) {
      ok_ = false;
      return 0;
    }
    std::memcpy(&value, at_, size);
    at_ += size;
    return value;
  }
  // Bits beyond 64 are dropped.
  uint64_t Uleb() {
    if (at_ < end_ && *at_ < 0x80) return *at_++;
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (!Has(1)) return 0;
      const uint8_t byte = *at_++;
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  int64_t Sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
      if (!Has(1)) return 0;
      const uint8_t byte = *at_++;
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if (byte >= 0x80) continue;
      if (shift < 64 && (byte & 0x40)) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
  }
  // Up to the NUL, which is skipped.
  absl::string_view String() {
    const void* nul = left() == 0 ? nullptr : std::memchr(at_, '\0', left());
    if (nul == nullptr) {
      ok_ = false;
      return "";
    }
    const auto* begin = reinterpret_cast<const char*>(at_);
    const auto size = static_cast<size_t>(static_cast<const char*>(nul) - begin);
    at_ += size + 1;
    return {begin, size};
  }
  void Skip(uint64_t size) {
    if (Has(size)) at_ += size;
  }
  // False, and nothing happens, when `position` is outside.
  bool Seek(uint64_t position) {
    if (position > static_cast<uint64_t>(end_ - begin_)) return false;
    at_ = begin_ + position;
    return true;
  }
  std::span<const uint8_t> Bytes(uint64_t size) {
    if (!Has(size)) return {};
    std::span<const uint8_t> bytes(at_, size);
    at_ += size;
    return bytes;
  }

 private:
  template <typename T>
  T Number() {
    T value = 0;
    if (!Has(sizeof(T))) return 0;
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  bool Has(uint64_t size) {
    if (size > left()) ok_ = false;
    return ok_;
  }

  const uint8_t* begin_;
  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

}  // namespace jprof
