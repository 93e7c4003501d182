// Which event counts a thread's samples on a CPU, where it has two: one of its own, and one that it
// inherited since it started while its process was being gone through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "profiler/core/ids.h"

namespace jprof {

// One thread at a time.
class SampledThreads {
 public:
  // An event was opened for the thread on the CPU; `event` is the number that its samples carry.
  void Opened(uint64_t event, Tid tid, uint32_t cpu);

  // Whether samples of the thread on that CPU are counted by another event than this one's. For a
  // thread that none was opened for, the event that is asked about first counts.
  bool IsDuplicate(uint64_t event, Tid tid, uint32_t cpu);

  // The thread has ended; samples of it may still be in the rings until they were read once more,
  // of which Drained() tells. Then its number may be another thread's.
  void Ended(Tid tid) { ended_.push_back(tid); }
  void Drained();

  static constexpr size_t kMaxThreads = 1 << 16;  // and CPUs

 private:
  absl::flat_hash_map<uint64_t, Tid> opened_for_;  // by the event's number
  // Of each thread and CPU: by the event of which thread.
  absl::flat_hash_map<std::pair<Tid, uint32_t>, Tid> sampled_by_;
  absl::flat_hash_set<uint32_t> cpus_;  // of all threads
  std::vector<Tid> ended_;
};

}  // namespace jprof
