#include "profiler/cli/checkpoint_file.h"

#include <utility>

#include "profiler/core/status.h"

namespace jprof {
namespace {

class StoppableSink : public OutputSink {
 public:
  StoppableSink(OutputSink& to, const std::function<bool()>& go_on) : to_(to), go_on_(go_on) {}
  absl::Status Append(absl::string_view bytes) override {
    if (!go_on_()) return absl::CancelledError("the recording ends");
    return to_.Append(bytes);
  }

 private:
  OutputSink& to_;
  const std::function<bool()>& go_on_;
};

absl::Status WriteWhole(const OutputFile& output, const ExportFormat& format,
                        const Profile& profile, const std::function<bool()>& go_on) {
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file, output.Another());
  StoppableSink sink(*file, go_on);
  JPROF_RETURN_IF_ERROR(format.create()->Write(profile, sink));
  return file->Commit();
}

}  // namespace

void CheckpointFile::Write(const Profile& profile, const std::function<bool()>& go_on) {
  absl::Status written = WriteWhole(*output_, format_, profile, go_on);
  if (absl::IsCancelled(written)) return;
  absl::MutexLock lock(&mutex_);
  if (written.ok()) duration_ns_ = profile.duration_ns;
  const bool failed = !written.ok();
  if (failed && !failed_) trouble_ = std::move(written);
  failed_ = failed;
}

absl::Status CheckpointFile::TakeTrouble() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(trouble_, absl::OkStatus());
}

int64_t CheckpointFile::duration_ns() const {
  absl::MutexLock lock(&mutex_);
  return duration_ns_;
}

}  // namespace jprof
