// Where a profile is written to. A file appears whole or not at all: it is written beside its
// destination and renamed when all is on disk.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class OutputFile : public OutputSink {
 public:
  // Opens a temporary file beside `path`, mode 0600, so that an unwritable destination
  // is known before the recording. "" stands for standard output. An existing directory or special
  // file other than a pipe or character device is refused.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Open(const std::string& path);
  ~OutputFile() override;  // without Commit: removes what was written

  absl::Status Append(absl::string_view bytes) override;
  // Writes what is buffered, syncs, renames.
  absl::Status Commit();

 private:
  OutputFile() = default;
  absl::Status Flush();

  std::string path_;       // for messages; "" for standard output
  std::string temporary_;  // "" when written in place
  UniqueFd owned_;
  int fd_ = -1;
  std::string buffer_;
  bool is_regular_ = false;
};

}  // namespace jprof
