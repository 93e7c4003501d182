// The command lines of `jprof convert` and `jprof diff`, as a value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "import/transform.h"
#include "profiler/cli/command_syntax.h"

namespace jprof {

struct ConvertOptions {
  bool help = false;
  std::vector<std::string> inputs;  // "-": standard input
  std::string output;               // "": standard output
  bool writes = true;               // diff: only if an output or a format was given
  std::optional<double> fail_above;  // percentage points (diff)
  Transform transform;
  std::string format;               // "": by the output's suffix, else SVG
};

// The tables of the two.
CommandSyntax<ConvertOptions> ConvertSyntax();
CommandSyntax<ConvertOptions> DiffSyntax();

}  // namespace jprof
