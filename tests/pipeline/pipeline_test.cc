#include "profiler/pipeline/pipeline.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pipeline/pipeline_fixture.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Kind = RawFrame::Kind;

// --- Native frames -------------------------------------------------------------------------------

TEST_F(PipelineTest, FramesAreNamedByTheFileBehindTheirMapping) {
  Comm("app");
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libx.so");
  Stack(1, {kLib + 0x110, kApp + 0x210, kApp + 0x110, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work;lib_b"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "app");
  EXPECT_EQ(profile.Value(0, 0), 1);
  EXPECT_EQ(profile.Value(0, 1), kPeriodNs);
}

TEST_F(PipelineTest, TimesOfAnEventThatHadToTakeTurnsAreScaled) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210});
  Sample(1);
  const Profile profile = Finish({.rate = {.counted_share = 0.25}});
  EXPECT_EQ(profile.Value(0, 0), 1);
  EXPECT_EQ(profile.Value(0, 1), 4 * kPeriodNs);
}

TEST_F(PipelineTest, ReturnAddressBelongsToTheCallBeforeIt) {
  Map(kApp, 1, "/bin/app");
  // Right behind "work" begins "idle": the call was the last instruction of "work".
  Stack(1, {kApp + 0x310, kApp + 0x300});
  Stack(2, {kApp + 0x300});
  Sample(1);
  Sample(2);
  EXPECT_THAT(FinishedStacks(), ElementsAre("work;idle", "idle"));
}

TEST_F(PipelineTest, SymbolsThatAreMissingAreShownAsOffsets) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/usr/lib/libx.so.1");
  Map(0x7f'1000'0000, 99, "/gone/liby.so");  // cannot be opened
  Stack(1, {kLib + 0x210, kApp + 0x10});
  Stack(2, {0x7f'1000'0234, kApp + 0x10});
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[unknown] libx.so.1+0x1210",
                                           "_start;[unknown] liby.so+0x1234"));
  EXPECT_EQ(profile.accounting.frames, 4u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 2u);
  EXPECT_EQ(profile.accounting.script_frames, 0u);
}

TEST_F(PipelineTest, VdsoIsAnImageWithoutAFile) {
  Map(kApp, 1, "/bin/app");
  pipeline().Handle(MapEvent{Tick(), kPid, {{kLib}, {kLib + 0x1000}}, {0}, {}, "[vdso]"});
  Stack(1, {kLib + 0x10, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [vdso]+0x10"));
}

// --- Changes under a stack that is known ---------------------------------------------------------

TEST_F(PipelineTest, StackIsResolvedAnewWhenAMappingIsReplaced) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Map(kApp, 4, "/bin/other");
  Sample(1);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, StackIsResolvedAnewWhenAMappingIsCut) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Map(kApp + 0x200, 4, "/bin/other", kPid, 0x100, 0x1000);
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;work", "_start;main;other_start"));
}

TEST_F(PipelineTest, StackIsResolvedAnewAfterExec) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Comm("other", /*exec=*/true);
  Map(kApp, 4, "/bin/other");
  Sample(1);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, PidThatIsUsedAgainIsAnotherProcess) {
  for (uint64_t inode : {1, 4}) {
    pipeline().Handle(ForkEvent{Tick(), kPid, kPid, 1, 1});
    Map(kApp, inode, inode == 1 ? "/bin/app" : "/bin/other");
    if (inode == 1) Stack(1, WorkStack());
    Sample(1);
    pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  }
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, ChildHasItsParentsMappings) {
  Comm("parent");
  Map(kApp, 1, "/bin/app");
  pipeline().Handle(ForkEvent{Tick(), 101, 101, kPid, kPid});
  Stack(1, WorkStack(), WalkEnd::kRoot, 101);
  Sample(1, 0, 101);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work"));
  EXPECT_EQ(profile.threads[0].pid, 101);
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "parent");
}

TEST_F(PipelineTest, MappingsThatNoEventToldOfAreReadOnce) {
  Comm("app");
  world_.maps[kPid] = {Mapped(kApp, 1, "/bin/app")};
  Stack(1, WorkStack());
  Sample(1);
  Sample(1);
  EXPECT_EQ(world_.maps_reads, 1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;work", "_start;main;work"));
}

// What could not be found is not remembered as lost: a mapping may become known later.
TEST_F(PipelineTest, UnknownAddressesAreLookedUpAgain) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kLib + 0x10, kApp + 0x110, kApp + 0x10});
  Sample(1);
  Map(kLib, 2, "/lib/libx.so");
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;[unknown]", "_start;main;lib_a"));
}

TEST_F(PipelineTest, UnknownAddressesDoNotMakeUsReadMapsAllTheTime) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kLib + 0x10, kApp + 0x10});
  for (int i = 0; i < 150; ++i) Sample(1);  // 1 ms apart
  EXPECT_EQ(world_.maps_reads, 1);
  for (int i = 0; i < 150; ++i) Sample(1);
  EXPECT_EQ(world_.maps_reads, 2);
}

// With 60,000 mappings it takes a twentieth of a second.
TEST_F(PipelineTest, MapsThatTakeLongAreReadSeldom) {
  world_.maps_take_ns = 50'000'000;
  Map(kApp, 1, "/bin/app");
  Stack(1, {kLib + 0x10, kApp + 0x10});
  for (int i = 0; i < 2000; ++i) Sample(1);  // 1 ms apart
  EXPECT_EQ(world_.maps_reads, 1);
  for (int i = 0; i < 1000; ++i) Sample(1);
  EXPECT_EQ(world_.maps_reads, 2);
}

// --- Records that were lost ----------------------------------------------------------------------

class PipelineLossTest : public PipelineTest {
 protected:
  PipelineLossTest() {
    PipelineWorld world = world_.World();
    world.describe = [this](Pid, uint64_t) -> absl::StatusOr<std::vector<Event>> {
      ++descriptions_;
      if (described_.empty()) return absl::NotFoundError("gone");
      return described_;
    };
    pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, std::move(world));
    Comm("app");
    Map(kApp, 1, "/bin/app");
    Stack(1, WorkStack());
  }
  // At the time of the last event.
  void LoseMapping() {
    world_.now_ns = time_ns_ + 1'500'000;
    pipeline().Handle(LostEvent{LostEvent::What::kSideband, 1});
  }
  static MapEvent MapNow(uint64_t begin, uint64_t inode, std::string path) {
    return {1, kPid, {{begin}, {begin + 0x2000}}, {0x1000}, FileNumber(inode), std::move(path)};
  }

  std::vector<Event> described_;
  int descriptions_ = 0;
};

TEST_F(PipelineLossTest, WhatIsMappedIsReadAnewAndStacksOfMeanwhileAreMarked) {
  Sample(1);
  described_ = {MapNow(kApp, 1, "/bin/app"), MapNow(kLib, 2, "/lib/libx.so")};
  Stack(2, {kLib + 0x10, kApp + 0x110, kApp + 0x10});
  LoseMapping();
  Sample(2);
  Sample(2);
  Sample(1);
  EXPECT_EQ(descriptions_, 1);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "[mapping records lost];_start;main;lib_a",
                          "_start;main;lib_a", "_start;main;work"));
}

TEST_F(PipelineLossTest, AProcessOfWhichOnlyAMappingWasToldIsLookedInto) {
  pipeline().Handle(MapEvent{
      Tick(), 200, {{kLib}, {kLib + 0x2000}}, {0x1000}, FileNumber(2), "/lib/libx.so"});
  described_ = {CommEvent{1, 200, 200, false, "moved"},
                MapEvent{1, 200, {{kApp}, {kApp + 0x2000}}, {0x1000}, FileNumber(1), "/bin/app"}};
  Stack(2, {kLib + 0x10, kApp + 0x110, kApp + 0x10}, WalkEnd::kRoot, 200);
  Sample(2, 0, 200);
  EXPECT_EQ(descriptions_, 1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;lib_a"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "moved");
}

TEST_F(PipelineLossTest, AnExecThatWasLostIsFound) {
  described_ = {CommEvent{1, kPid, kPid, false, "other"}, MapNow(kApp, 4, "/bin/other")};
  LoseMapping();
  Sample(1);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile),
              ElementsAre("[mapping records lost];other_start;other_main;other_work",
                          "other_start;other_main;other_work"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "other");
}

TEST_F(PipelineLossTest, AProcessOfWhichNothingCanBeLearnedStaysMarked) {
  LoseMapping();
  for (int i = 0; i < 150; ++i) Sample(1);  // 1 ms apart
  EXPECT_EQ(descriptions_, 1);
  EXPECT_THAT(FinishedStacks(), testing::Each("[mapping records lost];_start;main;work"));
}

TEST_F(PipelineLossTest, AProgramThatBeganLaterIsKnownWhole) {
  LoseMapping();
  Comm("other", /*exec=*/true);
  Map(kApp, 4, "/bin/other");
  Sample(1);
  EXPECT_EQ(descriptions_, 0);
  EXPECT_THAT(FinishedStacks(), ElementsAre("other_start;other_main;other_work"));
}

TEST_F(PipelineLossTest, AChildIsKnownAsWellAsItsParent) {
  described_ = {MapNow(kApp, 1, "/bin/app")};
  LoseMapping();
  Sample(1);
  pipeline().Handle(ForkEvent{Tick(), 101, 101, kPid, kPid});
  Stack(2, WorkStack(), WalkEnd::kRoot, 101);
  Sample(2, 0, 101);
  EXPECT_EQ(descriptions_, 1);
}

TEST_F(PipelineLossTest, AStackThatIsCutIsMarkedToo) {
  Stack(2, {kApp + 0x210, kApp + 0x110}, WalkEnd::kNotAscending);
  LoseMapping();
  Sample(2);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[mapping records lost];[truncated];main;work"));
}

// --- The end of a walk ---------------------------------------------------------------------------

TEST_F(PipelineTest, WalkThatBrokeIsShownAsTruncated) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110}, WalkEnd::kNotAscending);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[truncated];main;work"));
  EXPECT_EQ(profile.accounting.rooted, 0u);
  EXPECT_EQ(profile.accounting.frames, 2u);  // the marker is none
  EXPECT_EQ(profile.accounting.walk_ends[static_cast<size_t>(WalkEnd::kNotAscending)], 1u);
}

TEST_F(PipelineTest, WalkThatBrokeInAThreadsFirstFunctionIsWhole) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack(), WalkEnd::kNotAscending);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work"));
  EXPECT_EQ(profile.accounting.rooted, 1u);
}

TEST_F(PipelineTest, WalkThatEndsNearTheBaseInTheCLibraryIsWhole) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libc.so.6");
  Stack(1, {kApp + 0x210, kApp + 0x110, kLib + 0x250}, WalkEnd::kNearBase);
  Stack(2, {kApp + 0x210, kApp + 0x110}, WalkEnd::kNearBase);
  Stack(3, {kApp + 0x210, kLib + 0x250}, WalkEnd::kUnreadable);
  Sample(1);
  Sample(2);
  Sample(3);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown] libc.so.6+0x124f;main;work",
                                           "[truncated];main;work",
                                           "[truncated];[unknown] libc.so.6+0x124f;work"));
  EXPECT_EQ(profile.accounting.rooted, 1u);
}

TEST_F(PipelineTest, AddressInNoCodeEndsTheStackThere) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110, 0x1234'5678, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[truncated];main;work"));
}

TEST_F(PipelineTest, WhereTheRuntimeResumedTheStackGoesOn) {
  Map(kApp, 1, "/bin/app");
  RuntimeStack(1, {{.address = kApp + 0x210},
                   {.address = 0x1234'5678},  // what the cut walk took for a frame
                   {.kind = Kind::kUnresolved, .detail = JP_SKIPPED},
                   {.address = kApp + 0x110}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("main;[native frames skipped];work"));
}

TEST_F(PipelineTest, StackAtTheDepthLimitIsCounted) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110}, WalkEnd::kDepthLimit);
  Sample(1);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.truncated_depth, 2u);
  EXPECT_THAT(Stacks(profile), ElementsAre("[truncated];main;work", "[truncated];main;work"));
}

// --- Kernel frames -------------------------------------------------------------------------------

class PipelineKernelTest : public PipelineTest {
 protected:
  PipelineKernelTest() {
    world_.kallsyms = absl::StrCat(testing::TempDir(), "/kallsyms.", ::getpid());
    std::ofstream(world_.kallsyms) << "ffffffff81000000 T entry_syscall\n"
                                      "ffffffff81000100 T sys_write\n"
                                      "ffffffff81000200 t copy\n";
  }
  ~PipelineKernelTest() override { std::remove(world_.kallsyms.c_str()); }
};

TEST_F(PipelineKernelTest, KernelFramesStandOnTheUserStack) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  // Return addresses as well, but for the leaf: "copy" was called by the end of "sys_write".
  pipeline().Handle(KernelStackEvent{
      2, {0xffffffff81000210, 0xffffffff81000200, 0xffffffff81000010}});
  Sample(1, 2);
  Sample(0, 2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work;entry_syscall;sys_write;copy",
                                           "entry_syscall;sys_write;copy"));
  EXPECT_EQ(profile.accounting.walk_ends[static_cast<size_t>(WalkEnd::kNoUserStack)], 1u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 0u);
}

TEST_F(PipelineTest, KernelFramesWithoutSymbolsAreKept) {
  pipeline().Handle(KernelStackEvent{2, {0xffffffff81000210}});
  Sample(0, 2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown] [kernel]"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

// --- Accounting ----------------------------------------------------------------------------------

TEST_F(PipelineTest, EverySampleIsKeptOrCounted) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Sample(1);
  Sample(99);     // its stack never came
  Sample(1, 98);  // its kernel stack never came
  pipeline().Handle(LostEvent{LostEvent::What::kSamples, 5});
  pipeline().Handle(LostEvent{LostEvent::What::kSideband, 3});
  const Profile profile = Finish({.samples_taken = 20, .samples_lost = 7});
  const Accounting& a = profile.accounting;
  EXPECT_EQ(a.taken, 20u);
  EXPECT_EQ(a.kept, 2u);
  EXPECT_EQ(a.dropped_queue_full, 5u);
  EXPECT_EQ(a.dropped_ring_full, 7u);
  // Two whose stack did not come, and four of which nobody knows.
  EXPECT_EQ(a.dropped_no_stack, 6u);
  EXPECT_EQ(a.sideband_lost, 3u);
  EXPECT_EQ(a.kept + a.dropped_queue_full + a.dropped_ring_full + a.dropped_no_stack, a.taken);
  EXPECT_EQ(profile.samples.size(), 2u);
  // Walk ends are of the samples that were kept.
  uint64_t ends = 0;
  for (uint64_t n : a.walk_ends) ends += n;
  EXPECT_EQ(ends, a.kept);
}

TEST_F(PipelineTest, FramesCountOnceForEachSampleTheyAreIn) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Stack(2, {kApp + 0x310, kApp + 0x110, kApp + 0x10});
  Sample(1);
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.frames, 9u);
  EXPECT_EQ(profile.accounting.rooted, 3u);
  EXPECT_EQ(profile.stacks.size(), 4u);  // _start, main, and the two leaves
}

TEST_F(PipelineTest, SampleWithoutAnyStackIsASampleStill) {
  Comm("app");
  Sample(0);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre(""));
  EXPECT_EQ(profile.accounting.kept, 1u);
}

TEST_F(PipelineTest, ProcessThatNobodySpokeOfHasItsNumberForAName) {
  Stack(1, {0x1234});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown]"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "pid 100");
}

TEST_F(PipelineTest, TimesAreCountedFromTheRecordingsBegin) {
  Comm("app");
  Sample(0);
  const Profile profile = Finish({.start_time_ns = 1'700'000'000'000'000'000,
                                  .start_monotonic_ns = 1'000'000'000,
                                  .duration_ns = 5'000'000});
  EXPECT_EQ(profile.samples[0].time_ns, 2'000'000);
  EXPECT_EQ(profile.start_time_ns, 1'700'000'000'000'000'000);
  EXPECT_EQ(profile.duration_ns, 5'000'000);
}

// --- Snapshots -----------------------------------------------------------------------------------

class PipelineSnapshotTest : public PipelineTest {
 protected:
  // The pipeline is made with the options as they are now.
  void Begin() {
    options_.live = true;
    PipelineWorld world = world_.World();
    world.symbolize = [this](std::vector<ImageQuery>& queries, int threads,
                             DebugFileFinder* finder) {
      for (const ImageQuery& query : queries) asked_.push_back(query.offsets.size());
      SymbolizeImages(queries, threads, finder);
    };
    pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, std::move(world));
    Map(kApp, 1, "/bin/app");
    Stack(1, WorkStack());
    Stack(2, {kApp + 0x310, kApp + 0x110, kApp + 0x10});
  }
  Profile Snapshot(uint64_t lost = 0) {
    auto profile = pipeline().TakeSnapshot({.samples_lost = lost});
    EXPECT_TRUE(profile.ok()) << profile.status();
    return profile.ok() ? *std::move(profile) : Profile();
  }

  std::vector<size_t> asked_;  // offsets of each query
};

TEST_F(PipelineSnapshotTest, HasWhatWasSampledSinceTheLast) {
  Begin();
  Sample(1);
  Sample(1);
  EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;work", "_start;main;work"));
  Sample(2);
  const Profile second = Snapshot(/*lost=*/3);
  EXPECT_THAT(Stacks(second), ElementsAre("_start;main;idle"));
  EXPECT_EQ(second.accounting.kept, 1u);
  EXPECT_EQ(second.accounting.taken, 4u);
  EXPECT_TRUE(Snapshot().samples.empty());
}

TEST_F(PipelineSnapshotTest, AFileIsAskedForNewOffsetsAlone) {
  Begin();
  Sample(1);
  Snapshot();
  EXPECT_THAT(asked_, ElementsAre(3));
  Sample(1);
  Snapshot();
  EXPECT_THAT(asked_, ElementsAre(3));
  Sample(2);
  EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;idle"));
  EXPECT_THAT(asked_, ElementsAre(3, 1));
}

TEST_F(PipelineSnapshotTest, ADraftHasAllSoFarAndTheEndAsksForTheRestAlone) {
  Begin();
  Sample(1);
  ProfileDraft draft = pipeline().Draft({.samples_lost = 2});
  Sample(2);
  Sample(2);
  absl::StatusOr<Profile> so_far = draft.Build();
  ASSERT_TRUE(so_far.ok()) << so_far.status();
  EXPECT_THAT(Stacks(*so_far), ElementsAre("_start;main;work"));
  EXPECT_EQ(so_far->accounting.taken, 3u);
  EXPECT_THAT(asked_, ElementsAre(3));
  const Profile whole = Finish({.samples_lost = 2});
  EXPECT_THAT(Stacks(whole),
              UnorderedElementsAre("_start;main;work", "_start;main;idle", "_start;main;idle"));
  EXPECT_EQ(whole.accounting.taken, 5u);
  EXPECT_THAT(asked_, ElementsAre(3, 1));
}

TEST_F(PipelineSnapshotTest, GoesOnWhenWhatWasInternedIsForgotten) {
  options_.max_frame_bytes = 2000;
  world_.maps[kPid] = {Mapped(kApp, 1, "/bin/app")};
  Begin();
  Symbol(7, "render");
  RuntimeStack(3,
               {{.address = kJit, .symbol = 7, .kind = Kind::kRuntime}, {.address = kApp + 0x10}});
  for (int i = 0; i < 50; ++i) {
    Stack(100 + static_cast<uint32_t>(i), {kApp + 0x210 + static_cast<uint64_t>(i), kApp + 0x10});
    Sample(1);
    Sample(100 + static_cast<uint32_t>(i));
    Sample(3);
    EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;work", "_start;work", HasSubstr(";")));
  }
  EXPECT_LT(pipeline().frame_bytes(), 20'000u);
}

}  // namespace
}  // namespace jprof
