#include "profiler/capture/sampled_threads.h"

#include <algorithm>

namespace jprof {

void SampledThreads::Opened(uint64_t event, Tid tid, uint32_t cpu) {
  opened_for_[event] = tid;
  Cpus& cpus = sampled_by_[tid];
  auto known = std::find_if(cpus.begin(), cpus.end(), [cpu](auto& c) { return c.first == cpu; });
  if (known == cpus.end()) known = cpus.insert(known, {cpu, tid});
  known->second = tid;
}

bool SampledThreads::IsDuplicate(uint64_t event, Tid tid, uint32_t cpu) {
  auto opened = opened_for_.find(event);
  if (opened == opened_for_.end()) return false;
  if (sampled_by_.size() >= kMaxThreads && !sampled_by_.contains(tid)) sampled_by_.clear();
  Cpus& cpus = sampled_by_[tid];
  auto known = std::find_if(cpus.begin(), cpus.end(), [cpu](auto& c) { return c.first == cpu; });
  if (known == cpus.end()) known = cpus.insert(known, {cpu, opened->second});
  return known->second != opened->second;
}

void SampledThreads::Drained() {
  for (Tid tid : ended_) sampled_by_.erase(tid);
  ended_.clear();
}

}  // namespace jprof
