// Numbers and texts in the messages between jprof and the processes that read files for it
// (symbolizer_process.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "symbolize/byte_cursor.h"

namespace jprof {

constexpr uint32_t kMaxStatusCode = 16;  // of absl::StatusCode

class MessageWriter {
 public:
  MessageWriter& U32(uint32_t value) { return Append(&value, sizeof(value)); }
  MessageWriter& U64(uint64_t value) { return Append(&value, sizeof(value)); }
  MessageWriter& Text(absl::string_view text) {
    U32(static_cast<uint32_t>(text.size()));
    return Append(text.data(), text.size());
  }
  void Reserve(size_t bytes) { bytes_.reserve(bytes); }
  std::string bytes() && { return std::move(bytes_); }

 private:
  MessageWriter& Append(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }
  std::string bytes_;
};

inline ByteCursor CursorOf(const std::string& bytes) {
  return ByteCursor({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

inline std::string Text(ByteCursor& c) {
  const std::span<const uint8_t> bytes = c.Bytes(c.U32());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A number of things that follow, of at least `size` bytes each.
inline size_t Count(ByteCursor& c, size_t size) {
  const uint32_t count = c.U32();
  if (count > c.left() / size) c.Skip(UINT64_MAX);
  return c.ok() ? count : 0;
}

}  // namespace jprof
