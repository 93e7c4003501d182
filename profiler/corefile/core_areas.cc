#include "profiler/corefile/core_areas.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxSmapsBytes = size_t{256} << 20;
// Bits of /proc/PID/pagemap.
constexpr uint64_t kPresent = 1ULL << 63, kSwapped = 1ULL << 62, kOfFile = 1ULL << 61;

}  // namespace

// In smaps each mapping is followed by lines of its own.
absl::StatusOr<std::vector<CoreArea>> ReadCoreAreas(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(const std::string text,
                         ReadProcFile(absl::StrCat("/proc/", pid, "/smaps"), kMaxSmapsBytes));
  std::vector<CoreArea> areas;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "VmFlags:")) {
      for (absl::string_view flag : absl::StrSplit(line.substr(8), ' ', absl::SkipEmpty())) {
        if (!areas.empty() && (flag == "dd" || flag == "io" || flag == "pf")) {
          areas.back().dont_dump = true;
        }
        if (!areas.empty() && flag == "dc") areas.back().dont_fork = true;
      }
    } else if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
      JPROF_ASSIGN_OR_RETURN(std::vector<ProcMapping> mapping, ParseProcMaps(line));
      if (mapping.size() == 1) areas.push_back({std::move(mapping[0])});
    }
  }
  return areas;
}

std::vector<AddressRange> NotForkedRanges(const std::vector<CoreArea>& areas) {
  std::vector<AddressRange> ranges;
  bool go_on = false;
  for (const CoreArea& area : areas) {
    const bool wanted = area.dont_fork && !area.dont_dump;
    if (wanted && go_on) {
      ranges.back().end = area.mapping.range.end;
    } else if (wanted) {
      ranges.push_back(area.mapping.range);
    }
    go_on = wanted;
  }
  return ranges;
}

PageTable::PageTable(Pid pid)
    : fd_(::open(absl::StrCat("/proc/", pid, "/pagemap").c_str(), O_RDONLY | O_CLOEXEC)) {}

std::vector<uint64_t> PageTable::Read(uint64_t address, size_t pages) const {
  std::vector<uint64_t> words(pages);
  const ssize_t n = ::pread(fd_.get(), words.data(), pages * 8,
                            static_cast<off_t>(address / kCorePageBytes * 8));
  words.resize(n < 0 ? 0 : static_cast<size_t>(n) / 8);
  return words;
}

bool PageTable::IsThere(uint64_t word) { return (word & (kPresent | kSwapped)) != 0; }

bool PageTable::IsWritten(uint64_t word) { return IsThere(word) && (word & kOfFile) == 0; }

void PageSet::Add(AddressRange range) {
  for (uint64_t page = range.begin.value / kCorePageBytes;
       !range.empty() && page <= (range.end.value - 1) / kCorePageBytes; ++page) {
    pages_.insert(page);
  }
}

std::vector<AddressRange> PageSet::RunsIn(AddressRange range) const {
  std::vector<AddressRange> runs;
  const uint64_t end = range.end.value / kCorePageBytes;
  for (auto it = pages_.lower_bound(range.begin.value / kCorePageBytes);
       it != pages_.end() && *it < end; ++it) {
    const Address begin{*it * kCorePageBytes};
    if (runs.empty() || runs.back().end != begin) runs.push_back({begin, begin});
    runs.back().end = begin + kCorePageBytes;
  }
  return runs;
}

NotedMemory::NotedMemory(Pid source, const std::vector<CoreArea>& areas, PageSet& noted)
    : memory_(::open(absl::StrCat("/proc/", source, "/mem").c_str(), O_RDONLY | O_CLOEXEC)),
      areas_(areas),
      noted_(noted) {}

size_t NotedMemory::Read(Address address, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const Address at = address + done;
    if (at < address) break;
    auto area =
        std::upper_bound(areas_.begin(), areas_.end(), at,
                         [](Address a, const CoreArea& b) { return a < b.mapping.range.begin; });
    if (area == areas_.begin()) break;
    --area;
    if (!area->mapping.range.Contains(at) || area->dont_dump) break;
    if (is_full() && !noted_.Contains(at.value)) break;
    const size_t size =
        std::min<uint64_t>(out.size() - done, kCorePageBytes - at.value % kCorePageBytes);
    if (::pread(memory_.get(), out.data() + done, size, static_cast<off_t>(at.value)) !=
        static_cast<ssize_t>(size)) {
      break;
    }
    noted_.Add({at, at + size});
    done += size;
  }
  return done;
}

}  // namespace jprof
