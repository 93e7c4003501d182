// What shells need to complete jprof's command lines, of the commands' own texts.
#pragma once

#include <string>
#include <vector>

#include "profiler/cli/command_syntax.h"

namespace jprof {

std::string BashCompletion(const std::vector<CommandText>& commands);
std::string ZshCompletion(const std::vector<CommandText>& commands);
std::string FishCompletion(const std::vector<CommandText>& commands);

}  // namespace jprof
