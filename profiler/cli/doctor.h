// `jprof doctor`: what this host allows; or what jprof knows of one process, and where it has it
// from.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"
#include "profiler/core/ids.h"

namespace jprof {

// Runs `jprof doctor` or `jprof doctor --pid PID`; returns the exit status: 0 explained, 1 failed,
// or nothing can be recorded on this host, 2 wrong usage.
int DoctorMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText DoctorText();

// The text that it prints: for each file of the process with a runtime its version, whether the
// process fits it, and each number of its layout with the source. NotFound: no such process.
absl::StatusOr<std::string> ExplainProcess(Pid pid, const RuntimeSet& runtimes);

}  // namespace jprof
