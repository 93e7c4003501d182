// What `jprof trap` and `jprof hist` share: a recording whose samples are the hits of a probe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/capture/bpf_probe.h"
#include "profiler/core/profile.h"

namespace jprof {

struct ProbeRunOptions {
  const Probe* probe = nullptr;
  int64_t duration_ns = 0;  // 0: until interrupted, or until the process exits
  std::string armed;        // what is told when it begins
  bool processes_wait = false;
  // Before the probe is attached: its memory, which children see as well.
  std::function<absl::Status(jp_probe_state& state)> prepare;
  // Some ten times a second, or a hundred times if processes wait for it, with the hits that came;
  // false: enough.
  std::function<bool(const std::vector<jp_probe_hit>& hits, const jp_probe_state& state)> go_on;
};

struct ProbeRunResult {
  std::vector<jp_probe_hit> hits;
  std::vector<StackId> stacks;  // of each hit, in the profile; invalid: none
  Profile profile;
  jp_probe_state state = {};
  uint64_t misses = 0;
  std::vector<std::string> warnings;
};

// Until `go_on` says so, the time is over, the process exits, or SIGINT, SIGTERM or SIGHUP.
absl::StatusOr<ProbeRunResult> RunProbe(const ProbeRunOptions& options, const RuntimeSet& runtimes);

// Whether one of these signals came.
bool ProbeRunInterrupted();

// "  #0  name  file:line" for each frame of a stack.
std::string StackText(const Profile& profile, StackId stack);
// [{...}, ...].
std::string StackJson(const Profile& profile, StackId stack);

// What was not seen, for people.
std::vector<std::string> ProbeWarnings(const ProbeRunResult& result);

}  // namespace jprof
