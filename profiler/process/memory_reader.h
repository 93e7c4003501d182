// Reading another process's memory, wherever it comes from: a live process, a core file, a test's
// fake. What lies above is blind to which.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "profiler/core/address.h"

namespace jprof {

class MemoryReader {
 public:
  virtual ~MemoryReader() = default;

  // Copies memory at `address` into `out` and returns the number of bytes copied: fewer than asked
  // when a byte is not readable, never padded. Does not fault the caller on any address.
  virtual size_t Read(Address address, std::span<std::byte> out) const = 0;

  bool ReadExactly(Address address, std::span<std::byte> out) const {
    return Read(address, out) == out.size();
  }

  // nullopt: not wholly readable. A readable zero is a value.
  template <typename T>
  std::optional<T> ReadValue(Address address) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    if (!ReadExactly(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
  }
};

}  // namespace jprof
