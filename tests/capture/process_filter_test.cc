#include "profiler/capture/process_filter.h"

#include <gtest/gtest.h>

namespace jprof {
namespace {

Event Fork(Pid parent, Pid child) {
  return ForkEvent{.pid = child, .tid = child, .parent_pid = parent, .parent_tid = parent};
}
Event Sample(Pid pid) { return SampleEvent{.pid = pid, .tid = pid}; }

TEST(ProcessFilterTest, NamedProcessesAloneAreTaken) {
  ProcessFilter filter(/*children=*/false);
  filter.Add(10);
  filter.Add(11);
  EXPECT_TRUE(filter.Takes(Sample(10)));
  EXPECT_TRUE(filter.Takes(Sample(11)));
  EXPECT_FALSE(filter.Takes(Sample(12)));
  EXPECT_FALSE(filter.Takes(Fork(10, 20)));
  EXPECT_FALSE(filter.Takes(Sample(20)));
}

TEST(ProcessFilterTest, ChildrenOfChildrenAreTakenAlsoWhenTheParentIsGone) {
  ProcessFilter filter(/*children=*/true);
  filter.Add(10);
  EXPECT_TRUE(filter.Takes(Fork(10, 20)));
  EXPECT_TRUE(filter.Takes(ExitEvent{.pid = 10, .tid = 10}));
  EXPECT_TRUE(filter.Takes(Fork(20, 30)));
  EXPECT_TRUE(filter.Takes(Sample(30)));
  EXPECT_FALSE(filter.Takes(Fork(1, 40)));
  EXPECT_FALSE(filter.Takes(Sample(40)));
}

TEST(ProcessFilterTest, ANumberThatIsGivenAwayAgainBelongsToTheNewParent) {
  ProcessFilter filter(/*children=*/true);
  filter.Add(10);
  EXPECT_TRUE(filter.Takes(Fork(10, 20)));
  EXPECT_FALSE(filter.Takes(Fork(1, 20)));
  EXPECT_FALSE(filter.Takes(Sample(20)));
}

TEST(ProcessFilterTest, AThreadBelongsToItsProcess) {
  ProcessFilter filter(/*children=*/false);
  filter.Add(10);
  EXPECT_TRUE(filter.Takes(ForkEvent{.pid = 10, .tid = 13, .parent_pid = 10, .parent_tid = 10}));
  EXPECT_TRUE(filter.Takes(SampleEvent{.pid = 10, .tid = 13}));
}

TEST(ProcessFilterTest, WhatIsOfNoProcessIsTaken) {
  ProcessFilter filter(/*children=*/false);
  EXPECT_TRUE(filter.Takes(LostEvent{}));
}

}  // namespace
}  // namespace jprof
