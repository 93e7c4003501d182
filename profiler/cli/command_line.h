// The program: a table of commands. The runtimes are handed in, so that a test can build the
// whole program with others.
#pragma once

#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// Returns the exit status.
int CommandLineMain(int argc, char** argv, const RuntimeSet& runtimes);

// What is told of each command, "record" first.
std::vector<CommandText> AllCommands();

}  // namespace jprof
