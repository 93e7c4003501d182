// Call-frame tables of a host's libraries: what they take in the kernel, and how long one takes to
// make, or to be read from the cache.
//
//   unwind_bench [FILE...]      else the largest in /usr/lib, until they have 300 tables
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "profiler/unwind/call_frames.h"
#include "profiler/unwind/unwind_cache.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

constexpr size_t kTables = 300;

double CpuMs() {
  timespec t;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

std::vector<std::string> LibrariesBySize() {
  namespace fs = std::filesystem;
  std::vector<std::pair<uint64_t, std::string>> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it("/usr/lib", error), end; it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    const bool is_library = name.find(".so") != std::string::npos || name == "chromium";
    if (is_library && it->is_regular_file(error) && !it->is_symlink(error)) {
      found.emplace_back(it->file_size(error), it->path());
    }
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> paths;
  for (auto& [bytes, path] : found) paths.push_back(std::move(path));
  return paths;
}

struct Sum {
  std::set<Fingerprint> tables;  // files that say the same share one
  uint64_t frame_bytes = 0;  // of .eh_frame
  uint64_t table_bytes = 0;
  size_t refused = 0;
};

void Measure(const std::string& path, UnwindCache& cache, Sum& sum) {
  auto elf = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
  if (!elf.ok()) return;
  const double begin = CpuMs();
  const CallFrames frames(*elf);
  if (frames.empty()) return;
  const Fingerprint fingerprint = frames.FingerprintWith(cache.key());
  const double read = CpuMs();
  if (!sum.tables.insert(fingerprint).second) return;
  absl::StatusOr<UnwindTable> table = frames.Build();
  const double built = CpuMs();
  if (!table.ok()) {
    ++sum.refused;
    std::printf("%-60s refused: %s\n", path.c_str(), std::string(table.status().message()).c_str());
    return;
  }
  cache.Put(fingerprint, *table);
  const double put = CpuMs();
  const bool found = cache.Find(fingerprint).has_value();
  const double cached = CpuMs() - put + (read - begin);
  constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 30;
  const auto section = elf->ReadSection(".eh_frame", kMaxSectionBytes);
  const uint64_t frame_bytes = section ? section->bytes.size() : 0;
  const uint64_t table_bytes = table->words().size() * sizeof(uint64_t);
  sum.frame_bytes += frame_bytes;
  sum.table_bytes += table_bytes;
  std::printf(
      "%-60s %9lu bytes of .eh_frame %9lu in the kernel, made in %7.2f ms, cached %6.2f ms%s\n",
      path.c_str(), frame_bytes, table_bytes, built - begin, cached, found ? "" : " (not found)");
}

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  using namespace jprof;
  std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty()) paths = LibrariesBySize();
  char directory[] = "/tmp/unwind_bench.XXXXXX";
  if (::mkdtemp(directory) == nullptr) return 1;
  auto cache = UnwindCache::Open(directory, uint64_t{1} << 30);
  Sum sum;
  if (cache.ok()) {
    for (const std::string& path : paths) {
      Measure(path, *cache, sum);
      if (sum.tables.size() == kTables) break;
    }
  }
  std::printf(
      "%zu tables, %zu refused: %.1f MB of .eh_frame, %.1f MB in the kernel, a ratio of %.2f\n",
      sum.tables.size(), sum.refused, static_cast<double>(sum.frame_bytes) * 1e-6,
      static_cast<double>(sum.table_bytes) * 1e-6,
      static_cast<double>(sum.table_bytes) / static_cast<double>(sum.frame_bytes));
  std::filesystem::remove_all(directory);
  return cache.ok() ? 0 : 1;
}
