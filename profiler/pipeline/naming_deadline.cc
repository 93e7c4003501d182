#include "profiler/pipeline/naming_deadline.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/target_task.h"

namespace jprof {
namespace {

void LeaveUnread(std::vector<ImageQuery>& queries) {
  for (ImageQuery& query : queries) {
    query.names.assign(query.offsets.size(), SymbolName());
    query.unread = true;
    query.status = WithHint(absl::DeadlineExceededError("their names were not found in time"),
                            "look for a network or FUSE file system that hangs among the process's "
                            "files: /proc/PID/maps");
  }
}

}  // namespace

SymbolizeFunction WithDeadline(SymbolizeFunction symbolize, std::function<uint64_t()> progress,
                               const NamingLimits& limits) {
  return [symbolize = std::move(symbolize), progress = std::move(progress), limits](
             std::vector<ImageQuery>& queries, int threads,
             DebugFileFinder* finder) {
    std::vector<ImageQuery> unread;
    for (const ImageQuery& query : queries) {
      ImageQuery& copy = unread.emplace_back();
      copy.path = query.path;
      copy.offsets = query.offsets;
    }
    // The task's own, since it may go on when nobody waits for it any more.
    const auto work = std::make_shared<std::vector<ImageQuery>>(std::move(queries));
    std::shared_ptr<DebugFileFinder> asked;
    if (finder != nullptr) asked = finder->weak_from_this().lock();
    if (asked == nullptr) asked = {std::shared_ptr<void>(), finder};
    TargetTask task([work, symbolize, threads, asked] { symbolize(*work, threads, asked.get()); });
    const absl::Time until = absl::Now() + limits.altogether;
    int64_t worked_ns = 0;
    const bool done = task.WaitWhileItWorks(limits.without_progress, [&] {
      if (absl::Now() < until) worked_ns = WorkOfOthersNs(progress());
      return worked_ns;
    });
    queries = done ? std::move(*work) : std::move(unread);
    if (!done) LeaveUnread(queries);
  };
}

SourceMaps::Opener WithDeadline(SourceMaps::Opener open, absl::Duration without_progress) {
  return [open = std::move(open), without_progress, is_late = std::make_shared<bool>(false)](
             Pid pid, const std::string& path) -> absl::StatusOr<UniqueFd> {
    const absl::Status late =
        absl::DeadlineExceededError(absl::StrCat(path, ": not opened in time"));
    if (*is_late) return late;
    // The task's own, as above.
    const auto opened = std::make_shared<absl::StatusOr<UniqueFd>>(late);
    TargetTask task([open, opened, pid, path] { *opened = open(pid, path); });
    *is_late = !task.WaitWhileItWorks(without_progress);
    if (*is_late) return late;
    return std::move(*opened);
  };
}

}  // namespace jprof
