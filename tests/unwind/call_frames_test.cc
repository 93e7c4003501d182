#include "profiler/unwind/call_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/unwind/call_frame_entry.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/unwind/cfi_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

CallFrameSection SectionOf(const CfiBuilder& cfi) {
  return {cfi.bytes(), cfi.address(), cfi.is_eh_frame()};
}

UnwindTable Build(const std::vector<CallFrameSection>& sections) {
  absl::StatusOr<UnwindTable> table = BuildUnwindTable(sections);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *std::move(table) : UnwindTable();
}
UnwindTable Build(const CfiBuilder& cfi) { return Build({SectionOf(cfi)}); }

// "rsp+16 rbp@-16": the CFA, and where rbp is, from the CFA unless "fp".
std::string Text(const jp_rule& rule) {
  static constexpr const char* kNames[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
                                           "rbp", "rsp", "r8",  "r9",  "r10", "r11",
                                           "r12", "r13", "r14", "r15"};
  std::string text;
  switch (rule.kind) {
    case JP_RULE_NONE:
      return "none";
    case JP_RULE_FRAME:
      return "frame";
    case JP_RULE_SIGNAL:
      return "signal";
    case JP_RULE_ROOT:
      return "root";
    case JP_RULE_OTHER:
      return "other";
    case JP_RULE_OFFSET:
      text = absl::StrCat(kNames[rule.base], "+", rule.cfa_offset);
      break;
    case JP_RULE_DEREF:
      text = absl::StrCat("[", kNames[rule.base], "+", rule.cfa_offset, "]+", rule.cfa_extra);
      break;
    case JP_RULE_PLT:
      text = absl::StrCat(kNames[rule.base], "+", rule.cfa_offset, " stub ", rule.cfa_extra);
      break;
  }
  if (rule.fp == JP_FP_AT_CFA) absl::StrAppend(&text, " rbp@", rule.fp_offset);
  if (rule.fp == JP_FP_AT_FP) absl::StrAppend(&text, " rbp@fp", rule.fp_offset);
  return text;
}

// The rules from `begin` on, as long as they differ: "1000 rsp+8".
std::vector<std::string> Rows(const UnwindTable& table) {
  std::vector<std::string> rows;
  std::string last;
  for (uint64_t at = table.begin().value; table.Find({at}); ++at) {
    const std::string text = Text(*table.Find({at}));
    if (text != last) rows.push_back(absl::StrCat(absl::Hex(at), " ", text));
    last = text;
  }
  return rows;
}

std::string RuleAt(const UnwindTable& table, uint64_t address) {
  const std::optional<jp_rule> rule = table.Find({address});
  return rule ? Text(*rule) : "outside";
}

TEST(CallFramesTest, AFunctionThatPushesAndPopsHasARowForEachStep) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(
      0x1000, 0x20,
      {kAdvance | 1, kDefCfaOffset, 16, kOffset | 3, 2, kAdvance | 4, kDefCfaOffset, 48,
       kAdvance | 0x10, kDefCfaOffset, 16, kAdvance | 1, kDefCfaOffset, 8}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 rsp+8", "1001 rsp+16", "1005 rsp+48", "1015 rsp+16",
                                       "1016 rsp+8"));
}

TEST(CallFramesTest, AFramePointerIsRecognised) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(
      0x1000, 0x20, {kAdvance | 1, kDefCfaOffset, 16, kOffset | kRbp, 2, kAdvance | 3,
                     kDefCfaRegister, kRbp, kAdvance | 0x18, kDefCfa, kRsp, 8}));
  EXPECT_THAT(Rows(table),
              ElementsAre("1000 rsp+8", "1001 rsp+16 rbp@-16", "1004 frame", "101c rsp+8 rbp@-16"));
}

TEST(CallFramesTest, AStateThatWasRememberedComesBack) {
  const UnwindTable table =
      Build(CfiBuilder().Cie().Fde(0x1000, 0x20,
                                   {kAdvance | 1, kDefCfaOffset, 16, kAdvance | 1, kRememberState,
                                    kDefCfaOffset, 8, kAdvance | 1, kRestoreState}));
  EXPECT_THAT(Rows(table),
              ElementsAre("1000 rsp+8", "1001 rsp+16", "1002 rsp+8", "1003 rsp+16"));
}

TEST(CallFramesTest, AFunctionWithoutInstructionsHasTheRowOfItsCie) {
  EXPECT_THAT(Rows(Build(CfiBuilder().Cie().Fde(0x1000, 4, {}))), ElementsAre("1000 rsp+8"));
}

TEST(CallFramesTest, NothingIsKnownBetweenFunctionsUnlessItIsPadding) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(0x1000, 8, {}).Fde(0x1010, 8, {}).Fde(
      0x1100, 8, {kDefCfaOffset, 24}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 rsp+8", "1018 none", "1100 rsp+24"));
  EXPECT_EQ(RuleAt(table, 0xfff), "outside");
  EXPECT_EQ(RuleAt(table, 0x1107), "rsp+24");
  EXPECT_EQ(RuleAt(table, 0x1108), "outside");
}

TEST(CallFramesTest, FunctionsNeedNotBeSorted) {
  const UnwindTable table =
      Build(CfiBuilder().Cie().Fde(0x2000, 8, {kDefCfaOffset, 24}).Fde(0x1000, 8, {}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 rsp+8", "1008 none", "2000 rsp+24"));
}

TEST(CallFramesTest, AThreadsFirstFunctionIsTheRoot) {
  EXPECT_THAT(Rows(Build(CfiBuilder().Cie().Fde(0x1000, 4, {kUndefined, kRa}))),
              ElementsAre("1000 root"));
}

TEST(CallFramesTest, ALinkageTableIsOneRow) {
  // rsp + 8 + ((rip & 15) >= 11) * 8
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(
      0x1000, 0x40, {kDefCfaExpression, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24,
                     0x22}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 rsp+8 stub 11"));
}

TEST(CallFramesTest, AFrameThatRealignsTheStackFindsItsCfaInMemory) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(
      0x1000, 0x40, {kDefCfaExpression, 3, 0x76, 0x78, 0x06,  // [rbp - 8]
                     kExpression, kRbp, 2, 0x76, 0}));        // rbp at [rbp]
  EXPECT_THAT(Rows(table), ElementsAre("1000 [rbp+-8]+0 rbp@fp0"));
}

TEST(CallFramesTest, ASignalFrameIsRecognised) {
  const std::vector<uint8_t> program = {
      kDefCfaExpression, 4, 0x77, 0xa0, 0x01, 0x06,  // [rsp + 160]
      kExpression, kRbp, 3, 0x77, 0xf8, 0,           // rsp + 120
      kExpression, kRa, 3, 0x77, 0xa8, 0x01};        // rsp + 168
  EXPECT_THAT(Rows(Build(CfiBuilder().Cie("zRS").Fde(0x1000, 0x10, program))),
              ElementsAre("1000 signal"));
  EXPECT_THAT(Rows(Build(CfiBuilder().Cie("zR").Fde(0x1000, 0x10, program))),
              ElementsAre("1000 other"));
}

TEST(CallFramesTest, WhatIsNotUnderstoodIsKnownToBe) {
  const UnwindTable table = Build(CfiBuilder()
                                      .Cie()
                                      .Fde(0x1000, 0x10, {kDefCfaExpression, 2, 0x35, 0x36})
                                      .Fde(0x1010, 0x10, {kExpression, kRbp, 2, 0x73, 0}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 other"));
}

TEST(CallFramesTest, DebugFrameFillsTheGapsOfEhFrame) {
  CfiBuilder eh, debug(false);
  eh.Cie().Fde(0x1010, 0x10, {kDefCfaOffset, 24});
  debug.Cie().Fde(0x1000, 0x40, {kDefCfaOffset, 32, kAdvance | 0x28, kDefCfaOffset, 40});
  EXPECT_THAT(Rows(Build({SectionOf(eh), SectionOf(debug)})),
              ElementsAre("1000 rsp+32", "1010 rsp+24", "1020 rsp+32", "1028 rsp+40"));
}

TEST(CallFramesTest, OfOverlappingFunctionsTheFirstIsBelieved) {
  const UnwindTable table = Build(
      CfiBuilder().Cie().Fde(0x1000, 0x20, {}).Fde(0x1008, 0x30, {kDefCfaOffset, 24}));
  EXPECT_THAT(Rows(table), ElementsAre("1000 rsp+8", "1020 rsp+24"));
}

TEST(CallFramesTest, AProgramThatIsDamagedCoversNoCode) {
  for (const std::vector<uint8_t>& program :
       {std::vector<uint8_t>{0x3f},                                // no instruction
        std::vector<uint8_t>{kRestoreState},                       // of nothing
        std::vector<uint8_t>{kAdvance | 0x3f},                     // beyond the function
        std::vector<uint8_t>{kDefCfaExpression, 0x7f, 0x77, 8},    // longer than the program
        std::vector<uint8_t>(65, kRememberState)}) {
    const UnwindTable table =
        Build(CfiBuilder().Cie().Fde(0x1000, 0x20, program).Fde(0x2000, 0x20, {}));
    EXPECT_THAT(Rows(table), ElementsAre("2000 rsp+8"));
  }
}

TEST(CallFramesTest, ACieThatIsNotUnderstoodHasNoFunctions) {
  EXPECT_TRUE(Build(CfiBuilder().Cie("zX").Fde(0x1000, 4, {})).empty());
  EXPECT_TRUE(Build(CfiBuilder().Cie("zR", {kAdvance | 1}).Fde(0x1000, 4, {})).empty());
}

TEST(CallFramesTest, ASectionCutAnywhereIsHarmless) {
  const CfiBuilder cfi = CfiBuilder().Cie().Fde(0x1000, 0x20, {kAdvance | 1, kDefCfaOffset, 16});
  for (size_t size = 0; size < cfi.bytes().size(); ++size) {
    CallFrameSection section = SectionOf(cfi);
    section.bytes = section.bytes.first(size);
    EXPECT_TRUE(Build({section}).empty()) << size;
  }
}

TEST(CallFramesTest, LongCodeIsFoundThroughItsBuckets) {
  CfiBuilder cfi;
  cfi.Cie();
  for (uint64_t i = 0; i < 400; ++i) {
    cfi.Fde(0x1000 + i * 100, 100, {kDefCfaOffset, static_cast<uint8_t>(8 + i % 7 * 8)});
  }
  const UnwindTable table = Build(cfi);
  EXPECT_EQ(table.size(), 40'000u);
  for (uint64_t at = 0; at < table.size(); ++at) {
    ASSERT_EQ(RuleAt(table, 0x1000 + at), absl::StrCat("rsp+", 8 + at / 100 % 7 * 8)) << at;
  }
}

std::string BytesOf(const CfiBuilder& cfi) {
  return std::string(cfi.bytes().begin(), cfi.bytes().end());
}

// Of a file with `bytes` of code at 0x1000.
ElfBuilder FileWithCode(uint64_t bytes) {
  ElfBuilder file;
  file.Segment(ElfBuilder::kContent, 0x1000, bytes, bytes, PF_R | PF_X);
  file.Content(std::string(bytes, '\xcc'));
  return file;
}

ElfFile Opened(const ElfBuilder& builder) {
  absl::StatusOr<ElfFile> file = ElfFile::Open(FileOf(builder.Build()), "file");
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

// As .debug_frame.
std::string Packed(const CfiBuilder& cfi, uint64_t announced) {
  uLongf size = ::compressBound(cfi.bytes().size());
  std::string packed(size, '\0');
  EXPECT_EQ(::compress(reinterpret_cast<Bytef*>(packed.data()), &size, cfi.bytes().data(),
                       cfi.bytes().size()),
            Z_OK);
  Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_reserved = 0, .ch_size = announced,
                       .ch_addralign = 8};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) +
         packed.substr(0, size);
}

TEST(CallFramesTest, ACompressedSectionIsUnpacked) {
  CfiBuilder cfi(/*is_eh_frame=*/false, 0);
  cfi.Cie().Fde(0x1000, 0x20, {kDefCfaOffset, 24});
  ElfBuilder file = FileWithCode(0x100);
  file.CompressedSection(".debug_frame", Packed(cfi, cfi.bytes().size()));
  const absl::StatusOr<UnwindTable> table = CallFrames(Opened(file)).Build();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(Rows(*table), ElementsAre("1000 rsp+24"));
}

TEST(CallFramesTest, ASectionThatWouldBeTooLargeUnpackedIsNot) {
  CfiBuilder cfi(/*is_eh_frame=*/false, 0);
  cfi.Cie().Fde(0x1000, 0x20, {});
  ElfBuilder file = FileWithCode(0x100);
  file.CompressedSection(".debug_frame", Packed(cfi, uint64_t{1} << 40));
  const CallFrames frames(Opened(file));
  EXPECT_TRUE(frames.too_large());
  EXPECT_TRUE(frames.Build()->empty());
}

TEST(CallFramesTest, ADebugFileSaysWhatTheFileLacks) {
  CfiBuilder own, separate(/*is_eh_frame=*/false, 0);
  own.Cie().Fde(0x1000, 0x20, {kDefCfaOffset, 16});
  separate.Cie().Fde(0x1000, 0x20, {kDefCfaOffset, 24}).Fde(0x1020, 0xe0, {kDefCfaOffset, 32});
  ElfBuilder file = FileWithCode(0x100), debug;
  file.NamedSection(".eh_frame", own.address(), BytesOf(own));
  debug.NamedSection(".debug_frame", 0, BytesOf(separate));
  CallFrames frames(Opened(file));
  EXPECT_TRUE(frames.lacks_much());
  frames.AddDebugFile(Opened(debug));
  const absl::StatusOr<UnwindTable> table = frames.Build();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(Rows(*table), ElementsAre("1000 rsp+16", "1020 rsp+32"));
}

TEST(CallFramesTest, AFileThatDescribesNearlyAllOfItsCodeLacksLittle) {
  for (bool is_eh_frame : {true, false}) {
    CfiBuilder cfi(is_eh_frame);
    cfi.Cie().Fde(0x1000, 0x80, {}).Cie().Fde(0x1080, 0x70, {});
    ElfBuilder file = FileWithCode(0x100);
    file.NamedSection(is_eh_frame ? ".eh_frame" : ".debug_frame", cfi.address(), BytesOf(cfi));
    EXPECT_FALSE(CallFrames(Opened(file)).lacks_much()) << is_eh_frame;
  }
}

// Each goes up to where all end, so that reading them all would take the square of their number.
TEST(CallFramesTest, CiesThatOverlapAreNotAllBelieved) {
  constexpr uint32_t kCies = 64, kBytes = 16;
  std::vector<uint8_t> bytes;
  auto put = [&bytes](auto value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), p, p + sizeof(value));
  };
  for (uint32_t i = 0; i < kCies; ++i) {
    put(uint32_t{(kCies - i) * kBytes - 4});
    put(uint32_t{0xffffffff});
    for (uint8_t byte : {1, 0, 1, 0x78, int{kRa}, 0, 0, 0}) put(byte);
  }
  for (uint32_t i = 0; i < kCies; ++i) {
    put(uint32_t{20});
    put(uint32_t{i * kBytes});
    put(uint64_t{0x1000 + i});
    put(uint64_t{1});
  }
  const uint64_t described = cfi::DescribedBytes(bytes, 0, /*is_eh_frame=*/false);
  EXPECT_GT(described, 0u);
  EXPECT_LT(described, kCies);
}

TEST(UnwindTableTest, ItsWordsMakeTheSameTable) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(0x1000, 8, {}).Fde(0x2100, 8, {}));
  auto copy = UnwindTable::FromWords(table.begin(), table.size(), table.row_count(),
                                     table.rule_count(), table.words());
  ASSERT_TRUE(copy);
  EXPECT_EQ(Rows(*copy), Rows(table));
}

TEST(UnwindTableTest, WordsThatPointOutsideMakeNone) {
  const UnwindTable table = Build(CfiBuilder().Cie().Fde(0x1000, 8, {}).Fde(0x2100, 8, {}));
  auto make = [&](std::vector<uint64_t> words, uint32_t rows, uint32_t rules) {
    return UnwindTable::FromWords(table.begin(), table.size(), rows, rules, std::move(words))
        .has_value();
  };
  ASSERT_TRUE(make(table.words(), table.row_count(), table.rule_count()));
  EXPECT_FALSE(make(table.words(), table.row_count() + 1, table.rule_count()));
  EXPECT_FALSE(make(table.words(), table.row_count(), table.rule_count() - 1));
  EXPECT_FALSE(make({}, 0, 0));
  for (uint32_t i = 0; i < table.rules_at() * 2; ++i) {
    std::vector<uint64_t> words = table.words();
    const uint64_t half = words[i / 2] >> i % 2 * 32 & UINT32_MAX;
    auto with = [&](uint64_t other) {
      words[i / 2] = table.words()[i / 2] ^ (half ^ other) << i % 2 * 32;
      return make(words, table.row_count(), table.rule_count());
    };
    if (i == 5 || i == 9) continue;  // padding
    EXPECT_TRUE(with(half)) << i;
    EXPECT_FALSE(with(half | ~uint64_t{0} << 31)) << i;  // a bucket's first row, a row's rule
    EXPECT_FALSE(with(half | 0xfffffc00)) << i;
    if (i >= table.rows_at() * 2) continue;
    EXPECT_FALSE(with(half + JP_BUCKET_BYTES)) << i;  // another row
    EXPECT_FALSE(with(half + 1)) << i;                // another count of rows
    EXPECT_FALSE(with((half - 1) & UINT32_MAX)) << i;
  }
}

TEST(UnwindTableTest, WordsWhoseRowsAreOutOfOrderMakeNone) {
  const UnwindTable table =
      Build(CfiBuilder().Cie().Fde(0x1000, 32, {0x48, kDefCfaOffset, 16, 0x48, kDefCfaOffset, 24}));
  ASSERT_EQ(table.row_count(), 3u);
  std::vector<uint64_t> words = table.words();
  auto make = [&] {
    return UnwindTable::FromWords(table.begin(), table.size(), table.row_count(),
                                  table.rule_count(), words)
        .has_value();
  };
  uint64_t& rows = words[table.rows_at()];
  ASSERT_TRUE(make());
  rows += 1;  // the first one begins behind the table's begin
  EXPECT_FALSE(make());
  rows -= 1;
  rows += uint64_t{8} << 32;  // the second where the third does
  EXPECT_FALSE(make());
  rows -= uint64_t{16} << 32;  // where the first does
  EXPECT_FALSE(make());
}

}  // namespace
}  // namespace jprof
