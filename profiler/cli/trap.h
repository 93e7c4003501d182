// `jprof trap`: the stack of a thread at the very system call that a condition is about, and more.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status: 0 it was met, 1 failed or not met, 2 wrong usage.
int TrapMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

CommandText TrapText();

}  // namespace jprof
