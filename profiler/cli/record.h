// `jprof record`, the default subcommand.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"

namespace jprof {

// Runs it; returns the exit status: 0 a profile was written, 1 failed, 2 wrong usage.
int RecordMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

}  // namespace jprof
