// Memory that a fuzzer's input makes up for what reads V8's objects: 64-bit words from kBase on,
// which wrap around, so that every pointer into the window leads to something. A word is written in
// one byte, or in nine: `t` below 0xf0 is a tagged pointer to word t, 0xf0 to 0xfe a small integer,
// 0xff takes the next eight bytes as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "profiler/process/memory_reader.h"

namespace jprof {

class FuzzedMemory : public MemoryReader {
 public:
  static constexpr uint64_t kBase = 0x10000;
  static constexpr size_t kWords = 4096;

  FuzzedMemory(const uint8_t* data, size_t size) {
    while (size > 0 && words_.size() < kWords) {
      const uint8_t t = *data++;
      --size;
      if (t < 0xf0) {
        words_.push_back(kBase + t * 8u + 1);
      } else if (t < 0xff) {
        words_.push_back(uint64_t{t - 0xf0u} << 32);
      } else {
        uint64_t word = 0;
        const size_t taken = size < 8 ? size : 8;
        std::memcpy(&word, data, taken);
        data += taken;
        size -= taken;
        words_.push_back(word);
      }
    }
    if (words_.empty()) words_.push_back(0);
  }

  size_t Read(Address address, std::span<std::byte> out) const override {
    ++reads_;
    bytes_ += out.size();
    // Within the window words repeat; outside nothing is mapped.
    if (address.value < kBase || address.value >= kBase + kWords * 8) return 0;
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t at = address.value - kBase + i;
      if (at >= kWords * 8) return i;
      const uint64_t word = words_[at / 8 % words_.size()];
      out[i] = static_cast<std::byte>(word >> (at % 8 * 8));
    }
    return out.size();
  }
  uint64_t reads() const { return reads_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::vector<uint64_t> words_;
  mutable uint64_t reads_ = 0;
  mutable uint64_t bytes_ = 0;
};

}  // namespace jprof
