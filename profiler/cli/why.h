// `jprof why`: one sentence on what a process does, or waits for, with its evidence.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status: 0 said, 1 failed, 2 wrong usage.
int WhyMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText WhyText();

}  // namespace jprof
