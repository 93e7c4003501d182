// Runs a build of jprof and takes its folded output apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jprof {

struct FoldedStack {
  std::vector<std::string> frames;  // outermost first, without the process, with the suffixes
  uint64_t samples = 0;

  // The functions of runtimes ("_[j]"), without the suffix.
  std::vector<std::string> Functions() const;
};

// The stacks that `command` (a jprof that writes "folded" to its stdout) prints. Unavailable: it
// failed, with what it said.
absl::StatusOr<std::vector<FoldedStack>> RunFolded(const std::vector<std::string>& command);

// Why this machine does not let us sample in the kernel: "" when it does.
std::string WhyNoSampling();

}  // namespace jprof
