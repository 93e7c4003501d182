#include "profiler/cli/convert.h"

#include <signal.h>

#include "profiler/cli/command_main.h"
#include "profiler/cli/convert_options.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

absl::Status Convert(const ConvertOptions& options) {
  if (options.transform == Transform()) {
    JPROF_ASSIGN_OR_RETURN(const bool drawn,
                           DrawLargeFolded(options.inputs[0], options.output, options.format));
    if (drawn) return absl::OkStatus();
  }
  JPROF_ASSIGN_OR_RETURN(const Profile profile, LoadProfile(options.inputs[0], options.transform));
  return SaveProfile(profile, options.output, options.format);
}

}  // namespace

CommandText ConvertText() { return TextOf(ConvertSyntax()); }

int ConvertMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  static_cast<void>(runtimes);
  for (int number : {SIGPIPE, SIGXFSZ}) ::signal(number, SIG_IGN);
  return CommandMain(ConvertSyntax(), arguments, [](const ConvertOptions& options) {
    return ReportedStatus(Convert(options));
  });
}

}  // namespace jprof
