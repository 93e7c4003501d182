#include "helpers/v8/v8_blob.h"

#include <string>

#include "gtest/gtest.h"
#include "symbolize/elf_file.h"
#include "tests/helpers/v8_blob_files.h"

namespace jprof::v8 {
namespace {

constexpr size_t kHandlers = 100;

std::optional<EmbeddedBlob> Find(const BlobFile& file, uint32_t version = 1306,
                                 size_t handlers = kHandlers) {
  auto image = ElfFile::Open(FileOf(file.Elf().Build()), "blob");
  EXPECT_TRUE(image.ok()) << image.status();
  return FindEmbeddedBlob(*image, version, handlers);
}

TEST(V8BlobTest, EachFormOfTheTableIsRead) {
  struct {
    uint32_t version;
    BlobSpec spec;
  } const cases[] = {
      {704, {16, 8, true}},    {801, {16, 8, true}},    {804, {16, 8, true}},
      {806, {16, 8, false}},   {900, {24, 16, false}},  {1001, {24, 16, false}},
      {1002, {24, 28, false}}, {1008, {24, 32, false}}, {1103, {24, 32, false}},
      {1108, {24, 12, false}}, {1406, {24, 12, false}},
  };
  for (const auto& c : cases) {
    const BlobFile file(c.spec);
    auto blob = Find(file, c.version);
    ASSERT_TRUE(blob.has_value()) << c.version;
    EXPECT_EQ(blob->begin.value, file.begin) << c.version;
    EXPECT_EQ(blob->end.value, file.End(599)) << c.version;
    EXPECT_EQ(blob->handlers.value, file.Begin(500)) << c.version;
  }
}

TEST(V8BlobTest, TableOfAnotherVersionIsNotRead) {
  EXPECT_FALSE(Find(BlobFile({24, 16, false})).has_value());
  EXPECT_FALSE(Find(BlobFile(), 703).has_value());
}

TEST(V8BlobTest, SizesBehindTheTableAreNoEntry) {
  BlobFile file;
  const uint32_t end = file.offsets.back() + file.lengths.back();
  BlobFile::Store(file.data, file.EntryAt(600), (end + 1 + 31) / 32 * 32);
  BlobFile::Store(file.data, file.EntryAt(600) + 4, 24 + 12 * 600);
  auto blob = Find(file);
  ASSERT_TRUE(blob.has_value());
  EXPECT_EQ(blob->end.value, file.End(599));
}

TEST(V8BlobTest, OneGapThatIsNotFilledIsEnoughToSayNo) {
  for (size_t builtin : {0, 1, 300, 598}) {
    BlobFile file;
    file.text[file.End(builtin) - BlobFile::kText] = '\x90';
    EXPECT_FALSE(Find(file).has_value()) << builtin;
  }
}

TEST(V8BlobTest, EntryThatDoesNotFollowEndsTheTable) {
  for (uint32_t offset : {uint32_t{0}, uint32_t{33}, uint32_t{1} << 31, UINT32_MAX}) {
    BlobFile file;
    BlobFile::Store(file.data, file.EntryAt(400), offset);
    EXPECT_FALSE(Find(file).has_value()) << offset;  // too few builtins for a V8
  }
  EXPECT_FALSE(Find(BlobFile({.builtins = 499})).has_value());
  EXPECT_TRUE(Find(BlobFile({.builtins = 500})).has_value());
}

TEST(V8BlobTest, HandlersMustBeSomeOfTheBuiltins) {
  EXPECT_FALSE(Find(BlobFile(), 1306, 0).has_value());
  EXPECT_FALSE(Find(BlobFile(), 1306, 600).has_value());
  EXPECT_TRUE(Find(BlobFile(), 1306, 599).has_value());
}

TEST(V8BlobTest, InstructionsMustLieInTheFile) {
  BlobFile file;
  file.text.resize(file.Begin(599) - BlobFile::kText);
  EXPECT_FALSE(Find(file).has_value());
  file.text.clear();
  EXPECT_FALSE(Find(file).has_value());
}

// Older builds have constants and code in one segment, most of it code.
TEST(V8BlobTest, TableIsNotLookedForInSectionsOfCode) {
  const BlobFile file;
  std::string content = file.data;
  content.resize(BlobFile::kText - BlobFile::kData);
  content += file.text;
  auto find = [&](uint64_t code) {
    ElfBuilder elf;
    elf.Segment(ElfBuilder::kContent, BlobFile::kData, content.size(), content.size(), PF_R | PF_X)
        .CodeSection(code, 0x8000)
        .Content(content);
    auto image = ElfFile::Open(FileOf(elf.Build()), "blob");
    EXPECT_TRUE(image.ok()) << image.status();
    return FindEmbeddedBlob(*image, 1306, kHandlers);
  };
  EXPECT_TRUE(find(BlobFile::kText).has_value());
  EXPECT_FALSE(find(BlobFile::kData).has_value());
}

// Files in which everything looks like the beginning of what is searched for.
TEST(V8BlobTest, SearchInHostileFilesEnds) {
  BlobFile breakpoints;
  breakpoints.text.assign(size_t{8} << 20, '\xcc');
  breakpoints.text[breakpoints.text.size() - 1] = '\x90';
  EXPECT_EQ(Find(breakpoints)->begin.value, BlobFile::kText);

  BlobFile tables;
  tables.data.clear();
  std::string start(64, '\0');
  BlobFile::Store(start, 28, 1);
  BlobFile::Store(start, 36, 32);
  BlobFile::Store(start, 40, 1);
  while (tables.data.size() < (size_t{8} << 20)) tables.data += start;
  EXPECT_FALSE(Find(tables).has_value());
}

// Every place looks like the beginning of the instructions, and only the last gap says no.
TEST(V8BlobTest, SearchAmongPlacesThatAllFitButForTheLastGapEnds) {
  constexpr size_t kBuiltins = 9999;
  BlobFile file;
  file.data = std::string(24, '\0');
  for (size_t i = 0; i < kBuiltins; ++i) {
    std::string entry(12, '\x01');
    BlobFile::Store(entry, 0, static_cast<uint32_t>(32 * i));
    BlobFile::Store(entry, 4, i + 2 == kBuiltins ? 1 : 31);
    file.data += entry;
  }
  file.data += std::string(4096, '\x11');
  std::string unit = std::string(31, '\x90') + '\xcc';
  file.text.clear();
  while (file.text.size() < (size_t{4} << 20)) file.text += unit;
  EXPECT_FALSE(Find(file).has_value());
}

}  // namespace
}  // namespace jprof::v8
