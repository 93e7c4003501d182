#include "helpers/perfmap/jit_dump.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/jit_dump_builder.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kNow = 1'000'000'000'000;
constexpr uint64_t kEnd = UINT64_MAX;

// A file without a name, and a JitDump over it.
class DumpFile {
 public:
  explicit DumpFile(const JitDumpBuilder& dump, const JitDumpOptions& options = {})
      : fd_(::memfd_create("jit-100.dump", MFD_CLOEXEC)) {
    auto opened = JitDump::OpenFile(UniqueFd(::dup(fd_.get())), "jit-100.dump", options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    dump_.emplace(*std::move(opened));
    status_ = Write(dump.bytes());
  }
  // Makes these the file's bytes and reads it.
  absl::Status Write(absl::string_view bytes) {
    EXPECT_EQ(::ftruncate(fd_.get(), 0), 0);
    EXPECT_EQ(::pwrite(fd_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return dump_->Update(kNow);
  }
  // "" for no code, else "name file:line:column" as far as known.
  std::string At(uint64_t time_ns, uint64_t address) const {
    JitDumpReplay replay(*dump_);
    replay.AdvanceTo(time_ns);
    return Text(replay.Find({address}));
  }
  static std::string Text(const std::optional<JitDumpReplay::Code>& code) {
    if (!code) return "";
    std::string text(code->name);
    if (code->line != 0) absl::StrAppend(&text, " ", code->file, ":", code->line);
    if (code->column != 0) absl::StrAppend(&text, ":", code->column);
    return text;
  }
  const JitDump& dump() const { return *dump_; }
  const absl::Status& status() const { return status_; }

 private:
  UniqueFd fd_;
  std::optional<JitDump> dump_;
  absl::Status status_;
};

TEST(JitDumpTest, CodeIsThereFromItsLoadOn) {
  const DumpFile dump(JitDumpBuilder().Load(50, 0x1000, 0x10, "f"));
  EXPECT_EQ(dump.At(49, 0x1000), "");
  EXPECT_EQ(dump.At(50, 0x1000), "f");
  EXPECT_EQ(dump.At(kEnd, 0x100f), "f");
  EXPECT_EQ(dump.At(kEnd, 0x1010), "");
  EXPECT_EQ(dump.At(kEnd, 0xfff), "");
  EXPECT_EQ(dump.dump().Trouble(), "");
  EXPECT_TRUE(dump.dump().has_times());
}

TEST(JitDumpTest, MemoryThatIsUsedAgainHasTheNameOfItsTime) {
  const DumpFile dump(JitDumpBuilder()
                          .Load(10, 0x1000, 0x100, "old")
                          .Load(20, 0x1040, 0x40, "new")
                          .Close(30));
  EXPECT_EQ(dump.At(15, 0x1050), "old");
  EXPECT_EQ(dump.At(20, 0x1050), "new");
  EXPECT_EQ(dump.At(20, 0x103f), "old");
  EXPECT_EQ(dump.At(20, 0x1080), "old");
}

TEST(JitDumpTest, RecordsCountByTheirTimesNotByTheirOrder) {
  const DumpFile dump(
      JitDumpBuilder().Load(20, 0x1000, 0x10, "second").Load(10, 0x1000, 0x10, "first"));
  EXPECT_EQ(dump.At(15, 0x1000), "first");
  EXPECT_EQ(dump.At(20, 0x1000), "second");
}

TEST(JitDumpTest, MovedCodeTakesNameAndLinesAlong) {
  const DumpFile dump(JitDumpBuilder()
                          .Lines(0x1000, {{0x1000, 3, 0, "a.src"}, {0x1008, 4, 0, "\xff"}})
                          .Load(10, 0x1000, 0x20, "f")
                          .Load(10, 0x5010, 0x10, "under")
                          .Move(20, 0x1000, 0x5000, 0x20));
  EXPECT_EQ(dump.At(19, 0x1009), "f a.src:4");
  EXPECT_EQ(dump.At(19, 0x5009), "");
  EXPECT_EQ(dump.At(20, 0x1009), "");
  EXPECT_EQ(dump.At(20, 0x5007), "f a.src:3");
  EXPECT_EQ(dump.At(20, 0x5009), "f a.src:4");
  EXPECT_EQ(dump.At(20, 0x5010), "f a.src:4");
}

TEST(JitDumpTest, CodeMayMoveALittle) {
  const DumpFile dump(
      JitDumpBuilder().Load(10, 0x1000, 0x20, "f").Move(20, 0x1000, 0x1010, 0x20));
  EXPECT_EQ(dump.At(20, 0x100f), "");
  EXPECT_EQ(dump.At(20, 0x102f), "f");
}

TEST(JitDumpTest, WhatMovesFromAnUnknownPlaceHasNoName) {
  const DumpFile dump(JitDumpBuilder()
                          .Load(10, 0x1000, 0x20, "f")
                          .Load(10, 0x5000, 0x20, "covered")
                          .Move(20, 0x1008, 0x5000, 0x10));
  EXPECT_EQ(dump.At(20, 0x5000), "");
  EXPECT_EQ(dump.At(20, 0x5010), "covered");
}

TEST(JitDumpTest, LinesAreThoseOfTheNextCodeAtTheirAddress) {
  const DumpFile dump(JitDumpBuilder()
                          .Lines(0x1000, {{0x1000, 7, 0, "lost.src"}})
                          .Lines(0x1000, {{0xff0, 1, 9, "a.src"},
                                          {0x1008, 2, 9, "b.src"},
                                          {0x1010, 0, 0, ""},
                                          {0x1018, 5, 0, "a.src"},
                                          {0x1040, 6, 0, "a.src"}})
                          .Lines(0x2000, {{0x2000, 8, 0, "g.src"}})
                          .Load(10, 0x1000, 0x20, "f")
                          .Load(10, 0x2000, 0x20, "g")
                          .Load(20, 0x2000, 0x20, "h"));
  EXPECT_EQ(dump.At(10, 0x1000), "f a.src:1") << "lines before the code are of its begin";
  EXPECT_EQ(dump.At(10, 0x1008), "f b.src:2") << "a discriminator is no column";
  EXPECT_EQ(dump.At(10, 0x1017), "f") << "line 0 is none";
  EXPECT_EQ(dump.At(10, 0x101f), "f a.src:5");
  EXPECT_EQ(dump.At(10, 0x2000), "g g.src:8");
  EXPECT_EQ(dump.At(20, 0x2000), "h") << "lines serve once";
}

TEST(JitDumpTest, OfLinesAtOneAddressTheLastCounts) {
  const DumpFile dump(
      JitDumpBuilder()
          .Lines(0x1000, {{0x1008, 3, 0, "a"}, {0x1000, 1, 0, "a"}, {0x1000, 2, 0, "a"}})
          .Load(10, 0x1000, 0x10, "f"));
  EXPECT_EQ(dump.At(10, 0x1007), "f a:2");
  EXPECT_EQ(dump.At(10, 0x1008), "f a:3");
}

TEST(JitDumpTest, V8CountsItsLinesFromAnElfHeaderOnAndHasColumns) {
  const DumpFile dump(JitDumpBuilder()
                          .Lines(0x1000, {{0x1048, 1, 14, "/srv/w.js"}, {0x1050, 2, 39, "\xff"}})
                          .Load(10, 0x1000, 0x20, "JS:o+leaf /srv/w.js:1:14"));
  EXPECT_EQ(dump.At(10, 0x1007), "JS:o+leaf /srv/w.js:1:14");
  EXPECT_EQ(dump.At(10, 0x1008), "JS:o+leaf /srv/w.js:1:14 /srv/w.js:1:14");
  EXPECT_EQ(dump.At(10, 0x1010), "JS:o+leaf /srv/w.js:1:14 /srv/w.js:2:39");
}

TEST(JitDumpTest, DamagedLinesAreDroppedAndCounted) {
  JitDumpBuilder dump;
  dump.Head(2, 16 + 8, 0).U64(0x1000);
  dump.Head(2, 16 + 16 + 24, 0).U64(0x1000).U64(1'000'000'000'000).U64(0x1000).U32(1).U32(0).U64(0);
  dump.Load(10, 0x1000, 0x10, "f");
  dump.Lines(0x2000, {{0x2000, 1, 0, "\xff"}}).Load(10, 0x2000, 0x10, "g");
  const DumpFile file(dump);
  EXPECT_EQ(file.At(10, 0x1000), "f");
  EXPECT_EQ(file.At(10, 0x2000), "g") << "there is no file before the first";
  EXPECT_EQ(file.dump().counters().lines_dropped, 2u);
}

TEST(JitDumpTest, LinesOfCodeThatNeverComesAreNotKeptForEver) {
  JitDumpBuilder dump;
  const std::string name(200'000, 'n');
  for (uint64_t i = 0; i < 200; ++i) dump.Lines(0x1000 + i, {{0x1000, 1, 0, name}});
  const DumpFile file(dump);
  EXPECT_LE(file.dump().memory_bytes(), size_t{17} << 20);
  EXPECT_GT(file.dump().counters().lines_dropped, 80u);
}

TEST(JitDumpTest, UnfinishedRecordWaitsForItsEnd) {
  const std::string whole =
      JitDumpBuilder().Load(10, 0x1000, 0x10, "f").Load(20, 0x2000, 0x10, "g").bytes();
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    DumpFile file{JitDumpBuilder(1)};
    ASSERT_TRUE(file.Write(whole.substr(0, cut)).ok()) << cut;
    EXPECT_LT(file.dump().counters().loads, 2u);
    ASSERT_TRUE(file.Write(whole).ok());
    EXPECT_EQ(file.At(kEnd, 0x1000), "f");
    EXPECT_EQ(file.At(kEnd, 0x2000), "g");
    EXPECT_EQ(file.dump().Trouble(), "");
  }
}

TEST(JitDumpTest, FileThatWasWrittenAnewAddsToWhatWasKnown) {
  DumpFile file(JitDumpBuilder().Load(10, 0x1000, 0x10, "f").Load(11, 0x3000, 0x10, "h"));
  ASSERT_TRUE(file.Write(JitDumpBuilder().Load(20, 0x1000, 0x10, "g").bytes()).ok());
  EXPECT_EQ(file.At(15, 0x1000), "f");
  EXPECT_EQ(file.At(20, 0x1000), "g");
  EXPECT_EQ(file.dump().counters().restarts, 1u);
  JitDumpBuilder longer;
  for (int i = 0; i < 10; ++i) longer.Load(30, 0x1000, 0x10, "longer");
  ASSERT_TRUE(file.Write(longer.bytes()).ok());
  EXPECT_EQ(file.At(30, 0x1000), "longer");
  EXPECT_EQ(file.dump().counters().restarts, 2u);
}

TEST(JitDumpTest, SizeThatCannotBeEndsTheReading) {
  for (size_t size : {0, 1, 15}) {
    const DumpFile file(JitDumpBuilder()
                            .Load(10, 0x1000, 0x10, "f")
                            .Head(0, size, 20)
                            .Load(30, 0x2000, 0x10, "g"));
    EXPECT_EQ(file.At(10, 0x1000), "f");
    EXPECT_EQ(file.At(kEnd, 0x2000), "");
    EXPECT_EQ(file.At(11, 0x1000), "") << "what came to lie there is not known";
    EXPECT_THAT(file.dump().Trouble(), HasSubstr("damaged at byte 102"));
  }
}

TEST(JitDumpTest, SizeBeyondTheEndIsWaitedFor) {
  const DumpFile file(JitDumpBuilder()
                          .Load(10, 0x1000, 0x10, "f")
                          .Head(0, UINT32_MAX, 20)
                          .Load(30, 0x2000, 0x10, "g"));
  EXPECT_EQ(file.At(kEnd, 0x1000), "f");
  EXPECT_EQ(file.At(kEnd, 0x2000), "");
}

TEST(JitDumpTest, BadRecordsAreSkippedAndCounted) {
  JitDumpBuilder dump;
  dump.Load(10, 0x1000, 0, "no size").Load(10, UINT64_MAX - 3, 8, "wraps");
  dump.Head(0, 16 + 8, 10).U64(0);
  dump.Head(0, 16 + 40 + 4, 10).U64(0).U64(0x1000).U64(0x1000).U64(0x10).U64(0).U32(0x61616161);
  dump.Head(1, 16 + 8, 10).U64(0).Move(10, 0x1000, UINT64_MAX - 3, 8).Move(10, 0x1000, 0x2000, 0);
  dump.Head(77, 16 + 8, 10).U64(0).Head(UINT32_MAX, 16, 10);
  dump.Head(4, 16 + 8, 10).U64(0);
  dump.Load(10, 0x1000, 0x10, "f");
  const DumpFile file(dump);
  EXPECT_EQ(file.At(kEnd, 0x1000), "f");
  EXPECT_EQ(file.dump().counters().malformed, 7u);
  EXPECT_EQ(file.dump().counters().unknown, 2u);
  EXPECT_EQ(file.dump().counters().records, 11u);
  EXPECT_EQ(file.dump().counters().loads, 1u);
}

TEST(JitDumpTest, LongNameIsCut) {
  const DumpFile file(JitDumpBuilder()
                          .Load(10, 0x1000, 0x10, std::string(100'000, 'n'))
                          .Load(10, 0x2000, 0x10, "g"));
  EXPECT_EQ(file.At(kEnd, 0x1000), std::string(NameStore::kMaxNameBytes, 'n'));
  EXPECT_EQ(file.At(kEnd, 0x2000), "g");
}

TEST(JitDumpTest, WhatIsNoJitDumpIsRefused) {
  auto refusal = [](const JitDumpBuilder& dump, const JitDumpOptions& options = {}) {
    const DumpFile file(dump, options);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(file.dump().Trouble(), HasSubstr("its names are not used"));
    EXPECT_EQ(file.At(kEnd, 0x1000), "");
    return std::string(file.status().message());
  };
  auto with = [](size_t at, absl::string_view bytes) {
    JitDumpBuilder dump;
    dump.Load(10, 0x1000, 0x10, "f");
    dump.bytes().replace(at, bytes.size(), bytes.data(), bytes.size());
    return dump;
  };
  EXPECT_THAT(refusal(with(0, "JiTD")), HasSubstr("another byte order"));
  EXPECT_THAT(refusal(with(0, "\x7f""ELF")), HasSubstr("no jitdump"));
  EXPECT_THAT(refusal(with(4, "\2")), HasSubstr("version 2"));
  EXPECT_THAT(refusal(with(8, "\3")), HasSubstr("a header of 3 bytes"));
  EXPECT_THAT(refusal(with(10, "\x7f\x7f")), HasSubstr("a header of"));
  EXPECT_THAT(refusal(with(0, ""), {.pid = 200}), HasSubstr("of process 100"));
}

TEST(JitDumpTest, TimesOfAnotherClockAreToldAndNotUsed) {
  const JitDumpOptions since = {.not_before_ns = 1000};
  const JitDumpBuilder dumps[] = {
      JitDumpBuilder(100, 1).Load(2000, 0x1000, 0x10, "old").Load(3000, 0x1000, 0x10, "new"),
      JitDumpBuilder().Load(2000, 0x1000, 0x10, "old").Load(kNow * 2, 0x1000, 0x10, "new"),
      JitDumpBuilder().Load(0, 0x1000, 0x10, "old").Load(0, 0x1000, 0x10, "new")};
  for (const JitDumpBuilder& dump : dumps) {
    const DumpFile file(dump, since);
    EXPECT_FALSE(file.dump().has_times());
    EXPECT_EQ(file.At(1, 0x1000), "new");
    EXPECT_THAT(file.dump().Trouble(), HasSubstr("another clock"));
  }
}

TEST(JitDumpTest, BudgetsEndTheReadingAndSaySo) {
  JitDumpBuilder dump;
  for (uint64_t i = 1; i <= 4; ++i) dump.Load(i, 0x1000 * i, 0x10, "name");
  for (const JitDumpOptions& options :
       {JitDumpOptions{.max_records = 2}, JitDumpOptions{.max_name_bytes = 9}}) {
    const DumpFile file(dump, options);
    EXPECT_EQ(file.At(2, 0x1000), "name");
    EXPECT_EQ(file.At(2, 0x2000), "name");
    EXPECT_EQ(file.At(4, 0x3000), "");
    EXPECT_EQ(file.At(3, 0x1000), "") << "what came to lie there is not known";
    EXPECT_THAT(file.dump().Trouble(), HasSubstr("only the first 2 pieces"));
  }
  JitDumpOptions few_bytes{.max_bytes = 100};
  DumpFile file(JitDumpBuilder(), few_bytes);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(file.Write(dump.bytes()).ok());
  EXPECT_THAT(file.dump().Trouble(), HasSubstr("too large"));
}

TEST(JitDumpTest, LineBudgetKeepsTheNames) {
  const DumpFile file(JitDumpBuilder()
                          .Lines(0x1000, {{0x1000, 1, 0, "a"}, {0x1008, 2, 0, "a"}})
                          .Load(10, 0x1000, 0x10, "f"),
                      {.max_lines = 1});
  EXPECT_EQ(file.At(10, 0x1000), "f");
  EXPECT_EQ(file.dump().counters().lines_dropped, 1u);
}

TEST(JitDumpTest, HoleOfATerabyteIsReadInAMoment) {
  UniqueFd fd(::memfd_create("jit-1.dump", MFD_CLOEXEC));
  const std::string bytes = JitDumpBuilder().Load(10, 0x1000, 0x10, "f").bytes();
  ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  ASSERT_EQ(::ftruncate(fd.get(), off_t{1} << 40), 0);
  auto dump = JitDump::OpenFile(std::move(fd), "hole", {});
  ASSERT_TRUE(dump.ok() && dump->Update(kNow).ok());
  EXPECT_EQ(dump->counters().loads, 1u);
  EXPECT_THAT(dump->Trouble(), HasSubstr("damaged"));
}

TEST(JitDumpTest, AReplayGoesThroughTheTimesOfTheSamples) {
  const DumpFile file(JitDumpBuilder()
                          .Load(10, 0x1000, 0x10, "a")
                          .Load(20, 0x1000, 0x10, "b")
                          .Load(30, 0x2000, 0x10, "c"));
  JitDumpReplay replay(file.dump());
  std::string names;
  uint64_t changes = 0, version = replay.version();
  for (uint64_t time : {5, 10, 15, 25, 26, 40}) {
    replay.AdvanceTo(time);
    changes += replay.version() != version;
    version = replay.version();
    absl::StrAppend(&names, time, DumpFile::Text(replay.Find({0x1000})), " ");
  }
  EXPECT_EQ(names, "5 10a 15a 25b 26b 40b ");
  EXPECT_EQ(changes, 3u);
}

TEST(JitDumpTest, APathIsOfADumpByItsLastPart) {
  for (const char* path : {"/tmp/jit-12.dump", "/jit-12-11.dump", "/a b/jit-1.dump (deleted)"}) {
    EXPECT_TRUE(JitDump::IsPathOfOne(path)) << path;
  }
  for (const char* path : {"/tmp/jit-1/dump", "/tmp/xjit-1.dump", "/tmp/jit-1.dump.gz",
                           "jit-1.dump", "[jit-1.dump]", "//anon"}) {
    EXPECT_FALSE(JitDump::IsPathOfOne(path)) << path;
  }
}

TEST(JitDumpTest, OnlyARegularFileIsOpened) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd write_end(ends[1]);
  EXPECT_EQ(JitDump::OpenFile(UniqueFd(ends[0]), "pipe", {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(JitDumpTest, DumpOfAProcessKnowsItsNumberAndItsStart) {
  UniqueFd fd(::memfd_create("jit", MFD_CLOEXEC));
  const std::string bytes =
      JitDumpBuilder(static_cast<uint32_t>(::getpid())).Load(1, 0x1000, 0x10, "f").bytes();
  ASSERT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  auto dump = JitDump::Open(::getpid(), std::move(fd), "own");
  ASSERT_TRUE(dump.ok()) << dump.status();
  ASSERT_TRUE(dump->Update(kNow * 1000).ok());
  EXPECT_EQ(dump->counters().loads, 1u);
  EXPECT_FALSE(dump->has_times()) << "the first nanosecond of the machine was not ours";
  EXPECT_TRUE(absl::IsNotFound(
      JitDump::Open(0x7ffffff0, UniqueFd(::memfd_create("jit", 0)), "none").status()));
}

}  // namespace
}  // namespace jprof
