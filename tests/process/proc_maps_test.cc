#include "profiler/process/proc_maps.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "profiler/core/unique_fd.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

ProcMapping ParseOne(absl::string_view line) {
  auto maps = ParseProcMaps(line);
  EXPECT_TRUE(maps.ok()) << maps.status();
  if (!maps.ok() || maps->size() != 1) {
    ADD_FAILURE() << line;
    return {};
  }
  return maps->front();
}

TEST(ProcMapsTest, ALineHasAllItsFields) {
  ProcMapping m = ParseOne(
      "55d0c0400000-55d0c0600000 r-xp 00001000 fe:1f 1234567                    /usr/bin/node\n");
  EXPECT_EQ(m.range, (AddressRange{{0x55d0c0400000}, {0x55d0c0600000}}));
  EXPECT_EQ(m.offset.value, 0x1000u);
  EXPECT_EQ(m.file, (FileIdentity{0xfe, 0x1f, 1234567}));
  EXPECT_TRUE(m.readable);
  EXPECT_FALSE(m.writable);
  EXPECT_TRUE(m.executable);
  EXPECT_FALSE(m.shared);
  EXPECT_EQ(m.path, "/usr/bin/node");
}

TEST(ProcMapsTest, AnonymousMemoryHasNoPathAndNoFile) {
  ProcMapping m = ParseOne("7f00-7f01 rwxp 00000000 00:00 0 \n");
  EXPECT_EQ(m.path, "");
  EXPECT_FALSE(m.file.valid());
  EXPECT_EQ(ParseOne("7f00-7f01 rw-s 00000000 00:00 0").path, "");
}

TEST(ProcMapsTest, NamesOfTheTargetAreKeptAsTheyArePrinted) {
  const std::string prefix = "1000-2000 r-xp 00000000 08:01 77 ";
  EXPECT_EQ(ParseOne(prefix + "/a b  c\n").path, "/a b  c");
  EXPECT_EQ(ParseOne(prefix + "/a\\012b\n").path, "/a\\012b");
  EXPECT_EQ(ParseOne(prefix + "/a (deleted)\n").path, "/a (deleted)");
  EXPECT_EQ(ParseOne(prefix + "/a (deleted) (deleted)\n").path, "/a (deleted) (deleted)");
  EXPECT_EQ(ParseOne(prefix + "/a \n").path, "/a ");
  EXPECT_EQ(ParseOne(prefix + "/\xff\x1b[31m\n").path, "/\xff\x1b[31m");
}

TEST(ProcMapsTest, AnImitationOfTheVdsoHasAFile) {
  EXPECT_TRUE(ParseOne("1000-2000 r-xp 00000000 08:01 77 [vdso]\n").file.valid());
  EXPECT_FALSE(ParseOne("1000-2000 r-xp 00000000 00:00 0 [vdso]\n").file.valid());
}

TEST(ProcMapsTest, AHighestRangeParses) {
  ProcMapping m = ParseOne("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n");
  EXPECT_EQ(m.range.end.value, 0xffffffffff601000u);
  EXPECT_FALSE(m.readable);
}

TEST(ProcMapsTest, ALineThatIsNoMappingIsReportedByItsNumber) {
  const std::string good = "1000-2000 r-xp 00000000 08:01 77 /a\n";
  for (absl::string_view bad : {
           "\n",
           "x\n",
           "1000-2000\n",
           "1000-2000 r-xp\n",
           "1000-2000 q-xp 00000000 08:01 77 /a\n",
           "1000-2000 r-x 00000000 08:01 77 /a\n",
           "2000-1000 r-xp 00000000 08:01 77 /a\n",
           "1000-1000 r-xp 00000000 08:01 77 /a\n",
           "-1000-2000 r-xp 00000000 08:01 77 /a\n",
           "10000000000000000-2000 r-xp 00000000 08:01 77 /a\n",
           "1000-2000 r-xp 00000000 08:01 7x /a\n",
           "1000-2000 r-xp 00000000 0801 77 /a\n",
       }) {
    auto maps = ParseProcMaps(good + std::string(bad) + good);
    EXPECT_EQ(maps.status().code(), absl::StatusCode::kDataLoss) << bad;
    EXPECT_THAT(std::string(maps.status().message()), HasSubstr("line 2")) << bad;
  }
}

TEST(ProcMapsTest, SixtyThousandLinesKeepTheirOrder) {
  std::string text;
  for (uint64_t i = 0; i < 60'000; ++i) {
    absl::StrAppend(&text, absl::Hex(0x10000 + i * 0x2000), "-", absl::Hex(0x11000 + i * 0x2000),
                    " r-xp 00000000 08:01 ", i + 1, "      /lib/", i, "\n");
  }
  auto maps = ParseProcMaps(text);
  ASSERT_TRUE(maps.ok()) << maps.status();
  ASSERT_EQ(maps->size(), 60'000u);
  EXPECT_EQ(maps->back().file.inode, 60'000u);
  EXPECT_EQ(maps->back().path, "/lib/59999");
}

TEST(ProcMapsTest, OurOwnCodeIsInOurMaps) {
  auto maps = ReadProcMaps(::getpid());
  ASSERT_TRUE(maps.ok()) << maps.status();
  const Address here = {reinterpret_cast<uint64_t>(&ParseOne)};
  auto it = std::find_if(maps->begin(), maps->end(),
                         [&](const ProcMapping& m) { return m.range.Contains(here); });
  ASSERT_NE(it, maps->end());
  EXPECT_TRUE(it->executable);
  struct stat st;
  ASSERT_EQ(::stat("/proc/self/exe", &st), 0);
  EXPECT_EQ(it->file.inode, st.st_ino);
}

TEST(ProcMapsTest, AFileWithANastyNameIsFoundByItsIdentity) {
  const std::string path = ::testing::TempDir() + "/a b\n1000-2000 r-xp 0 0:0 0 (deleted)";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd.valid());
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  void* at = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  auto maps = ReadProcMaps(::getpid());
  struct stat st;
  ASSERT_EQ(::fstat(fd.get(), &st), 0);
  ::munmap(at, 4096);
  ::unlink(path.c_str());
  ASSERT_TRUE(maps.ok()) << maps.status();
  auto it = std::find_if(maps->begin(), maps->end(), [&](const ProcMapping& m) {
    return m.range.begin.value == reinterpret_cast<uint64_t>(at);
  });
  ASSERT_NE(it, maps->end());
  EXPECT_EQ(it->file.inode, st.st_ino);
  EXPECT_THAT(it->path, HasSubstr("a b\\0121000-2000"));
}

TEST(ProcMapsTest, AProcessThatIsGoneIsNotFound) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  const Pid pid = child->pid();
  EXPECT_TRUE(ReadProcMaps(pid).ok());
  child->Signal(SIGKILL);
  child->Wait();
  EXPECT_TRUE(absl::IsNotFound(ReadProcMaps(pid).status()));
}

}  // namespace
}  // namespace jprof
