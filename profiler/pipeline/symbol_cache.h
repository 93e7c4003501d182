// What was found out about mapped files' offsets, for a recording that names its frames again and
// again: a file is opened for offsets that are new alone.
//
// Files are known by their number in the ImageTable, which pins them. One that cannot be read, or
// not in full, is not tried again before the end: the next time would take as long. One whose
// reader died or did not answer is, some times. Names only; no inlined functions or lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "symbolize/symbolizer.h"

namespace jprof {

class SymbolCache {
 public:
  // Beyond `max_names` all are forgotten.
  explicit SymbolCache(size_t max_names = 1 << 18) : max_names_(max_names) {}

  // Of one image with these offsets, sorted, those that are not known.
  std::vector<FileOffset> Missing(uint32_t image, const std::vector<FileOffset>& offsets) const;
  // What SymbolizeImages() made of them.
  void Add(uint32_t image, const ImageQuery& answered);
  // The answer to a query, of what is known.
  void Fill(uint32_t image, ImageQuery& query) const;
  // What might be known better when it is asked for once more: of images with trouble, and of those
  // that are stripped.
  void ForgetDoubtful(bool stripped_too);
  // Between two rounds of the above.
  void MakeRoom();

 private:
  struct Image {
    absl::flat_hash_map<uint64_t, SymbolName> names;  // by offset
    std::string build_id;
    bool is_stripped = false;
    int losses = 0;
    bool given_up = false;
    absl::Status status;
  };

  static constexpr int kMaxLosses = 3;  // some seconds each

  const size_t max_names_;
  size_t names_ = 0;
  absl::flat_hash_map<uint32_t, Image> images_;
};

}  // namespace jprof
