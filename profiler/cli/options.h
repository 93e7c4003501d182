// The command line of `jprof` and `jprof record`, as a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/cli/command_syntax.h"
#include "profiler/cli/target_options.h"

namespace jprof {

struct RecordOptions : TargetOptions {
  bool help = false;
  bool version = false;
  std::string output;       // "": standard output
  bool output_is_default = false;  // nobody named it
  std::string format;       // "": by the output's suffix, else SVG
  bool inlines = false;  // inlined functions of native code
  bool lines = false;    // frames by executing line
  std::string source_maps;  // as RecordingOptions has it
  bool async = false;  // those who await asynchronous functions, as frames below them
  bool explain = false;
  double min_quality = 0;  // percent; 0: any
  double max_cpu_percent = 0;  // of one CPU, by jprof; 0: any
  std::string command_line;  // as typed, for the profile's comment
};

// InvalidArgument: what is wrong and what would be right, for exit status 2.
absl::StatusOr<RecordOptions> ParseRecordOptions(const std::vector<std::string>& arguments);

CommandText RecordText();
// Of the whole program: the usage of the other commands is in it.
std::string RecordHelp();

}  // namespace jprof
