// Reads another memory a page at a time and keeps the pages: a walk reads few pages, each in many
// small pieces, and a read of a process costs a system call whatever its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// Not thread-safe. What was read is true as of then: Forget() before memory is looked at anew.
class PageMemory : public MemoryReader {
 public:
  // `memory` outlives this object.
  explicit PageMemory(const MemoryReader& memory) : memory_(memory) {}

  size_t Read(Address address, std::span<std::byte> out) const override;
  void Forget() { pages_.clear(); }

 private:
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kMaxPages = 4096;

  const MemoryReader& memory_;
  mutable absl::flat_hash_map<uint64_t, std::vector<std::byte>>
      pages_;  // shorter: that far readable
};

}  // namespace jprof
