// What this machine allows to the user who asks: found out by trying, never by a version.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "helpers/runtime.h"
#include "profiler/capture/live_source.h"

namespace jprof {

struct HostCheck {
  enum class Required { kByNothing, kByLevelKernel, kByLevelRing, kByEachLevel };

  std::string what;      // "samples of every CPU"
  absl::Status status;   // how the attempt ended; the hint is the least that would grant it
  std::string observed;  // when it was granted: with what, or the settings that matter to it
  std::string lost;      // what there is not without it
  Required required = Required::kByNothing;
};

std::vector<HostCheck> CheckHost(const RuntimeSet& runtimes,
                                 const EventTrial& event_fires = EventFires);

// One line for each.
std::string HostText(const std::vector<HostCheck>& checks);

// The best level of capture that all checks which it requires grant. kBest: none, nothing can be
// recorded; kRing: processes of this user can.
CaptureLevel BestLevel(const std::vector<HostCheck>& checks);

}  // namespace jprof
