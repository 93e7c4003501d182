// What the pipeline does when there is more than it has room for.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pipeline/pipeline_fixture.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class PipelineBoundsTest : public PipelineTest {
 protected:
  // A sample of a second later.
  void LaterSample(uint32_t stack) {
    world_.now_ns = time_ns_;
    time_ns_ += 1'100'000'000;
    Sample(stack);
  }
};

TEST_F(PipelineBoundsTest, NumberedStacksAreDroppedWhenTheKernelHasForgottenThem) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  LaterSample(1);
  EXPECT_EQ(world_.forgotten, "symbols ");
  LaterSample(1);
  EXPECT_EQ(world_.forgotten, "symbols stacks ");
  Stack(2, WorkStack());  // its new number
  EXPECT_EQ(pipeline().numbered(), 2u);
  LaterSample(2);
  EXPECT_EQ(pipeline().numbered(), 1u);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.dropped_no_stack, 0u);
  EXPECT_THAT(Stacks(profile), testing::Each("_start;main;work"));
}

TEST_F(PipelineBoundsTest, StacksThatWereLostOnTheWayAreAskedForAgain) {
  Map(kApp, 1, "/bin/app");
  pipeline().Handle(LostEvent{LostEvent::What::kSamples, 1});
  EXPECT_EQ(world_.forgotten, "");
  pipeline().Handle(LostEvent{LostEvent::What::kStacks, 1});
  EXPECT_EQ(world_.forgotten, "stacks ");
}

TEST_F(PipelineBoundsTest, SymbolsThatWereLostOnTheWayAreAskedForAgain) {
  pipeline().Handle(LostEvent{LostEvent::What::kSymbols, 2});
  EXPECT_EQ(world_.forgotten, "symbols stacks ");
  EXPECT_EQ(Finish().accounting.sideband_lost, 2u);
}

TEST_F(PipelineBoundsTest, SamplesOfBeforeTheKernelForgotFindTheirStacks) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  // The samples are late: the kernel forgets a long time after they were taken.
  world_.now_ns = time_ns_ + 3'600'000'000'000;
  for (int i = 0; i < 10; ++i) {
    time_ns_ += 1'100'000'000;
    Sample(1);
  }
  EXPECT_EQ(Finish().accounting.dropped_no_stack, 0u);
}

TEST_F(PipelineBoundsTest, NumbersThatBeginAnewAreNotTakenForOldOnes) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(0xffffffff, WorkStack());
  Sample(0xffffffff);
  LaterSample(0xffffffff);
  LaterSample(0xffffffff);
  Stack(1, WorkStack());
  LaterSample(1);
  Sample(1);
  EXPECT_EQ(pipeline().numbered(), 1u);
  EXPECT_EQ(Finish().accounting.dropped_no_stack, 0u);
}

TEST_F(PipelineBoundsTest, PerfMapsThatAreTooLargeTogetherAreNotUsedAndSaid) {
  options_.max_perf_map_bytes = 1;
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 hot\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre(testing::HasSubstr("all perf maps")));
  EXPECT_THAT(FinishedStacks(), testing::Each("_start;[unknown] [jit]"));
}

TEST_F(PipelineBoundsTest, PerfMapsAreReadNoFurtherThanAllTogetherMay) {
  options_.max_perf_map_reads = 10;
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 first\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), testing::IsEmpty());
  world_.AppendPerfMap(kPid, "7e00000200 80 second\n");
  Stack(2, {kJit + 0x210, kApp + 0x10});
  LaterSample(2);
  EXPECT_THAT(pipeline().PerfMapTroubles(),
              ElementsAre(testing::HasSubstr("its newer names are not used")));
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;first", "_start;[unknown] [jit]"));
}

TEST_F(PipelineBoundsTest, EndlesslyManyStacksTakeTheirRoomAndNoMore) {
  options_.max_samples = 1000;
  options_.max_frame_bytes = 100'000;
  options_.max_stack_bytes = 10'000;
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/lib.so");
  constexpr uint32_t kSamples = 50'000;
  for (uint32_t i = 2; i <= kSamples; i += 2) {
    Stack(i - 1, WorkStack());
    Sample(i - 1);
    // Under main, which the tables know, each time another chain.
    Stack(i, {kLib + i % 0x1000, kLib + i / 0x1000 * 3, kApp + 0x110, kApp + 0x10});
    Sample(i);
    world_.now_ns = time_ns_ += 100'000'000;
    ASSERT_LE(pipeline().kept_samples().size(), 1000u);
    ASSERT_LE(pipeline().frame_bytes(), 200'000u);
    ASSERT_LE(pipeline().numbered(), 10'000u);
  }
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.kept, kSamples);
  EXPECT_EQ(profile.accounting.dropped_no_stack, 0u);
  uint64_t known = 0, left_out = 0;
  const std::vector<std::string> stacks = Stacks(profile);
  for (size_t i = 0; i < stacks.size(); ++i) {
    const auto count = static_cast<uint64_t>(profile.Value(i, 0));
    if (stacks[i] == "_start;main;work") known += count;
    if (absl::EndsWith(stacks[i], "[left out]")) left_out += count;
    EXPECT_EQ(profile.Value(i, 1), profile.Value(i, 0) * kPeriodNs);
  }
  EXPECT_EQ(known, kSamples / 2);
  EXPECT_GT(left_out, 0u);
  EXPECT_EQ(profile.accounting.left_out, left_out);
  EXPECT_THAT(stacks, Contains("_start;main;[left out]"));
}

TEST_F(PipelineBoundsTest, EndlesslyManyNamesOfProcessesTakeTheirRoomAndNoMore) {
  options_.max_comm_bytes = 1000;
  for (Pid pid = 1000; pid < 1100; ++pid) {
    Comm(absl::StrCat("name", pid), false, pid);
    Sample(0, 0, pid);
  }
  const Profile profile = Finish();
  std::map<std::string, int> names;
  for (const ProfileSample& s : profile.samples) {
    ++names[std::string(profile.String(profile.threads[s.thread.value].process_name))];
  }
  EXPECT_EQ(names["name1000"], 1);
  EXPECT_GT(names["[left out]"], 50);
}

TEST_F(PipelineBoundsTest, FilesBeyondTheLimitAreCountedAndShownByFile) {
  options_.max_pinned_files = 1;
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/lib.so");
  Stack(1, {kLib + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_EQ(pipeline().images_over_limit(), 1u);
  EXPECT_EQ(pipeline().unopened_images(), 0u);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] lib.so+0x1110"));
}

}  // namespace
}  // namespace jprof
