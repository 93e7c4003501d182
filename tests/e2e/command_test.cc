// Commands that jprof starts, processes that start others, and several processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CommandTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }

  // jprof in `folder_`, with a shell's redirections behind its arguments; its exit status.
  int Run(const std::string& arguments) {
    const int status = std::system(
        absl::StrCat("cd ", folder_.path(), " && exec ", JPROF_BINARY, " ", arguments).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string File(const std::string& name) { return ReadWholeFile(folder_ / name); }

  TemporaryFolder folder_;
};

const char kBurn[] = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 7'";

TEST_F(CommandTest, ItsExitStatusIsPassedOn) {
  EXPECT_EQ(Run(absl::StrCat("-F 999 -o o.folded -- ", kBurn, " 2>err")), 7) << File("err");
  EXPECT_GT(ParseFolded(File("o.folded")).total(), 0u);
  EXPECT_EQ(Run("-F 999 -o k.folded -- sh -c 'kill -9 $$' 2>err"), 128 + SIGKILL);
}

TEST_F(CommandTest, StandardOutputIsTheCommandsOwn) {
  EXPECT_EQ(Run(absl::StrCat("-F 999 -- sh -c \"echo out; ",
                             "i=0; while [ \\$i -lt 200000 ]; do i=\\$((i+1)); done\" >out 2>err")),
            0)
      << File("err");
  EXPECT_EQ(File("out"), "out\n");
  EXPECT_THAT(File("jprof.svg"), HasSubstr("</svg>"));
  EXPECT_THAT(File("err"), HasSubstr("jprof: the profile is in jprof.svg\n"));
}

TEST_F(CommandTest, WhatCannotBeStartedIsToldAsAShellDoes) {
  EXPECT_EQ(Run("-- no-such-program 2>err"), 127);
  EXPECT_EQ(File("err"), "jprof: error: cannot start no-such-program: No such file or directory\n");
  EXPECT_EQ(Run("-- /etc/passwd 2>err"), 126);
  EXPECT_EQ(File("err"), "jprof: error: cannot start /etc/passwd: Permission denied\n");
  EXPECT_THAT(folder_.Names(), ElementsAre("err"));
}

TEST_F(CommandTest, NothingIsStartedWhenTheProfileCannotBeWritten) {
  EXPECT_EQ(Run("-o /nowhere/x.svg -- touch started 2>err"), 1);
  EXPECT_THAT(folder_.Names(), ElementsAre("err"));
}

TEST_F(CommandTest, ItIsRecordedFromItsFirstInstructionWithItsNames) {
  ASSERT_EQ(Run(absl::StrCat("-F 999 -o o.folded -- ", TestProgram("early_exit"),
                             " 300 </dev/null >out 2>err")),
            3)
      << File("err");
  const FoldedProfile profile = ParseFolded(File("o.folded"));
  EXPECT_GE(profile.With("burn"), profile.total() * 7 / 10) << File("o.folded");
  EXPECT_GT(profile.total(), 50u);
}

TEST_F(CommandTest, WhatItStartsIsRecordedAndNothingElse) {
  auto other = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_EQ(Run(absl::StrCat("-F 999 -o o.folded -- sh -c '", TestProgram("early_exit"),
                             " 200 & wait; (", TestProgram("early_exit"),
                             " 200); true' </dev/null >out 2>err")),
            0)
      << File("err");
  const FoldedProfile profile = ParseFolded(File("o.folded"));
  EXPECT_GE(profile.With("early_exit"), 50u) << File("o.folded");
  EXPECT_EQ(profile.With("spin"), 0u) << File("o.folded");
}

// Runs a program of `burn` without frame pointers 150 times, for some milliseconds each.
std::string ManyShort(const std::string& program) {
  return absl::StrCat("-F 4999 -o o.folded -- sh -c 'i=0; while [ $i -lt 150 ]; do ", program,
                      " 2; i=$((i+1)); done; true' </dev/null >out 2>err");
}

void ExpectCallersOfBurn(const std::string& folded) {
  uint64_t burning = 0, cut = 0;
  for (const FoldedStack& stack : ParseFolded(folded).stacks) {
    if (!stack.Has("burn")) continue;
    burning += stack.count;
    cut += stack.Has("main") ? 0 : stack.count;
  }
  EXPECT_GT(burning, 300u);
  // Those of the first children, of whose file nothing is known.
  EXPECT_LT(cut, burning / 5) << folded;
}

TEST_F(CommandTest, ChildrenOfSomeMillisecondsHaveTheirCallersWithoutFramePointers) {
  ASSERT_EQ(Run(ManyShort(TestProgram("early_exit_by_table"))), 0) << File("err");
  ExpectCallersOfBurn(File("o.folded"));
}

TEST_F(CommandTest, SoHaveForkedOnesFromTheirFirstSampleAtBothLevels) {
  for (const char* level : {"kernel", "ring"}) {
    ASSERT_EQ(Run(absl::StrCat("-F 999 --level ", level, " -o o.folded -- ",
                               TestProgram("forks"), " 20 </dev/null >out 2>err")),
              0)
        << File("err");
    uint64_t burning = 0, cut = 0;
    for (const FoldedStack& stack : ParseFolded(File("o.folded")).stacks) {
      if (!stack.Has("burn")) continue;
      burning += stack.count;
      cut += stack.Has("main") ? 0 : stack.count;
    }
    EXPECT_GT(burning, 100u) << level;
    EXPECT_LT(cut, burning / 20) << level << "\n" << File("o.folded");
  }
}

// Behind a mapping of an overlay's file the kernel has another one, of another device.
TEST_F(CommandTest, SoHaveThoseInAContainer) {
  const std::string script = absl::StrCat(
      "cd ", folder_.path(), "; mkdir inner; mount -t tmpfs inner inner; cd inner; "
      "mkdir lower upper work all; cp ", TestProgram("early_exit_by_table"), " lower/program; "
      "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work all all; cd ..; exec ",
      JPROF_BINARY, " ", ManyShort("./inner/all/program"));
  std::ofstream(folder_ / "script") << script;
  ASSERT_EQ(std::system(absl::StrCat("unshare -m sh -e ", folder_ / "script").c_str()), 0)
      << File("err");
  ExpectCallersOfBurn(File("o.folded"));
}

TEST_F(CommandTest, TheEndOfTheRecordingLeavesItRunning) {
  ASSERT_EQ(Run(absl::StrCat("-F 999 -d 200ms -o o.folded -- sh -c 'i=0; ",
                             "while [ ! -e o.folded ]; do i=$((i+1)); done; exit 5' 2>err")),
            5)
      << File("err");
  EXPECT_GT(ParseFolded(File("o.folded")).total(), 0u);
}

TEST_F(CommandTest, ItRunsOnWhenJprofIsKilled) {
  auto jprof = Jprof::Start(
      {"--format", "folded", "-o", "-", "--", "/bin/sh", "-c",
       "echo started >&2; i=0; while [ -e /proc/$PPID/exe ] && [ $i -lt 400 ]; do i=$((i+1)); "
       "sleep 0.05; done; [ -e /proc/$PPID/exe ] || echo it runs on >&2"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("started"));
  jprof->Signal(SIGKILL);
  EXPECT_THAT(jprof->Wait().err, HasSubstr("it runs on"));
}

TEST_F(CommandTest, ASignalWritesTheProfileAndIsPassedOn) {
  for (int number : {SIGINT, SIGTERM}) {
    auto jprof =
        Jprof::Start({"-F", "999", "--format", "folded", "-o", "-", "--", "/bin/sh", "-c",
                      "trap 'exit 9' INT TERM; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); "
                      "done; echo sampled >&2; while :; do :; done"});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ASSERT_TRUE(jprof->WaitForText("sampled"));
    jprof->Signal(number);
    const JprofResult result = jprof->Wait();
    EXPECT_EQ(result.exit_code(), 9) << result.err;
    EXPECT_GT(ParseFolded(result.out).total(), 0u);
  }
}

TEST_F(CommandTest, SeveralProcessesAreRecordedAndNoOther) {
  auto spin = Child::SpawnReady({TestProgram("spin")});
  auto deep = Child::SpawnReady({TestProgram("deep"), "20"});
  auto other = Child::SpawnReady({TestProgram("sorter")});
  ASSERT_TRUE(spin.ok() && deep.ok() && other.ok());
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin->pid(), ",", deep->pid()), "-F", "999",
                             "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  for (const auto* child : {&spin, &deep}) {
    ASSERT_TRUE(AwaitCpuTime((*child)->pid(), 200'000'000));
  }
  jprof->Signal(SIGINT);
  const FoldedProfile profile = ParseFolded(jprof->Wait().out);
  EXPECT_GT(profile.With("work"), 50u);
  EXPECT_GT(profile.With("bottom"), 50u);
  EXPECT_EQ(profile.With("work") + profile.With("bottom"), profile.total());
}

TEST_F(CommandTest, ACommandNameIsThatOfTheThreadOrOfItsProcess) {
  auto threads = Child::SpawnReady({TestProgram("threads")});
  auto other = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(threads.ok() && other.ok());
  ASSERT_TRUE(threads->Write("x").ok());
  ASSERT_EQ(threads->ReadLine().value_or(""), "ready");
  for (const char* name : {"worker", "threads"}) {
    const FoldedProfile profile = ParseFolded(
        RunJprofFor(200, {"--comm", name, "-F", "999", "--format", "folded"}).out);
    EXPECT_GT(profile.With("worker_loop"), 100u) << name;
    EXPECT_EQ(profile.With("work"), 0u) << name;
  }
}

// Where it is mounted depends on the host; empty: nowhere.
std::string CgroupMount() {
  const std::string mount = ReadWholeFile("/proc/self/mountinfo");
  const size_t line_end = mount.find(" - cgroup2 ");
  if (line_end == std::string::npos) return "";
  const size_t line = mount.rfind('\n', line_end) + 1;
  const std::vector<std::string> words =
      absl::StrSplit(mount.substr(line, line_end - line), ' ');
  return words[4];
}

// A control group for as long as the object lives: longer than the processes in it.
class ControlGroup {
 public:
  explicit ControlGroup(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(::mkdir(path_.c_str(), 0755), 0) << path_;
  }
  ~ControlGroup() { EXPECT_EQ(::rmdir(path_.c_str()), 0) << path_; }
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  const std::string& path() const { return path_; }
  void Take(const Child& process) const {
    std::ofstream(path_ + "/cgroup.procs") << process.pid();
  }

 private:
  const std::string path_;
};

TEST_F(CommandTest, ACgroupIsItsProcessesAndThoseOfTheGroupsBelow) {
  const std::string mount = CgroupMount();
  ASSERT_NE(mount, "") << "needs cgroup v2";
  const ControlGroup group(absl::StrCat(mount, "/jprof_test_", ::getpid()));
  const std::string id = absl::StrCat(absl::Hex(::getpid(), absl::kZeroPad8), std::string(56, 'd'));
  const ControlGroup below(absl::StrCat(group.path(), "/", id));
  auto spin = Child::SpawnReady({TestProgram("spin")});
  auto other = Child::SpawnReady({TestProgram("sorter")});
  ASSERT_TRUE(spin.ok() && other.ok());
  below.Take(*spin);
  for (const std::string& name :
       {group.path(), group.path().substr(mount.size()), id.substr(0, 12), id}) {
    const JprofResult result = RunJprofFor(100, {"-G", name, "-F", "999", "--format", "folded"});
    const FoldedProfile profile = ParseFolded(result.out);
    EXPECT_GT(profile.total(), 0u) << name << result.err;
    EXPECT_EQ(profile.With("spin"), profile.total()) << name << result.out;
  }
}

TEST_F(CommandTest, AProcessThatIsMovedIntoTheCgroupIsRecordedFromThenOn) {
  const std::string mount = CgroupMount();
  ASSERT_NE(mount, "") << "needs cgroup v2";
  const ControlGroup group(absl::StrCat(mount, "/jprof_test_", ::getpid()));
  auto spin = Child::SpawnReady({TestProgram("spin")});
  auto moved = Child::SpawnReady({TestProgram("deep"), "40"});
  ASSERT_TRUE(spin.ok() && moved.ok());
  group.Take(*spin);
  auto jprof = Jprof::Start({"-G", group.path(), "-F", "999", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(100));
  group.Take(*moved);
  ASSERT_TRUE(jprof->WaitForSamples(600));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  const FoldedProfile profile = ParseFolded(result.out);
  uint64_t of_moved = 0;
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.frames[0] != "deep") continue;
    of_moved += stack.count;
    EXPECT_GE(stack.Count("descend"), 39u) << result.out;
  }
  EXPECT_GT(of_moved, 0u) << result.out;
  EXPECT_EQ(of_moved + profile.With("spin"), profile.total()) << result.out;
}

TEST_F(CommandTest, ChildrenAreRecordedWhenAskedFor) {
  auto forker = Child::SpawnReady({TestProgram("forker"), TestProgram("early_exit"), "300"});
  ASSERT_TRUE(forker.ok()) << forker.status();
  auto jprof = Jprof::Start(
      {"-p", absl::StrCat(forker->pid()), "--children", "-F", "999", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  ASSERT_TRUE(forker->Write("x").ok());
  ASSERT_EQ(forker->ReadLine().value_or(""), "ready");
  ASSERT_NE(forker->ReadLine().value_or(""), "");
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_GE(ParseFolded(result.out).With("burn"), 50u) << result.out;
}

TEST_F(CommandTest, TooLittleQualityIsAStatusAndTheProfileIsWritten) {
  auto deep = Child::SpawnReady({TestProgram("deep"), "600"});  // deeper than the walk
  auto spin = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(deep.ok() && spin.ok());
  EXPECT_EQ(Run(absl::StrCat("-p ", deep->pid(), " -d 1 --min-quality 50 -o o.folded 2>err")), 3);
  EXPECT_THAT(File("err"), HasSubstr("fewer than the 50 % of --min-quality; --explain"));
  EXPECT_THAT(folder_.Names(), ElementsAre("err", "o.folded"));
  EXPECT_EQ(Run(absl::StrCat("-p ", spin->pid(), " -d 1 --min-quality 50 -o p.folded 2>err")), 0);
}

}  // namespace
}  // namespace jprof
