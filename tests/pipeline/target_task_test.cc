#include "profiler/pipeline/target_task.h"

#include <gtest/gtest.h>
#include <time.h>

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"

namespace jprof {
namespace {

TEST(TargetTaskTest, IsDoneWhenTheWorkIs) {
  bool worked = false;
  TargetTask task([&worked] { worked = true; });
  EXPECT_TRUE(task.WaitWhileItWorks());
  EXPECT_TRUE(task.WaitFor(absl::ZeroDuration()));
  EXPECT_TRUE(worked);
}

TEST(TargetTaskTest, WorkThatWaitsForEverIsGivenUpAndLeftBehind) {
  struct Shared {
    absl::Notification answer;
    absl::Notification ended;
  };
  auto shared = std::make_shared<Shared>();
  {
    TargetTask task([shared] {
      shared->answer.WaitForNotification();
      shared->ended.Notify();
    });
    EXPECT_FALSE(task.WaitFor(absl::Milliseconds(1)));
    EXPECT_FALSE(task.WaitWhileItWorks(absl::Milliseconds(100)));
  }
  // The task is gone and its thread still waits.
  EXPECT_FALSE(shared->ended.HasBeenNotified());
  shared->answer.Notify();
  shared->ended.WaitForNotification();
}

TEST(TargetTaskTest, WorkThatUsesCpuTimeIsNotGivenUp) {
  absl::Notification finish;
  TargetTask task([&finish] { finish.WaitForNotification(); });
  // Ten times the patience, with 1 ms of CPU time between two looks.
  int looks = 0;
  auto cpu_time_ns = [&] {
    if (++looks == 40) finish.Notify();
    return int64_t{looks} * 1'000'000;
  };
  EXPECT_TRUE(task.WaitWhileItWorks(absl::Milliseconds(20), cpu_time_ns));
  EXPECT_GE(looks, 40);
}

TEST(TargetTaskTest, TheCpuTimeOfOthersIsThatOfAllOtherThreads) {
  auto burn_ns = [](int64_t ns) {
    timespec cpu;
    do {
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    } while (int64_t{cpu.tv_sec} * 1'000'000'000 + cpu.tv_nsec < ns);
  };
  constexpr int64_t kWorkNs = 50'000'000;
  const int64_t before_ns = CpuTimeOfOthersNs();
  // Twice as much: the two clocks that are compared are read one after the other.
  std::thread([&] { burn_ns(2 * kWorkNs); }).join();
  const int64_t used_ns = CpuTimeOfOthersNs() - before_ns;
  EXPECT_GE(used_ns, kWorkNs);
  timespec own;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
  burn_ns(int64_t{own.tv_sec} * 1'000'000'000 + own.tv_nsec + 2 * kWorkNs);
  EXPECT_LT(CpuTimeOfOthersNs() - before_ns, used_ns + kWorkNs);  // our own does not count
}

}  // namespace
}  // namespace jprof
