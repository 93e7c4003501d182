// Programs whose files are not where their paths say: in containers, deleted, replaced, in memory.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

class ContainersTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

// Runs `script` in mount, pid and network namespaces of its own, $1 and so on being `arguments`. It
// ends in a program that says "ready".
Child SpawnContained(const std::string& script, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"/usr/bin/unshare", "--mount", "--pid", "--net", "--fork",
                                      "--kill-child", "/bin/sh", "-ec", script, "sh"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  absl::StatusOr<Child> child = Child::SpawnReady(command);
  if (!child.ok()) {
    ADD_FAILURE() << child.status();
    std::abort();
  }
  return *std::move(child);
}

// The only child of a process.
Pid ChildOf(Pid parent) {
  absl::StatusOr<std::string> text =
      ReadProcFile(absl::StrCat("/proc/", parent, "/task/", parent, "/children"), 4096);
  return text.ok() ? std::atoi(text->c_str()) : 0;
}

FoldedProfile Profile(Pid pid) {
  const JprofResult result =
      RunJprofFor(200, {"-p", absl::StrCat(pid), "-F", "999", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  return ParseFolded(result.out);
}

void ExpectSorter(const FoldedProfile& profile) {
  EXPECT_GE(profile.With("compare"), profile.total() * 9 / 10);
  for (const FoldedStack& stack : profile.stacks) {
    EXPECT_TRUE(stack.Has("main") && !stack.Has("[truncated]"))
        << testing::PrintToString(stack.frames);
  }
}

TEST_F(ContainersTest, AFileThatOnlyTheTargetsMountsHave) {
  Child contained = SpawnContained(
      "mount -t tmpfs inner /mnt; cp \"$1\" /mnt/sorter; exec /mnt/sorter",
      {TestProgram("sorter")});
  ASSERT_NE(::access("/mnt/sorter", F_OK), 0);
  ExpectSorter(Profile(ChildOf(contained.pid())));
}

// Its mappings tell a device that no file of it has.
TEST_F(ContainersTest, AFileOfAnOverlay) {
  Child contained = SpawnContained(
      "mount -t tmpfs inner /mnt; mkdir /mnt/lower /mnt/upper /mnt/work /mnt/all; "
      "cp \"$1\" /mnt/lower/sorter; "
      "mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work all /mnt/all; "
      "exec /mnt/all/sorter",
      {TestProgram("sorter")});
  ExpectSorter(Profile(ChildOf(contained.pid())));
}

TEST_F(ContainersTest, AChangedRoot) {
  Child contained = SpawnContained(
      "mount -t tmpfs inner /mnt; cp \"$1\" /mnt/sorter; exec chroot /mnt /sorter",
      {TestProgram("sorter_static_pie")});
  ExpectSorter(Profile(ChildOf(contained.pid())));
}

TEST_F(ContainersTest, AFileThatWasDeleted) {
  const TemporaryFolder folder;
  const std::string path = CopyForAll(TestProgram("sorter"), folder / "program");
  auto child = Child::SpawnReady({path});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ExpectSorter(Profile(child->pid()));
}

// As a deploy does it: the names are those of the file that runs.
TEST_F(ContainersTest, AFileThatWasReplaced) {
  const TemporaryFolder folder;
  const std::string path = CopyForAll(TestProgram("sorter"), folder / "program");
  const std::string other = CopyForAll(TestProgram("spin"), folder / "other");
  auto child = Child::SpawnReady({path});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_EQ(::rename(other.c_str(), path.c_str()), 0);
  ExpectSorter(Profile(child->pid()));
}

TEST_F(ContainersTest, AFileInMemoryOnly) {
  const UniqueFd memory(::memfd_create("program", 0));
  ASSERT_TRUE(memory.valid());
  const std::string program = ReadWholeFile(TestProgram("sorter"));
  ASSERT_EQ(::write(memory.get(), program.data(), program.size()),
            static_cast<ssize_t>(program.size()));
  auto child = Child::SpawnReady({absl::StrCat("/proc/", ::getpid(), "/fd/", memory.get())});
  ASSERT_TRUE(child.ok()) << child.status();
  ExpectSorter(Profile(child->pid()));
}

// In the container's /tmp, under the process's number there.
TEST_F(ContainersTest, APerfMapOfAContainer) {
  Child contained = SpawnContained(
      "mount -t tmpfs inner /mnt; touch /mnt/node; mount --bind \"$1\" /mnt/node; "
      "mount -t tmpfs inner /tmp; cd /tmp; exec /mnt/node --perf-basic-prof -e \"$2\"",
      {JPROF_SOURCE_DIR "/build/nodes/20.20.2/bin/node",
       "function inContainer() { let s = 0; for (let i = 0; i < 1e6; i++) s += i % 7; return s; } "
       "inContainer(); console.log('ready'); for (;;) inContainer();"});
  const Pid pid = ChildOf(contained.pid());
  const JprofResult result = RunJprofFor(
      200, {"-p", absl::StrCat(pid), "-F", "999", "--format", "folded", "--no-helpers"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  uint64_t named = 0;
  for (const FoldedStack& stack : profile.stacks) {
    const bool has = absl::c_any_of(stack.frames, [](const std::string& frame) {
      return absl::StrContains(frame, "inContainer");
    });
    if (has) named += stack.count;
  }
  EXPECT_GE(named, profile.total() * 9 / 10) << result.out;
}

}  // namespace
}  // namespace jprof
