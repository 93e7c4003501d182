#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/perfmap/map_folders.h"
#include "helpers/perfmap/perf_map.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A file without a name, and a PerfMap over it.
class MapText {
 public:
  explicit MapText(absl::string_view text = "", const PerfMapOptions& options = {})
      : fd_(::memfd_create("perf.map", MFD_CLOEXEC)) {
    Append(text);
    auto map = PerfMap::OpenFile(UniqueFd(::dup(fd_.get())), "perf.map", options);
    EXPECT_TRUE(map.ok()) << map.status();
    map_.emplace(*std::move(map));
    Update();
  }

  void Append(absl::string_view text) {
    EXPECT_EQ(::pwrite(fd_.get(), text.data(), text.size(), ::lseek(fd_.get(), 0, SEEK_END)),
              static_cast<ssize_t>(text.size()));
  }
  void Replace(absl::string_view text) {
    EXPECT_EQ(::ftruncate(fd_.get(), 0), 0);
    Append(text);
  }
  void Update() {
    absl::Status status = map_->Update();
    EXPECT_TRUE(status.ok()) << status;
  }
  // "-" when there is no name.
  std::string Name(uint64_t address) const {
    auto name = map_->Find({address});
    return name ? std::string(*name) : "-";
  }
  // The names of the addresses 0, 1, 2, ... up to `end`, which are one letter each.
  std::string Picture(uint64_t end) const {
    std::string picture;
    for (uint64_t a = 0; a < end; ++a) picture += Name(a);
    return picture;
  }
  const PerfMap& map() const { return *map_; }

 private:
  UniqueFd fd_;
  std::optional<PerfMap> map_;
};

TEST(PerfMapTest, RangesAreHalfOpen) {
  MapText map("1000 10 f\n");
  EXPECT_EQ(map.Name(0xfff), "-");
  EXPECT_EQ(map.Name(0x1000), "f");
  EXPECT_EQ(map.Name(0x100f), "f");
  EXPECT_EQ(map.Name(0x1010), "-");
}

TEST(PerfMapTest, NameIsTheWholeRestOfTheLine) {
  MapText map(
      "1000 10 JS:*handle request /srv/my app/a:b.js:12:3\n"
      "2000 10  two blanks before \n"
      "3000 10 RegExp.< src: 'a+b' flags: ''\n");
  EXPECT_EQ(map.Name(0x1000), "JS:*handle request /srv/my app/a:b.js:12:3");
  EXPECT_EQ(map.Name(0x2000), " two blanks before ");
  EXPECT_EQ(map.Name(0x3000), "RegExp.< src: 'a+b' flags: ''");
}

TEST(PerfMapTest, ControlBytesOfANameAreKept) {
  const std::string name("a\0b\x1b[31m\xff", 9);
  MapText map(absl::StrCat("1000 10 ", name, "\n"));
  EXPECT_EQ(map.Name(0x1000), name);
}

TEST(PerfMapTest, NumbersMayHaveAPrefixAndCapitals) {
  MapText map("0x1000 0X10 a\n00000000000000002ABC 0a b\n3000\t 10\tc\n");
  EXPECT_EQ(map.Name(0x100f), "a");
  EXPECT_EQ(map.Name(0x2ac5), "b");
  EXPECT_EQ(map.Name(0x2ac6), "-");
  EXPECT_EQ(map.Name(0x3000), "c");
}

TEST(PerfMapTest, CarriageReturnEndsTheLine) {
  MapText map("1000 10 f\r\n2000 10 g\n");
  EXPECT_EQ(map.Name(0x1000), "f");
  EXPECT_EQ(map.Name(0x2000), "g");
}

TEST(PerfMapTest, LaterEntryWins) {
  EXPECT_EQ(MapText("2 4 a\n2 4 b\n").Picture(8), "--bbbb--");
  EXPECT_EQ(MapText("4 2 b\n2 6 a\n").Picture(9), "--aaaaaa-");
}

TEST(PerfMapTest, LaterEntryCutsTheOlderOnesThatItOverlaps) {
  EXPECT_EQ(MapText("0 4 a\n2 4 b\n").Picture(8), "aabbbb--");
  EXPECT_EQ(MapText("2 4 a\n0 4 b\n").Picture(8), "bbbbaa--");
  EXPECT_EQ(MapText("0 8 a\n3 2 b\n").Picture(9), "aaabbaaa-");
  EXPECT_EQ(MapText("0 2 a\n2 2 b\n4 2 c\n1 4 d\n").Picture(7), "addddc-");
  EXPECT_EQ(MapText("0 4 a\n0 2 b\n").Picture(5), "bbaa-");
  EXPECT_EQ(MapText("0 4 a\n2 2 b\n").Picture(5), "aabb-");
}

// Second opinion: one letter for each address, written in the order of the lines.
TEST(PerfMapTest, AgreesWithPaintingEachAddress) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    std::string picture(64, '-');
    for (int line = 0; line < 30; ++line) {
      size_t begin = random() % 60;
      size_t size = 1 + random() % (round % 2 == 0 ? 4 : 40);
      char name = static_cast<char>('a' + random() % 26);
      absl::StrAppendFormat(&text, "%x %x %c\n", begin, size, name);
      for (size_t a = begin; a < std::min(begin + size, picture.size()); ++a) picture[a] = name;
    }
    ASSERT_EQ(MapText(text).Picture(picture.size()), picture) << text;
  }
}

TEST(PerfMapTest, BadLinesAreSkippedAndCounted) {
  MapText map(
      "1000 10 good\n"
      "\n"
      "nonsense\n"
      "2000 10\n"
      "2000 10 \n"
      "2000 g0 f\n"
      "12345678123456781 10 too many digits\n"
      "-2000 10 f\n"
      "2000 0 empty\n"
      "ffffffffffffff00 100 up to the end wraps to zero\n"
      "ffffffffffffff00 200 wraps\n"
      "3000 10 good too\n");
  EXPECT_EQ(map.Name(0x1000), "good");
  EXPECT_EQ(map.Name(0x2000), "-");
  EXPECT_EQ(map.Name(0x3000), "good too");
  EXPECT_EQ(map.map().size(), 2u);
  EXPECT_EQ(map.map().counters().lines, 12u);
  EXPECT_EQ(map.map().counters().skipped_malformed, 7u);
  EXPECT_EQ(map.map().counters().skipped_empty, 1u);
  EXPECT_EQ(map.map().counters().skipped_wrapping, 2u);
  EXPECT_FALSE(map.map().exhausted());
}

TEST(PerfMapTest, LongNameIsCut) {
  const std::string name(PerfMap::kMaxNameBytes, 'n');
  MapText map(absl::StrCat("1000 10 ", name, "\n2000 10 ", name, "x\n3000 10 ",
                           std::string(3 << 20, 'x'), "\n4000 10 after\n"));
  EXPECT_EQ(map.Name(0x1000), name);
  EXPECT_EQ(map.Name(0x2000), name);
  EXPECT_EQ(map.Name(0x3000), std::string(PerfMap::kMaxNameBytes, 'x'));
  EXPECT_EQ(map.Name(0x4000), "after");
  EXPECT_EQ(map.map().counters().lines, 4u);
  EXPECT_EQ(map.map().counters().names_cut, 2u);
}

TEST(PerfMapTest, LongLineMayGrowOverSeveralUpdates) {
  MapText map(absl::StrCat("1000 10 ", std::string(PerfMap::kMaxNameBytes + 500, 'x')));
  map.Append("2000 10 no line of its own");
  map.Update();
  map.Append("\n3000 10 after\n");
  map.Update();
  EXPECT_EQ(map.Name(0x1000), std::string(PerfMap::kMaxNameBytes, 'x'));
  EXPECT_EQ(map.Name(0x2000), "-");
  EXPECT_EQ(map.Name(0x3000), "after");
  EXPECT_EQ(map.map().counters().lines, 2u);
}

TEST(PerfMapTest, UnfinishedLineWaitsForItsEnd) {
  MapText map("1000 10 f\n2000 10 han");
  EXPECT_EQ(map.Name(0x2000), "-");
  map.Append("dler\n");
  map.Update();
  EXPECT_EQ(map.Name(0x2000), "handler");
  EXPECT_EQ(map.map().counters().lines, 2u);
}

TEST(PerfMapTest, GenerationChangesWithTheEntriesOnly) {
  MapText map("1000 10 f\n");
  const uint64_t first = map.map().generation();
  map.Update();
  EXPECT_EQ(map.map().generation(), first);
  map.Append("2000 0 skipped\n3000 10 unfin");
  map.Update();
  EXPECT_EQ(map.map().generation(), first);
  map.Append("ished\n");
  map.Update();
  EXPECT_NE(map.map().generation(), first);
  const uint64_t second = map.map().generation();
  map.Replace("");
  map.Update();
  EXPECT_NE(map.map().generation(), second);
  EXPECT_EQ(map.map().size(), 0u);
}

TEST(PerfMapTest, ShrunkFileStartsOver) {
  MapText map("1000 10 old\n2000 10 gone\n");
  map.Replace("1000 10 new\n");
  map.Update();
  EXPECT_EQ(map.Name(0x1000), "new");
  EXPECT_EQ(map.Name(0x2000), "-");
  EXPECT_EQ(map.map().counters().restarts, 1u);
}

TEST(PerfMapTest, FileThatWasRewrittenLongerStartsOver) {
  MapText map("1000 10 old\n");
  map.Replace("1000 10 new\n3000 10 more\n");
  map.Update();
  EXPECT_EQ(map.Name(0x1000), "new");
  EXPECT_EQ(map.Name(0x3000), "more");
  EXPECT_EQ(map.map().counters().restarts, 1u);
}

TEST(PerfMapTest, EntryBudgetEndsTheReadingAndSaysSo) {
  PerfMapOptions options;
  options.max_entries = 4;
  MapText map("1000 10 a\n2000 10 b\n3000 10 c\n4000 10 d\n5000 10 e\n", options);
  EXPECT_TRUE(map.map().exhausted());
  EXPECT_LE(map.map().size(), options.max_entries);
  EXPECT_EQ(map.Name(0x1000), "a");
  EXPECT_EQ(map.Name(0x5000), "-");
}

TEST(PerfMapTest, NameBudgetEndsTheReadingAndSaysSo) {
  PerfMapOptions options;
  options.max_name_bytes = 3;
  MapText map("1000 10 ab\n2000 10 cd\n", options);
  EXPECT_TRUE(map.map().exhausted());
  EXPECT_EQ(map.Name(0x1000), "ab");
  EXPECT_EQ(map.Name(0x2000), "-");
}

TEST(PerfMapTest, RewritingTheFileDoesNotRenewTheByteBudget) {
  PerfMapOptions options;
  options.max_bytes = 25;
  MapText map("1000 10 a\n2000 10 b\n", options);
  EXPECT_FALSE(map.map().exhausted());
  map.Replace("3000 10 c\n");
  map.Update();
  EXPECT_TRUE(map.map().exhausted());
  map.Replace("4000 10\n");
  map.Update();
  EXPECT_TRUE(map.map().exhausted());
  EXPECT_EQ(map.Name(0x4000), "-");
}

TEST(PerfMapTest, HoleOfAGigabyteIsOneBadLine) {
  UniqueFd fd(::memfd_create("perf.map", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(fd.get(), off_t{1} << 40), 0);
  PerfMapOptions options;
  options.max_bytes = 64 << 20;
  auto map = PerfMap::OpenFile(std::move(fd), "hole", options);
  ASSERT_TRUE(map.ok());
  ASSERT_TRUE(map->Update().ok());
  EXPECT_TRUE(map->exhausted());
  EXPECT_EQ(map->counters().lines, 1u);
  EXPECT_EQ(map->counters().skipped_malformed, 1u);
}

// The map of this very process in a directory of its own.
class PerfMapOfProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = absl::StrCat(testing::TempDir(), "perfmap-test-XXXXXX");
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    options_.folder = pattern;
    path_ = PathOf(::getpid());
  }
  void TearDown() override {
    std::string command = absl::StrCat("rm -rf '", options_.folder, "'");
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  std::string PathOf(Pid pid) const {
    return absl::StrCat(options_.folder, "/perf-", pid, ".map");
  }
  void Write(const std::string& path, absl::string_view text) {
    ::unlink(path.c_str());
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(::fchmod(fd.get(), 0644), 0);
  }
  absl::Status OpenStatus() { return PerfMap::Open(::getpid(), options_).status(); }
  void ExpectIgnored(absl::string_view why) {
    absl::Status status = OpenStatus();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
  }

  PerfMapOptions options_;
  std::string path_;
};

TEST_F(PerfMapOfProcessTest, FileOfTheProcessIsRead) {
  Write(path_, "1000 10 f\n");
  auto map = PerfMap::Open(::getpid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x1000}), "f");
}

TEST_F(PerfMapOfProcessTest, AbsentMapAndAbsentProcessAreNotFound) {
  EXPECT_TRUE(absl::IsNotFound(OpenStatus())) << OpenStatus();
  EXPECT_TRUE(absl::IsNotFound(PerfMap::Open(0x7ffffff0, options_).status()));
}

TEST_F(PerfMapOfProcessTest, ReplacedFileStartsOver) {
  Write(path_, "1000 10 old\n2000 10 gone\n");
  auto map = PerfMap::Open(::getpid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_TRUE(map->Update().ok());
  // As long and with the same end, so that only the inode tells.
  std::string other = absl::StrCat(path_, ".new");
  Write(other, "1000 10 new\n2000 10 gone\n");
  ASSERT_EQ(::rename(other.c_str(), path_.c_str()), 0);
  ASSERT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x1000}), "new");
  EXPECT_EQ(map->counters().restarts, 1u);
}

TEST_F(PerfMapOfProcessTest, DeletedFileKeepsItsNames) {
  Write(path_, "1000 10 f\n");
  auto map = PerfMap::Open(::getpid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x1000}), "f");
}

TEST_F(PerfMapOfProcessTest, ReplacementThatIsNotBelievedChangesNothing) {
  Write(path_, "1000 10 f\n");
  auto map = PerfMap::Open(::getpid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_TRUE(map->Update().ok());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0644), 0);
  EXPECT_EQ(map->Update().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(map->Find({0x1000}), "f");
}

TEST_F(PerfMapOfProcessTest, FifoIsIgnoredWithoutWaiting) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0644), 0);
  ExpectIgnored("not a regular file");
}

TEST_F(PerfMapOfProcessTest, DirectoryIsIgnored) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
  ExpectIgnored("not a regular file");
}

TEST_F(PerfMapOfProcessTest, SymbolicLinkIsIgnored) {
  Write(absl::StrCat(path_, ".target"), "1000 10 f\n");
  ASSERT_EQ(::symlink(absl::StrCat(path_, ".target").c_str(), path_.c_str()), 0);
  ExpectIgnored("symbolic link");
}

TEST_F(PerfMapOfProcessTest, LinkOnTheWayIsNotFollowed) {
  Write(path_, "1000 10 f\n");
  std::string link = absl::StrCat(options_.folder, "-link");
  ASSERT_EQ(::symlink(options_.folder.c_str(), link.c_str()), 0);
  PerfMapOptions options = options_;
  options.folder = link;
  EXPECT_FALSE(PerfMap::Open(::getpid(), options).ok());
  ASSERT_EQ(::unlink(link.c_str()), 0);
}

TEST_F(PerfMapOfProcessTest, HardLinkedFileIsIgnored) {
  Write(path_, "1000 10 f\n");
  ASSERT_EQ(::link(path_.c_str(), absl::StrCat(path_, ".second").c_str()), 0);
  ExpectIgnored("2 hard links");
}

TEST_F(PerfMapOfProcessTest, FileThatOthersMayWriteIsIgnored) {
  Write(path_, "1000 10 f\n");
  ASSERT_EQ(::chmod(path_.c_str(), 0664), 0);
  ExpectIgnored("mode 664");
  ASSERT_EQ(::chmod(path_.c_str(), 0646), 0);
  ExpectIgnored("mode 646");
}

TEST_F(PerfMapOfProcessTest, FileOfAnotherUserIsIgnored) {
  JPROF_REQUIRE_ROOT();  // to give a file away
  Write(path_, "1000 10 f\n");
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  ExpectIgnored("belongs to user 12345");
}

// A shell of this command line, which waits; its working directory is that of the test.
absl::StatusOr<Child> StartShell(const std::string& script, const std::string& argument) {
  return Child::SpawnReady(
      {"/bin/sh", "-c", absl::StrCat(script, "; echo ready; read x"), argument});
}

std::string MapOf(const Child& child) {
  auto map = PerfMap::Open(child.pid());
  if (!map.ok()) return std::string(map.status().message());
  return map->Update().ok() ? std::string(map->Find({0x1000}).value_or("-")) : "unreadable";
}

TEST_F(PerfMapOfProcessTest, IsWhereTheCommandLineSays) {
  const auto child = StartShell(":", absl::StrCat("--perf-basic-prof-path=", options_.folder));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(MapOf(*child), absl::StrCat("there is no perf-PID.map in ", options_.folder, ", /tmp"));
  Write(PathOf(child->pid()), "1000 10 f\n");
  EXPECT_EQ(MapOf(*child), "f");
  // As hostile there as anywhere.
  ASSERT_EQ(::chmod(PathOf(child->pid()).c_str(), 0666), 0);
  EXPECT_THAT(MapOf(*child), HasSubstr("mode 666"));
}

TEST_F(PerfMapOfProcessTest, IsInItsWorkingDirectory) {
  const auto child = StartShell(absl::StrCat("cd ", options_.folder), "--perf-basic-prof-path=.");
  ASSERT_TRUE(child.ok()) << child.status();
  Write(PathOf(child->pid()), "1000 10 f\n");
  EXPECT_EQ(MapOf(*child), "f");
}

TEST_F(PerfMapOfProcessTest, WayOutOfTheWorkingDirectoryLeadsNowhere) {
  const std::string inner = absl::StrCat(options_.folder, "/inner");
  ASSERT_EQ(::mkdir(inner.c_str(), 0755), 0);
  const auto child = StartShell(absl::StrCat("cd ", inner), "--perf-basic-prof-path=..");
  ASSERT_TRUE(child.ok()) << child.status();
  Write(PathOf(child->pid()), "1000 10 f\n");
  EXPECT_EQ(MapOf(*child), "there is no perf-PID.map in .., /tmp");
}

TEST_F(PerfMapOfProcessTest, LongCommandLineIsNotLookedAt) {
  std::vector<std::string> words = {"/bin/sh", "-c", "echo ready; read x",
                                    absl::StrCat("--perf-basic-prof-path=", options_.folder)};
  words.resize(10, std::string(60'000, 'x'));
  const auto child = Child::SpawnReady(words);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(MapOf(*child), "there is no /tmp/perf-PID.map");
}

std::string Line(std::initializer_list<absl::string_view> words) {
  return absl::StrJoin(words, absl::string_view("\0", 1));
}

TEST(PerfMapFoldersTest, V8sFlagIsTakenInAllItsForms) {
  EXPECT_THAT(PerfMapFoldersOf(Line({"node", "--perf-basic-prof-path=/a", "app.js"}), ""),
              ElementsAre("/a"));
  EXPECT_THAT(PerfMapFoldersOf(Line({"d8", "-perf_basic_prof-path=/a/"}), ""), ElementsAre("/a"));
  EXPECT_THAT(
      PerfMapFoldersOf(
          Line({"chrome", "--js-flags=--perf-basic-prof --perf-basic-prof-path=/a --x"}), ""),
      ElementsAre("/a"));
  EXPECT_THAT(PerfMapFoldersOf(
                  Line({"deno", "--v8-flags=--perf-basic-prof,--perf-basic-prof-path=/a,--x"}), ""),
              ElementsAre("/a"));
  EXPECT_THAT(
      PerfMapFoldersOf(Line({"node", "--perf-basic-prof-path=/a", "--perf-basic-prof-path=b"}), ""),
      ElementsAre("b", "/a"));
}

TEST(PerfMapFoldersTest, NetsVariableIsTaken) {
  EXPECT_THAT(PerfMapFoldersOf("dotnet", Line({"A=b", "DOTNET_PerfMapJitDumpPath=/a", "C=d"})),
              ElementsAre("/a"));
  EXPECT_THAT(PerfMapFoldersOf("dotnet", "COMPlus_PerfMapJitDumpPath=/a"), ElementsAre("/a"));
}

TEST(PerfMapFoldersTest, WhatIsNoFolderIsNot) {
  EXPECT_THAT(
      PerfMapFoldersOf(
          Line({"", "-", "perf-basic-prof-path=/a", "--perf-basic-prof-path=",
                "--perf-basic-prof-path", "---perf-basic-prof-path=/a", "--perf-basic-prof=/a",
                absl::StrCat("--perf-basic-prof-path=", std::string(kMaxFolderBytes + 1, 'a'))}),
          "XDOTNET_PerfMapJitDumpPath=/a"),
      IsEmpty());
}

// A process that waits to be killed, as user `uid`, in new namespaces as `clone_flags` say.
class Sleeper {
 public:
  explicit Sleeper(uid_t uid, uint64_t clone_flags = 0) {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    pid_ = static_cast<pid_t>(
        ::syscall(SYS_clone, clone_flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid_ == 0) {
      if (::setresuid(uid, uid, uid) != 0 || ::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte;
    ::close(ready[1]);
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  Sleeper(const Sleeper&) = delete;
  ~Sleeper() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  Pid pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST_F(PerfMapOfProcessTest, OwnerMayBeTheUserOfTheProcessOrRoot) {
  JPROF_REQUIRE_ROOT();  // to run a process as another user
  Sleeper child(12345);
  Write(PathOf(child.pid()), "1000 10 f\n");
  EXPECT_TRUE(PerfMap::Open(child.pid(), options_).ok());
  ASSERT_EQ(::chown(PathOf(child.pid()).c_str(), 12345, 12345), 0);
  EXPECT_TRUE(PerfMap::Open(child.pid(), options_).ok());
  ASSERT_EQ(::chown(PathOf(child.pid()).c_str(), 12346, 12345), 0);
  EXPECT_EQ(PerfMap::Open(child.pid(), options_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(PerfMapOfProcessTest, LastLinesAreReadAfterTheProcessEnded) {
  Sleeper child(::getuid());
  Write(PathOf(child.pid()), "1000 10 f\n");
  auto map = PerfMap::Open(child.pid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  child.Kill();
  absl::Status status = map->Update();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(map->Find({0x1000}), "f");
}

TEST_F(PerfMapOfProcessTest, NumberOfTheInnermostPidNamespaceCounts) {
  JPROF_REQUIRE_ROOT();  // to make a pid namespace
  Sleeper child(0, CLONE_NEWPID);
  Write(PathOf(child.pid()), "1000 10 outer\n");
  Write(PathOf(1), "1000 10 inner\n");
  auto map = PerfMap::Open(child.pid(), options_);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x1000}), "inner");
}

TEST_F(PerfMapOfProcessTest, FileOlderThanTheProcessIsIgnored) {
  JPROF_REQUIRE_ROOT();  // to make a pid namespace
  // In a pid namespace of its own the child's number is known before it exists.
  Write(PathOf(1), "1000 10 of a process before\n");
  ::usleep(1'500'000);  // the clocks that are compared may differ by a second
  Sleeper child(0, CLONE_NEWPID);
  absl::Status status = PerfMap::Open(child.pid(), options_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("older than the process"));
}

}  // namespace
}  // namespace jprof
