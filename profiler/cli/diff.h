// `jprof diff`: what changed between two profiles.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"

namespace jprof {

// Returns the exit status.
int DiffMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

}  // namespace jprof
