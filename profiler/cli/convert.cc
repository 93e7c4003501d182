#include "profiler/cli/convert.h"

#include <signal.h>

#include <cstdio>

#include "profiler/cli/convert_options.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr char kHelp[] =
    "usage: jprof convert IN -o OUT [options]\n"
    "\n"
    "Writes a profile of one format in another. IN may be -, standard input.\n"
    "\n"
    "  jprof convert cpu.pb.gz -o cpu.svg          a flame graph of what Go's pprof wrote\n"
    "  jprof convert cpu.pb.gz -o gc.svg --focus gc --by tid   what collects garbage, by thread\n"
    "  jprof convert stacks.folded -o out.pb.gz    folded stacks for pprof\n"
    "\n";

absl::Status Convert(const ConvertOptions& options) {
  JPROF_ASSIGN_OR_RETURN(const Profile profile, LoadProfile(options.inputs[0], options.transform));
  return SaveProfile(profile, options.output, options.format);
}

}  // namespace

int ConvertMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  static_cast<void>(runtimes);
  ::signal(SIGPIPE, SIG_IGN);
  absl::StatusOr<ConvertOptions> options = ParseConvertOptions("convert", 1, arguments);
  if (!options.ok()) {
    PrintError(options.status());
    return 2;
  }
  if (options->help) return PrintText(kHelp + ConvertOptionsHelp("convert"));
  return ReportedStatus(Convert(*options));
}

}  // namespace jprof
