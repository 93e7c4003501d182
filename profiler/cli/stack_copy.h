// What a stack's variables may be in, as it was while the thread stood: the stack's words, and the
// pages that they and the registers point at. What is in no page of memory then is left out, so
// that nothing waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "helpers/native_runner.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// Of a sample: the stack's words alone, from the stack pointer on.
std::shared_ptr<const MemoryReader> CopyOfSample(uint64_t sp, std::span<const std::byte> stack);

class StackCopier {
 public:
  // `memory` outlives this. Of a core (pid 0) all pages are in memory.
  StackCopier(const MemoryReader& memory, Pid pid);

  // The stack's bytes from `sp` on, as far as they are in memory.
  static constexpr size_t kStackBytes = 64 << 10;  // no more
  std::vector<std::byte> CopyStack(uint64_t sp) const;

  // The copy of the stack that was walked just now. Bounded, and so are all copies together that
  // are there at a time: then there is less in them.
  std::shared_ptr<const MemoryReader> Copy(const Registers& registers,
                                           const std::vector<FramePlace>& places);

 private:
  bool IsResident(uint64_t page) const;

  const MemoryReader& memory_;
  const bool all_resident_;
  const UniqueFd pagemap_;
  const std::shared_ptr<size_t> pages_ = std::make_shared<size_t>(0);  // of all copies
};

}  // namespace jprof
