// What --explain prints behind the verdict.
#pragma once

#include <string>
#include <vector>

#include "profiler/core/profile.h"

namespace jprof {

// A table with one line for each kind of unnamed frames, most frequent first, some fifteen lines at
// most. The texts are shown as export/text.h has it.
std::vector<std::string> ExplainUnnamed(const Profile& profile);

}  // namespace jprof
