#include "profiler/capture/event_sorter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <variant>
#include <vector>

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// (time, pid); the pid tells events of equal times apart.
using Seen = std::vector<std::pair<uint64_t, Pid>>;

ExitEvent At(uint64_t time_ns, Pid pid = 0) { return {time_ns, pid, pid}; }

Seen Release(EventSorter& sorter, uint64_t up_to_ns) {
  Seen seen;
  sorter.Release(up_to_ns, [&](Event event) {
    seen.emplace_back(*EventTime(event), std::get<ExitEvent>(event).pid);
  });
  return seen;
}

Seen Flush(EventSorter& sorter) {
  Seen seen;
  sorter.Flush(
      [&](Event event) { seen.emplace_back(*EventTime(event), std::get<ExitEvent>(event).pid); });
  return seen;
}

TEST(EventTimeTest, StacksSymbolsAndLossesHaveNone) {
  EXPECT_EQ(EventTime(SampleEvent{.time_ns = 3}), 3u);
  EXPECT_EQ(EventTime(MapEvent{.time_ns = 4}), 4u);
  EXPECT_EQ(EventTime(CommEvent{.time_ns = 5}), 5u);
  EXPECT_EQ(EventTime(ForkEvent{.time_ns = 6}), 6u);
  EXPECT_EQ(EventTime(ExitEvent{.time_ns = 7}), 7u);
  EXPECT_FALSE(EventTime(StackEvent{}).has_value());
  EXPECT_FALSE(EventTime(KernelStackEvent{}).has_value());
  EXPECT_FALSE(EventTime(SymbolEvent{}).has_value());
  EXPECT_FALSE(EventTime(LostEvent{}).has_value());
}

TEST(EventSorterTest, RingsAreMergedByTime) {
  EventSorter sorter;
  for (uint64_t t : {10, 30, 50}) sorter.Push(At(t, 1));
  for (uint64_t t : {20, 40, 60}) sorter.Push(At(t, 2));
  EXPECT_THAT(Release(sorter, 100), ElementsAre(Pair(10, 1), Pair(20, 2), Pair(30, 1), Pair(40, 2),
                                                Pair(50, 1), Pair(60, 2)));
}

TEST(EventSorterTest, TheBoundItselfStays) {
  EventSorter sorter;
  sorter.Push(At(9));
  sorter.Push(At(10));
  EXPECT_THAT(Release(sorter, 10), ElementsAre(Pair(9, 0)));
  EXPECT_EQ(sorter.size(), 1u);
  EXPECT_THAT(Release(sorter, 11), ElementsAre(Pair(10, 0)));
}

TEST(EventSorterTest, WhatIsYoungerThanTheMarginWaitsForItsPredecessor) {
  EventSorter sorter;
  sorter.Push(At(100, 1));
  EXPECT_THAT(Release(sorter, 100 - 20), IsEmpty());
  sorter.Push(At(95, 2));  // was stamped before, became visible later
  EXPECT_THAT(Release(sorter, 200 - 20), ElementsAre(Pair(95, 2), Pair(100, 1)));
  EXPECT_EQ(sorter.late(), 0u);
}

TEST(EventSorterTest, EqualTimesKeepTheOrderOfThePushes) {
  EventSorter sorter;
  for (Pid pid = 1; pid <= 50; ++pid) sorter.Push(At(7, pid));
  Seen seen = Flush(sorter);
  ASSERT_EQ(seen.size(), 50u);
  for (Pid pid = 1; pid <= 50; ++pid) EXPECT_EQ(seen[static_cast<size_t>(pid - 1)].second, pid);
}

TEST(EventSorterTest, ALateEventIsCountedAndStillHandedOut) {
  EventSorter sorter;
  sorter.Push(At(10));
  Release(sorter, 20);
  sorter.Push(At(20));
  EXPECT_EQ(sorter.late(), 0u);
  sorter.Push(At(15));
  EXPECT_EQ(sorter.late(), 1u);
  EXPECT_THAT(Release(sorter, 5), ElementsAre(Pair(15, 0))) << "a smaller bound: late ones only";
  EXPECT_THAT(Flush(sorter), ElementsAre(Pair(20, 0)));
}

TEST(EventSorterTest, FlushHandsOutEverything) {
  EventSorter sorter;
  sorter.Push(At(UINT64_MAX));
  sorter.Push(At(1));
  EXPECT_THAT(Flush(sorter), ElementsAre(Pair(1, 0), Pair(UINT64_MAX, 0)));
  EXPECT_EQ(sorter.size(), 0u);
}

TEST(EventSorterTest, DrainsOfDisorderlyRingsComeOutAsOneStableSort) {
  std::mt19937 random(1);
  constexpr uint64_t kMargin = 50;
  EventSorter sorter;
  Seen pushed, seen;
  Pid serial = 0;
  for (uint64_t now = 1000; now < 5000; now += 100) {
    // Visible now: events of the last interval, and some that were held up, but for less than the
    // margin.
    for (int i = 0; i < 20; ++i) {
      uint64_t time_ns = now - random() % (100 + kMargin);
      pushed.emplace_back(time_ns, ++serial);
      sorter.Push(At(time_ns, serial));
    }
    for (auto& entry : Release(sorter, now - kMargin)) seen.push_back(entry);
  }
  for (auto& entry : Flush(sorter)) seen.push_back(entry);
  std::stable_sort(pushed.begin(), pushed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  EXPECT_EQ(seen, pushed);
  EXPECT_EQ(sorter.late(), 0u);
}

}  // namespace
}  // namespace jprof
