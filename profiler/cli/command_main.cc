#include "profiler/cli/command_main.h"

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "profiler/core/status.h"
#include "profiler/stop/guard.h"

namespace jprof {
namespace {

constexpr absl::string_view kUsageUrl = "jprof/usage";

}  // namespace

absl::Status UsageError(absl::string_view message, absl::string_view hint) {
  return AsUsageError(WithHint(absl::InvalidArgumentError(message), hint));
}

absl::Status AsUsageError(const absl::Status& status) {
  absl::Status marked = status;
  if (absl::IsInvalidArgument(status)) marked.SetPayload(kUsageUrl, absl::Cord());
  return marked;
}

bool IsUsageError(const absl::Status& status) { return status.GetPayload(kUsageUrl).has_value(); }

int ReportedStatus(const absl::Status& status) {
  if (status.ok()) return 0;
  PrintError(status);
  return IsUsageError(status) ? 2 : 1;
}

absl::StatusOr<int> StatusOfGuarded(absl::FunctionRef<absl::Status()> work) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond ulimit -f is an error of write
  return RunGuarded([&] { return ReportedStatus(work()); });
}

int ReportedGuarded(const absl::StatusOr<int>& exit_status) {
  if (absl::IsCancelled(exit_status.status())) EndBySignal(exit_status.status());
  return exit_status.ok() ? *exit_status : ReportedStatus(exit_status.status());
}

int ReportedGuarded(absl::FunctionRef<absl::Status()> work,
                    const std::function<absl::Status()>& instead) {
  absl::StatusOr<int> result = StatusOfGuarded(work);
  if (instead && absl::IsDeadlineExceeded(result.status())) result = StatusOfGuarded(instead);
  return ReportedGuarded(result);
}

absl::Status WriteStandardOutput(absl::string_view text) {
  // A closed pipe is an error of write, with a message, and so is a file beyond ulimit -f.
  for (int number : {SIGPIPE, SIGXFSZ}) std::signal(number, SIG_IGN);
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "cannot write standard output");
}

int PrintText(absl::string_view text) { return ReportedStatus(WriteStandardOutput(text)); }

}  // namespace jprof
