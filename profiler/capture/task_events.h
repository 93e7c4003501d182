// Perf events of single threads, and of all that they start: what an unprivileged user may have.
//
// The kernel gives each event one CPU and one thread, so there is one for each pair; all events of
// a CPU write into one ring. A thread that starts while its process is being gone through may have
// an inherited event and one of its own: a sample names its event, and threads() can tell.
//
// When a CPU goes offline they stay with their threads, and count again when it is back. For one
// that was not there at first Update() makes new ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "profiler/capture/perf_event.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/sampled_threads.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// One thread at a time; but Stop() beside Update().
class TaskEvents {
 public:
  struct Options {
    uint64_t frequency_hz = 99;
    bool threads = true;    // with those that a thread starts
    bool children = false;  // and processes
    SamplingSource clock = SamplingSource::kCpuClock;
    std::function<absl::StatusOr<std::vector<int>>()> online = OnlineCpus;
  };
  struct Ring {
    UniqueFd event;
    PerfRing ring;
  };

  // Makes the rings, as large as the rate asks for and the limit of locked memory allows, and
  // learns what else is allowed. PermissionDenied and ResourceExhausted carry a hint.
  static absl::StatusOr<TaskEvents> Open(const Options& options);

  // A process's threads, or one thread. What is there already is left as it is. The side-band is on
  // from now on. NotFound: there is no such process or thread.
  absl::Status AddProcess(Pid pid);
  absl::Status AddThread(Tid tid);

  absl::Status Start();
  absl::Status Stop();

  // Looks which CPUs are online, once in a second at most, and samples on those that came for the
  // first time: the threads of these processes, or the one thread that was added.
  struct NewCpu {
    int cpu = 0;
    absl::Status status;
  };
  std::vector<NewCpu> Update(uint64_t now_ns,
                             absl::FunctionRef<std::vector<Pid>()> processes);

  // What found no room in the rings, told there or not; 0 where the kernel does not count it.
  uint64_t LostSamples() const;
  uint64_t LostSideband() const;

  std::vector<Ring>& sample_rings() { return sample_rings_; }
  std::vector<Ring>& sideband_rings() { return sideband_rings_; }

  SampledThreads& threads() { return threads_; }

  SamplingSource clock() const { return options_.clock; }
  bool kernel() const { return options_.kernel; }
  uint32_t stack_bytes() const { return options_.stack_bytes; }

 private:
  using ThreadAdder = absl::FunctionRef<absl::Status(Tid)>;
  TaskEvents() = default;
  absl::Status MapRings(size_t pages);
  absl::Status MapRingsOf(int cpu, size_t pages);
  // All threads, those too that start meanwhile; `added` are those that were before.
  static absl::Status ForEachThread(Pid pid, absl::flat_hash_set<Tid>& added, ThreadAdder add);
  absl::Status AddThreadOn(Tid tid, size_t place);
  absl::Status AddCpu(int cpu, const std::vector<Pid>& processes);

  TaskEventOptions options_;
  std::function<absl::StatusOr<std::vector<int>>()> online_;
  size_t ring_pages_ = 0;
  uint64_t next_look_ns_ = 0;
  absl::flat_hash_set<int> tried_;  // of the CPUs that came
  std::vector<int> cpus_;
  std::vector<Ring> sample_rings_;  // by place in cpus_, as all below
  std::vector<Ring> sideband_rings_;
  // Of sampling_ and started_.
  std::unique_ptr<absl::Mutex> mutex_ = std::make_unique<absl::Mutex>();
  std::vector<UniqueFd> sampling_;
  bool started_ = false;
  std::vector<UniqueFd> sideband_;
  absl::flat_hash_set<Tid> added_;
  SampledThreads threads_;
};

}  // namespace jprof
