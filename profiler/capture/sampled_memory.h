// A process's memory as one thread had it at a sample: the copy of its stack that the kernel made
// at that instant, laid over what the memory holds now.
//
// The copy may end before the stack does. What lies beyond is the same as at the sample as long as
// the thread has not returned from the functions whose frames are there; so it is read from the
// memory of now, and afterwards the end of the copy is compared with what is there: a thread that
// has returned to beyond, and called something else, has written over it.
//
// Objects on the heap are those of the sample for a short while only: a collector moves them. Where
// a frame lies in the stack as it did at the sample, it is still there, or there again, and the
// collector has kept its words right: what it refers to is of now.
//
// Memory is read by pages, each once: a system call costs more than the bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// One thread at a time.
class SampledMemory : public MemoryReader {
 public:
  static constexpr size_t kMaxStackBytes = size_t{8} << 20;  // what is beyond is no stack
  static constexpr size_t kComparedBytes = 1024;

  SampledMemory();

  // `copy`: of the stack from `sp` on. `whole`: the stack ends with it. Both memories outlive the
  // reads until the next call. (A function that calls no other may keep things below `sp`, which
  // the kernel does not copy: they are read as they are now.)
  void Begin(const MemoryReader& live, uint64_t sp, std::span<const std::byte> copy, bool whole);

  size_t Read(Address address, std::span<std::byte> out) const override;

  // Whether stack beyond the copy was read, and that is what the thread had there.
  bool went_beyond() const { return went_beyond_; }
  bool IsUnchangedBeyond() const;
  // Nothing is readable there from now on.
  void CloseBeyond() { beyond_closed_ = true; }
  bool beyond_is_closed() const { return beyond_closed_; }

  // From now on memory other than the stack is read anew, and for those frames only whose part of
  // the stack is now as it was at the sample; or for none.
  void BelieveUnchangedFrames();
  void BelieveNoFrame() { believed_from_ = UINT64_MAX; }
  // What is read next is for a frame whose part of the stack begins there.
  void AtFrame(uint64_t stack_from) { stack_from_ = stack_from; }

 private:
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kPages = 64;  // power of two
  struct Page {
    uint64_t number = 0;
    uint64_t reading = 0;  // that it is of
    size_t bytes = 0;     // that could be read
    std::array<std::byte, kPageBytes> data;
  };

  size_t ReadLive(uint64_t address, std::span<std::byte> out) const;

  const MemoryReader* live_ = nullptr;
  uint64_t sp_ = 0;
  std::span<const std::byte> copy_;
  bool whole_ = true;
  bool beyond_closed_ = false;
  uint64_t believed_from_ = 0;
  uint64_t stack_from_ = 0;
  std::vector<std::byte> now_;  // the stack's part of the copy
  uint64_t reading_ = 0;
  mutable bool went_beyond_ = false;
  const std::unique_ptr<std::array<Page, kPages>> pages_;  // a cache
};

}  // namespace jprof
