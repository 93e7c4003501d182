// `jprof record`, the default subcommand.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"

namespace jprof {

// Runs it; returns the exit status: 0 a profile was written, 1 failed, 2 wrong usage,
// 3 too little quality;
// that of the command it started when this is not 0.
int RecordMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

}  // namespace jprof
