// The pipeline and runtimes: what a helper names, whom it asks when, and what is left unnamed.
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pipeline/pipeline_fixture.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = RawFrame::Kind;

TEST_F(PipelineTest, RuntimesFunctionsHaveTheNamesOfTheirRecords) {
  StartFakeRuntime();
  Symbol(5, "render");
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime},
                   {.address = kApp + 0x210},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;run;render app.fake:3"));
  EXPECT_EQ(profile.accounting.script_frames, 1u);
  EXPECT_EQ(profile.accounting.script_frames_unnamed, 0u);
}

// Of a frame that is sampled every half second.
class LocatedFrameTest : public PipelineTest {
 protected:
  explicit LocatedFrameTest(absl::string_view name = "render") {
    runtime_.locate = [this] {
      ++asked_;
      return std::vector<FrameLine>{{{.name = "render", .file = "app.fake"}, line_}};
    };
    StartFakeRuntime();
    Symbol(5, name);
  }
  void SampleFor(int seconds) {
    for (int i = 0; i < 2 * seconds; ++i) {
      RuntimeStack(++stacks_,
                   {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime}});
      Sample(stacks_);
      time_ns_ += 499'000'000;
    }
  }

  int asked_ = 0;
  uint32_t line_ = 7;
  uint32_t stacks_ = 0;
};

TEST_F(LocatedFrameTest, WhatIsSaidTwiceIsBelievedForLonger) {
  SampleFor(16);
  EXPECT_EQ(asked_, 5);  // after 0, 1, 3, 7, 15 s
  line_ = 8;
  SampleFor(8);
  EXPECT_EQ(asked_, 6);
  line_ = 9;  // what changed once may do so again
  SampleFor(2);
  EXPECT_GE(asked_, 7);
}

class LocatedUnknownTest : public LocatedFrameTest {
 protected:
  LocatedUnknownTest() : LocatedFrameTest("") {}
};

TEST_F(LocatedUnknownTest, AFunctionThatOnlyThisTellsIsAskedForEachSecond) {
  SampleFor(16);
  EXPECT_EQ(asked_, 16);
}

TEST_F(PipelineTest, ThoseWhoAwaitStandBelowASeparator) {
  StartFakeRuntime();
  Symbol(5, "render");
  Symbol(6, "load");
  constexpr auto kRuntime = RawFrame::Kind::kRuntime;
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = kRuntime},
                   {.address = 12, .symbol = 6, .kind = kRuntime, .is_async = true},
                   {.address = 34, .symbol = 5, .kind = kRuntime, .is_async = true},
                   {.address = kApp + 0x210},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;run;async render app.fake:3;"
                                           "async load app.fake:3;--;render app.fake:3"));
  // The separator is no frame.
  EXPECT_EQ(profile.accounting.frames, 5u);
  EXPECT_EQ(profile.accounting.script_frames, 3u);
}

TEST_F(PipelineTest, HelpersAreAskedForThoseWhoAwaitWhenWanted) {
  options_.async = true;
  StartFakeRuntime();
  ASSERT_FALSE(world_.processes.empty());
  EXPECT_EQ(world_.processes.begin()->second.flags, JP_PROCESS_ASYNC);
}

TEST_F(PipelineTest, SinkLearnsTheRuntimesLayoutAndCode) {
  StartFakeRuntime();
  EXPECT_THAT(pipeline().runtimes().recognised(), ElementsAre("fake 1 (partly verified)"));
  EXPECT_EQ(world_.layouts[0], 1);
  const jp_process& process = world_.processes.at(kPid);
  ASSERT_EQ(process.range_count, 2u);
  EXPECT_EQ(process.ranges[0].begin, kApp + 0x100);  // fake_runtime_code
  EXPECT_EQ(process.ranges[0].end, kApp + 0x200);
  EXPECT_EQ(process.ranges[0].kind, JP_RANGE_IMAGE);
  EXPECT_EQ(process.ranges[1].begin, kJit);
  EXPECT_EQ(process.ranges[1].kind, JP_RANGE_JIT);
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  EXPECT_EQ(world_.processes.count(kPid), 0u);
}

TEST_F(PipelineTest, RuntimeLivesAsLongAsAnyThread) {
  StartFakeRuntime();
  pipeline().Handle(ForkEvent{Tick(), kPid, kPid + 1, kPid, kPid});
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});  // the main thread
  Symbol(5, "render");
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime}});
  Sample(1);
  EXPECT_EQ(world_.processes.count(kPid), 1u);
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid + 1});
  EXPECT_EQ(world_.processes.count(kPid), 0u);
  EXPECT_THAT(FinishedStacks(), ElementsAre("render app.fake:3"));
}

TEST_F(PipelineTest, WithoutHelpersNoRuntimeIsLookedFor) {
  options_.use_helpers = false;
  StartFakeRuntime();
  world_.perf_maps[kPid] = "7e00000100 80 by map\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_TRUE(pipeline().runtimes().recognised().empty());
  EXPECT_TRUE(world_.processes.empty());
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;by map"));
}

TEST_F(PipelineTest, RuntimeThatCannotBeReadIsSaid) {
  world_.File(5, Program({"_start", "fake_runtime_broken"}));
  Map(kApp, 5, "/bin/fake");
  EXPECT_THAT(pipeline().runtimes().rejected(), ElementsAre("fake 2 is too new"));
  EXPECT_TRUE(pipeline().runtimes().recognised().empty());
}

TEST_F(PipelineTest, FramesThatTheHelperDidNotNameSayWhy) {
  StartFakeRuntime();
  RuntimeStack(1, {{.address = kJit + 0x10,
                    .kind = RawFrame::Kind::kUnresolved,
                    .detail = JP_UNREADABLE},
                   {.address = kJit + 0x10, .kind = RawFrame::Kind::kUnresolved,
                    .detail = JP_CORRUPT},
                   {.address = kJit + 0x10, .kind = RawFrame::Kind::kUnresolved, .detail = JP_LATE},
                   {.address = kJit + 0x10, .kind = RawFrame::Kind::kUnresolved, .detail = JP_LATE},
                   {.address = kJit + 0x10, .symbol = 77, .kind = RawFrame::Kind::kRuntime},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile),
              ElementsAre("_start;[fake: name lost];[fake: read too late];[fake: read too late];"
                          "[fake: not understood];[fake: unreadable]"));
  const Accounting& a = profile.accounting;
  EXPECT_EQ(a.script_frames, 5u);
  EXPECT_EQ(a.script_frames_unnamed, 5u);
  EXPECT_EQ(a.script_frames_unreadable, 1u);
  EXPECT_EQ(a.script_frames_corrupt, 1u);
  EXPECT_EQ(a.script_frames_stale, 2u);
  EXPECT_EQ(a.frames_unnamed, 5u);
}

TEST_F(PipelineTest, DamagedSymbolRecordNamesNothing) {
  StartFakeRuntime();
  pipeline().Handle(SymbolEvent{5, kPid, 1, {1, 2, 3}});
  pipeline().Handle(SymbolEvent{6, kPid, 9, {}});  // of no runtime
  pipeline().Handle(SymbolEvent{7, 555, 1, {}});   // of a process without one
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[fake: name lost]"));
}

TEST_F(PipelineTest, BuiltinsAreNamedByTheirImageAndPlumbingIsLeftOut) {
  world_.File(6, Program({"_start", "fake_runtime_code", "plumbing_entry", "sort"}));
  world_.maps[kPid] = {Mapped(kApp, 6, "/bin/fake")};
  Map(kApp, 6, "/bin/fake");
  const auto builtin = RawFrame::Kind::kBuiltin;
  RuntimeStack(1, {{.address = kApp + 0x310, .kind = builtin},
                   {.address = kApp + 0x210, .kind = builtin},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;builtin sort"));
  EXPECT_EQ(profile.accounting.frames, 2u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 0u);
}

// The symbols of a stripped binary end before the code does.
TEST_F(PipelineTest, BuiltinsWithoutSymbolsHaveTheNamesThatTheRuntimeFound) {
  ElfBuilder elf;
  elf.Segment(ElfBuilder::kContent, 0, 0x300, 0x300, PF_R | PF_X)
      .CodeSection(0, 0x300)
      .Content(std::string(0x300, '\x90'))
      .Symbol("_start", 0, 0x20)
      .Symbol("fake_runtime_code", 0x100, 0x100);
  world_.File(6, elf.Build());
  world_.maps[kPid] = {Mapped(kApp, 6, "/bin/fake")};
  Map(kApp, 6, "/bin/fake");
  const auto builtin = RawFrame::Kind::kBuiltin;
  RuntimeStack(1, {{.address = kApp + 0x208, .kind = builtin},
                   {.address = kApp + 0x238, .kind = builtin},
                   {.address = kApp + 0x228, .kind = builtin},
                   {.address = kApp + 0x80, .kind = builtin},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[fake builtin];builtin sort"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

TEST_F(PipelineTest, BuiltinOfNoRuntimeIsNativeCode) {
  Map(kApp, 1, "/bin/app");
  StackEvent stack{1, kPid, WalkEnd::kRoot, {}};
  stack.frames.push_back({.address = kApp + 0x210, .kind = RawFrame::Kind::kBuiltin, .runtime = 9});
  pipeline().Handle(stack);
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("work"));
}

TEST_F(PipelineTest, HelperThatUnderstandsNothingIsNotAskedAnyMore) {
  StartFakeRuntime();
  ASSERT_EQ(world_.processes.count(kPid), 1u);
  for (uint32_t number = 1; number <= 64; ++number) {
    RuntimeStack(number, {{.address = kJit + number,
                           .kind = RawFrame::Kind::kUnresolved,
                           .detail = JP_CORRUPT}});
    Sample(number);
  }
  EXPECT_EQ(world_.processes.count(kPid), 0u);
  ASSERT_EQ(pipeline().runtimes().rejected().size(), 1u);
  EXPECT_THAT(pipeline().runtimes().rejected()[0], testing::HasSubstr("fake 1 of pid 100"));
}

TEST_F(PipelineTest, HelperThatMissesAFewFramesIsKept) {
  StartFakeRuntime();
  Symbol(1000, "render");
  for (uint32_t number = 1; number <= 200; ++number) {
    RuntimeStack(number,
                 {{.address = kJit + number, .kind = RawFrame::Kind::kUnresolved,
                   .detail = JP_CORRUPT},
                  {.address = kJit + number, .symbol = 1000, .kind = RawFrame::Kind::kRuntime}});
    Sample(number);
  }
  EXPECT_EQ(world_.processes.count(kPid), 1u);
}

}  // namespace
}  // namespace jprof
