// Any bytes as a perf map. Read in one piece and in two, the answers are the same.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "helpers/perfmap/perf_map.h"

namespace jprof {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

class Map {
 public:
  explicit Map(const PerfMapOptions& options) : fd_(::memfd_create("map", MFD_CLOEXEC)) {
    auto map = PerfMap::OpenFile(UniqueFd(::dup(fd_.get())), "fuzz", options);
    Require(map.ok());
    map_.emplace(*std::move(map));
  }
  void Append(const uint8_t* data, size_t size) {
    Require(::write(fd_.get(), data, size) == static_cast<ssize_t>(size));
    Require(map_->Update().ok());
  }
  void Truncate() {
    Require(::ftruncate(fd_.get(), 0) == 0);
    Require(map_->Update().ok());
  }
  const PerfMap& map() const { return *map_; }

 private:
  UniqueFd fd_;
  std::optional<PerfMap> map_;
};

}  // namespace
}  // namespace jprof

// The first byte chooses where the text is cut in two.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  if (size == 0) return 0;
  PerfMapOptions options;
  options.max_entries = 10'000;
  Map whole(options), pieces(options);
  const size_t cut = 1 + (size - 1) * data[0] / 256;
  whole.Append(data + 1, size - 1);
  pieces.Append(data + 1, cut - 1);
  pieces.Append(data + cut, size - cut);

  const auto& a = whole.map().counters();
  const auto& b = pieces.map().counters();
  Require(a.lines == b.lines && a.skipped_malformed == b.skipped_malformed &&
          a.skipped_empty == b.skipped_empty && a.skipped_wrapping == b.skipped_wrapping);
  Require(a.lines >= a.skipped_malformed + a.skipped_empty + a.skipped_wrapping);
  Require(whole.map().size() == pieces.map().size());
  Require(whole.map().size() <= options.max_entries);
  for (uint64_t base : {uint64_t{0}, uint64_t{0x1000}, uint64_t{0x7f0000000000}, ~uint64_t{0xff}}) {
    for (uint64_t i = 0; i < 256; ++i) {
      Require(whole.map().Find({base + i}) == pieces.map().Find({base + i}));
    }
  }
  whole.Truncate();
  Require(size == 1 || whole.map().size() == 0);
  return 0;
}
