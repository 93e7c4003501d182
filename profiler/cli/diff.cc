#include "profiler/cli/diff.h"

#include <signal.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "import/compare.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/convert_options.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kRows = 15;
constexpr double kShown = 0.0005;  // of a share; less is 0.0 %

void PrintChanges(const std::vector<FunctionChange>& changes) {
  if (changes.empty() || changes.front().self_growth() < kShown) {
    PrintNote("no function takes a larger share than before");
    return;
  }
  PrintNote("grew most, by what they execute themselves (share of all samples):");
  PrintNote("   before    after   change  function");
  for (size_t i = 0; i < std::min(kRows, changes.size()); ++i) {
    const FunctionChange& c = changes[i];
    if (c.self_growth() < kShown) break;
    PrintNote(absl::StrFormat("  %5.1f %%  %5.1f %%  %+5.1f %%  %s", 100 * c.self_before,
                              100 * c.self_after, 100 * c.self_growth(), c.text));
  }
}

// Whether the limit, if there is one, is kept.
absl::StatusOr<bool> Diff(const ConvertOptions& options) {
  JPROF_ASSIGN_OR_RETURN(const Profile before, LoadProfile(options.inputs[0], options.transform));
  JPROF_ASSIGN_OR_RETURN(const Profile after, LoadProfile(options.inputs[1], options.transform));
  absl::StatusOr<Profile> compared = Compare(before, after);
  if (!compared.ok()) {
    return Annotate(compared.status(),
                    absl::StrCat("cannot compare ", options.inputs[0], " and ", options.inputs[1]));
  }
  if (options.writes) {
    JPROF_RETURN_IF_ERROR(SaveProfile(*compared, options.output, options.format));
  }
  const std::vector<FunctionChange> changes = FunctionChanges(*compared);
  PrintChanges(changes);
  if (!options.fail_above || changes.empty()) return true;
  const FunctionChange& most = changes.front();
  if (!most.GrewMoreThan(*options.fail_above)) return true;
  PrintError(absl::FailedPreconditionError(
      absl::StrFormat("%s grew by %.2f points, more than the %g of --fail-above", most.text,
                      100 * most.self_growth(), *options.fail_above)));
  return false;
}

}  // namespace

CommandText DiffText() { return TextOf(DiffSyntax()); }

int DiffMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  static_cast<void>(runtimes);
  for (int number : {SIGPIPE, SIGXFSZ}) ::signal(number, SIG_IGN);
  return CommandMain(DiffSyntax(), arguments, [](const ConvertOptions& options) {
    const absl::StatusOr<bool> within = Diff(options);
    if (!within.ok()) return ReportedStatus(within.status());
    return *within ? 0 : 3;
  });
}

}  // namespace jprof
