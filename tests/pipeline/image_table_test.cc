#include "profiler/pipeline/image_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "absl/strings/string_view.h"
#include "profiler/process/target_file.h"
#include "tests/testing/require.h"

namespace jprof {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond;
}

class ImageTableTest : public testing::Test {
 protected:
  // Files of one inode number, one after the other.
  uint32_t Add(Pid pid, absl::string_view path, uint64_t time_ns = Now()) {
    return images_.Add(
        MapEvent{time_ns, pid, {{0x1000}, {0x2000}}, {0}, {8, 1, 7}, std::string(path)});
  }
  const PinnedImage& Image(uint32_t id) { return images_.images()[id]; }

  bool gone_ = false;
  ImageTable images_{[this](const MapEvent&) -> absl::StatusOr<UniqueFd> {
                       if (gone_) return absl::NotFoundError("gone");
                       return UniqueFd(::memfd_create("file", MFD_CLOEXEC));
                     },
                     nullptr, 10};
};

TEST_F(ImageTableTest, AnInodeNumberUsedAgainIsAnotherFile) {
  gone_ = true;
  const uint32_t first = Add(1, "/tmp/first");
  const uint32_t second = Add(2, "/tmp/second");
  EXPECT_NE(first, second);
  EXPECT_EQ(Image(second).path, "/tmp/second");
  EXPECT_EQ(images_.Find({8, 1, 7}, "/tmp/first"), first);
  gone_ = false;
  const uint32_t third = Add(3, "/tmp/third");
  EXPECT_EQ(Image(third).path, "/tmp/third");
  EXPECT_NE(Image(third).file, nullptr);
  EXPECT_EQ(Image(first).file, nullptr);
  EXPECT_EQ(Image(second).file, nullptr);
  EXPECT_EQ(images_.unopened(), 2u);
}

TEST_F(ImageTableTest, AnOpenFileIsOneUnderAllItsPaths) {
  const uint32_t image = Add(1, "/bin/one");
  EXPECT_EQ(Add(2, "/bin/other"), image);
  EXPECT_EQ(images_.Find({8, 1, 7}, "/bin/third"), image);
}

TEST_F(ImageTableTest, AFileThatAnotherProcessLetsUsOpenIsTheSameIfItIsUnchanged) {
  gone_ = true;
  const uint32_t image = Add(1, "/bin/app", Now() + 2 * kSecond);
  gone_ = false;
  EXPECT_EQ(Add(2, "/bin/app"), image);
  EXPECT_NE(Image(image).file, nullptr);
  EXPECT_EQ(images_.unopened(), 0u);
}

TEST_F(ImageTableTest, AFileOfTheSamePathAndNumberThatIsYoungerIsAnother) {
  gone_ = true;
  const uint32_t old = Add(1, "/bin/app", 1);  // when the machine was started
  gone_ = false;
  const uint32_t younger = Add(2, "/bin/app");
  EXPECT_NE(younger, old);
  EXPECT_EQ(Image(old).file, nullptr);
  EXPECT_EQ(images_.Find({8, 1, 7}, "/bin/app"), younger);
}

// As systemd's PrivateTmp= has it: the same root directory, but other mounts below it.
TEST(ImageTableRootTest, AMountNamespaceHasARootOfItsOwn) {
  JPROF_REQUIRE_ROOT();  // unshare
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const bool ok = ::unshare(CLONE_NEWNS) == 0 && ::write(ready[1], "r", 1) == 1;
    if (ok) ::pause();
    ::_exit(1);
  }
  ::close(ready[1]);
  char byte = 0;
  const bool started = ::read(ready[0], &byte, 1) == 1;
  ::close(ready[0]);
  ImageTable images([](const MapEvent&) { return UniqueFd(::memfd_create("file", MFD_CLOEXEC)); },
                    OpenRootOf, 10);
  const uint32_t own = images.Add(
      MapEvent{1, ::getpid(), {{0x1000}, {0x2000}}, {0}, {8, 1, 7}, "/own"});
  const uint32_t others =
      images.Add(MapEvent{1, pid, {{0x1000}, {0x2000}}, {0}, {8, 1, 8}, "/others"});
  const uint32_t again =
      images.Add(MapEvent{1, pid, {{0x1000}, {0x2000}}, {0}, {8, 1, 9}, "/again"});
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ASSERT_TRUE(started);
  EXPECT_EQ(images.images()[own].root, 0u);
  EXPECT_EQ(images.images()[others].root, 1u);
  EXPECT_EQ(images.images()[again].root, 1u);
}

}  // namespace
}  // namespace jprof
