#include "profiler/pipeline/checkpoints.h"

#include <algorithm>
#include <utility>

#include "profiler/process/cpu_time.h"

namespace jprof {
namespace {

constexpr uint64_t kIntervalNs = 5'000'000'000;
constexpr uint64_t kTimesCost = 100;

}  // namespace

Checkpoints::Checkpoints(Sink sink, int niceness, uint64_t started_ns)
    : sink_(std::move(sink)), niceness_(niceness), due_ns_(started_ns + kIntervalNs) {}

void Checkpoints::Begin(const std::function<ProfileDraft()>& draft,
                        std::function<void(Profile&)> describe, uint64_t now_ns) {
  if (thread_.joinable()) thread_.join();  // it is done
  const uint64_t before_ns = CpuTimeOfThisThread();
  ProfileDraft drafted = draft();
  const uint64_t copying_ns = CpuTimeOfThisThread() - before_ns;
  busy_ = true;
  thread_ = std::thread([this, now_ns, copying_ns, drafted = std::move(drafted),
                         describe = std::move(describe)]() mutable {
    awaited_.Begin();
    SetNiceness(niceness_);
    Make(std::move(drafted), describe);
    due_ns_ = now_ns + std::max(kIntervalNs, kTimesCost * (copying_ns + CpuTimeOfThisThread()));
    awaited_.End();
    busy_ = false;
  });
}

void Checkpoints::Make(ProfileDraft draft, const std::function<void(Profile&)>& describe) const {
  absl::StatusOr<Profile> profile = draft.Build();
  // An invariant that is broken is told in the end, when it is built again.
  if (!profile.ok() || profile->samples.empty() || stop_) return;
  describe(*profile);
  sink_(*profile, [this] { return !stop_; });
}

void Checkpoints::Stop() {
  stop_ = true;
  awaited_.LendPriority();
  if (thread_.joinable()) thread_.join();
}

}  // namespace jprof
