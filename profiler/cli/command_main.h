// What becomes of a command: text on standard output, or one line of error, and an exit status.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/cli/command_syntax.h"
#include "profiler/cli/diagnostics.h"

namespace jprof {

// An error of the one who typed the command.
absl::Status UsageError(absl::string_view message, absl::string_view hint);
// The same, of what was typed and is wrong: an InvalidArgument becomes a usage error.
absl::Status AsUsageError(const absl::Status& status);
bool IsUsageError(const absl::Status& status);

// Exit status 2 for a usage error, 0 for OK, else 1; an error is printed.
int ReportedStatus(const absl::Status& status);

// The same of work that is done in a child, as RunGuarded() has it (profiler/stop/guard.h), with
// the child's exit status, or ended by the signal that asked for it. `instead`: in another one,
// where that was killed; may be empty.
int ReportedGuarded(absl::FunctionRef<absl::Status()> work,
                    const std::function<absl::Status()>& instead = nullptr);
// What there is to be done before that end is done between the two.
absl::StatusOr<int> StatusOfGuarded(absl::FunctionRef<absl::Status()> work);
int ReportedGuarded(const absl::StatusOr<int>& exit_status);

// All of it, or the reason.
absl::Status WriteStandardOutput(absl::string_view text);
// The same, as exit status.
int PrintText(absl::string_view text);

// The main function of a command: reads its line, then prints its help or does `run(options)`.
template <typename T, typename Run>
int CommandMain(const CommandSyntax<T>& syntax, const std::vector<std::string>& arguments,
                Run run) {
  const absl::StatusOr<T> options = ParseCommand(syntax, arguments);
  if (!options.ok()) return ReportedStatus(AsUsageError(options.status()));
  if (options->help) return PrintText(HelpOf(TextOf(syntax)));
  return run(*options);
}

}  // namespace jprof
