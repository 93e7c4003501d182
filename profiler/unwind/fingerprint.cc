#include "profiler/unwind/fingerprint.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace jprof {

Fingerprinter::Fingerprinter(const FingerprintKey& key)
    : v_{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee,
         key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573} {}

void Fingerprinter::Round() {
  v_[0] += v_[1];
  v_[1] = std::rotl(v_[1], 13) ^ v_[0];
  v_[0] = std::rotl(v_[0], 32);
  v_[2] += v_[3];
  v_[3] = std::rotl(v_[3], 16) ^ v_[2];
  v_[0] += v_[3];
  v_[3] = std::rotl(v_[3], 21) ^ v_[0];
  v_[2] += v_[1];
  v_[1] = std::rotl(v_[1], 17) ^ v_[2];
  v_[2] = std::rotl(v_[2], 32);
}

void Fingerprinter::Mix(uint64_t word) {
  v_[3] ^= word;
  Round();
  Round();
  v_[0] ^= word;
}

Fingerprinter& Fingerprinter::Add(std::span<const std::byte> bytes) {
  const size_t whole = bytes.size() / 8 * 8;
  uint64_t word = 0;
  for (size_t at = 0; at < whole; at += 8) {
    std::memcpy(&word, bytes.data() + at, 8);
    Mix(word);
  }
  word = 0;
  if (whole < bytes.size()) std::memcpy(&word, bytes.data() + whole, bytes.size() - whole);
  Mix(word);
  Mix(bytes.size());
  return *this;
}

Fingerprint Fingerprinter::Finish() {
  Fingerprint result;
  v_[2] ^= 0xee;
  for (int i = 0; i < 4; ++i) Round();
  result[0] = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  v_[1] ^= 0xdd;
  for (int i = 0; i < 4; ++i) Round();
  result[1] = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  return result;
}

std::string ToText(const Fingerprint& fingerprint) {
  return absl::StrCat(absl::Hex(fingerprint[0], absl::kZeroPad16),
                      absl::Hex(fingerprint[1], absl::kZeroPad16));
}

}  // namespace jprof
