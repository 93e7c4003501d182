// The command lines of `jprof convert` and `jprof diff`, as a value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "import/transform.h"

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

// For the subcommand `name`, which takes `inputs` files. InvalidArgument: what is wrong and what
// would be right, for exit status 2.
absl::StatusOr<ConvertOptions> ParseConvertOptions(absl::string_view name, size_t inputs,
                                                   const std::vector<std::string>& arguments);

// Lines for --help: options that `name` takes, and formats.
std::string ConvertOptionsHelp(absl::string_view name);

}  // namespace jprof
