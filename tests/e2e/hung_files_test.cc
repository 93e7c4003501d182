// Recordings of processes whose files or memory lie where nobody answers any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/capture/monotonic_clock.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/hung_fuse.h"
#include "tests/testing/jit_dump_builder.h"
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

// A file in a file system that can hang, at another path as well.
class HungFile {
 public:
  HungFile(const std::string& path, const std::string& content) : path_(path) {
    const std::string original = path + ".original";
    std::ofstream(original) << content;
    fuse_.emplace(original);
    std::filesystem::remove(original);
    std::ofstream(path).close();
    EXPECT_EQ(::mount(fuse_->file().c_str(), path.c_str(), "", MS_BIND, nullptr), 0);
  }
  ~HungFile() {
    ::umount2(path_.c_str(), MNT_DETACH);
    std::filesystem::remove(path_);
  }
  void Hang() { fuse_->Hang(); }

 private:
  const std::string path_;
  std::optional<HungFuse> fuse_;
};

// Of anonymous_code.
constexpr char kPerfMap[] = "600000000000 10 hot\n";

std::string PerfMapPath(const Child& process) {
  return absl::StrCat("/tmp/perf-", process.pid(), ".map");
}

// The file hangs after so many samples, and the recording ends after so many in all.
void ExpectNamesStay(const Child& process, HungFile& file, uint64_t before, uint64_t all) {
  absl::StatusOr<Jprof> jprof =
      Jprof::Start({"-p", absl::StrCat(process.pid()), "-F", "499", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(before));
  file.Hang();
  ASSERT_TRUE(jprof->WaitForSamples(all));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.messages(), Contains(HasSubstr("its newer names are not used")));
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_GE(profile.With("hot_[j]"), profile.total() * 9 / 10);
}

TEST_F(HungFilesTest, APerfMapThatHangsMeanwhileNamesWhatItHadNamed) {
  const Child process = Start(TestProgram("anonymous_code"));
  HungFile map(PerfMapPath(process), kPerfMap);
  ExpectNamesStay(process, map, 100, 1500);
}

TEST_F(HungFilesTest, APerfMapThatHangsCostsItsNamesAlone) {
  const Child process = Start(TestProgram("anonymous_code"));
  HungFile map(PerfMapPath(process), kPerfMap);
  map.Hang();
  const JprofResult result =
      RunJprofFor(100, {"-p", absl::StrCat(process.pid()), "-F", "499", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.messages().back(), HasSubstr("files of 1 process did not answer"));
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_EQ(profile.With("runs_code"), profile.total());
  EXPECT_EQ(profile.With("hot_[j]"), 0u);
}

TEST_F(HungFilesTest, AJitDumpThatHangsMeanwhileNamesWhatItHadNamed) {
  const std::string path = absl::StrCat("/tmp/jit-", ::getpid(), ".dump");
  absl::StatusOr<Child> process = Child::SpawnReady({TestProgram("anonymous_code"), path});
  ASSERT_TRUE(process.ok()) << process.status();
  const auto pid = static_cast<uint32_t>(process->pid());
  HungFile dump(path,
                JitDumpBuilder(pid).Load(MonotonicNow(), 0x600000000000, 0x10, "hot").bytes());
  ASSERT_TRUE(process->Write("x").ok());
  ASSERT_EQ(process->ReadLine().value_or(""), "ready");
  ExpectNamesStay(*process, dump, 1000, 2500);
}

// Frames that no table expresses need their file once more, as late as at the first sample of them.
TEST_F(HungFilesTest, AMountThatHangsBeforeItsFramesAreMetCutsThem) {
  HungFuse fuse(TestProgram("expressions"));
  absl::StatusOr<Child> process = Child::SpawnReady({fuse.file(), "wait"});
  ASSERT_TRUE(process.ok()) << process.status();
  const Child other = Start(TestProgram("spin"));
  absl::StatusOr<Jprof> jprof =
      Jprof::Start({"--level", "ring", "-p", absl::StrCat(process->pid(), ",", other.pid()), "-F",
                    "499", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(100));
  fuse.Hang();
  ASSERT_TRUE(process->Write("x").ok());
  ASSERT_TRUE(jprof->WaitForSamples(1500));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  uint64_t cut = 0;
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.frames[0] != "file") continue;
    EXPECT_TRUE(stack.Has("[truncated]"));
    cut += stack.count;
  }
  EXPECT_GT(cut, 0u);
  EXPECT_GT(profile.With("hot70"), 0u);
}

TEST_F(HungFilesTest, AStackThatHangsWhoeverReadsItIsCutThere) {
  const Child process = Start(TestProgram("hung_stack"));
  const JprofResult result = RunJprofFor(100, {"--level", "ring", "-p", absl::StrCat(process.pid()),
                                               "-F", "499", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_EQ(profile.With("[truncated]"), profile.total());
  EXPECT_GE(profile.With("descend"), profile.total() * 9 / 10);
}

}  // namespace
}  // namespace jprof
