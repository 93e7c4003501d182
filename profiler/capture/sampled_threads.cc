#include "profiler/capture/sampled_threads.h"

namespace jprof {

void SampledThreads::Opened(uint64_t event, Tid tid, uint32_t cpu) {
  opened_for_[event] = tid;
  sampled_by_[{tid, cpu}] = tid;
  cpus_.insert(cpu);
}

bool SampledThreads::IsDuplicate(uint64_t event, Tid tid, uint32_t cpu) {
  auto opened = opened_for_.find(event);
  if (opened == opened_for_.end()) return false;
  if (sampled_by_.size() >= kMaxThreads && !sampled_by_.contains({tid, cpu})) sampled_by_.clear();
  cpus_.insert(cpu);
  return sampled_by_.try_emplace({tid, cpu}, opened->second).first->second != opened->second;
}

void SampledThreads::Drained() {
  for (Tid tid : ended_) {
    for (uint32_t cpu : cpus_) sampled_by_.erase({tid, cpu});
  }
  ended_.clear();
}

}  // namespace jprof
