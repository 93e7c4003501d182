#include "profiler/pipeline/image_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace jprof {

ImageTable::ImageTable(Opener opener, RootOpener root_opener, size_t max_pinned)
    : opener_(std::move(opener)), root_opener_(std::move(root_opener)), max_pinned_(max_pinned) {
  pinned_.roots.push_back(std::make_shared<UniqueFd>());
  struct stat st;
  if (::stat("/", &st) == 0) root_ids_[{st.st_dev, st.st_ino}] = 0;
}

uint32_t ImageTable::RootOf(Pid pid) {
  if (!root_opener_) return 0;
  absl::StatusOr<UniqueFd> root = root_opener_(pid);
  struct stat st;
  if (!root.ok() || ::fstat(root->get(), &st) != 0) return kNone;
  auto known = root_ids_.find({st.st_dev, st.st_ino});
  if (known != root_ids_.end()) return known->second;
  if (pinned_.roots.size() >= kMaxRoots) return kNone;
  pinned_.roots.push_back(std::make_shared<UniqueFd>(*std::move(root)));
  return root_ids_[{st.st_dev, st.st_ino}] = static_cast<uint32_t>(pinned_.roots.size() - 1);
}

uint32_t ImageTable::Find(const FileIdentity& file, const std::string& path) const {
  if (file.valid()) {
    auto it = by_file_.find(file);
    return it == by_file_.end() ? kNone : it->second;
  }
  auto it = by_name_.find(path);
  return it == by_name_.end() ? kNone : it->second;
}

absl::Status ImageTable::Pin(PinnedImage& image, const MapEvent& map) {
  absl::StatusOr<UniqueFd> file = opener_(map);
  if (!file.ok()) {
    image.unopened_by = map.pid;
    image.unopened_why = std::string(file.status().message());
    return file.status();
  }
  image.file = std::make_shared<UniqueFd>(*std::move(file));
  image.root = RootOf(map.pid);
  image.unopened_why.clear();
  ++open_;
  return absl::OkStatus();
}

uint32_t ImageTable::Add(const MapEvent& map) {
  uint32_t id = Find(map.file, map.path);
  const uint64_t base = map.range.begin.value - map.offset.value;
  if (id == kNone) {
    if (pinned_.images.size() >= kMaxImages) return kNone;
    id = static_cast<uint32_t>(pinned_.images.size());
    if (map.file.valid()) {
      by_file_[map.file] = id;
    } else {
      by_name_[map.path] = id;
    }
    PinnedImage image{.path = map.path,
                      .identity = map.file,
                      .base = base,
                      .limit = map.range.end.value};
    absl::Status pinned = absl::ResourceExhaustedError("");
    if (open_ < max_pinned_) pinned = Pin(image, map);
    if (absl::IsResourceExhausted(pinned)) {
      ++over_limit_;
      image.unopened_by = 0;
      image.unopened_why = "more mapped files than may be kept open; raise ulimit -n";
    } else if (!pinned.ok() && map.file.valid()) {
      ++unopened_;
    }
    pinned_.images.push_back(std::move(image));
    return id;
  }
  PinnedImage& image = pinned_.images[id];
  if (map.file.valid() && image.unopened_by != 0 && image.unopened_by != map.pid &&
      open_ < max_pinned_) {
    // The process that had it first was gone too soon; this one may let us open it.
    if (Pin(image, map).ok()) {
      image.unopened_by = 0;
      --unopened_;
    }
  } else if (image.base == base) {
    image.limit = std::max(image.limit, map.range.end.value);
  }
  return id;
}

}  // namespace jprof
