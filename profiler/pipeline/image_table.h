// The files that frames lie in: interned by identity, pinned (opened) when first seen, so that they
// can still be read when the process is gone and the path leads elsewhere.
//
// Each pinned file costs a descriptor until the end, and descriptors are what everything else is
// read with too: beyond `max_pinned` files are not opened, and counted. Frames in them are shown by
// file and offset.
//
// Device and inode are a file's identity for as long as it is open: the number of a file that is
// gone is given to a new one. A file that could not be opened is therefore known by its path as
// well.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "profiler/core/event.h"
#include "profiler/core/image.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

struct PinnedImage {
  std::string path;  // in the target's root
  FileIdentity identity;
  std::shared_ptr<UniqueFd> file;  // nullptr when it could not be opened
  uint32_t root = 0;    // into PinnedImages::roots, or ImageTable::kNone: not known
  uint64_t mapped_ns = 0;  // when it was first seen, CLOCK_MONOTONIC
  uint64_t base = 0;    // address of file offset 0 by the first mapping seen
  uint64_t limit = 0;   // end of that mapping, or of a later one of the same base
  Pid unopened_by = 0;  // the process that gave no access to it last
  std::string unopened_why;  // "" when it is open
};

// A copy has the same descriptors.
struct PinnedImages {
  std::vector<PinnedImage> images;
  // Root directories that paths are meant in. The first one is jprof's own, without a descriptor;
  // of processes beyond a limit there is none.
  std::vector<std::shared_ptr<const UniqueFd>> roots;
};

class ImageTable {
 public:
  using Opener = std::function<absl::StatusOr<UniqueFd>(const MapEvent&)>;
  using RootOpener = std::function<absl::StatusOr<UniqueFd>(Pid)>;
  // `root_opener`: the root directory of a process; may be empty.
  ImageTable(Opener opener, RootOpener root_opener, size_t max_pinned);

  // The image of a mapping; pins it at first sight. kNone: there are kMaxImages already.
  uint32_t Add(const MapEvent& map);

  static constexpr size_t kMaxImages = 1 << 18;
  static constexpr uint32_t kNone = UINT32_MAX;
  // kNone: not added yet.
  uint32_t Find(const FileIdentity& file, const std::string& path) const;

  const std::vector<PinnedImage>& images() const { return pinned_.images; }
  PinnedImages& pinned() { return pinned_; }
  uint64_t unopened() const { return unopened_; }
  uint64_t over_limit() const { return over_limit_; }

 private:
  // A mount, of which each mount namespace has its own, and the inode of a directory in it.
  using RootIdentity = std::tuple<uint64_t, dev_t, uint64_t>;
  static std::optional<RootIdentity> IdentityOfRoot(int fd);

  using FileAndPath = std::pair<FileIdentity, std::string>;

  uint32_t AddNew(const MapEvent& map, absl::StatusOr<UniqueFd> file);
  void Pin(PinnedImage& image, const MapEvent& map, UniqueFd file);

  static constexpr size_t kMaxRoots = 256;
  uint32_t RootOf(Pid pid);

  Opener opener_;
  RootOpener root_opener_;
  std::map<RootIdentity, uint32_t> root_ids_;
  size_t max_pinned_;
  size_t open_ = 0;
  PinnedImages pinned_;
  absl::flat_hash_map<FileIdentity, uint32_t> by_file_;  // those that are open
  absl::flat_hash_map<FileAndPath, uint32_t> by_path_;   // the others, and "[vdso]": no file
  uint64_t unopened_ = 0;
  uint64_t over_limit_ = 0;
};

}  // namespace jprof
