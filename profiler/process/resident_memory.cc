#include "profiler/process/resident_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr uint64_t kPageBytes = 4096;  // of x86-64
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kKnownForNs = 100'000'000;

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

UniqueFd OpenPages(Pid pid) {
  const Tid living = LivingThread(pid).value_or(pid);
  return UniqueFd(
      ::open(absl::StrCat("/proc/", living, "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

ResidentMemory::ResidentMemory(Pid pid, std::unique_ptr<const MemoryReader> others)
    : memory_(pid),
      pages_(OpenPages(pid)),
      others_(std::move(others)),
      known_(std::make_unique<std::array<KnownPage, kKnownPages>>()) {}

bool ResidentMemory::Ask(uint64_t first, uint64_t count, uint64_t now_ns) const {
  std::array<uint64_t, 32> entries = {};
  auto read = [&] {
    return ::pread(pages_.get(), entries.data(),
                   std::min<uint64_t>(count, entries.size()) * sizeof(entries[0]),
                   static_cast<off_t>(first * sizeof(entries[0])));
  };
  ssize_t got = read();
  // Also when the process has another program by now: it is the memory of the one before.
  if (got == 0 && now_ns >= open_again_ns_) {
    open_again_ns_ = now_ns + kKnownForNs;
    pages_ = OpenPages(memory_.pid());
    got = read();
  }
  if (got < static_cast<ssize_t>(sizeof(entries[0]))) return false;
  for (size_t i = 0; i < static_cast<size_t>(got) / sizeof(entries[0]); ++i) {
    if ((entries[i] & kPresent) == 0) continue;
    (*known_)[(first + i) % kKnownPages] = {first + i, now_ns + kKnownForNs};
  }
  return (entries[0] & kPresent) != 0;
}

size_t ResidentMemory::ResidentBytes(Address address, size_t size) const {
  if (!pages_.valid()) return others_ == nullptr ? size : 0;
  const uint64_t now_ns = NowNs();
  size_t resident = 0;
  while (resident < size) {
    const uint64_t at = address.value + resident;
    const uint64_t page = at / kPageBytes;
    const KnownPage& known = (*known_)[page % kKnownPages];
    if (known.number != page || known.until_ns <= now_ns) {
      const uint64_t count = (at % kPageBytes + (size - resident) + kPageBytes - 1) / kPageBytes;
      if (!Ask(page, count, now_ns)) return resident;
    }
    resident += kPageBytes - at % kPageBytes;
  }
  return size;
}

size_t ResidentMemory::Read(Address address, std::span<std::byte> out) const {
  const size_t resident = ResidentBytes(address, out.size());
  if (resident < out.size() && others_ != nullptr) return others_->Read(address, out);
  return memory_.Read(address, out.first(resident));
}

}  // namespace jprof
