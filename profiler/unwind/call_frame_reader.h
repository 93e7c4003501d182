// Numbers, bytes and strings of call-frame information, which is hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace jprof::cfi {

// A cursor that never leaves its bytes: reads past the end give zeros, and ok() says so.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool done() const { return !ok_ || at_ == bytes_.size(); }
  size_t at() const { return at_; }
  size_t size() const { return bytes_.size(); }
  void Fail() { ok_ = false; }

  template <typename T>
  T Take() {
    T value = {};
    if (!ok_ || bytes_.size() - at_ < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  uint64_t TakeUleb() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80) || !ok_) return value;
    }
  }
  int64_t TakeSleb() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80) || !ok_) {
        if (shift + 7 < 64 && byte & 0x40) value |= ~uint64_t{0} << (shift + 7);
        return static_cast<int64_t>(value);
      }
    }
  }
  std::span<const uint8_t> TakeBytes(uint64_t count) {
    if (!ok_ || count > bytes_.size() - at_) {
      ok_ = false;
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  // Without its NUL.
  std::string TakeString() {
    const auto* begin = bytes_.data() + at_;
    const void* nul = ok_ ? std::memchr(begin, 0, bytes_.size() - at_) : nullptr;
    if (nul == nullptr) {
      ok_ = false;
      return "";
    }
    std::string text(begin, static_cast<const uint8_t*>(nul));
    at_ += text.size() + 1;
    return text;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace jprof::cfi
