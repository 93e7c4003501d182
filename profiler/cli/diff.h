// `jprof diff`: what changed between two profiles.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status.
int DiffMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText DiffText();

}  // namespace jprof
