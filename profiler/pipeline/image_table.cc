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

uint32_t ImageTable::Add(const MapEvent& map) {
  const uint32_t next = static_cast<uint32_t>(images_.size());
  const uint32_t id = map.file.valid() ? by_file_.try_emplace(map.file, next).first->second
                                       : by_name_.try_emplace(map.path, next).first->second;
  const uint64_t base = map.range.begin.value - map.offset.value;
  if (id == next) {
    PinnedImage image{map.path, UniqueFd(), base, map.range.end.value};
    absl::StatusOr<UniqueFd> file = opener_(map);
    if (file.ok()) {
      image.file = *std::move(file);
    } else if (map.file.valid()) {
      ++unopened_;
    }
    images_.push_back(std::move(image));
  } else if (!images_[id].file.valid() && map.file.valid()) {
    // The process that had it first was gone too soon; this one may let us open it.
    absl::StatusOr<UniqueFd> file = opener_(map);
    if (file.ok()) {
      images_[id].file = *std::move(file);
      --unopened_;
    }
  } else if (images_[id].base == base) {
    images_[id].limit = std::max(images_[id].limit, map.range.end.value);
  }
  return id;
}

}  // namespace jprof
