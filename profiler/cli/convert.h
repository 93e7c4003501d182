// `jprof convert`: a profile of any format into any other.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status.
int ConvertMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText ConvertText();

}  // namespace jprof
