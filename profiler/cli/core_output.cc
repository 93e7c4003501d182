#include "profiler/cli/core_output.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/mini_core.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

class FileSink : public CoreSink {
 public:
  explicit FileSink(OutputFile& file) : file_(file) {}
  absl::Status Append(absl::string_view bytes) override { return file_.Append(bytes); }
  absl::Status AppendHole(uint64_t bytes) override { return file_.AppendHole(bytes); }

 private:
  OutputFile& file_;
};

}  // namespace

absl::StatusOr<CoreOutput> CoreOutput::Open(const std::string& path, Form form) {
  CoreOutput output;
  output.form_ = form;
  JPROF_ASSIGN_OR_RETURN(output.file_, OutputFile::Open(path));
  output.file_->KeepPrivate();
  if (form.bundle) {
    JPROF_ASSIGN_OR_RETURN(output.unpacked_, output.file_->Scratch());
  }
  return output;
}

absl::Status CoreOutput::WriteCoreOf(Pid source, const CoreProcess& process,
                                     const RuntimeSet& runtimes,
                                     const std::function<absl::Status()>& go_on) {
  JPROF_ASSIGN_OR_RETURN(areas_, ReadCoreAreas(source));
  MiniCorePages mini;
  if (form_.mini) {
    JPROF_ASSIGN_OR_RETURN(mini, PagesOfMiniCore(process, source, areas_, runtimes));
    if (!mini.complete)
      PrintWarning("not all that the names of functions need has room in a small core");
  }
  FileSink sink(unpacked_ ? *unpacked_ : *file_);
  ProgressLine progress;
  JPROF_ASSIGN_OR_RETURN(
      figures_, WriteCore(process, source, areas_, form_.mini ? &mini.pages : nullptr, sink,
                          [&](uint64_t done, uint64_t all) {
                            progress.Show(absl::StrFormat("%d of %d MiB", done >> 20, all >> 20));
                            return go_on();
                          }));
  if (figures_.untold_bytes > 0) {
    PrintWarning(absl::StrFormat(
        "of %d KiB of shared memory the core has only what this process has used itself; "
        "with CAP_CHECKPOINT_RESTORE it has all",
        figures_.untold_bytes >> 10));
  }
  return absl::OkStatus();
}

void CoreOutput::CollectFiles(Pid source) {
  if (!form_.bundle) return;
  bundle_.emplace(source, areas_);
  for (const std::string& trouble : bundle_->troubles()) {
    PrintWarning(absl::StrCat("left out of the bundle: ", trouble));
  }
}

absl::Status CoreOutput::Commit(Pid pid) {
  if (bundle_) {
    JPROF_ASSIGN_OR_RETURN(const UniqueFd core, unpacked_->Reopen());
    FileSink sink(*file_);
    ProgressLine progress;
    JPROF_RETURN_IF_ERROR(bundle_->Write(
        absl::StrCat("core.", pid), core, sink, [&](uint64_t done, uint64_t all) {
          progress.Show(absl::StrFormat("%d of %d MiB packed", done >> 20, all >> 20));
          return absl::OkStatus();
        }));
  }
  return file_->Commit();
}

}  // namespace jprof
