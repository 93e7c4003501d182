// Samples of the live system: the BPF sampler on every CPU, and beside it the side-band events that
// tell of mappings, names, forks and exits. Level "kernel": names are resolved at the sample.
//
// Threads: Open, Start, Stop and Wake on the main thread; Wait and Drain on the reader's, which
// nobody else calls meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/capture/bpf_sampler.h"
#include "profiler/capture/event_sorter.h"
#include "profiler/capture/perf_event.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/process_filter.h"
#include "profiler/core/event.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// Nanoseconds of CLOCK_MONOTONIC, the clock of all events.
uint64_t MonotonicNow();

class LiveSource {
 public:
  struct Options {
    Pid pid = 0;  // 0: every process
    Tid tid = 0;  // 0: every thread
    bool selected = false;  // of every process those that Select() tells
    bool children = false;  // and those that they start
    int cgroup_fd = -1;     // >= 0: only what is in this group of cgroup v2, or below it
    std::string comm;       // not "": only threads and processes of this name
    uint64_t frequency_hz = 99;
    uint32_t ring_bytes = 4 << 20;
    uint32_t mappings = 1 << 14;
  };

  // Loads and attaches everything, and turns the side-band on; no sample is taken yet.
  static constexpr uint64_t kSortMarginNs = 20'000'000;
  static absl::StatusOr<std::unique_ptr<LiveSource>> Open(const Options& options,
                                                          absl::string_view bpf_object);

  LayoutSink& layouts() { return *sampler_; }
  UnwindSink& tables() { return *sampler_; }
  bool hardware() const { return hardware_; }

  // With `selected`: what is recorded, and what else there is. Before Start().
  void Select(const std::vector<Pid>& pids, const std::vector<Pid>& others);

  absl::Status Start();  // samples from now on
  absl::Status Stop();   // none from now on; what was taken waits to be drained

  // Waits until much of a side-band ring is full, a sample met a file that is not known yet, or `timeout_ms` are
  // over; then a Drain() is due. Other samples wake nobody. True: such a file was met, and what the side-band
  // tells of it comes out of the Drain() kSortMarginNs later.
  bool Wait(int timeout_ms);
  // Ends a Wait(), and each later one at once.
  void Wake();

  // Appends what arrived, in the stream's order. Events of the last few milliseconds are kept for
  // the next call, so that all rings are in one order; the `last` call hands out all.
  absl::Status Drain(std::vector<Event>& out, bool last);

  absl::StatusOr<jp_counters> ReadCounters() const { return sampler_->ReadCounters(); }
  const BpfSampler& sampler() const { return *sampler_; }
  uint64_t damaged_records() const { return damaged_records_; }
  // Samples that the kernel half counted and that were of no selected process.
  uint64_t foreign_samples() const { return foreign_samples_; }

 private:
  struct Sideband {
    UniqueFd event;
    PerfRing ring;
  };

  LiveSource() = default;
  bool Takes(const Event& event);

  std::unique_ptr<BpfSampler> sampler_;
  std::vector<SamplingEvent> events_;
  std::vector<Sideband> sideband_;
  UniqueFd wake_;  // eventfd
  EventSorter sorter_;
  Pid only_pid_ = 0;
  std::optional<ProcessFilter> filter_;
  uint64_t foreign_samples_ = 0;
  bool hardware_ = false;
  uint64_t damaged_records_ = 0;
};

}  // namespace jprof
