#include "profiler/pipeline/kept_samples.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

using Sample = KeptSamples::Sample;

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Count(const std::vector<Sample>& samples) {
  uint64_t count = 0;
  for (const Sample& s : samples) count += s.count;
  return count;
}

TEST(KeptSamplesTest, WithRoomEachSampleIsAsItWasTaken) {
  KeptSamples kept(4);
  for (uint64_t i = 0; i < 4; ++i) kept.Add({.time_ns = 100 + i, .pid = 1, .tid = 2, .stack = 3});
  EXPECT_EQ(kept.time_step_ns(), 0u);
  const std::vector<Sample> samples = kept.TakeAll();
  ASSERT_EQ(samples.size(), 4u);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(samples[i].time_ns, 100 + i);
    EXPECT_EQ(samples[i].count, 1u);
    EXPECT_EQ(samples[i].tid, 2);
  }
}

TEST(KeptSamplesTest, ThenTimesAreMergedAndNothingElse) {
  KeptSamples kept(100);
  for (uint64_t i = 0; i < 10'000; ++i) {
    kept.Add({.time_ns = kSecond + i * 10'000'000,
              .pid = 1,
              .tid = static_cast<Tid>(i % 2),
              .cpu = 5,
              .stack = static_cast<uint32_t>(i % 4)});
    ASSERT_LE(kept.size(), 100u);
  }
  EXPECT_FALSE(kept.threads_by_name());
  const std::vector<Sample> samples = kept.TakeAll();
  EXPECT_EQ(Count(samples), 10'000u);
  // 100 s: 4 kinds of samples in at most 25 steps, and in half as many at least but for one
  // doubling.
  EXPECT_GE(kept.time_step_ns(), 4 * kSecond);
  EXPECT_LE(kept.time_step_ns(), 16 * kSecond);
  std::map<uint32_t, uint64_t> by_stack;
  for (const Sample& s : samples) {
    EXPECT_EQ((s.time_ns - kSecond) % kept.time_step_ns(), 0u);
    EXPECT_EQ(s.tid, static_cast<Tid>(s.stack % 2));
    EXPECT_EQ(s.cpu, 5u);
    by_stack[s.stack] += s.count;
  }
  EXPECT_THAT(by_stack, testing::ElementsAre(testing::Pair(0, 2500), testing::Pair(1, 2500),
                                             testing::Pair(2, 2500), testing::Pair(3, 2500)));
}

TEST(KeptSamplesTest, SamplesOfSeveralCpusAreOfNone) {
  KeptSamples kept(8);
  for (uint32_t i = 0; i < 9; ++i) kept.Add({.time_ns = 1, .cpu = i});
  const std::vector<Sample> samples = kept.TakeAll();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].count, 9u);
  EXPECT_EQ(samples[0].cpu, KeptSamples::kManyCpus);
}

TEST(KeptSamplesTest, AStormOfProcessesIsMergedByNameBeforeTimesAreLost) {
  KeptSamples kept(1000);
  for (uint64_t i = 0; i < 100'000; ++i) {
    kept.Add({.time_ns = i * 1'000'000,
              .pid = static_cast<Pid>(i + 1),
              .tid = static_cast<Tid>(i + 1),
              .process_name = 9,
              .thread_name = 8,
              .stack = 3});
    ASSERT_LE(kept.size(), 1000u);
  }
  EXPECT_TRUE(kept.processes_by_name());
  EXPECT_LE(kept.time_step_ns(), kSecond);
  const std::vector<Sample> samples = kept.TakeAll();
  EXPECT_EQ(Count(samples), 100'000u);
  EXPECT_EQ(samples[0].process_name, 9u);
  EXPECT_EQ(samples[0].thread_name, 8u);
}

TEST(KeptSamplesTest, OfEndlesslyManyStacksTheRarestAreLeftOut) {
  KeptSamples kept(1000);
  for (uint32_t i = 0; i < 50'000; ++i) {
    // Every other sample is of one stack.
    kept.Add({.time_ns = i, .process_name = i + 1, .stack = i % 2 == 0 ? 1 : 1000 + i});
    ASSERT_LE(kept.size(), 1000u);
  }
  const std::vector<Sample> samples = kept.TakeAll();
  EXPECT_EQ(Count(samples), 50'000u);
  EXPECT_GT(std::count_if(samples.begin(), samples.end(),
                          [](const Sample& s) { return s.stack == KeptSamples::kLeftOut; }),
            0);
}

TEST(KeptSamplesTest, AFrequentStackSurvivesTheRareOnes) {
  KeptSamples kept(1000);
  for (uint32_t i = 0; i < 50'000; ++i) {
    kept.Add({.time_ns = i, .stack = i % 2 == 0 ? 1 : 1000 + i});
  }
  uint64_t frequent = 0;
  for (const Sample& s : kept.TakeAll()) frequent += s.stack == 1 ? s.count : 0;
  EXPECT_EQ(frequent, 25'000u);
}

TEST(KeptSamplesTest, CountsDoNotWrap) {
  KeptSamples kept(2);
  kept.Add({.count = 0xf000'0000});
  kept.Add({.count = 0xf000'0000});
  kept.Add({.count = 1});
  EXPECT_EQ(Count(kept.TakeAll()), 0x1'e000'0001u);
}

TEST(KeptSamplesTest, ASampleFromBeforeTheFirstIsInTheFirstStep) {
  KeptSamples kept(8);
  for (uint64_t i = 0; i < 9; ++i) kept.Add({.time_ns = 1000 - 10 * i, .stack = 1});
  const std::vector<Sample> samples = kept.TakeAll();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].time_ns, 1000u);
}

}  // namespace
}  // namespace jprof
