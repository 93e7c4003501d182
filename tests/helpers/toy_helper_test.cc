// A runtime that is not V8, through both targets of one helper source: the proof that the contract
// (helpers/README.md) holds for a runtime that its authors did not have in mind.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jprof_toy_runtimes.h"
#include "tests/helpers/folded_text.h"
#include "tests/helpers/stopped_process.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;

const char* const kChain[] = {"toy_main toy.script:3", "toy_render toy.script:14",
                              "toy_blur toy.script:27"};

Child SpawnToy() {
  auto child = Child::SpawnReady({TOY_PROGRAM});
  EXPECT_TRUE(child.ok()) << child.status();
  return *std::move(child);
}

TEST(ToyHelperTest, TableFindsTheRuntimeBesideV8) {
  Child child = SpawnToy();
  NativeSampler sampler(ToyRuntimes(), child.pid());
  EXPECT_THAT(sampler.table().recognised(), ElementsAre("toy 1 (partly verified)"));
  ASSERT_EQ(sampler.process().range_count, 1u);
  EXPECT_EQ(sampler.process().ranges[0].runtime, 2);  // its place in the list, from 1
}

TEST(ToyHelperTest, NativeWalkOfTheStoppedProcessGivesItsFunctions) {
  Child child = SpawnToy();
  NativeSampler sampler(ToyRuntimes(), child.pid());
  int whole = 0;
  for (int i = 0; i < 20; ++i) {
    // Stopped again at once, it would not have come further.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    auto sample = sampler.Take();
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(sample->unreadable, 0u);
    ASSERT_LE(sample->functions.size(), std::size(kChain));
    // The program returns to its main loop now and then; a sample there has a shorter chain.
    std::vector<std::string> expected(kChain, kChain + sample->functions.size());
    EXPECT_EQ(sample->functions, expected);
    whole += sample->functions.size() == std::size(kChain);
  }
  EXPECT_GE(whole, 15);
}

TEST(ToyHelperTest, KernelHalfGivesTheSameFunctions) {
  ASSERT_EQ(WhyNoSampling(), "");
  Child child = SpawnToy();
  auto stacks = RunFolded({JPROF_WITH_TOY, "-p", std::to_string(child.pid()), "-d", "1", "-F",
                           "199", "--format", "folded"});
  ASSERT_TRUE(stacks.ok()) << stacks.status();
  uint64_t samples = 0, whole = 0;
  for (const FoldedStack& stack : *stacks) {
    samples += stack.samples;
    const std::vector<std::string> functions = stack.Functions();
    ASSERT_LE(functions.size(), std::size(kChain));
    EXPECT_EQ(functions, std::vector<std::string>(kChain, kChain + functions.size()));
    if (functions.size() == std::size(kChain)) whole += stack.samples;
  }
  EXPECT_GT(samples, 0u);
  EXPECT_GE(whole * 10, samples * 9);
}

}  // namespace
}  // namespace jprof
