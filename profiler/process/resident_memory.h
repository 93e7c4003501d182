// The memory of a live process, without waiting for its pages: one that is not in memory may lie
// behind a userfaultfd or a file system that hangs, where a read of it waits for ever and cannot be
// called off. Which pages are there is asked of the kernel (/proc/PID/pagemap) and known for a
// tenth of a second, since asking takes as long as reading; what needs another one is left to
// somebody else.
//
// A page can go meanwhile. That takes a process that gives its pages away, all the time, where
// nobody brings them back; the read waits then as it would have without the question.
//
// Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

class ResidentMemory : public MemoryReader {
 public:
  // `others`: reads what is not wholly there, or all if that cannot be known; nullptr: it is not
  // readable from the first page on that is missing.
  ResidentMemory(Pid pid, std::unique_ptr<const MemoryReader> others);

  size_t Read(Address address, std::span<std::byte> out) const override;

 private:
  // Of those at `address` and behind, up to the first that is not there.
  size_t ResidentBytes(Address address, size_t size) const;

  // Whether the first of `count` pages is there; asks for all.
  bool Ask(uint64_t first, uint64_t count, uint64_t now_ns) const;

  static constexpr size_t kKnownPages = 256;
  struct KnownPage {
    uint64_t number = 0;
    uint64_t until_ns = 0;
  };

  LiveMemory memory_;
  mutable UniqueFd pages_;
  mutable uint64_t open_again_ns_ = 0;  // not before
  std::unique_ptr<const MemoryReader> others_;
  std::unique_ptr<std::array<KnownPage, kKnownPages>> known_;  // that are there; a cache
};

}  // namespace jprof
