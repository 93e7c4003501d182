// Perf events of single threads, and of all that they start: what an unprivileged user may have.
//
// The kernel gives each event one CPU and one thread, so there is one for each pair; all events of
// a CPU write into one ring. A thread that starts while its process is being gone through may have
// an inherited event and one of its own: a sample names its event, so that IsDuplicate() can tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/capture/perf_event.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/record_parser.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// One thread at a time.
class TaskEvents {
 public:
  struct Options {
    uint64_t frequency_hz = 99;
    bool threads = true;    // with those that a thread starts
    bool children = false;  // and processes
  };
  struct Ring {
    UniqueFd event;
    PerfRing ring;
  };

  // Makes the rings, as large as the rate asks for and the limit of locked memory allows, and learns
  // what else is allowed. PermissionDenied and ResourceExhausted carry a hint.
  static absl::StatusOr<TaskEvents> Open(const Options& options);

  // A process's threads, or one thread. What is there already is left as it is. The side-band is on
  // from now on. NotFound: there is no such process or thread.
  absl::Status AddProcess(Pid pid);
  absl::Status AddThread(Tid tid);

  absl::Status Start();
  absl::Status Stop();

  // What found no room in the rings, told there or not; 0 where the kernel does not count it.
  uint64_t LostSamples() const;
  uint64_t LostSideband() const;

  std::vector<Ring>& sample_rings() { return sample_rings_; }
  std::vector<Ring>& sideband_rings() { return sideband_rings_; }

  // Whether the thread's samples are counted by another event than this one's.
  bool IsDuplicate(const TaskSample& sample);
  void Forget(Tid tid) { sampled_by_.erase(tid); }

  bool kernel() const { return options_.kernel; }
  uint32_t stack_bytes() const { return options_.stack_bytes; }

 private:
  TaskEvents() = default;
  absl::Status MapRings(size_t pages);

  TaskEventOptions options_;
  std::vector<int> cpus_;
  std::vector<Ring> sample_rings_;  // by place in cpus_, as all below
  std::vector<Ring> sideband_rings_;
  std::vector<UniqueFd> sampling_;
  std::vector<UniqueFd> sideband_;
  absl::flat_hash_set<Tid> added_;
  absl::flat_hash_map<uint64_t, Tid> opened_for_;  // by the event's number
  absl::flat_hash_map<Tid, Tid> sampled_by_;       // by the event of which thread
};

}  // namespace jprof
