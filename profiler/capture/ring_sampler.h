// Samples without BPF: the kernel copies a thread's registers and the end of its stack into a ring,
// and the walk and the helpers run here, natively, over that copy laid over the live process
// (sampled_memory.h). Objects of a runtime are read a tenth of a millisecond after the sample if a
// CPU is free, so Drain() is to be called as soon as there is something.
//
// What is read too late is not believed: a collector may have put another function where the
// sampled one was. It takes two collections to get there, since V8 leaves the space that it
// evacuated as it was until the next one; kLateSampleNs is shorter than that. Then only those
// frames have a name that are still in the stack, or in it again: the collector keeps their words
// right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "helpers/native_runner.h"
#include "helpers/runtime.h"
#include "profiler/capture/sampled_memory.h"
#include "profiler/capture/sampler.h"
#include "profiler/capture/task_events.h"
#include "profiler/capture/throttling.h"
#include "profiler/unwind/frame_stepper.h"

namespace jprof {

class ResidentMemory;

class RingSampler : public Sampler {
 public:
  // What the level costs in exactness, of the samples so far.
  struct Quality {
    uint64_t late = 0;    // walked too late to believe all of a runtime's objects
    uint64_t beyond = 0;  // stacks that reach beyond their copy,
    uint64_t cut = 0;     // and of these, changed before they were read
    std::vector<uint32_t> delays_us;  // from the sample to the end of its walk, some thousands
  };

  // `set` outlives the sampler; `mappings`: that UnwindTables may hand over; `find_code`, empty:
  // frames that no table expresses end the walk.
  RingSampler(const RuntimeSet& set, TaskEvents events, uint32_t mappings,
              FrameStepper::Find find_code = nullptr);
  ~RingSampler() override;

  TaskEvents& events() { return events_; }
  const TaskEvents& events() const { return events_; }
  bool kernel_too() const { return events_.kernel(); }
  uint32_t stack_bytes() const { return events_.stack_bytes(); }  // of a copy, at most
  Quality quality() const;
  // Of the samples of each CPU, from now on; the others never were.
  void SetKeepOneOf(uint32_t count);
  // A new process: until it executes a program, or its mappings are handed over, it is walked with
  // its parent's.
  void OnFork(const ForkEvent& fork);
  void OnExec(const CommEvent& exec);
  // What the kernel counted as lost and no record told of; at the end.
  void CountLostAtEnd();
  uint64_t throttled_times() const;
  uint64_t throttled_ns() const;

  // Sampler.
  absl::Status Drain(absl::FunctionRef<void(Event)> sink) override;
  void SetForeign(Pid, bool) override {}  // there are no events of others
  absl::StatusOr<jp_counters> ReadCounters() const override;

  // LayoutSink.
  bool SetLayout(uint32_t index, std::span<const std::byte> layout) override;
  bool SetProcess(Pid pid, const jp_process& process) override;
  void RemoveProcess(Pid pid) override;
  void ForgetSymbols() override;
  void ForgetStacks() override;

  // UnwindSink.
  bool WriteWords(uint32_t first, std::span<const uint64_t> words) override;
  bool WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) override;
  bool SetMappings(Pid pid, jp_mapping_slice slice) override;
  void RemoveMappings(Pid pid) override;

 private:
  bool IsDuplicate(const TaskSample& sample);
  // Hits of the event; samples are so many of them as are kept.
  void CountLost(uint64_t hits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  struct Process {
    jp_process runtimes = {};
    jp_mapping_slice mappings = {};
  };
  struct Fork {
    Pid parent;
    uint64_t until_ns;  // it executed a program; UINT64_MAX: it has not
  };
  using StackKey = std::pair<uint64_t, uint64_t>;  // hash; process and depth

  static constexpr size_t kMaxProcesses = 1 << 13;
  static constexpr size_t kMaxStacks = 1 << 15;
  static constexpr size_t kMaxMemories = 64;  // a descriptor each
  static constexpr size_t kMaxForks = 1 << 10;  // it is the latest that matter
  static constexpr int kMaxGenerations = 16;
  static constexpr size_t kDelays = 1 << 12;
  static constexpr uint32_t kPoolWords = JP_MAX_CHUNKS * JP_CHUNK_WORDS;

  Process ProcessOf(Pid pid, uint64_t time_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(const TaskSample& sample, absl::FunctionRef<void(Event)> sink)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The stack's number.
  uint32_t TakeUserStack(const TaskSample& sample, absl::FunctionRef<void(Event)> sink)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t Tell(StackEvent stack, absl::FunctionRef<void(Event)> sink)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t TakeKernelStack(const TaskSample& sample, absl::FunctionRef<void(Event)> sink)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What of it is there: the reader of the rings waits for nobody.
  const MemoryReader& MemoryOf(Pid pid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The number, and whether it is new.
  std::pair<uint32_t, bool> NumberOf(const StackKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  TaskEvents events_;
  // Much is reserved and little used: only what is written takes memory.
  const std::unique_ptr<uint64_t, decltype(&std::free)> pool_;
  const uint32_t mapping_count_;
  const std::unique_ptr<jp_mapping, decltype(&std::free)> mappings_;

  mutable absl::Mutex mutex_;
  SampledMemory memory_ ABSL_GUARDED_BY(mutex_);
  FrameStepper stepper_ ABSL_GUARDED_BY(mutex_);
  NativeRunner runner_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Pid, Process> processes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Pid, Fork> forks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Pid, std::unique_ptr<ResidentMemory>> memories_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<StackKey, uint32_t> stacks_ ABSL_GUARDED_BY(mutex_);
  jp_counters counters_ ABSL_GUARDED_BY(mutex_) = {};
  uint64_t lost_told_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Throttling> throttling_ ABSL_GUARDED_BY(mutex_);  // by ring
  Quality quality_ ABSL_GUARDED_BY(mutex_);
  uint64_t walks_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t keep_one_of_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t lost_hits_ ABSL_GUARDED_BY(mutex_) = 0;  // too few yet for a sample
  std::vector<uint32_t> passed_over_ ABSL_GUARDED_BY(mutex_);  // since one was kept, by ring
};

}  // namespace jprof
