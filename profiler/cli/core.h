// `jprof core`: a core file of a process that runs on.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status: 0 written, 1 failed, 2 wrong usage.
int CoreMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText CoreText();

}  // namespace jprof
