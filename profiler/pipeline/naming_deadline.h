// Names that are there within a time. Files of a target may lie in a file system that never
// answers, and nothing from outside ends the wait of a thread for it; so the naming is done on a
// thread of its own, which is left behind when it takes too long.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/time/time.h"
#include "profiler/pipeline/namer.h"
#include "profiler/pipeline/source_maps.h"

namespace jprof {

struct NamingLimits {
  absl::Duration without_progress = absl::Seconds(10);
  absl::Duration altogether = absl::Seconds(30);
};

// Asks `symbolize`, which may be used, and so has to live, behind the last call. `progress` grows
// while it works, and is called from another thread. What was not answered in time has no names:
// every query is ImageQuery::unread.
SymbolizeFunction WithDeadline(SymbolizeFunction symbolize, std::function<uint64_t()> progress,
                               const NamingLimits& limits = {});

// Opens within a time, on a thread of its own. After one file that was not opened in time
// (DeadlineExceeded) it opens none.
SourceMaps::Opener WithDeadline(SourceMaps::Opener open,
                                absl::Duration without_progress = absl::Seconds(10));

}  // namespace jprof
