// `jprof hist`: how long something takes, as a histogram that is made in the kernel.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status: 0 printed, 1 failed or nothing was measured, 2 wrong usage.
int HistMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText HistText();

}  // namespace jprof
