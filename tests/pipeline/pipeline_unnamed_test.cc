// Why frames have no name, as the pipeline explains it.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pipeline/pipeline_fixture.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Kind = RawFrame::Kind;

// "what: why, in SAMPLES as FRAMES", those in most samples first.
std::vector<std::string> Unnamed(const Profile& profile) {
  std::vector<std::string> result;
  for (const UnnamedFrames& u : profile.unnamed) {
    result.push_back(absl::StrCat(u.what, ": ", u.why, ", in ", u.samples, " as ", u.frames));
  }
  return result;
}

TEST_F(PipelineTest, FramesOfAFileAreUnnamedForAReasonOfTheFile) {
  ElfBuilder stripped;
  stripped.Segment(ElfBuilder::kContent, 0x1000, 0x2000, 0x2000, PF_R | PF_X)
      .CodeSection(0x1000, 0x2000)
      .Content(std::string(0x2000, '\xcc'))
      .DynamicSymbol("exported", 0x1000, 0x100);
  world_.File(6, stripped.Build()).File(7, "no ELF file");
  Map(kApp, 1, "/bin/app");
  Map(kLib, 6, "/lib/libs.so");
  Map(0x7f'1000'0000, 7, "/lib/libn.so");
  Map(0x7f'2000'0000, 99, "/gone/liby.so");
  Stack(1, {kLib + 0x210, kLib + 0x310, kLib + 0x10, kApp + 0x10});
  Stack(2, {kLib + 0x410, kApp + 0x10});
  Stack(3, {0x7f'1000'0010, kApp + 0x10});
  Stack(4, {0x7f'2000'0010, kApp + 0x1010});
  for (uint32_t stack : {1, 1, 2, 3, 4}) Sample(stack);
  EXPECT_THAT(
      Unnamed(Finish()),
      ElementsAre(AllOf(StartsWith("[unknown] libs.so: its file is stripped"),
                        EndsWith(", in 3 as 5")),
                  "[unknown] app: no symbol of its file covers it, in 1 as 1",
                  AllOf(StartsWith("[unknown] libn.so: "), HasSubstr("ELF")),
                  "[unknown] liby.so: no such file, in 1 as 1"));
}

TEST_F(PipelineTest, JitCodeIsUnnamedForWantOfARuntimeOrAPerfMap) {
  const Pid with_map = 101, refused = 102, broken_map = 103;
  world_.File(5, Program({"_start", "fake_runtime_broken"}));
  Map(kApp, 5, "/bin/fake", refused);
  world_.perf_maps[with_map] = "7e00000100 80 hot\n";
  world_.perf_map_errors[broken_map] = absl::FailedPreconditionError("/tmp/x is older");
  uint32_t number = 0;
  for (Pid pid : {kPid, with_map, refused, broken_map}) {
    MapAnonymous(kJit, 0x2000, pid);
    Stack(++number, {kJit + 0x10}, WalkEnd::kRoot, pid);
    Sample(number, 0, pid);
  }
  EXPECT_THAT(
      Unnamed(Finish()),
      UnorderedElementsAre(
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and there is no "
          "/tmp/perf-PID.map, in 1 as 1",
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and its perf map does not "
          "name it, in 1 as 1",
          "[unknown] [jit]: refused: fake 2 is too new; there is no /tmp/perf-PID.map, in 1 as 1",
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and perf map of /tmp/x is "
          "older; its names are not used, in 1 as 1"));
}

TEST_F(PipelineTest, JitCodeIsUnnamedBecauseHelpersAreNotAsked) {
  options_.use_helpers = false;
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x10});
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()), ElementsAre("[unknown] [jit]: --no-helpers, and there is no "
                                             "/tmp/perf-PID.map, in 1 as 1"));
}

TEST_F(PipelineTest, TheHelpersAnswerIsTheReason) {
  StartFakeRuntime();
  RuntimeStack(1, {{.address = kJit + 0x10, .kind = Kind::kUnresolved, .detail = JP_UNREADABLE},
                   {.address = kJit + 0x10, .kind = Kind::kUnresolved, .detail = JP_CORRUPT},
                   {.address = kJit + 0x10, .symbol = 77, .kind = Kind::kRuntime},
                   {.kind = Kind::kUnresolved, .detail = JP_SKIPPED},
                   {.address = kJit + 0x10},
                   {.address = kApp + 0x10}});
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()),
              ElementsAre(HasSubstr("[fake: name lost]: the record of its name was lost"),
                          HasSubstr("[fake: not understood]: what lies in its frame"),
                          HasSubstr("[fake: unreadable]: its objects were not in memory"),
                          HasSubstr("[native frames skipped]: native code without call-frame"),
                          HasSubstr("[unknown] [jit]: JIT code that no helper was asked about")));
}

TEST_F(PipelineTest, ProcessWhoseMemoryDoesNotFitIsRefused) {
  StartFakeRuntime();
  for (uint32_t number = 1; number <= 64; ++number) {
    RuntimeStack(number,
                 {{.address = kJit + number, .kind = Kind::kUnresolved, .detail = JP_CORRUPT}});
    Sample(number);
  }
  Stack(65, {kJit + 0x10});
  Sample(65);
  EXPECT_THAT(Unnamed(Finish()),
              Contains("[unknown] [jit]: refused: fake 1: its memory does not fit the layout; "
                       "there is no /tmp/perf-PID.map, in 1 as 1"));
}

TEST_F(PipelineTest, CutStacksAreExplainedByWhereTheyWereCut) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libx.so");
  MapAnonymous(kJit);
  Stack(1, {kApp + 0x110, kLib + 0x10}, WalkEnd::kNotAscending);
  Stack(2, {kApp + 0x210, kLib + 0x10}, WalkEnd::kUnaligned);
  Stack(3, {kApp + 0x210}, WalkEnd::kUnreadable);
  Stack(4, {kApp + 0x110}, WalkEnd::kDepthLimit);
  Stack(5, {kApp + 0x210, kApp + 0x10}, WalkEnd::kNotAscending);  // whole
  for (uint32_t stack : {1, 2, 3, 3, 3, 4, 5}) Sample(stack);
  EXPECT_THAT(Unnamed(Finish()),
              ElementsAre(StartsWith("[truncated]: above a frame of app, the frame pointer led to"),
                          AllOf(StartsWith("[truncated]: above a frame of libx.so, the frame "
                                           "pointer held something else"),
                                EndsWith("in 2 as 0")),
                          StartsWith("[truncated]: above a frame of app, deeper than")));
}

TEST_F(PipelineTest, KernelFramesAreUnnamedForTheReasonThatTheKernelGives) {
  world_.kallsyms = absl::StrCat(testing::TempDir(), "/no_kallsyms.", ::getpid());
  std::ofstream(world_.kallsyms) << "0000000000000000 T entry_syscall\n";
  pipeline().Handle(KernelStackEvent{2, {0xffffffff81000210}});
  Sample(0, 2);
  EXPECT_THAT(Unnamed(Finish()), ElementsAre(AllOf(StartsWith("[unknown] [kernel]: "),
                                                   HasSubstr("kernel.kptr_restrict"))));
  std::remove(world_.kallsyms.c_str());
}

TEST_F(PipelineTest, AProfileWithAllNamesHasNothingToExplain) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()), testing::IsEmpty());
}

}  // namespace
}  // namespace jprof
