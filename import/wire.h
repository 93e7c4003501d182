// Protocol buffers' wire format, read in place: a bounds-checked cursor over the fields of one
// message.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace jprof {

class WireReader {
 public:
  explicit WireReader(absl::string_view message) : rest_(message) {}

  // The next field; false at the end, and where the message is damaged: see ok().
  bool Next();
  bool ok() const { return ok_; }

  uint32_t field() const { return field_; }
  bool is_bytes() const { return is_bytes_; }
  // Of a varint or fixed field; 0 for others.
  uint64_t number() const { return is_bytes_ ? 0 : number_; }
  int64_t integer() const { return static_cast<int64_t>(number()); }
  // Of a string, message or packed field; empty for others.
  absl::string_view bytes() const { return is_bytes_ ? bytes_ : absl::string_view(); }

  // Calls `each(uint64_t)` for the numbers of a repeated field, packed or not. False: damaged.
  template <typename Each>
  bool Numbers(const Each& each) const {
    if (!is_bytes_) {
      each(number_);
      return true;
    }
    for (absl::string_view rest = bytes_; !rest.empty();) {
      uint64_t number = 0;
      if (!TakeVarint(rest, number)) return false;
      each(number);
    }
    return true;
  }

  static bool TakeVarint(absl::string_view& rest, uint64_t& number) {
    number = 0;
    for (size_t i = 0; i < rest.size() && i < 10; ++i) {
      const auto byte = static_cast<unsigned char>(rest[i]);
      number |= uint64_t{byte & 0x7fu} << (7 * i);
      if (byte < 0x80) {
        rest.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }

  absl::string_view rest_;
  absl::string_view bytes_;
  uint64_t number_ = 0;
  uint32_t field_ = 0;
  bool is_bytes_ = false;
  bool ok_ = true;
};

inline bool WireReader::Next() {
  if (rest_.empty() || !ok_) return false;
  uint64_t tag = 0;
  if (!TakeVarint(rest_, tag) || tag >> 3 == 0 || tag >> 32 != 0) return Fail();
  field_ = static_cast<uint32_t>(tag >> 3);
  is_bytes_ = false;
  size_t fixed = 0;
  switch (tag & 7) {
    case 0:
      return TakeVarint(rest_, number_) || Fail();
    case 1:
      fixed = 8;
      break;
    case 5:
      fixed = 4;
      break;
    case 2: {
      uint64_t size = 0;
      if (!TakeVarint(rest_, size) || size > rest_.size()) return Fail();
      bytes_ = rest_.substr(0, size);
      rest_.remove_prefix(size);
      is_bytes_ = true;
      return true;
    }
    default:
      return Fail();  // groups are not used by any format that is read here
  }
  if (rest_.size() < fixed) return Fail();
  number_ = 0;
  for (size_t i = fixed; i-- > 0;) number_ = number_ << 8 | static_cast<unsigned char>(rest_[i]);
  rest_.remove_prefix(fixed);
  return true;
}

}  // namespace jprof
