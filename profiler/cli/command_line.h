// The program: a table of subcommands. The runtimes are handed in, so that a test can build the
// whole program with others.
#pragma once

#include "helpers/runtime.h"

namespace jprof {

// Returns the exit status.
int CommandLineMain(int argc, char** argv, const RuntimeSet& runtimes);

}  // namespace jprof
