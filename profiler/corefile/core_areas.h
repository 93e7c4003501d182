// The memory of a process as a core sees it: its mappings, what the process wants of each, and
// which pages are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"

namespace jprof {

inline constexpr uint64_t kCorePageBytes = 4096;

struct CoreArea {
  ProcMapping mapping;
  bool dont_dump = false;  // or device memory
  bool dont_fork = false;
};

// All of a process, in address order.
absl::StatusOr<std::vector<CoreArea>> ReadCoreAreas(Pid pid);

// The memory that a process does not share with its children (MADV_DONTFORK), as V8 has it for its
// heap: ranges in which there is no other. Device memory is not among it.
std::vector<AddressRange> NotForkedRanges(const std::vector<CoreArea>& areas);

// Which pages of a process are there.
class PageTable {
 public:
  explicit PageTable(Pid pid);
  // A word for each page from `address` on, as the kernel has it; fewer when they cannot be read.
  std::vector<uint64_t> Read(uint64_t address, size_t pages) const;
  static bool IsThere(uint64_t word);
  // There, and no longer as it is in the file that was mapped.
  static bool IsWritten(uint64_t word);

 private:
  UniqueFd fd_;
};

// Numbers of pages: those that a core is to have.
class PageSet {
 public:
  void Add(AddressRange range);
  bool Contains(uint64_t address) const { return pages_.contains(address / kCorePageBytes); }
  // Runs of them within a range.
  std::vector<AddressRange> RunsIn(AddressRange range) const;
  size_t size() const { return pages_.size(); }

 private:
  absl::btree_set<uint64_t> pages_;
};

// The memory that a core of a process would hold, and what was read of it.
class NotedMemory : public MemoryReader {
 public:
  // `areas`: of `source`, which this process traces; they and `noted` outlive this object.
  NotedMemory(Pid source, const std::vector<CoreArea>& areas, PageSet& noted);
  // Nothing more is read when kMaxPages have been noted.
  size_t Read(Address address, std::span<std::byte> out) const override;
  bool is_full() const { return noted_.size() >= kMaxPages; }

 private:
  static constexpr size_t kMaxPages = 1 << 14;

  const UniqueFd memory_;
  const std::vector<CoreArea>& areas_;
  PageSet& noted_;
};

}  // namespace jprof
