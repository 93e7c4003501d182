// Perf events of whole CPUs: on each that is online one that samples everything, idle excluded, and
// one that tells of mappings, names, forks and exits.
//
// When a CPU goes offline, the kernel takes its events away, and they do not come back with it. So
// now and then the list of CPUs is looked at, and for how long the events were enabled, since all
// CPUs but one go and come back while a suspended machine's programs sleep. Those that are new get
// events.
//
// Threads: Update and rings(), with what is in them, on the reader's; throttled_*() when that has
// ended; all else on any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "profiler/capture/perf_event.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/throttling.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class CpuEvents {
 public:
  struct Options {
    uint64_t frequency_hz = 99;
    bool sampling = true;  // else there is the side-band alone
    SamplingSource source = SamplingSource::kBest;
    std::function<absl::StatusOr<std::vector<int>>()> online = OnlineCpus;
  };
  // Readers of a ring are told of its event, for poll().
  struct Ring {
    int cpu = 0;
    UniqueFd sampling;  // invalid: none
    UniqueFd sideband;
    PerfRing ring;
    Throttling throttling;  // of the sampling event, which tells of it in this ring
    uint64_t enabled_ns = 0;  // of `sideband`, at the last look
  };
  // That a CPU went or came while there were events.
  struct Change {
    int cpu = 0;
    bool online = false;
    uint64_t time_ns = 0;
    std::string trouble;  // why it could not be had back; "": it could
  };
  // Gives a sampling event its program.
  using Attach = std::function<absl::Status(int event_fd)>;

  explicit CpuEvents(Options options) : options_(std::move(options)) {}

  // Opens the sampling events, all of one kind: samples of two kinds have no common weight.
  absl::Status Open();
  // The same with the next kind of event, since the one that there is does not fire. False: there
  // is none.
  absl::StatusOr<bool> OpenNext();
  // Makes the rings, and turns the side-band on; after Open().
  absl::Status Begin(Attach attach);

  absl::Status Start();  // samples from now on
  absl::Status Stop();
  // Of all sampling events, from now on.
  absl::Status SetFrequency(uint64_t frequency_hz);

  size_t count() const { return cpus_.size(); }
  // CPU cycles; else a clock.
  bool hardware() const { return hardware_; }
  SamplingSource source() const { return options_.source; }

  // Looks which CPUs are online, once in a second at most. `last`: gets the ring of each that is
  // gone.
  void Update(uint64_t now_ns, absl::FunctionRef<void(Ring&)> last);
  std::vector<Ring>& rings() ABSL_NO_THREAD_SAFETY_ANALYSIS { return rings_; }

  // The first of them.
  std::vector<Change> changes() const;
  uint64_t throttled_times() const;
  uint64_t throttled_ns() const;
  // Of all sampling events; 1 before they begin.
  double CountedShare() const;
  // Side-band records that found no room, told there or not.
  uint64_t LostSideband() const;

 private:
  absl::Status OpenSampling(const std::vector<int>& cpus, SamplingSource source);
  absl::Status Add(int cpu, UniqueFd sampling) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Reopen(int cpu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether its CPU was offline since the last look.
  static bool WasAway(Ring& ring);
  void Note(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Options options_;
  Attach attach_;
  bool hardware_ = false;
  std::vector<int> cpus_;              // of sampling_
  std::vector<SamplingEvent> sampling_;  // between Open() and Begin()
  uint64_t next_look_ns_ = 0;

  mutable absl::Mutex mutex_;
  std::vector<Ring> rings_ ABSL_GUARDED_BY(mutex_);  // changed by the reader's thread
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  // Of CPUs that are gone.
  uint64_t gone_throttled_times_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t gone_throttled_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  EventReading gone_times_ ABSL_GUARDED_BY(mutex_);
  uint64_t gone_lost_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace jprof
