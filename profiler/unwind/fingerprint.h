// A keyed hash of 128 bits: SipHash-2-4 (Aumasson and Bernstein, 2012). Who does not know the key
// cannot make two inputs of one hash, so what is stored by hash stays what it was made from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace jprof {

using Fingerprint = std::array<uint64_t, 2>;
using FingerprintKey = std::array<uint64_t, 2>;

class Fingerprinter {
 public:
  explicit Fingerprinter(const FingerprintKey& key);

  // The bytes, and where they end: what is added one by one is not what is added at once.
  Fingerprinter& Add(std::span<const std::byte> bytes);
  template <typename T>
  Fingerprinter& AddValue(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>);
    return Add(std::as_bytes(std::span(&value, 1)));
  }

  Fingerprint Finish();

 private:
  void Mix(uint64_t word);
  void Round();

  uint64_t v_[4];
};

// 32 hexadecimal digits.
std::string ToText(const Fingerprint& fingerprint);

}  // namespace jprof
