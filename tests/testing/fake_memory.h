// A memory for tests: bytes where they were put, nothing anywhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

class FakeMemory : public MemoryReader {
 public:
  // Later bytes replace earlier ones.
  FakeMemory& Put(Address address, std::span<const std::byte> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) bytes_[address.value + i] = bytes[i];
    return *this;
  }
  FakeMemory& PutText(Address address, absl::string_view text) {
    return Put(address, std::as_bytes(std::span(text.data(), text.size())));
  }
  template <typename T>
  FakeMemory& PutValue(Address address, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return Put(address, std::as_bytes(std::span(&value, 1)));
  }
  FakeMemory& Zero(AddressRange range) {
    for (uint64_t a = range.begin.value; a < range.end.value; ++a) bytes_[a] = std::byte{0};
    return *this;
  }
  // Reads stop at `range` whatever was put there, like a page that is swapped out.
  FakeMemory& MakeUnreadable(AddressRange range) {
    unreadable_.push_back(range);
    return *this;
  }
  // The n-th read from now on, counted from 1, copies nothing; the others are as usual.
  void FailRead(uint64_t n) { failing_read_ = reads_ + n; }
  // Whether the read that was to fail was made: a fault that was never hit tests nothing.
  bool FailedAsTold() const { return failing_read_ && reads_ >= *failing_read_; }
  uint64_t reads() const { return reads_; }

  size_t Read(Address address, std::span<std::byte> out) const override {
    ++reads_;
    if (failing_read_ && reads_ == *failing_read_) return 0;
    for (size_t i = 0; i < out.size(); ++i) {
      const Address at = address + i;
      auto it = bytes_.find(at.value);
      if (it == bytes_.end()) return i;
      for (const AddressRange& range : unreadable_) {
        if (range.Contains(at)) return i;
      }
      out[i] = it->second;
    }
    return out.size();
  }

 private:
  std::map<uint64_t, std::byte> bytes_;
  std::vector<AddressRange> unreadable_;
  std::optional<uint64_t> failing_read_;
  mutable uint64_t reads_ = 0;  // counts calls; the memory itself does not change
};

}  // namespace jprof
