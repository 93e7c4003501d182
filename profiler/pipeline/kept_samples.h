// The samples of a recording, in bounded memory however long it is.
//
// As long as there is room, each sample is kept as it was taken. Then samples that are alike become
// one with a count, and what is alike widens as far as it must: times first, in steps that double;
// threads and processes by name instead of number, when there are so many that hardly two samples
// are of the same. When there are so many stacks, samples of the rarest lose stack and names,
// counted.
//
// Not thread-safe; owned by the pipeline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "profiler/core/ids.h"

namespace jprof {

class KeptSamples {
 public:
  static constexpr uint32_t kManyCpus = UINT32_MAX;
  static constexpr uint32_t kLeftOut = UINT32_MAX - 1;

  struct Sample {
    uint64_t time_ns = 0;  // of the sample; or where the step of time begins that it lies in
    uint32_t count = 1;
    Pid pid = 0;  // 0: of any number
    Tid tid = 0;
    uint32_t process_name = 0;
    uint32_t thread_name = 0;
    uint32_t cgroup = 0;
    uint32_t cpu = 0;    // kManyCpus: on several
    uint32_t stack = 0;  // kLeftOut: it was lost, and the names are 0
    uint32_t period_ns = 0;  // CPU time that one stands for
  };

  // `max`: of entries.
  explicit KeptSamples(size_t max) : max_(max) {}

  void Add(const Sample& sample);

  // What was added, alike ones merged as far as they had to be, in no order.
  const std::vector<Sample>& All();
  std::vector<Sample> TakeAll();

  size_t size() const { return samples_.size(); }
  // The next Add() merges samples: their times may go.
  bool full() const { return samples_.size() >= max_; }
  // To change their stacks.
  std::span<Sample> samples() { return samples_; }
  // What was given up. 0: each sample has its own time.
  uint64_t time_step_ns() const { return step_ns_; }
  bool threads_by_name() const { return threads_by_name_; }
  bool processes_by_name() const { return processes_by_name_; }

 private:
  void MakeRoom();
  void Merge();
  // Whether there are more threads, or processes, than `limit`.
  bool HasManyThreads(size_t limit) const;
  bool HasManyProcesses(size_t limit) const;
  // All samples lie in one step of time.
  bool HasOneStep() const;
  // More than `limit` stacks: those that fewer samples have than half of them do.
  void LeaveOutRareStacks(size_t limit);

  const size_t max_;
  std::vector<Sample> samples_;
  uint64_t begin_ns_ = 0;  // of the steps of time
  uint64_t step_ns_ = 0;
  bool threads_by_name_ = false;
  bool processes_by_name_ = false;
};

}  // namespace jprof
