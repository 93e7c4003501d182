#include "profiler/pipeline/debug_files.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr absl::string_view kDebugDirectory = "/usr/lib/debug";

}  // namespace

DebugFiles::DebugFiles(std::vector<Place> places, Debuginfod* debuginfod, Opener open)
    : places_(std::move(places)),
      debuginfod_(debuginfod),
      open_(std::move(open)),
      host_root_(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

std::vector<UniqueFd> DebugFiles::Find(size_t image, const Request& request) {
  std::vector<UniqueFd> found;
  if (request.download) {
    if (debuginfod_ == nullptr) return found;
    if (absl::StatusOr<UniqueFd> file = debuginfod_->Fetch(request.build_id); file.ok()) {
      found.push_back(*std::move(file));
    }
    return found;
  }
  const Place& place = places_[image];
  std::vector<std::string> paths;
  if (request.build_id.size() > 2) {
    paths.push_back(absl::StrCat(kDebugDirectory, "/.build-id/", request.build_id.substr(0, 2), "/",
                                 request.build_id.substr(2), ".debug"));
  }
  if (!request.common.empty()) {
    paths.push_back(absl::StrCat(kDebugDirectory, "/.dwz/", request.common));
  }
  const size_t everywhere = paths.size();
  if (request.link && !place.path.empty() && place.path[0] == '/') {
    const std::string directory = place.path.substr(0, place.path.rfind('/') + 1);
    paths.push_back(absl::StrCat(directory, request.link->name));
    paths.push_back(absl::StrCat(directory, ".debug/", request.link->name));
    paths.push_back(absl::StrCat(kDebugDirectory, directory, request.link->name));
  }
  auto look_in = [&](const UniqueFd& root, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      absl::StatusOr<UniqueFd> file =
          open_ ? open_(root, paths[i])
                : OpenInRoot(root, paths[i], LinkPolicy::kFollowInRoot, paths[i]);
      if (file.ok()) found.push_back(*std::move(file));
    }
  };
  look_in(host_root_, place.on_host ? paths.size() : everywhere);
  if (place.root != nullptr) look_in(*place.root, paths.size());
  return found;
}

}  // namespace jprof
