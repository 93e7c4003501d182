#include "profiler/process/target_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string ReadAll(const UniqueFd& fd) {
  std::string text, chunk(65536, '\0');
  ssize_t n;
  while ((n = ::read(fd.get(), chunk.data(), chunk.size())) > 0) {
    text.append(chunk, 0, static_cast<size_t>(n));
  }
  return text;
}

void WriteAll(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

absl::StatusOr<UniqueFd> OpenInRoot(Pid pid, const std::string& path, LinkPolicy links) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
  return OpenInProcessRoot(process, path, links, "the file");
}

class TargetFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/target_file_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = fs::canonical(name);
  }
  void TearDown() override { fs::remove_all(dir_); }

  // The executable mapping whose path begins with `path`.
  static Mapping ExecutableMapping(Pid pid, const std::string& path) {
    auto maps = ReadProcMaps(pid);
    EXPECT_TRUE(maps.ok()) << maps.status();
    for (const ProcMapping& m : *maps) {
      if (m.executable && absl::StartsWith(m.path, path))
        return {m.range, m.offset, m.file, m.path};
    }
    ADD_FAILURE() << "no mapping of " << path;
    return {};
  }

  fs::path dir_;
};

TEST_F(TargetFileTest, TheMappedFileIsOpenedForReading) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  auto fd = OpenMappedFile(child->pid(), ExecutableMapping(child->pid(), TestProgram("spin")));
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), ReadAll(TestProgram("spin")));
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(TargetFileTest, APieceOfAMappingOpensTheSameFile) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  Mapping mapping = ExecutableMapping(child->pid(), TestProgram("spin"));
  mapping.path = "//gone";  // so that map_files must do
  mapping.range.begin = mapping.range.begin + 16;
  JPROF_REQUIRE_ROOT();  // map_files
  auto fd = OpenMappedFile(child->pid(), mapping);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), ReadAll(TestProgram("spin")));
}

TEST_F(TargetFileTest, AReplacedFileIsTheOneThatIsMapped) {
  JPROF_REQUIRE_ROOT();  // map_files
  const fs::path program = dir_ / "program";
  fs::copy_file(TestProgram("spin"), program);
  auto child = Child::SpawnReady({program});
  ASSERT_TRUE(child.ok()) << child.status();
  const Mapping mapping = ExecutableMapping(child->pid(), program);
  WriteAll(dir_ / "new", "the next version");
  fs::rename(dir_ / "new", program);
  auto fd = OpenMappedFile(child->pid(), mapping);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), ReadAll(TestProgram("spin")));
}

TEST_F(TargetFileTest, TheMainThreadNeedNotLive) {
  const fs::path program = dir_ / "threads";
  fs::copy_file(TestProgram("threads"), program);
  auto child = Child::SpawnReady({program.string(), "leave"});
  ASSERT_TRUE(child.ok()) << child.status();
  const Mapping mapping = ExecutableMapping(child->pid(), program.string());
  ASSERT_TRUE(EndMainThread(*child).ok());
  const std::string content = ReadAll(program);
  auto by_path = OpenMappedFile(child->pid(), mapping);
  ASSERT_TRUE(by_path.ok()) << by_path.status();
  EXPECT_EQ(ReadAll(*by_path), content);
  fs::remove(program);
  auto by_mapping = OpenMappedFile(child->pid(), mapping);
  ASSERT_TRUE(by_mapping.ok()) << by_mapping.status();
  EXPECT_EQ(ReadAll(*by_mapping), content);
  EXPECT_TRUE(OpenRootOf(child->pid()).ok());
}

// Some kernels tell in events of the file behind an overlay's, which nobody can open by that name.
TEST_F(TargetFileTest, AFileOfAnOverlayIsOpenedWhenTheOneBehindItWasTold) {
  JPROF_REQUIRE_ROOT();  // mounts
  auto child = Child::SpawnReady(
      {"/usr/bin/unshare", "--mount", "/bin/sh", "-ec",
       "mount -t tmpfs inner \"$2\"; cd \"$2\"; mkdir lower upper work all; cp \"$1\" lower/spin; "
       "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work all all; exec all/spin",
       "sh", TestProgram("spin"), dir_.string()});
  ASSERT_TRUE(child.ok()) << child.status();
  Mapping mapping = ExecutableMapping(child->pid(), (dir_ / "all").string());
  const std::string program = ReadAll(TestProgram("spin"));
  auto opened = [&](const std::string& path, uint32_t minor, uint64_t inode) {
    Mapping told = mapping;
    told.path = path;
    told.file = {mapping.file.device_major, minor, inode};
    auto fd = OpenMappedFile(child->pid(), told);
    return fd.ok() && ReadAll(*fd) == program;
  };
  const uint32_t minor = mapping.file.device_minor;
  EXPECT_TRUE(opened("/spin", minor + 1, 77));
  EXPECT_FALSE(opened("/spin", minor, 77)) << "replaced";
  EXPECT_FALSE(opened("/other", minor + 1, 77));
}

// The same where there is no overlay: another file was mapped there meanwhile.
TEST_F(TargetFileTest, AFileOfAnotherDeviceIsNotOpened) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  Mapping mapping = ExecutableMapping(child->pid(), TestProgram("spin"));
  ++mapping.file.device_minor;
  EXPECT_TRUE(absl::IsNotFound(OpenMappedFile(child->pid(), mapping).status()));
}

TEST_F(TargetFileTest, ADeletedFileIsOpenedThroughTheMapping) {
  JPROF_REQUIRE_ROOT();  // map_files
  const fs::path program = dir_ / "program";
  fs::copy_file(TestProgram("spin"), program);
  auto child = Child::SpawnReady({program});
  ASSERT_TRUE(child.ok()) << child.status();
  fs::remove(program);
  const Mapping mapping = ExecutableMapping(child->pid(), program);
  EXPECT_TRUE(absl::EndsWith(mapping.path, " (deleted)"));
  auto fd = OpenMappedFile(child->pid(), mapping);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), ReadAll(TestProgram("spin")));
}

TEST_F(TargetFileTest, TheFileOfAGoneProcessIsOpenedIfItIsUnchanged) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const fs::path program = dir_ / "program";
  fs::copy_file(TestProgram("spin"), program);
  Mapping mapping;
  {
    auto child = Child::SpawnReady({program});
    ASSERT_TRUE(child.ok()) << child.status();
    mapping = ExecutableMapping(child->pid(), program);
  }
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  const uint64_t now = static_cast<uint64_t>(t.tv_sec) * kSecond;
  auto fd = OpenFileOfGoneProcess(::getpid(), mapping, now + 2 * kSecond);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), ReadAll(TestProgram("spin")));
  // It came into being, or was changed, after it was mapped: perhaps a new one with an old number.
  EXPECT_TRUE(absl::IsNotFound(
      OpenFileOfGoneProcess(::getpid(), mapping, now - 60 * kSecond).status()));
  Mapping other = mapping;
  other.file.inode += 1;
  EXPECT_TRUE(
      absl::IsNotFound(OpenFileOfGoneProcess(::getpid(), other, now + 2 * kSecond).status()));
}

TEST_F(TargetFileTest, AnotherFileOfTheSameNameIsNotOpened) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  Mapping mapping = ExecutableMapping(child->pid(), TestProgram("spin"));
  mapping.file.inode += 1;
  EXPECT_TRUE(absl::IsNotFound(OpenMappedFile(child->pid(), mapping).status()));
}

TEST_F(TargetFileTest, MemoryWithoutAFileIsNotFound) {
  Mapping vdso = ExecutableMapping(::getpid(), "[vdso]");
  EXPECT_TRUE(absl::IsNotFound(OpenMappedFile(::getpid(), vdso).status()));
}

TEST_F(TargetFileTest, AFifoOrADeviceOrAFolderIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  for (const std::string& path :
       {(dir_ / "fifo").string(), std::string("/dev/null"), dir_.string()}) {
    auto fd = OpenInRoot(::getpid(), path, LinkPolicy::kFollowInRoot);
    EXPECT_EQ(fd.status().code(), absl::StatusCode::kFailedPrecondition) << path;
  }
}

TEST_F(TargetFileTest, MagicLinksAreNotFollowed) {
  EXPECT_FALSE(OpenInRoot(::getpid(), "/proc/self/exe", LinkPolicy::kFollowInRoot).ok());
}

TEST_F(TargetFileTest, LinksAreFollowedOnlyIfAllowed) {
  WriteAll(dir_ / "file", "content");
  fs::create_symlink("file", dir_ / "link");
  auto fd = OpenInRoot(::getpid(), dir_ / "link", LinkPolicy::kFollowInRoot);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(ReadAll(*fd), "content");
  absl::Status refused = OpenInRoot(::getpid(), dir_ / "link", LinkPolicy::kRefuse).status();
  EXPECT_EQ(refused, absl::FailedPreconditionError("the file: a symbolic link is in the path"));
  EXPECT_TRUE(OpenInRoot(::getpid(), dir_ / "file", LinkPolicy::kRefuse).ok());
}

TEST_F(TargetFileTest, OddPathsAreRefused) {
  for (const std::string& path :
       {std::string(), std::string("relative"), std::string("/a\0b", 4)}) {
    auto fd = OpenInRoot(::getpid(), path, LinkPolicy::kFollowInRoot);
    EXPECT_EQ(fd.status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST_F(TargetFileTest, LinksInAPrivateRootDoNotLeadOutOfIt) {
  JPROF_REQUIRE_ROOT();  // chroot
  const fs::path jail = dir_ / "jail";
  fs::create_directory(jail);
  WriteAll(dir_ / "secret", "the host's");
  WriteAll(jail / "secret", "the target's");
  fs::create_symlink("../../../../../../../../../../../.." + (dir_ / "secret").string(),
                     jail / "climbing");
  fs::create_symlink(dir_ / "secret", jail / "absolute");
  fs::create_symlink("/secret", jail / "inside");
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const bool ok = ::chroot(jail.c_str()) == 0 && ::write(ready[1], "r", 1) == 1;
    if (ok) ::pause();
    ::_exit(1);
  }
  ::close(ready[1]);
  char byte = 0;
  const bool started = ::read(ready[0], &byte, 1) == 1;
  ::close(ready[0]);
  auto climbing = OpenInRoot(pid, "/climbing", LinkPolicy::kFollowInRoot);
  auto absolute = OpenInRoot(pid, "/absolute", LinkPolicy::kFollowInRoot);
  auto dots = OpenInRoot(pid, "/../secret", LinkPolicy::kFollowInRoot);
  auto inside = OpenInRoot(pid, "/inside", LinkPolicy::kFollowInRoot);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ASSERT_TRUE(started);
  EXPECT_TRUE(absl::IsNotFound(climbing.status())) << climbing.status();
  EXPECT_TRUE(absl::IsNotFound(absolute.status())) << absolute.status();
  ASSERT_TRUE(dots.ok()) << dots.status();
  EXPECT_EQ(ReadAll(*dots), "the target's");
  ASSERT_TRUE(inside.ok()) << inside.status();
  EXPECT_EQ(ReadAll(*inside), "the target's");
}

TEST_F(TargetFileTest, WhatAProcessNamesIsOpenedIfItMayReadItItself) {
  JPROF_REQUIRE_ROOT();
  constexpr uid_t kUser = 54321;
  constexpr gid_t kGroup = 54322;
  auto child = Child::Spawn({"/usr/bin/setpriv", "--reuid=54321", "--regid=54321",
                             "--groups=54322", "sleep", "60"});
  ASSERT_TRUE(child.ok()) << child.status();
  for (;;) {  // ends with the test's time limit if it never is that user's
    auto status = ReadProcStatus(child->pid());
    ASSERT_TRUE(status.ok()) << status.status();
    if (status->effective_uid == kUser) break;
  }
  struct {
    uid_t owner;
    gid_t group;
    mode_t mode;
    bool opened;
  } cases[] = {
      {0, 0, 0644, true},       {0, 0, 0640, false},      {0, kGroup, 0640, true},
      {0, kUser, 0640, true},   {0, kGroup, 0604, false}, {kUser, 0, 0600, true},
  };
  const std::string path = dir_ / "file";
  WriteAll(path, "x");
  for (const auto& c : cases) {
    ASSERT_EQ(::chown(path.c_str(), c.owner, c.group), 0);
    ASSERT_EQ(::chmod(path.c_str(), c.mode), 0);
    EXPECT_EQ(OpenNamedByProcess(child->pid(), path).ok(), c.opened)
        << c.owner << ":" << c.group << " " << std::oct << c.mode;
  }
}

TEST_F(TargetFileTest, AProcessThatIsGoneIsNotFound) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  const Pid pid = child->pid();
  const Mapping mapping = ExecutableMapping(pid, TestProgram("spin"));
  child->Signal(SIGKILL);
  child->Wait();
  EXPECT_TRUE(absl::IsNotFound(OpenMappedFile(pid, mapping).status()));
}

}  // namespace
}  // namespace jprof
