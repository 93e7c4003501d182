#include "profiler/pipeline/image_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "profiler/process/target_file.h"

namespace jprof {

ImageTable::ImageTable(Opener opener, RootOpener root_opener, size_t max_pinned)
    : opener_(std::move(opener)), root_opener_(std::move(root_opener)), max_pinned_(max_pinned) {
  pinned_.roots.push_back(std::make_shared<UniqueFd>());
  const UniqueFd own(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (auto identity = IdentityOfRoot(own.get())) root_ids_[*identity] = 0;
}

std::optional<ImageTable::RootIdentity> ImageTable::IdentityOfRoot(int fd) {
  // Without asking a file system that may not answer.
  struct statx st;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &st) != 0) {
    return std::nullopt;
  }
  // Before Linux 5.8 there is no number of the mount.
  const uint64_t mount = (st.stx_mask & STATX_MNT_ID) != 0 ? st.stx_mnt_id : 0;
  return RootIdentity(mount, ::makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino);
}

uint32_t ImageTable::RootOf(Pid pid) {
  if (!root_opener_) return 0;
  absl::StatusOr<UniqueFd> root = root_opener_(pid);
  if (!root.ok()) return kNone;
  const std::optional<RootIdentity> identity = IdentityOfRoot(root->get());
  if (!identity) return kNone;
  auto known = root_ids_.find(*identity);
  if (known != root_ids_.end()) return known->second;
  if (pinned_.roots.size() >= kMaxRoots) return kNone;
  pinned_.roots.push_back(std::make_shared<UniqueFd>(*std::move(root)));
  return root_ids_[*identity] = static_cast<uint32_t>(pinned_.roots.size() - 1);
}

uint32_t ImageTable::Find(const FileIdentity& file, const std::string& path) const {
  if (auto it = by_file_.find(file); it != by_file_.end()) return it->second;
  auto it = by_path_.find(FileAndPath(file, path));
  return it == by_path_.end() ? kNone : it->second;
}

void ImageTable::Pin(PinnedImage& image, const MapEvent& map, UniqueFd file) {
  image.file = std::make_shared<UniqueFd>(std::move(file));
  image.root = RootOf(map.pid);
  image.unopened_by = 0;
  image.unopened_why.clear();
  ++open_;
}

uint32_t ImageTable::AddNew(const MapEvent& map, absl::StatusOr<UniqueFd> file) {
  if (pinned_.images.size() >= kMaxImages) return kNone;
  const auto id = static_cast<uint32_t>(pinned_.images.size());
  PinnedImage& image = pinned_.images.emplace_back(
      PinnedImage{.path = map.path,
                  .identity = map.file,
                  .mapped_ns = map.time_ns,
                  .base = map.range.begin.value - map.offset.value,
                  .limit = map.range.end.value});
  if (file.ok() && map.file.valid()) {
    by_file_[map.file] = id;
  } else {
    by_path_[FileAndPath(map.file, map.path)] = id;
  }
  if (file.ok()) {
    Pin(image, map, *std::move(file));
  } else if (absl::IsResourceExhausted(file.status())) {
    ++over_limit_;
    image.unopened_why = "more mapped files than may be kept open; raise ulimit -n";
  } else {
    image.unopened_by = map.pid;
    image.unopened_why = std::string(file.status().message());
    if (map.file.valid()) ++unopened_;
  }
  return id;
}

uint32_t ImageTable::Add(const MapEvent& map) {
  const uint32_t id = Find(map.file, map.path);
  if (id == kNone) {
    return AddNew(map, open_ < max_pinned_ ? opener_(map) : absl::ResourceExhaustedError(""));
  }
  PinnedImage& image = pinned_.images[id];
  if (map.file.valid() && image.unopened_by != 0 && image.unopened_by != map.pid &&
      open_ < max_pinned_) {
    // The process that had it first was gone too soon; this one may let us open it.
    absl::StatusOr<UniqueFd> file = opener_(map);
    if (!file.ok()) {
      image.unopened_by = map.pid;
      image.unopened_why = std::string(file.status().message());
    } else if (WasChangedSince(*file, image.mapped_ns)) {
      return AddNew(map, std::move(file));  // a later one of the same path and number
    } else {
      Pin(image, map, *std::move(file));
      --unopened_;
      by_path_.erase(FileAndPath(map.file, map.path));
      by_file_[map.file] = id;
    }
  } else if (image.base == map.range.begin.value - map.offset.value) {
    image.limit = std::max(image.limit, map.range.end.value);
  }
  return id;
}

}  // namespace jprof
