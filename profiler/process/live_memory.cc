#include "profiler/process/live_memory.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxVectorBytes = 64 << 10;
// The smallest page of any machine we run on: a larger one only means more, smaller reads.
constexpr uint64_t kPageBytes = 4096;

// 0 on any error: nothing was copied.
size_t ReadVector(Pid pid, uint64_t address, std::span<std::byte> out) {
  iovec local = {out.data(), out.size()};
  iovec remote = {reinterpret_cast<void*>(address), out.size()};
  ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (n < 0 && errno == ESRCH) {
    const absl::StatusOr<Tid> living = LivingThread(pid);
    if (living.ok() && *living != pid) {
      n = process_vm_readv(*living, &local, 1, &remote, 1, 0);
    }
  }
  return n > 0 ? static_cast<size_t>(n) : 0;
}

}  // namespace

size_t LiveMemory::Read(Address address, std::span<std::byte> out) const {
  // Addresses do not wrap: a read over the top of the address space stops there.
  size_t wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), UINT64_MAX - address.value));
  size_t done = 0;
  bool by_page = false;
  while (done < wanted) {
    uint64_t at = address.value + done;
    size_t size = std::min(wanted - done, kMaxVectorBytes);
    if (by_page) size = std::min<size_t>(size, kPageBytes - at % kPageBytes);
    size_t n = ReadVector(pid_, at, out.subspan(done, size));
    done += n;
    if (n == size) continue;
    // The kernel may give up on a whole vector for one bad page, so what lies before that page is
    // asked for page by page.
    if (by_page) break;
    by_page = true;
  }
  return done;
}

}  // namespace jprof
