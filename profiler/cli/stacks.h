// `jprof stacks`: what every thread of a process, or of a core file, is doing, once.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status: 0 printed, 1 failed, 2 wrong usage.
int StacksMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText StacksText();

}  // namespace jprof
