// Where `jprof core` writes to, and in which form: the core as it is, or packed with the files that
// it takes to read it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/cli/core_bundle.h"
#include "profiler/cli/output_file.h"
#include "profiler/core/ids.h"
#include "profiler/corefile/core_writer.h"

namespace jprof {

class CoreOutput {
 public:
  struct Form {
    bool mini = false;    // see mini_core.h
    bool bundle = false;  // see core_bundle.h
  };
  static absl::StatusOr<CoreOutput> Open(const std::string& path, Form form);

  // `source` stands still: the process or a copy of it. `go_on` is called now and then; an error
  // that it returns ends the work.
  absl::Status WriteCoreOf(Pid source, const CoreProcess& process, const RuntimeSet& runtimes,
                           const std::function<absl::Status()>& go_on);
  uint64_t written_bytes() const { return figures_.written_bytes; }
  // Behind it, while `source` is still there.
  void CollectFiles(Pid source);
  // The file appears. `pid`: what it is called by in a bundle.
  absl::Status Commit(Pid pid);

 private:
  CoreOutput() = default;

  Form form_;
  std::unique_ptr<OutputFile> file_;
  std::unique_ptr<OutputFile> unpacked_;  // the core, where it is to be packed; or nullptr
  std::vector<CoreArea> areas_;
  CoreFigures figures_;
  std::optional<CoreBundle> bundle_;
};

}  // namespace jprof
