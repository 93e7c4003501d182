// The file of a recording while it goes on: replaced by each checkpoint, whole at any time.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "export/exporter.h"
#include "profiler/cli/output_file.h"
#include "profiler/core/profile.h"

namespace jprof {

// Thread-safe.
class CheckpointFile {
 public:
  // `output`: a regular file that is written in the end.
  CheckpointFile(std::shared_ptr<const OutputFile> output, const ExportFormat& format)
      : output_(std::move(output)), format_(format) {}

  // Given up, the file left as it was, as soon as `go_on` says so.
  void Write(const Profile& profile, const std::function<bool()>& go_on);

  // Why the last one could not be written; told once of each row of failures.
  absl::Status TakeTrouble();
  // Of the recording, that the file has; 0: it was not written.
  int64_t duration_ns() const;

 private:
  const std::shared_ptr<const OutputFile> output_;
  const ExportFormat& format_;
  mutable absl::Mutex mutex_;
  absl::Status trouble_ ABSL_GUARDED_BY(mutex_);
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t duration_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace jprof
