// `jprof top`: what processes do now, refreshed each second.
#pragma once

#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

CommandText TopText();
int TopMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);

}  // namespace jprof
