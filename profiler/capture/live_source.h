// Samples of the live system, and beside them the side-band events that tell of mappings, names,
// forks and exits. At the level "kernel" BPF walks on every CPU, and names are resolved at the
// sample; at the level "ring" the kernel copies stacks of single processes, and they are resolved
// right after it (ring_sampler.h).
//
// Threads: Open, Start, Stop, HalveRate and Wake on the main thread; Wait and Drain on the
// reader's, which nobody else calls meanwhile.
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "helpers/runtime.h"
#include "profiler/capture/bpf_sampler.h"
#include "profiler/capture/cpu_events.h"
#include "profiler/capture/event_sorter.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/process_filter.h"
#include "profiler/capture/ring_sampler.h"
#include "profiler/capture/sampler.h"
#include "profiler/capture/throttling.h"
#include "profiler/core/event.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

enum class CaptureLevel { kBest, kKernel, kRing };

class LiveSource {
 public:
  struct Options {
    CaptureLevel level = CaptureLevel::kBest;
    Pid pid = 0;  // 0: every process
    Tid tid = 0;  // 0: every thread
    bool selected = false;  // of every process those that Select() tells
    bool children = false;  // and those that they start
    int cgroup_fd = -1;     // >= 0: only what is in this group of cgroup v2, or below it
    std::string comm;       // not "": only threads and processes of this name
    uint64_t frequency_hz = 99;
    uint32_t ring_bytes = 0;  // a power of two; 0: as the rate and the number of CPUs ask for
    uint32_t mappings = 1 << 14;
    const Probe* probe = nullptr;  // samples are its hits; of the level kernel alone
    std::function<absl::StatusOr<std::vector<int>>()> online_cpus = OnlineCpus;
    EventTrial event_fires = EventFires;
    FrameStepper::Find find_frame_code;  // at the level ring; must not wait for ever
  };

  static constexpr uint64_t kSortMarginNs = 20'000'000;
  // Loads and attaches everything, and turns the side-band on; no sample is taken yet. The best
  // level is the kernel's where that is permitted, else the ring, of which not every process can be
  // had. `runtimes` outlives the source.
  static absl::StatusOr<std::unique_ptr<LiveSource>> Open(const Options& options,
                                                          const RuntimeSet& runtimes);

  LayoutSink& layouts() { return *sampler_; }
  UnwindSink& tables() { return *sampler_; }
  // What samples: "cycles", "cpu-clock".
  std::string event_name() const;
  // Those that were tried before and did not fire.
  const std::vector<std::string>& silent_events() const { return silent_events_; }
  // nullptr: there is none.
  BpfProbe* probe() { return bpf_ == nullptr ? nullptr : bpf_->probe(); }
  // nullptr: the level is the kernel's.
  const RingSampler* ring() const { return ring_; }
  // Why it is not, if it was tried.
  const absl::Status& kernel_level() const { return kernel_level_; }

  // With `selected`: what is recorded, and what else there is. Before Start().
  absl::Status Select(const std::vector<Pid>& pids, const std::vector<Pid>& others);

  absl::Status Start();  // samples from now on
  absl::Status Stop();   // none from now on; what was taken waits to be drained

  // Waits until much of a side-band ring is full, a sample met a file that is not known yet, or
  // `timeout_ms` are over; then a Drain() is due. Other samples wake nobody, but at the level ring,
  // where they are walked meanwhile. True: such a file was met, and what the side-band tells of it
  // comes out of the Drain() kSortMarginNs later.
  bool Wait(int timeout_ms);
  // Ends a Wait(), and each later one at once.
  void Wake();

  // Appends what arrived, in the stream's order. Events of the last few milliseconds are kept for
  // the next call, so that all rings are in one order; the `last` call hands out all.
  absl::Status Drain(std::vector<Event>& out, bool last);

  absl::StatusOr<jp_counters> ReadCounters() const { return sampler_->ReadCounters(); }
  uint64_t damaged_records() const { return damaged_records_; }
  // The rate that is sampled at first: what was asked for, or the kernel's maximum if that is less.
  uint64_t frequency_hz() const { return frequency_hz_; }
  // Halves it, down to 1 Hz. False: it cannot be lower.
  absl::StatusOr<bool> HalveRate();
  // Rates that it was halved to; thread-safe, as PeriodNs().
  struct Rate {
    uint64_t since_ns = 0;
    uint32_t period_ns = 0;  // CPU time between two samples
    double hz() const { return 1e9 / period_ns; }
  };
  std::vector<Rate> rates() const;
  // What a sample of that time stands for.
  uint32_t PeriodNs(uint64_t time_ns) const;
  // CPU time that samples took in the kernel, where it counts that.
  uint64_t ProgramTimeNs() const { return bpf_ == nullptr ? 0 : bpf_->RunTimeNs(); }
  // CPUs that went and came; at the level ring those that came for the first time: when one goes,
  // its events stay with their threads.
  std::vector<CpuEvents::Change> cpu_changes() const;
  // As SamplingRate has it.
  double CountedShare() const;
  // How often and how long the kernel stopped the sampling of a CPU, summed over the CPUs.
  uint64_t throttled_times() const;
  uint64_t throttled_ns() const;
  // Samples that the kernel half counted and that were of no selected process.
  uint64_t foreign_samples() const { return foreign_samples_; }

 private:
  LiveSource() = default;
  // Opens the next kind of event until one fires.
  absl::Status ReplaceSilentEvents(const Options& options, bool fires);
  absl::Status OpenKernelLevel(const Options& options, const RuntimeSet& runtimes);
  absl::Status OpenRingLevel(const Options& options, const RuntimeSet& runtimes);
  absl::Status TakeSamples();
  // Of side-band: what the level ring needs at once.
  void TellRing(const Event& event);
  void TakeSideband(PerfRing& ring, Throttling* throttling);
  void TakeSidebandOfTasks();  // of the level ring
  // Samples on CPUs that came, at the level ring.
  void UpdateCpus(uint64_t now_ns);
  // What no record told of.
  uint64_t LostAtEnd();
  void WaitAtRing(int timeout_ms, std::vector<pollfd> fds);
  void Take(Event event);
  bool Takes(const Event& event);

  std::unique_ptr<Sampler> sampler_;
  BpfSampler* bpf_ = nullptr;    // sampler_, at one level,
  RingSampler* ring_ = nullptr;  // or at the other
  absl::Status samples_status_;  // of those taken while waiting
  absl::Status kernel_level_;
  std::unique_ptr<CpuEvents> cpus_;  // of the level kernel
  UniqueFd wake_;  // eventfd
  EventSorter sorter_;
  std::vector<Event> timeless_;  // that wait for the next drain
  Pid only_pid_ = 0;
  std::optional<ProcessFilter> filter_;
  uint64_t foreign_samples_ = 0;
  std::vector<std::string> silent_events_;
  bool asked_for_promptness_ = false;
  uint64_t damaged_records_ = 0;
  uint64_t sideband_lost_told_ = 0;
  uint64_t frequency_hz_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<Rate> rates_ ABSL_GUARDED_BY(mutex_);
  std::vector<CpuEvents::Change> new_cpus_ ABSL_GUARDED_BY(mutex_);  // at the level ring
};

}  // namespace jprof
