// What a recording is of: processes, one thread, a control group, a name, or everything. Found and
// watched through pidfds.
//
// Used by the main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/capture/live_source.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/cgroup.h"

namespace jprof {

class Targets {
 public:
  struct Options {
    // Neither: every process, as far as `cgroup` and `comm` do not say which.
    std::vector<Pid> pids;
    Tid tid = 0;
    bool children = false;     // of `pids`: those that they have and start, and theirs
    std::string cgroup;        // a group of cgroup v2 or a container's id; "": any
    std::string comm;          // command name of a thread or its process; "": any
    std::string
        command_name;  // what the process will be called that is about to execute it; else ""
    bool use_helpers = true;
  };

  // NotFound, PermissionDenied, InvalidArgument and FailedPrecondition: what cannot be had, with a
  // hint.
  static absl::StatusOr<Targets> Open(const Options& options);

  // For messages: "node (pid 4711)".
  const std::string& name() const { return name_; }
  // Empty: every process.
  const std::vector<Pid>& pids() const { return pids_; }
  const std::optional<Cgroup>& cgroup() const { return cgroup_; }
  // Some of all processes.
  bool OfSome() const { return options_.children || pids_.size() > 1; }
  // 0: not one alone.
  Pid only_pid() const { return pids_.size() == 1 && !OfSome() ? pids_[0] : 0; }

  // Tells the source which they are, with the children that there are. If OfSome().
  absl::Status Select(LiveSource& source);
  // Those that are to be told to the pipeline.
  absl::StatusOr<std::vector<Pid>> List() const;

  // All that were named are gone.
  bool AreGone() const;
  // Why they were met by no sample, as far as it can be told, and what to do.
  std::string WhyIdle() const;
  // CPU time that they have used so far, as far as it can be told; else nothing.
  std::optional<uint64_t> CpuTimeNs() const;

 private:
  explicit Targets(const Options& options) : options_(options) {}
  absl::Status FindAll();
  absl::Status Find(Pid id);

  Options options_;
  std::string name_;
  std::vector<Pid> pids_;
  std::vector<UniqueFd> processes_;  // pidfds of what was named
  std::optional<Cgroup> cgroup_;
};

}  // namespace jprof
