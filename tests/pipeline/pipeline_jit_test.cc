// The pipeline and JIT code that a perf map or a jitdump names.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "profiler/process/target_file.h"
#include "tests/pipeline/pipeline_fixture.h"
#include "tests/testing/jit_dump_builder.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = RawFrame::Kind;

TEST_F(PipelineTest, PerfMapNamesAnonymousCode) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 JS:*hot /srv/app.js:3:1\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Stack(2, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile),
              ElementsAre("_start;hot /srv/app.js:3", "_start;[unknown] [jit]"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

TEST_F(PipelineTest, PerfMapThatGrowsNamesKnownStacksToo) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 first\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  world_.AppendPerfMap(kPid, "7e00000100 80 second\n");
  time_ns_ += 100'000'000;  // the map is looked at again every 50 ms
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;first", "_start;second"));
}

TEST_F(PipelineTest, AJvmThatHasWrittenNoPerfMapIsSaidToBeOne) {
  Map(kApp, 1, "/usr/lib/jvm/17/lib/server/libjvm.so");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(pipeline().resolver().jvms_without_map(), ElementsAre(kPid));
  // It has been told to.
  world_.perf_maps[kPid] = "7e00000100 80 void Main.hot()\n";
  time_ns_ += 1'100'000'000;
  Stack(2, {kJit + 0x120, kApp + 0x10});
  Sample(2);
  EXPECT_THAT(pipeline().resolver().jvms_without_map(), IsEmpty());
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[unknown] [jit]", "_start;Main.hot()"));
}

TEST_F(PipelineTest, OtherProcessesWithoutAPerfMapAreNoJvms) {
  Map(kApp, 1, "/usr/lib/xlibjvm.so");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(pipeline().resolver().jvms_without_map(), IsEmpty());
}

TEST_F(PipelineTest, AJvmWhosePerfMapIsRefusedHasOne) {
  Map(kApp, 1, "/usr/lib/jvm/17/lib/server/libjvm.so");
  MapAnonymous(kJit);
  world_.perf_map_errors[kPid] = absl::FailedPreconditionError("others may write to it");
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(pipeline().resolver().jvms_without_map(), IsEmpty());
}

TEST_F(PipelineTest, PerfMapOfADeadProcessIsNotItsSuccessors) {
  for (const char* name : {"old", "new"}) {
    world_.perf_maps[kPid] = absl::StrCat("7e00000100 80 ", name, "\n");
    pipeline().Handle(ForkEvent{Tick(), kPid, kPid, 1, 1});
    MapAnonymous(kJit);
    Stack(1, {kJit + 0x110});
    Sample(1);
    pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  }
  EXPECT_THAT(FinishedStacks(), ElementsAre("old", "new"));
}

// The process maps the dump; its file is number 9.
class JitDumpPipelineTest : public PipelineTest {
 protected:
  static constexpr uint64_t kDumpAt = 0x7f'0010'0000;

  void MapDump(const JitDumpBuilder& dump, Pid pid = kPid) {
    world_.File(9, dump.bytes());
    world_.now_ns = uint64_t{1} << 60;  // all of its times are past
    Map(kDumpAt, 9, "/tmp/jit-100.dump", pid);
    MapAnonymous(kJit, 0x2000, pid);
  }
};

TEST_F(JitDumpPipelineTest, CodeIsNamedByTheTimeOfTheSample) {
  Map(kApp, 1, "/bin/app");
  const uint64_t begin = time_ns_ + 10'000'000;
  MapDump(JitDumpBuilder()
              .Load(begin + 1'500'000, kJit + 0x100, 0x80, "first")
              .Load(begin + 3'500'000, kJit + 0x100, 0x80, "second"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  time_ns_ = begin;
  for (int i = 0; i < 5; ++i) Sample(1);  // 1 ms after each other
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [jit]", "_start;first",
                                            "_start;first", "_start;second", "_start;second"));
}

TEST_F(JitDumpPipelineTest, SamplesAreNamedBeforeTheirTimesAreGivenUp) {
  options_.max_samples = 64;
  Map(kApp, 1, "/bin/app");
  const uint64_t begin = time_ns_ + 10'000'000;
  MapDump(JitDumpBuilder()
              .Load(begin + 30'500'000, kJit + 0x100, 0x80, "first")
              .Load(begin + 100'500'000, kJit + 0x100, 0x80, "second"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  time_ns_ = begin;
  for (int i = 0; i < 200; ++i) Sample(1);  // 1 ms after each other
  const Profile profile = Finish();
  std::map<std::string, int64_t> counts;
  const std::vector<std::string> stacks = Stacks(profile);
  for (size_t i = 0; i < stacks.size(); ++i) counts[stacks[i]] += profile.Value(i, 0);
  EXPECT_THAT(counts, ElementsAre(std::pair("_start;[unknown] [jit]", 30),
                                  std::pair("_start;first", 70),
                                  std::pair("_start;second", 100)));
}

TEST_F(JitDumpPipelineTest, FunctionsHaveTheirLines) {
  options_.lines = true;
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder()
              .Lines(kJit + 0x100, {{kJit + 0x100, 7, 0, "a.src"}, {kJit + 0x110, 8, 0, "b.src"}})
              .Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x104, kJit + 0x111, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  ASSERT_EQ(profile.samples.size(), 1u);
  std::vector<std::string> frames;
  for (StackId id = profile.samples[0].stack; id.valid(); id = profile.stacks[id.value].caller) {
    const Location& location = profile.locations[profile.stacks[id.value].location.value];
    const Line& line = profile.Lines(location)[0];
    frames.push_back(FunctionText(profile, profile.functions[line.function.value], line.line));
  }
  EXPECT_THAT(frames, ElementsAre("f a.src:7", "f b.src:8", "_start"));
}

TEST_F(JitDumpPipelineTest, ADumpCountsMoreThanAPerfMapAndAHelperMoreThanBoth) {
  world_.maps[kPid] = {Mapped(kApp, 3, "/bin/fake"), Mapped(kJit, 0, "", 0)};
  StartFakeRuntime();
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "by dump").Load(
      0, kJit + 0x800, 0x80, "by dump"));
  world_.perf_maps[kPid] = "7e00000100 80 by map\n7e00000400 80 by map\n";
  Symbol(5, "by helper");
  RuntimeStack(1, {{.address = kJit + 0x110, .symbol = 5, .kind = Kind::kRuntime},
                   {.address = kJit + 0x110},
                   {.address = kJit + 0x410},
                   {.address = kJit + 0x611}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[unknown] [jit];by map;by dump;by helper app.fake:3"));
}

TEST_F(JitDumpPipelineTest, ADumpOfTheParentIsNotTheChilds) {
  Map(kApp, 1, "/bin/app", 200);
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "parent's"), 200);
  Stack(1, {kJit + 0x110, kApp + 0x10}, WalkEnd::kRoot, 200);
  Sample(1, 0, 200);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[unknown] [jit]"));
  EXPECT_THAT(pipeline().JitDumpTroubles(),
              ElementsAre("process 200: /tmp/jit-100.dump: of process 100, which forked this one; "
                          "its names are not used"));
}

TEST_F(JitDumpPipelineTest, ADeadProcessKeepsItsNamesAndLeavesNoneToItsSuccessor) {
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "of the dead"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  Comm("other", true);
  Map(kApp, 4, "/bin/other");
  MapAnonymous(kJit);
  Stack(2, {kJit + 0x110, kApp + 0x10});
  Sample(2);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;of the dead", "other_start;[unknown] [jit]"));
}

TEST_F(JitDumpPipelineTest, WhatItDoesNotNameSaysSo) {
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  ASSERT_EQ(profile.unnamed.size(), 1u);
  EXPECT_THAT(profile.unnamed[0].why, EndsWith("its jitdump has no code there at that time"));
}

TEST_F(JitDumpPipelineTest, DumpsThatAreTooLargeTogetherAreNotUsedAndSaid) {
  options_.max_perf_map_bytes = 1;
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [jit]"));
  EXPECT_THAT(pipeline().JitDumpTroubles(), ElementsAre(HasSubstr("all jitdumps together")));
}

TEST_F(JitDumpPipelineTest, DumpsAreReadNoFurtherThanAllTogetherMay) {
  options_.max_perf_map_reads = 1;
  Map(kApp, 1, "/bin/app");
  Map(kApp, 1, "/bin/app", 200);
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "first"));
  world_.File(10, JitDumpBuilder(200).Load(0, kJit + 0x100, 0x80, "second").bytes());
  Map(kDumpAt, 10, "/tmp/jit-200.dump", 200);
  MapAnonymous(kJit, 0x2000, 200);
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Stack(2, {kJit + 0x110, kApp + 0x10}, WalkEnd::kRoot, 200);
  Sample(1);
  Sample(2, 0, 200);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;first", "_start;[unknown] [jit]"));
  EXPECT_THAT(pipeline().JitDumpTroubles(),
              Contains(HasSubstr("MB of jitdumps were read; its newer names are not used")));
}

// The file system of the dump does not answer: whoever opens it gets a descriptor of its path.
TEST_F(JitDumpPipelineTest, ADumpThatHangsKeepsNobodyFromTheEnd) {
  PipelineWorld world = world_.World();
  world.open_file = [open = world.open_file](const MapEvent& map) -> absl::StatusOr<UniqueFd> {
    absl::StatusOr<UniqueFd> file = open(map);
    return file.ok() && map.file.inode == 9 ? ToPathOnly(*file) : std::move(file);
  };
  world.image_files.open_again = [](const UniqueFd&, const std::string&) {
    return absl::DeadlineExceededError("no answer");
  };
  world.open_jit_dump = [](Pid pid, UniqueFd fd, absl::string_view name) {
    return JitDump::OpenFile(
        std::move(fd), name,
        {.pid = pid, .read_part = [](const UniqueFd&, uint64_t, const std::string& of) {
           return absl::DeadlineExceededError(absl::StrCat(of, ": no answer"));
         }});
  };
  pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, std::move(world));
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [jit]"));
  EXPECT_THAT(
      pipeline().JitDumpTroubles(),
      ElementsAre("process 100: /tmp/jit-100.dump: no answer; its newer names are not used"));
}

TEST_F(PipelineTest, CodeInMemoryThatIsSharedIsNamedByAPerfMap) {
  Map(kApp, 1, "/bin/app");
  Map(kJit, 77, "/memfd:doublemapper (deleted)");
  world_.perf_maps[kPid] = "7e00000100 80 shared\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Stack(2, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  Sample(2);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;shared", "_start;[unknown] memfd:doublemapper (deleted)+0x1410"));
}

TEST_F(PipelineTest, PerfMapThatIsNotUsedIsSaidToBe) {
  for (Pid pid : {kPid}) {
    world_.perf_map_errors[pid] =
        absl::FailedPreconditionError(absl::StrCat("process ", pid, ": a link"));
  }
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110});
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(),
              ElementsAre("process 100: a link; its names are not used"));
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  EXPECT_EQ(pipeline().PerfMapTroubles().size(), 1u) << "the process is gone, the trouble is not";
}

TEST_F(PipelineTest, PerfMapThatIsUsedAfterAllOrMissingIsNoTrouble) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110});
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre()) << "there is none";
  world_.perf_map_errors[kPid] = absl::FailedPreconditionError("older than the process");
  time_ns_ += 2'000'000'000;
  Sample(1);
  EXPECT_EQ(pipeline().PerfMapTroubles().size(), 1u);
  world_.perf_map_errors.clear();
  world_.perf_maps[kPid] = "7e00000100 80 hot\n";
  time_ns_ += 2'000'000'000;
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre());
}

}  // namespace
}  // namespace jprof
