#include "profiler/pipeline/target_task.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/synchronization/notification.h"

namespace jprof {
namespace {

// Below this two readings of the clocks differ by themselves.
constexpr int64_t kNoProgressNs = 200'000;

int64_t ClockNs(clockid_t clock) {
  timespec t = {};
  ::clock_gettime(clock, &t);  // of a thread that has ended there is none
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

int64_t CpuTimeOfOthersNs() {
  return ClockNs(CLOCK_PROCESS_CPUTIME_ID) - ClockNs(CLOCK_THREAD_CPUTIME_ID);
}

int64_t WorkOfOthersNs(uint64_t steps) {
  constexpr int64_t kOneStepNs = 1'000'000;  // more than two readings of a clock differ by
  return CpuTimeOfOthersNs() + static_cast<int64_t>(steps) * kOneStepNs;
}

struct TargetTask::Shared {
  std::function<void()> work;
  absl::Notification done;
};

TargetTask::TargetTask(std::function<void()> work) : shared_(std::make_shared<Shared>()) {
  shared_->work = std::move(work);
  thread_ = std::thread([shared = shared_] {
    shared->work();
    shared->done.Notify();
  });
}

TargetTask::~TargetTask() {
  if (thread_.joinable()) thread_.join();
}

int64_t TargetTask::CpuTimeNs() {
  clockid_t clock;
  if (!thread_.joinable()) return 0;
  if (::pthread_getcpuclockid(thread_.native_handle(), &clock) != 0) return 0;
  return ClockNs(clock);
}

bool TargetTask::WaitFor(absl::Duration timeout) {
  return shared_->done.WaitForNotificationWithTimeout(timeout);
}

bool TargetTask::WaitWhileItWorks(absl::Duration patience,
                                  const std::function<int64_t()>& cpu_time_ns) {
  const absl::Duration step = std::min(patience / 4, absl::Milliseconds(100));
  int64_t used_ns = cpu_time_ns();
  absl::Duration idle;
  while (!WaitFor(step)) {
    const int64_t now_ns = cpu_time_ns();
    idle += step;
    if (now_ns - used_ns > kNoProgressNs) {
      used_ns = now_ns;
      idle = absl::ZeroDuration();
    }
    if (idle >= patience) {
      thread_.detach();
      return false;
    }
  }
  return true;
}

}  // namespace jprof
