// `jprof core`: a core file of a process that runs on.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"
#include "profiler/core/ids.h"

namespace jprof {

// Returns the exit status: 0 written, 1 failed, 2 wrong usage.
int CoreMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText CoreText();

// Where `core --tell-copied` writes a byte when the process need not stand still any more.
inline constexpr int kCopiedFd = 3;

// Whether a copy of the process may be made at all, as its core needs one. The hint names the way
// without.
absl::Status CheckCopyable(Pid pid);

}  // namespace jprof
