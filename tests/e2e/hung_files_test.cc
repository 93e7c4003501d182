// Recordings of processes whose files or memory lie where nobody answers any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/hung_fuse.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class HungFilesTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

Child Start(const std::string& program) {
  absl::StatusOr<Child> child = Child::SpawnReady({program});
  if (!child.ok()) {
    ADD_FAILURE() << child.status();
    std::abort();
  }
  return *std::move(child);
}

// What is known of the process is shown: its own functions without names, others with.
void ExpectUnnamedMain(const FoldedProfile& profile) {
  uint64_t unnamed = 0;
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.frames[0] != "file") continue;
    const std::string& leaf = stack.frames.back();
    unnamed += absl::StartsWith(leaf, "[unknown] file+0x") ? stack.count : 0;
    EXPECT_FALSE(stack.Has("hot70"));
  }
  EXPECT_GT(unnamed, 0u);
}

TEST_F(HungFilesTest, AProgramBehindAHungMountIsRecordedWithoutItsNames) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  fuse.Hang();
  const JprofResult result =
      RunJprofFor(100, {"-p", absl::StrCat(process.pid()), "-F", "499", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.messages(),
              Contains(HasSubstr(absl::StrCat("did not answer within half a second, such as ",
                                              fuse.file(), " of process ", process.pid()))));
  EXPECT_THAT(result.messages().back(), HasSubstr("files of 1 process did not answer"));
  const FoldedProfile profile = ParseFolded(result.out);
  ExpectUnnamedMain(profile);
  EXPECT_EQ(profile.With("__libc_start_call_main"), profile.total());
}

TEST_F(HungFilesTest, OthersAreRecordedAsIfNothingWere) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  const Child other = Start(TestProgram("spin"));
  fuse.Hang();
  const JprofResult result = RunJprofFor(
      200, {"-p", absl::StrCat(process.pid(), ",", other.pid()), "-F", "499", "--format",
            "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  ExpectUnnamedMain(profile);
  EXPECT_GT(profile.With("hot70"), 0u);
}

TEST_F(HungFilesTest, AMountThatHangsMeanwhileDoesNotKeepTheRecordingFromItsEnd) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  absl::StatusOr<Jprof> jprof =
      Jprof::Start({"-p", absl::StrCat(process.pid()), "-F", "499", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(100));
  fuse.Hang();
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  ExpectUnnamedMain(ParseFolded(result.out));
}

TEST_F(HungFilesTest, AStackThatHangsWhoeverReadsItDoesNotKeepTheRecordingFromItsEnd) {
  const Child process = Start(TestProgram("hung_stack"));
  const JprofResult result = RunJprof({"--level", "ring", "-p", absl::StrCat(process.pid()), "-d",
                                       "1", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 1);
  EXPECT_THAT(result.messages(), Contains(HasSubstr("do not answer; given up after 10 s")));
}

}  // namespace
}  // namespace jprof
