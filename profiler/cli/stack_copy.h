// What a stack's variables may be in, as it was while the thread stood: the stack's words, and the
// pages that they and the registers point at. What is in no page of memory then is left out, so
// that nothing waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/native_runner.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// Tells which of a live process's pages are in memory.
class ResidentPages {
 public:
  // Of a core (pid 0) all are.
  explicit ResidentPages(Pid pid);
  bool Contains(uint64_t page) const;

 private:
  const bool all_;
  UniqueFd pagemap_;
};

// Of a sample: the stack's words alone, from the stack pointer on.
std::shared_ptr<const MemoryReader> CopyOfSample(uint64_t sp, std::span<const std::byte> stack);

class StackCopier {
 public:
  // `memory` outlives this.
  StackCopier(const MemoryReader& memory, Pid pid) : memory_(memory), resident_(pid) {}

  // The copy of the stack that was walked just now. Bounded, and so are all copies together: then
  // there is less in them.
  std::shared_ptr<const MemoryReader> Copy(const Registers& registers,
                                           const std::vector<FramePlace>& places);

 private:
  const MemoryReader& memory_;
  const ResidentPages resident_;
  size_t pages_ = 0;  // of all copies
};

}  // namespace jprof
