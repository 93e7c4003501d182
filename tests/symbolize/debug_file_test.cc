#include "symbolize/debug_file.h"

#include <fcntl.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "symbolize/symbolizer.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

ElfBuilder Code() {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x1000, 0x1000, 0x1000, PF_R | PF_X).CodeSection(0x1000, 0x1000);
  return builder;
}

uint32_t Checksum(const std::string& bytes) {
  return static_cast<uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string LinkTo(std::string name, uint32_t checksum) {
  name.resize((name.size() + 4) / 4 * 4, '\0');
  name.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  return name;
}

std::string Packed(const std::string& bytes) {
  std::string packed(::lzma_stream_buffer_bound(bytes.size()), '\0');
  size_t size = 0;
  EXPECT_EQ(::lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr,
                                      reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                                      reinterpret_cast<uint8_t*>(packed.data()), &size,
                                      packed.size()),
            LZMA_OK);
  packed.resize(size);
  return packed;
}

// Hands out what a test says, and remembers what it was asked.
struct ScriptedFinder : DebugFileFinder {
  std::vector<std::string> here;
  std::vector<std::string> downloads;
  std::vector<Request> requests;

  std::vector<UniqueFd> Find(size_t, const Request& request) override {
    requests.push_back(request);
    std::vector<UniqueFd> found;
    for (const std::string& bytes : request.download ? downloads : here) {
      found.push_back(FileOf(bytes));
    }
    return found;
  }
};

ImageQuery Ask(const std::string& bytes, std::vector<uint64_t> offsets, DebugFileFinder* finder) {
  std::vector<ImageQuery> queries(1);
  queries[0].file = FileOf(bytes);
  queries[0].path = "/usr/lib/test.so";
  for (uint64_t offset : offsets) queries[0].offsets.push_back({offset});
  SymbolizeImages(queries, 1, finder);
  return std::move(queries[0]);
}

std::vector<std::string> NamesOf(const ImageQuery& query) {
  std::vector<std::string> names;
  for (const SymbolName& name : query.names) names.push_back(name.name);
  return names;
}

TEST(DebugFileTest, LinkIsAPlainFileName) {
  auto link_of = [](const std::string& content) {
    auto file = ElfFile::Open(
        FileOf(Code().NamedSection(".gnu_debuglink", 0, content).Build()), "test");
    return ReadDebugLink(*file);
  };
  auto link = link_of(LinkTo("test.debug", 0x12345678));
  ASSERT_TRUE(link.has_value());
  EXPECT_EQ(link->name, "test.debug");
  EXPECT_EQ(link->checksum, 0x12345678u);
  EXPECT_FALSE(link_of(LinkTo("../test.debug", 1)));
  EXPECT_FALSE(link_of(LinkTo("/etc/passwd", 1)));
  EXPECT_FALSE(link_of(LinkTo("..", 1)));
  EXPECT_FALSE(link_of(LinkTo("", 1)));
  EXPECT_FALSE(link_of("no end"));
  EXPECT_FALSE(link_of(std::string("cut\0\1\2", 6)));
}

TEST(DebugFileTest, StrippedFileIsNamedByTheDebugFileOfItsBuildId) {
  ScriptedFinder finder;
  finder.here = {"no ELF file", Code().BuildId("\x02").Symbol("wrong", 0x1100, 0x10).Build(),
                 Code().BuildId("\x01").Symbol("f", 0x1100, 0x10).Build()};
  const std::string stripped =
      Code().BuildId("\x01").DynamicSymbol("exported", 0x1200, 0x10).Build();
  ImageQuery query = Ask(stripped, {0x1104, 0x1204}, &finder);
  EXPECT_THAT(NamesOf(query), ElementsAre("f", "exported"));
  EXPECT_FALSE(query.is_stripped);
  ASSERT_EQ(finder.requests.size(), 1u);
  EXPECT_EQ(finder.requests[0].build_id, "01");
}

TEST(DebugFileTest, WithoutABuildIdTheChecksumDecides) {
  const std::string debug = Code().Symbol("f", 0x1100, 0x10).Build();
  auto names_with = [&](uint32_t checksum) {
    ScriptedFinder finder;
    finder.here = {debug};
    return NamesOf(Ask(
        Code().NamedSection(".gnu_debuglink", 0, LinkTo("test.debug", checksum)).Build(), {0x1100},
        &finder));
  };
  EXPECT_THAT(names_with(Checksum(debug)), ElementsAre("f"));
  EXPECT_THAT(names_with(Checksum(debug) + 1), ElementsAre(""));
}

TEST(DebugFileTest, IsAskedForOnlyWhenSomethingHasNoName) {
  ScriptedFinder finder;
  finder.here = {Code().BuildId("\x01").Symbol("f", 0x1100, 0x10).Build()};
  Ask(Code().BuildId("\x01").DynamicSymbol("exported", 0x1200, 0x10).Build(), {0x1204}, &finder);
  Ask(Code().BuildId("\x01").Symbol("local", 0x1200, 0x10).Build(), {0x1104}, &finder);
  EXPECT_THAT(finder.requests, IsEmpty());
}

TEST(DebugFileTest, DownloadsComeLastAndByBuildIdOnly) {
  ScriptedFinder finder;
  finder.downloads = {Code().BuildId("\x01").Symbol("f", 0x1100, 0x10).Build()};
  EXPECT_THAT(NamesOf(Ask(Code().BuildId("\x01").Build(), {0x1104}, &finder)), ElementsAre("f"));
  ASSERT_EQ(finder.requests.size(), 2u);
  EXPECT_FALSE(finder.requests[0].download);
  EXPECT_TRUE(finder.requests[1].download);

  finder.requests.clear();
  Ask(Code().NamedSection(".gnu_debuglink", 0, LinkTo("test.debug", 1)).Build(), {0x1104}, &finder);
  ASSERT_EQ(finder.requests.size(), 1u);
  EXPECT_FALSE(finder.requests[0].download);
}

TEST(DebugFileTest, PackedSymbolsNameWhatTheDynamicOnesDoNot) {
  const std::string inner = Code().Symbol("hidden", 0x1100, 0x10).Build();
  ScriptedFinder finder;
  const std::string file = Code()
                               .BuildId("\x01")
                               .DynamicSymbol("exported", 0x1200, 0x10)
                               .NamedSection(".gnu_debugdata", 0, Packed(inner))
                               .Build();
  EXPECT_THAT(NamesOf(Ask(file, {0x1104, 0x1204}, &finder)), ElementsAre("hidden", "exported"));
  EXPECT_THAT(finder.requests, IsEmpty());
}

TEST(DebugFileTest, DamagedPackedSymbolsAreNone) {
  const std::string packed = Packed(Code().Symbol("hidden", 0x1100, 0x10).Build());
  for (size_t size = 0; size < packed.size(); size += 7) {
    std::string damaged = packed;
    damaged[size] = static_cast<char>(damaged[size] ^ 0x55);
    for (const std::string& content : {packed.substr(0, size), damaged}) {
      const std::string file = Code()
                                   .DynamicSymbol("exported", 0x1200, 0x10)
                                   .NamedSection(".gnu_debugdata", 0, content)
                                   .Build();
      EXPECT_EQ(NamesOf(Ask(file, {0x1204}, nullptr))[0], "exported");
    }
  }
}

TEST(DebugFileTest, PackedSymbolsEndWithTheBudget) {
  auto file = ElfFile::Open(
      FileOf(Code().NamedSection(".gnu_debugdata", 0, Packed(std::string(4 << 20, 'x'))).Build()),
      "test");
  WorkBudget budget({.steps = 100'000});
  EXPECT_FALSE(UnpackDebugData(*file, budget).ok());
  EXPECT_TRUE(budget.exhausted());
}

std::string BytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The program `inlines` whole, and split in two as a distribution does.
class SplitProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string program = TestProgram("inlines");
    const std::string stem = absl::StrCat(testing::TempDir(), "split-", ::getpid());
    const std::string stripped = stem + ".stripped";
    const std::string debug = stem + ".debug";
    ASSERT_EQ(
        std::system(absl::StrCat("objcopy --strip-all '", program, "' '", stripped,
                                 "' && objcopy --only-keep-debug --compress-debug-sections=zlib"
                                 " '",
                                 program, "' '", debug, "'")
                        .c_str()),
        0)
        << "needs objcopy";
    whole_ = BytesOf(program);
    stripped_ = BytesOf(stripped);
    debug_ = BytesOf(debug);
    ::unlink(stripped.c_str());
    ::unlink(debug.c_str());
    auto file = ElfFile::Open(FileOf(whole_), program);
    ASSERT_TRUE(file.ok()) << file.status();
    std::mt19937 random(1);
    ASSERT_TRUE(file->ForEachSymbolEntry(ElfFile::Table::kSymtab, [&](const auto& s) {
                      if (s.type == STT_FUNC && s.size > 0 && random() % 4 == 0) {
                        offsets_.push_back(
                            *file->ToFileOffset({s.address.value + random() % s.size}));
                      }
                      return true;
                    }).ok());
    std::sort(offsets_.begin(), offsets_.end());
    offsets_.erase(std::unique(offsets_.begin(), offsets_.end()), offsets_.end());
  }

  ImageQuery Name(const std::string& bytes, DebugFileFinder* finder) {
    std::vector<ImageQuery> queries(1);
    queries[0].file = FileOf(bytes);
    queries[0].path = "inlines";
    queries[0].offsets = offsets_;
    queries[0].want_source = true;
    SymbolizeImages(queries, 1, finder);
    return std::move(queries[0]);
  }

  // "function file:line" of each frame.
  static std::vector<std::string> Frames(const ImageQuery& query) {
    std::vector<std::string> frames;
    for (size_t i = 0; i < query.offsets.size(); ++i) {
      std::string text;
      for (const SourceFrame& f : query.source.FramesOf(i)) {
        absl::StrAppend(&text, query.source.functions[f.function].name, " ",
                        query.source.files[f.file], ":", f.line, ";");
      }
      frames.push_back(text);
    }
    return frames;
  }

  std::string whole_;
  std::string stripped_;
  std::string debug_;
  std::vector<FileOffset> offsets_;
};

TEST_F(SplitProgramTest, HasTheNamesAndLinesOfTheWhole) {
  const ImageQuery whole = Name(whole_, nullptr);
  ScriptedFinder finder;
  finder.here = {debug_};
  const ImageQuery split = Name(stripped_, &finder);
  EXPECT_EQ(NamesOf(split), NamesOf(whole));
  EXPECT_THAT(NamesOf(split), Not(testing::Contains("")));
  EXPECT_EQ(Frames(split), Frames(whole));
  EXPECT_GT(whole.source.frames.size(), offsets_.size());
}

TEST_F(SplitProgramTest, BudgetLeavesNoLines) {
  auto file = ElfFile::Open(FileOf(whole_), "inlines");
  std::vector<ElfAddress> addresses;
  for (FileOffset offset : offsets_) addresses.push_back(*file->ToElfAddress(offset));
  for (const WorkBudget::Limits& limits :
       {WorkBudget::Limits{.steps = 50'000}, WorkBudget::Limits{.bytes = 10'000},
        WorkBudget::Limits{.time = std::chrono::nanoseconds(0)}}) {
    WorkBudget budget(limits);
    SourceInfo info;
    EXPECT_TRUE(absl::IsResourceExhausted(FindSource(*file, nullptr, addresses, budget, &info)));
    EXPECT_THAT(info.frames, IsEmpty());
  }
}

TEST_F(SplitProgramTest, ParametersThatCostTooMuchCostNoLines) {
  auto file = ElfFile::Open(FileOf(whole_), "inlines");
  std::vector<ElfAddress> addresses;
  for (FileOffset offset : offsets_) addresses.push_back(*file->ToElfAddress(offset));
  WorkBudget frames_budget({});
  SourceInfo without;
  ASSERT_TRUE(FindSource(*file, nullptr, addresses, frames_budget, &without).ok());
  for (const WorkBudget::Limits& limits :
       {WorkBudget::Limits{}, WorkBudget::Limits{.steps = 5'000},
        WorkBudget::Limits{.time = -std::chrono::hours(1)}}) {
    WorkBudget budget({}), values_budget(limits);
    SourceInfo info;
    FrameValues values;
    const ParameterSearch parameters{values_budget, values};
    EXPECT_TRUE(FindSource(*file, nullptr, addresses, budget, &info, &parameters).ok());
    EXPECT_EQ(info.frames, without.frames);
    EXPECT_EQ(info.functions, without.functions);
    const bool is_enough = limits.steps == WorkBudget::Limits{}.steps && limits.time.count() > 0;
    EXPECT_EQ(values_budget.exhausted(), !is_enough);
    EXPECT_EQ(values.at.size(), is_enough ? addresses.size() : 0);
    EXPECT_EQ(values.types.empty(), !is_enough);
  }
}

TEST_F(SplitProgramTest, DamagedDebugSectionsCostLinesAtMost) {
  auto file = ElfFile::Open(FileOf(whole_), "inlines");
  const std::vector<absl::string_view> sections = {".debug_info",        ".debug_abbrev",
                                                   ".debug_line",        ".debug_rnglists",
                                                   ".debug_line_str"};
  const auto places = file->FindSections(sections);
  std::vector<ElfAddress> addresses;
  for (size_t i = 0; i < offsets_.size(); i += 8) {
    addresses.push_back(*file->ToElfAddress(offsets_[i]));
  }
  std::mt19937 random(2);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = whole_;
    for (int i = 0; i < 20; ++i) {
      const auto& place = places[random() % places.size()];
      ASSERT_TRUE(place.has_value());
      const uint64_t at = place->offset.value + random() % std::min<uint64_t>(place->size, 4096);
      bytes[at] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
    }
    auto damaged = ElfFile::Open(FileOf(bytes), "inlines");
    ASSERT_TRUE(damaged.ok());
    WorkBudget budget({.steps = 2'000'000});
    SourceInfo info;
    (void)FindSource(*damaged, nullptr, addresses, budget, &info);
    for (const SourceFrame& frame : info.frames) {
      ASSERT_LT(frame.function, info.functions.size());
      ASSERT_LT(frame.file, info.files.size());
    }
  }
}

}  // namespace
}  // namespace jprof
