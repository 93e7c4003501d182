// Where a host keeps separate debug files, and how they are fetched: candidates for symbolize/,
// which checks them. Used by the threads that name images, all at once.
//
// Looked for are, in the host's root and in that of the process that has the file mapped,
//   /usr/lib/debug/.build-id/ab/cdef....debug
//   LINK and .debug/LINK beside the file, and LINK below /usr/lib/debug, in its directory
//   /usr/lib/debug/.dwz/...   what several debug files share
// opened as everything that a target may have put there (process/target_file.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/unique_fd.h"
#include "symbolize/debug_file.h"
#include "symbolize/debuginfod.h"

namespace jprof {

class DebugFiles : public DebugFileFinder {
 public:
  struct Place {
    std::string path;                // of the image, in its root
    const UniqueFd* root = nullptr;  // of its process
    bool on_host = false;            // that root is jprof's own
  };
  // A regular file by its absolute path below a directory, which links do not lead out of.
  using Opener =
      std::function<absl::StatusOr<UniqueFd>(const UniqueFd& root, const std::string& path)>;
  // One place for each image that is asked for. `debuginfod` may be nullptr; both outlive this.
  // `open`: thread-safe; empty: OpenInRoot().
  DebugFiles(std::vector<Place> places, Debuginfod* debuginfod, Opener open = nullptr);

  std::vector<UniqueFd> Find(size_t image, const Request& request) override;

 private:
  const std::vector<Place> places_;
  Debuginfod* const debuginfod_;
  const Opener open_;
  UniqueFd host_root_;
};

}  // namespace jprof
