#include "profiler/pipeline/target_task.h"

#include <gtest/gtest.h>
#include <time.h>

#include <memory>

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
  TargetTask task([] {
    timespec cpu;
    do {
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    } while (cpu.tv_sec == 0);
  });
  // A fifth of what the work takes at least.
  EXPECT_TRUE(task.WaitWhileItWorks(absl::Milliseconds(200)));
}

}  // namespace
}  // namespace jprof
