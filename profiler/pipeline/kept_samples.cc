#include "profiler/pipeline/kept_samples.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace jprof {
namespace {

constexpr uint64_t kFirstStepNs = 10'000'000;
// Up to this one, times are given up first; then whatever helps.
constexpr uint64_t kShortStepNs = 60'000'000'000;

// All but the CPU and the count.
auto KeyOf(const KeptSamples::Sample& s) {
  return std::tuple(s.time_ns, s.stack, s.pid, s.tid, s.process_name, s.thread_name, s.cgroup,
                    s.period_ns);
}

}  // namespace

void KeptSamples::Add(const Sample& sample) {
  if (samples_.empty()) begin_ns_ = sample.time_ns;
  if (samples_.size() >= max_) MakeRoom();
  samples_.push_back(sample);
}

const std::vector<KeptSamples::Sample>& KeptSamples::All() {
  if (step_ns_ != 0) Merge();
  return samples_;
}

std::vector<KeptSamples::Sample> KeptSamples::TakeAll() {
  All();
  return std::exchange(samples_, {});
}

void KeptSamples::MakeRoom() {
  if (step_ns_ == 0) step_ns_ = kFirstStepNs;
  threads_by_name_ |= HasManyThreads(max_ / 4);
  processes_by_name_ |= HasManyProcesses(max_ / 4);
  LeaveOutRareStacks(max_ / 4);
  Merge();
  bool longer_step_helps = true;
  while (samples_.size() > max_ / 2) {
    const size_t before = samples_.size();
    const bool lengthen = longer_step_helps && !HasOneStep();
    if (lengthen) {
      step_ns_ *= 2;
    } else if (!threads_by_name_) {
      threads_by_name_ = true;
    } else if (!processes_by_name_) {
      processes_by_name_ = true;
    } else {
      LeaveOutRareStacks(0);
      Merge();
      if (samples_.size() == before) return;  // counts that would wrap
    }
    Merge();
    longer_step_helps =
        !lengthen || step_ns_ < kShortStepNs || samples_.size() < before - before / 16;
  }
}

void KeptSamples::Merge() {
  for (Sample& s : samples_) {
    // One that comes late may be older than the first.
    s.time_ns = s.time_ns <= begin_ns_ ? begin_ns_ : s.time_ns - (s.time_ns - begin_ns_) % step_ns_;
    if (threads_by_name_) s.tid = 0;
    if (processes_by_name_) s.pid = 0;
  }
  std::sort(samples_.begin(), samples_.end(),
            [](const Sample& a, const Sample& b) { return KeyOf(a) < KeyOf(b); });
  size_t kept = 0;
  for (size_t i = 1; i < samples_.size(); ++i) {
    Sample& into = samples_[kept];
    const Sample& from = samples_[i];
    if (KeyOf(into) == KeyOf(from) &&
        from.count <= std::numeric_limits<uint32_t>::max() - into.count) {
      into.count += from.count;
      if (into.cpu != from.cpu) into.cpu = kManyCpus;
    } else {
      samples_[++kept] = from;
    }
  }
  if (!samples_.empty()) samples_.resize(kept + 1);
}

bool KeptSamples::HasManyThreads(size_t limit) const {
  absl::flat_hash_set<std::pair<Pid, Tid>> threads;
  for (const Sample& s : samples_) {
    threads.emplace(s.pid, s.tid);
    if (threads.size() > limit) return true;
  }
  return false;
}

bool KeptSamples::HasManyProcesses(size_t limit) const {
  absl::flat_hash_set<Pid> pids;
  for (const Sample& s : samples_) {
    pids.insert(s.pid);
    if (pids.size() > limit) return true;
  }
  return false;
}

bool KeptSamples::HasOneStep() const {
  return std::all_of(samples_.begin(), samples_.end(),
                     [this](const Sample& s) { return s.time_ns == begin_ns_; });
}

void KeptSamples::LeaveOutRareStacks(size_t limit) {
  absl::flat_hash_map<uint32_t, uint64_t> counts;
  for (const Sample& s : samples_) counts[s.stack] += s.count;
  if (counts.size() <= limit) return;
  std::vector<uint64_t> by_count;
  by_count.reserve(counts.size());
  for (const auto& [stack, count] : counts) by_count.push_back(count);
  const auto middle = by_count.begin() + static_cast<ptrdiff_t>(by_count.size() / 2);
  std::nth_element(by_count.begin(), middle, by_count.end());
  for (Sample& s : samples_) {
    if (counts[s.stack] > *middle) continue;
    s = {.time_ns = s.time_ns,
         .count = s.count,
         .cpu = kManyCpus,
         .stack = kLeftOut,
         .period_ns = s.period_ns};
  }
}

}  // namespace jprof
