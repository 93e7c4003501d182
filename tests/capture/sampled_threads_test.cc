#include "profiler/capture/sampled_threads.h"

#include <gtest/gtest.h>

namespace jprof {
namespace {

constexpr uint64_t kOwn = 11, kOfCreator = 12;
constexpr Tid kThread = 101, kCreator = 100;

TEST(SampledThreadsTest, OfTwoEventsTheThreadsOwnCounts) {
  SampledThreads threads;
  threads.Opened(kOfCreator, kCreator, 0);
  threads.Opened(kOwn, kThread, 0);
  EXPECT_TRUE(threads.IsDuplicate(kOfCreator, kThread, 0));
  EXPECT_FALSE(threads.IsDuplicate(kOwn, kThread, 0));
  EXPECT_FALSE(threads.IsDuplicate(kOfCreator, kCreator, 0));
}

TEST(SampledThreadsTest, OfTwoInheritedOnesTheFirstMetCountsOnEachCpu) {
  SampledThreads threads;
  threads.Opened(kOfCreator, kCreator, 0);
  threads.Opened(kOwn, kThread, 0);
  constexpr Tid kChild = 102;
  EXPECT_FALSE(threads.IsDuplicate(kOwn, kChild, 0));
  EXPECT_TRUE(threads.IsDuplicate(kOfCreator, kChild, 0));
  EXPECT_FALSE(threads.IsDuplicate(kOfCreator, kChild, 1));
  EXPECT_TRUE(threads.IsDuplicate(kOwn, kChild, 1));
}

TEST(SampledThreadsTest, AnEventThatNobodyOpenedIsNoDuplicate) {
  SampledThreads threads;
  threads.Opened(kOwn, kThread, 0);
  EXPECT_FALSE(threads.IsDuplicate(99, kThread, 0));
}

TEST(SampledThreadsTest, ANumberGivenAnewIsAnotherThread) {
  SampledThreads threads;
  threads.Opened(kOfCreator, kCreator, 0);
  threads.Opened(kOwn, kThread, 0);
  threads.Ended(kThread);
  // What it did before it ended is read after the news that it has.
  EXPECT_TRUE(threads.IsDuplicate(kOfCreator, kThread, 0));
  threads.Drained();
  EXPECT_FALSE(threads.IsDuplicate(kOfCreator, kThread, 0));
}

}  // namespace
}  // namespace jprof
