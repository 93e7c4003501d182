#include "profiler/stop/page_memory.h"

#include <algorithm>

namespace jprof {

size_t PageMemory::Read(Address address, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = address.value + done;
    if (at < address.value) break;  // over the top of the address space
    const uint64_t page = at / kPageBytes * kPageBytes;
    auto it = pages_.find(page);
    if (it == pages_.end()) {
      if (pages_.size() >= kMaxPages) pages_.clear();
      std::vector<std::byte> bytes(kPageBytes);
      bytes.resize(memory_.Read(Address{page}, bytes));
      it = pages_.emplace(page, std::move(bytes)).first;
    }
    const size_t offset = at - page;
    if (offset >= it->second.size()) break;
    const size_t size = std::min(out.size() - done, it->second.size() - offset);
    std::copy_n(it->second.begin() + static_cast<ptrdiff_t>(offset), size,
                out.begin() + static_cast<ptrdiff_t>(done));
    done += size;
    if (it->second.size() < kPageBytes && done < out.size()) break;
  }
  return done;
}

}  // namespace jprof
