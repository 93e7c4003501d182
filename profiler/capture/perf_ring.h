// Reading the ring that the kernel fills for a perf event.
//
// The ring is one control page and a power of two of data pages, shared with the kernel. data_head
// and data_tail are byte counts that only grow; the bytes [tail, head) are ours. Two pairs of
// accesses order the whole thing:
//
//   kernel                            we
//   write the record                  load-acquire data_head      -> the record's bytes are visible
//   (barrier) store data_head         read the record
//   load data_tail (barrier)          store-release data_tail     -> our reads are over before the
//   overwrite what lies below tail                                   kernel may write there again
//
// A record may wrap around the end of the data; it is then put together in a buffer of ours, so
// that a visitor always sees one span. Sizes come from shared memory and are checked all the same:
// a record shorter than its header or longer than what was written says that the ring is damaged,
// and everything up to head is skipped, since nothing tells where the next record begins.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace jprof {

struct DrainResult {
  uint64_t records = 0;
  uint64_t skipped_bytes = 0;  // not 0: the ring was damaged
  bool corrupt() const { return skipped_bytes != 0; }
};

// Gets a record with its header; valid during the call only.
using RecordVisitor = absl::FunctionRef<void(std::span<const std::byte> record)>;

// Visits the records that are there at the call, oldest first, and gives their room back one by
// one. What arrives meanwhile waits for the next call, so it ends. `data`: a power of two of bytes.
DrainResult DrainRing(perf_event_mmap_page& control, std::span<const std::byte> data,
                      std::vector<std::byte>& buffer, RecordVisitor visit);

// Sole owner of a mapped ring. The mapping keeps the event alive in the kernel. One thread at a
// time.
class PerfRing {
 public:
  // `data_pages`: a power of two. PermissionDenied: the locked-memory budget is used up (with
  // hint).
  static absl::StatusOr<PerfRing> Map(int event_fd, size_t data_pages);

  PerfRing(PerfRing&& other) noexcept;
  PerfRing& operator=(PerfRing&& other) noexcept;
  ~PerfRing();

  DrainResult Drain(RecordVisitor visit);

 private:
  PerfRing(void* base, size_t size_bytes, size_t page_bytes)
      : base_(base), size_bytes_(size_bytes), page_bytes_(page_bytes) {}
  void Unmap();

  void* base_ = nullptr;
  size_t size_bytes_ = 0;
  size_t page_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace jprof
