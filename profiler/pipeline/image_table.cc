#include "profiler/pipeline/image_table.h"

#include <algorithm>
#include <utility>

namespace jprof {

uint32_t ImageTable::Find(const FileIdentity& file, const std::string& path) const {
  if (file.valid()) {
    auto it = by_file_.find(file);
    return it == by_file_.end() ? kNone : it->second;
  }
  auto it = by_name_.find(path);
  return it == by_name_.end() ? kNone : it->second;
}

bool ImageTable::Pin(PinnedImage& image, const MapEvent& map) {
  absl::StatusOr<UniqueFd> file = opener_(map);
  if (!file.ok()) {
    image.unopened_by = map.pid;
    image.unopened_why = std::string(file.status().message());
    return false;
  }
  image.file = *std::move(file);
  image.unopened_why.clear();
  ++pinned_;
  return true;
}

uint32_t ImageTable::Add(const MapEvent& map) {
  uint32_t id = Find(map.file, map.path);
  const uint64_t base = map.range.begin.value - map.offset.value;
  if (id == kNone) {
    if (images_.size() >= kMaxImages) return kNone;
    id = static_cast<uint32_t>(images_.size());
    if (map.file.valid()) {
      by_file_[map.file] = id;
    } else {
      by_name_[map.path] = id;
    }
    PinnedImage image{map.path, map.file, UniqueFd(), base, map.range.end.value, 0, ""};
    if (pinned_ >= max_pinned_) {
      ++over_limit_;
      image.unopened_why = "more mapped files than may be kept open; raise ulimit -n";
    } else if (!Pin(image, map) && map.file.valid()) {
      ++unopened_;
    }
    images_.push_back(std::move(image));
    return id;
  }
  PinnedImage& image = images_[id];
  if (map.file.valid() && image.unopened_by != 0 && image.unopened_by != map.pid &&
      pinned_ < max_pinned_) {
    // The process that had it first was gone too soon; this one may let us open it.
    if (Pin(image, map)) {
      image.unopened_by = 0;
      --unopened_;
    }
  } else if (image.base == base) {
    image.limit = std::max(image.limit, map.range.end.value);
  }
  return id;
}

}  // namespace jprof
