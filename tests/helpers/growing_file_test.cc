#include "helpers/perfmap/growing_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "helpers/perfmap/jit_dump.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/process/target_file.h"
#include "tests/testing/jit_dump_builder.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

// A file that is held by its path alone, and read by a function of ours.
class RemoteFile {
 public:
  explicit RemoteFile(std::string of) : content(std::move(of)) {}

  UniqueFd Hold() const {
    const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
    absl::StatusOr<UniqueFd> held = ToPathOnly(file);
    EXPECT_TRUE(held.ok()) << held.status();
    return *std::move(held);
  }
  ReadFilePart Reader() {
    return [this](const UniqueFd&, uint64_t offset, const std::string& name)
               -> absl::StatusOr<FilePart> {
      ++reads;
      if (hangs) return absl::DeadlineExceededError(absl::StrCat(name, ": no answer"));
      if (is_slow) std::this_thread::sleep_for(GrowingFile::kPatience);
      if (offset >= content.size()) return FilePart{"", content.size()};
      return FilePart{content.substr(offset, FilePart::kMinPartBytes), content.size()};
    };
  }

  std::string content;
  int reads = 0;
  bool hangs = false;
  bool is_slow = false;
};

std::string ReadAll(GrowingFile& file) {
  std::string all;
  char piece[1000];
  for (;;) {
    const absl::StatusOr<size_t> got = file.Read(all.size(), piece);
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) return all;
    all.append(piece, *got);
  }
}

TEST(GrowingFileTest, AFileOfThisMachineIsReadByItself) {
  UniqueFd fd(::memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(::write(fd.get(), "hello", 5), 5);
  GrowingFile file(std::move(fd), "file", nullptr);
  EXPECT_FALSE(file.is_remote());
  ASSERT_TRUE(file.Begin(0).ok());
  EXPECT_EQ(file.size(), 5u);
  EXPECT_EQ(ReadAll(file), "hello");
}

TEST(GrowingFileTest, AnotherOneIsReadInParts) {
  RemoteFile remote(std::string(3 * FilePart::kMinPartBytes / 2, 'x') + "end");
  GrowingFile file(remote.Hold(), "file", remote.Reader());
  EXPECT_TRUE(file.is_remote());
  ASSERT_TRUE(file.Begin(0).ok());
  EXPECT_EQ(file.size(), remote.content.size());
  EXPECT_EQ(ReadAll(file), remote.content);
  EXPECT_EQ(remote.reads, 2);
  const uint64_t end = remote.content.size();
  remote.content += "more";
  ASSERT_TRUE(file.Begin(end).ok());
  EXPECT_EQ(file.size(), end + 4);
  char piece[10];
  EXPECT_EQ(file.Read(end, piece).value_or(0), 4u);
}

TEST(GrowingFileTest, ASlowOneIsNotWaitedForTwice) {
  RemoteFile remote(std::string(3 * FilePart::kMinPartBytes, 'x'));
  remote.is_slow = true;
  GrowingFile file(remote.Hold(), "file", remote.Reader());
  char piece[10];
  ASSERT_TRUE(file.Begin(0).ok());
  const absl::Status late = file.Read(2 * FilePart::kMinPartBytes, piece).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_THAT(std::string(late.message()), HasSubstr("file: its file system is slow"));
  EXPECT_TRUE(file.Begin(0).ok());
}

TEST(GrowingFileTest, APerfMapThatHangsKeepsItsNames) {
  RemoteFile remote("1000 10 first\n");
  PerfMapOptions options;
  options.read_part = remote.Reader();
  absl::StatusOr<PerfMap> map = PerfMap::OpenFile(remote.Hold(), "perf.map", options);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x1008}), "first");
  remote.content += "2000 10 second\n";
  remote.hangs = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(map->Update()));
  EXPECT_EQ(map->Find({0x1008}), "first");
  EXPECT_EQ(map->Find({0x2008}), std::nullopt);
  remote.hangs = false;
  EXPECT_TRUE(map->Update().ok());
  EXPECT_EQ(map->Find({0x2008}), "second");
  EXPECT_EQ(map->counters().restarts, 0u);
}

TEST(GrowingFileTest, AJitdumpThatHangsKeepsItsNames) {
  JitDumpBuilder builder;
  builder.Load(10, 0x1000, 0x10, "first");
  RemoteFile remote(builder.bytes());
  absl::StatusOr<JitDump> dump =
      JitDump::OpenFile(remote.Hold(), "jit-100.dump", {.read_part = remote.Reader()});
  ASSERT_TRUE(dump.ok()) << dump.status();
  ASSERT_TRUE(dump->Update(100).ok());
  remote.content = builder.Load(20, 0x2000, 0x10, "second").bytes();
  remote.hangs = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(dump->Update(100)));
  EXPECT_EQ(dump->counters().loads, 1u);
  EXPECT_FALSE(dump->behind());
  remote.hangs = false;
  EXPECT_TRUE(dump->Update(100).ok());
  EXPECT_EQ(dump->counters().loads, 2u);
  EXPECT_EQ(dump->counters().restarts, 0u);
}

}  // namespace
}  // namespace jprof
