#include "profiler/capture/perf_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// Copies `size` bytes that begin at ring position `at` and may wrap.
void CopyOut(std::span<const std::byte> data, size_t at, std::byte* out, size_t size) {
  const size_t until_end = std::min(size, data.size() - at);
  std::memcpy(out, data.data() + at, until_end);
  std::memcpy(out + until_end, data.data(), size - until_end);
}

}  // namespace

DrainResult DrainRing(perf_event_mmap_page& control, std::span<const std::byte> data,
                      std::vector<std::byte>& buffer, RecordVisitor visit) {
  DrainResult result;
  std::atomic_ref<__u64> shared_head(control.data_head);
  std::atomic_ref<__u64> shared_tail(control.data_tail);
  const uint64_t head = shared_head.load(std::memory_order_acquire);
  uint64_t tail = shared_tail.load(std::memory_order_relaxed);  // only we write it

  while (tail != head) {
    const uint64_t available = head - tail;
    const size_t at = static_cast<size_t>(tail & (data.size() - 1));
    perf_event_header header = {};
    bool good = available <= data.size() && available >= sizeof(header);
    if (good) {
      CopyOut(data, at, reinterpret_cast<std::byte*>(&header), sizeof(header));
      good = header.size >= sizeof(header) && header.size <= available;
    }
    if (!good) {
      result.skipped_bytes = available;
      shared_tail.store(head, std::memory_order_release);
      break;
    }
    std::span<const std::byte> record;
    if (header.size <= data.size() - at) {
      record = data.subspan(at, header.size);
    } else {
      buffer.resize(header.size);
      CopyOut(data, at, buffer.data(), header.size);
      record = buffer;
    }
    visit(record);
    ++result.records;
    tail += header.size;
    shared_tail.store(tail, std::memory_order_release);
  }
  return result;
}

absl::StatusOr<PerfRing> PerfRing::Map(int event_fd, size_t data_pages) {
  if (!std::has_single_bit(data_pages) || data_pages > (size_t{1} << 20)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ring of ", data_pages, " pages: not a power of two, or too large"));
  }
  const size_t page_bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t size_bytes = (1 + data_pages) * page_bytes;
  void* base =
      ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, event_fd, /*offset=*/0);
  if (base == MAP_FAILED) {
    const int err = errno;
    absl::Status status =
        ErrnoStatus(err, absl::StrCat("cannot map a perf ring of ", data_pages, " pages"));
    if (err == EPERM) {
      return WithHint(status,
                      "raise ulimit -l or kernel.perf_event_mlock_kb; other perf sessions of the "
                      "same user count");
    }
    return status;
  }
  return PerfRing(base, size_bytes, page_bytes);
}

PerfRing::PerfRing(PerfRing&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      size_bytes_(other.size_bytes_),
      page_bytes_(other.page_bytes_),
      buffer_(std::move(other.buffer_)) {}

PerfRing& PerfRing::operator=(PerfRing&& other) noexcept {
  if (this != &other) {
    Unmap();
    base_ = std::exchange(other.base_, nullptr);
    size_bytes_ = other.size_bytes_;
    page_bytes_ = other.page_bytes_;
    buffer_ = std::move(other.buffer_);
  }
  return *this;
}

PerfRing::~PerfRing() { Unmap(); }

void PerfRing::Unmap() {
  if (base_ != nullptr) ::munmap(std::exchange(base_, nullptr), size_bytes_);
}

DrainResult PerfRing::Drain(RecordVisitor visit) {
  auto* bytes = static_cast<std::byte*>(base_);
  return DrainRing(*static_cast<perf_event_mmap_page*>(base_),
                   std::span(bytes + page_bytes_, size_bytes_ - page_bytes_), buffer_, visit);
}

}  // namespace jprof
