// Control groups: which one a process is in, which container that is, and the group that a user
// names.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/container.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// The path that /proc/PID/cgroup names: that of cgroup v2, unless it is the root and one of v1
// holds a container's id. "" when the text has none.
std::string ParseProcCgroup(absl::string_view text);
// NotFound: no such process.
absl::StatusOr<std::string> ReadCgroup(Pid pid);

struct Cgroup {
  std::string path;    // below the mount, as /proc/PID/cgroup has it
  UniqueFd directory;  // read-only
};

// A group of cgroup v2 by its folder, by the path that /proc/PID/cgroup has, or by a container's id
// or its first digits, 12 at least. NotFound: there is none; FailedPrecondition: no cgroup v2 is
// mounted; InvalidArgument: several containers begin with the digits.
absl::StatusOr<Cgroup> FindCgroup(const std::string& name);

// The processes that are in the group or below it now.
std::vector<Pid> ListCgroup(const Cgroup& cgroup);

}  // namespace jprof
