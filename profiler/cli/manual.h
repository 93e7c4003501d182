// The manual page, of the commands' own texts: what --help says is what it says.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

// jprof(1) in roff's man macros.
std::string ManualPage(const std::vector<CommandText>& commands, absl::string_view version);

}  // namespace jprof
