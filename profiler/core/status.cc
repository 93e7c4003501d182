#include "profiler/core/status.h"

#include <sys/resource.h>

#include <cerrno>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace jprof {
namespace {

constexpr absl::string_view kHintUrl = "jprof/hint";

}  // namespace

absl::Status ErrnoStatus(int err, absl::string_view context) {
  // ESRCH is "no such process": to the user the same as a missing file.
  if (err == ESRCH) return absl::NotFoundError(absl::StrCat(context, ": No such process"));
  absl::Status status = absl::ErrnoToStatus(err, context);
  if (err != EMFILE) return status;
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return WithHint(absl::ResourceExhaustedError(absl::StrCat(
                      status.message(), "; the limit of open files is ", limit.rlim_cur)),
                  limit.rlim_cur < limit.rlim_max
                      ? absl::StrCat("ulimit -n ", limit.rlim_max)
                      : std::string("raise the hard limit of open files (ulimit -Hn)"));
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(), absl::StrCat(context, ": ", status.message()));
  if (auto hint = status.GetPayload(kHintUrl)) result.SetPayload(kHintUrl, *hint);
  return result;
}

absl::Status WithHint(absl::Status status, absl::string_view hint) {
  status.SetPayload(kHintUrl, absl::Cord(hint));
  return status;
}

std::string HintOf(const absl::Status& status) {
  auto hint = status.GetPayload(kHintUrl);
  return hint ? std::string(*hint) : std::string();
}

}  // namespace jprof
