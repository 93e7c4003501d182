// Writes protocol buffers' wire format: the fields of one message, in the order of the calls. Zeros
// and empty strings are left out, as proto3 has it, but where `Always` says.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

class WireWriter {
 public:
  void Number(uint32_t field, uint64_t n) {
    if (n == 0) return;
    Tag(field, 0);
    Varint(n);
  }
  void Signed(uint32_t field, int64_t n) { Number(field, static_cast<uint64_t>(n)); }
  void Fixed64(uint32_t field, uint64_t n) {
    Tag(field, 1);
    for (int i = 0; i < 8; ++i, n >>= 8) bytes_ += static_cast<char>(n);
  }
  void Bytes(uint32_t field, absl::string_view bytes) {
    if (!bytes.empty()) AlwaysBytes(field, bytes);
  }
  // An element of a repeated field, or a message that is there though it is empty.
  void AlwaysBytes(uint32_t field, absl::string_view bytes) {
    Tag(field, 2);
    Varint(bytes.size());
    bytes_.append(bytes.data(), bytes.size());
  }
  // Fields that were written already.
  void Raw(absl::string_view fields) { bytes_.append(fields.data(), fields.size()); }
  void Message(uint32_t field, const WireWriter& message) { AlwaysBytes(field, message.bytes_); }
  // A packed field: `numbers` are integers.
  template <typename Numbers>
  void Packed(uint32_t field, const Numbers& numbers) {
    size_t size = 0;
    for (const auto& n : numbers) size += VarintBytes(static_cast<uint64_t>(n));
    if (size == 0) return;
    Tag(field, 2);
    Varint(size);
    for (const auto& n : numbers) Varint(static_cast<uint64_t>(n));
  }
  void Varint(uint64_t n) {
    for (; n >= 0x80; n >>= 7) bytes_ += static_cast<char>(n | 0x80);
    bytes_ += static_cast<char>(n);
  }

  const std::string& bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  static size_t VarintBytes(uint64_t n) {
    return (static_cast<size_t>(std::bit_width(n | 1)) + 6) / 7;
  }
  void Tag(uint32_t field, uint32_t type) { Varint(field << 3 | type); }

  std::string bytes_;
};

}  // namespace jprof
