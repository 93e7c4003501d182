#include "symbolize/symbolizer.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "symbolize/elf_file.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

// Code at 0x1000 to 0x3000, its offsets equal to its addresses, in sections [0x1000, 0x2000) and
// [0x2000, 0x3000).
ElfBuilder Code() {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x1000, 0x2000, 0x2000, PF_R | PF_X)
      .CodeSection(0x1000, 0x1000)
      .CodeSection(0x2000, 0x1000);
  return builder;
}

ImageQuery Query(UniqueFd file, const std::vector<uint64_t>& offsets) {
  ImageQuery query;
  query.file = std::move(file);
  query.path = "test.so";
  for (uint64_t offset : offsets) query.offsets.push_back({offset});
  return query;
}

ImageQuery Symbolize(UniqueFd file, const std::vector<uint64_t>& offsets) {
  std::vector<ImageQuery> queries;
  queries.push_back(Query(std::move(file), offsets));
  SymbolizeImages(queries, 1);
  return std::move(queries[0]);
}

std::vector<std::string> Names(const ElfBuilder& builder, const std::vector<uint64_t>& offsets) {
  ImageQuery query = Symbolize(FileOf(builder.Build()), offsets);
  EXPECT_TRUE(query.status.ok()) << query.status;
  std::vector<std::string> names;
  for (const SymbolName& name : query.names) names.push_back(name.name);
  return names;
}

TEST(SymbolizerTest, SymbolCoversItsSize) {
  EXPECT_THAT(Names(Code().Symbol("f", 0x1100, 0x10).Symbol("g", 0x1110, 0x10),
                    {0x10ff, 0x1100, 0x110f, 0x1110, 0x111f, 0x1120}),
              ElementsAre("", "f", "f", "g", "g", ""));
}

TEST(SymbolizerTest, SymbolMayCoverAllAddresses) {
  ElfBuilder all;
  all.Segment(0x1000, 0, 0x1000, 0x1000, PF_R | PF_X).CodeSection(0, 0x1000);
  all.Symbol("f", 0, UINT64_MAX);
  EXPECT_THAT(Names(all, {0x1000}), ElementsAre("f"));
  EXPECT_THAT(Names(all, {0x1000, 0x1001, 0x1fff}), ElementsAre("f", "f", "f"));
}

TEST(SymbolizerTest, InnermostOfNestedSymbolsWins) {
  EXPECT_THAT(Names(Code().Symbol("inner", 0x1110, 0x10).Symbol("outer", 0x1100, 0x100),
                    {0x1100, 0x110f, 0x1110, 0x111f, 0x1120, 0x11ff, 0x1200}),
              ElementsAre("outer", "outer", "inner", "inner", "outer", "outer", ""));
}

TEST(SymbolizerTest, SymbolWithoutASizeReachesToTheNextOne) {
  EXPECT_THAT(
      Names(Code().Symbol("label", 0x1100, 0).Symbol("g", 0x1110, 0x10).Symbol("other", 0x1200, 0),
            {0x10ff, 0x1100, 0x110f, 0x1110, 0x1120, 0x11ff, 0x1200, 0x1fff}),
      ElementsAre("", "label", "label", "g", "", "", "other", "other"));
}

TEST(SymbolizerTest, SymbolWithoutASizeEndsWithItsSection) {
  EXPECT_THAT(Names(Code().Symbol("_init", 0x1100, 0), {0x1fff, 0x2000}), ElementsAre("_init", ""));
}

TEST(SymbolizerTest, LabelInsideAFunctionIsNotItsName) {
  EXPECT_THAT(Names(Code().Symbol("f", 0x1100, 0x100).Symbol("label", 0x1180, 0, STT_NOTYPE),
                    {0x1180, 0x11ff, 0x1200}),
              ElementsAre("f", "f", ""));
}

TEST(SymbolizerTest, GlobalBeforeLocalBeforeWeak) {
  auto symbols = [](uint8_t a, uint8_t b) {
    return Names(
        Code().Symbol("a", 0x1100, 0x10, STT_FUNC, a).Symbol("b", 0x1100, 0x10, STT_FUNC, b),
        {0x1108})[0];
  };
  EXPECT_EQ(symbols(STB_LOCAL, STB_GLOBAL), "b");
  EXPECT_EQ(symbols(STB_WEAK, STB_GLOBAL), "b");
  EXPECT_EQ(symbols(STB_WEAK, STB_LOCAL), "b");
  EXPECT_EQ(symbols(STB_GLOBAL, STB_LOCAL), "a");
  EXPECT_EQ(symbols(STB_GLOBAL, STB_GLOBAL), "a");
}

TEST(SymbolizerTest, FunctionBeforeUntypedAndNeverAnObject) {
  EXPECT_THAT(Names(Code()
                        .Symbol("untyped", 0x1100, 0x10, STT_NOTYPE)
                        .Symbol("function", 0x1100, 0x10)
                        .Symbol("object", 0x1120, 0x10, STT_OBJECT)
                        .Symbol("chosen", 0x1130, 0x10, STT_GNU_IFUNC),
                    {0x1108, 0x1128, 0x1138}),
              ElementsAre("function", "", "chosen"));
}

TEST(SymbolizerTest, SizedBeforeUnsized) {
  EXPECT_THAT(Names(Code().Symbol("label", 0x1100, 0).Symbol("f", 0x1100, 0x10, STT_FUNC, STB_WEAK),
                    {0x1100, 0x1110}),
              ElementsAre("f", ""));
}

TEST(SymbolizerTest, BothTablesAreSearched) {
  EXPECT_THAT(Names(Code()
                        .Symbol("both", 0x1100, 0x10)
                        .DynamicSymbol("both_dynamic", 0x1100, 0x10)
                        .DynamicSymbol("exported", 0x1200, 0x10),
                    {0x1100, 0x1200}),
              ElementsAre("both", "exported"));
}

TEST(SymbolizerTest, NamesAreDemangledAndFreedOfTheirVersion) {
  ImageQuery query = Symbolize(FileOf(Code()
                                          .Symbol("_ZN1A3runEi", 0x1100, 0x10)
                                          .Symbol("memcpy@@GLIBC_2.14", 0x1110, 0x10)
                                          .Symbol("Builtins_ArrayMap", 0x1120, 0x10)
                                          .Build()),
                               {0x1100, 0x1110, 0x1120});
  EXPECT_EQ(query.names[0].name, "A::run(int)");
  EXPECT_EQ(query.names[0].system_name, "_ZN1A3runEi");
  EXPECT_EQ(query.names[1].name, "memcpy");
  EXPECT_EQ(query.names[1].system_name, "memcpy@@GLIBC_2.14");
  EXPECT_EQ(query.names[2].name, "Builtins_ArrayMap");
}

TEST(SymbolizerTest, OffsetsAreConvertedAlsoWhereNothingHasAName) {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x401000, 0x1000, 0x1000, PF_R | PF_X)
      .Segment(0x2000, 0x301000, 0x1000, 0x1000, PF_R | PF_X)
      .Symbol("f", 0x401100, 0x10)
      .Symbol("g", 0x301100, 0x10)
      .BuildId("\xab\xcd");
  ImageQuery query = Symbolize(FileOf(builder.Build()), {0x10, 0x1100, 0x1200, 0x2100, 0x9000});
  EXPECT_EQ(query.build_id, "abcd");
  ASSERT_EQ(query.names.size(), 5u);
  EXPECT_EQ(query.names[0].address, 0u);
  EXPECT_EQ(query.names[1].address, 0x401100u);
  EXPECT_EQ(query.names[1].name, "f");
  EXPECT_EQ(query.names[2].address, 0x401200u);
  EXPECT_EQ(query.names[2].name, "");
  EXPECT_EQ(query.names[3].address, 0x301100u);
  EXPECT_EQ(query.names[3].name, "g");
  EXPECT_EQ(query.names[4].address, 0u);
}

TEST(SymbolizerTest, EachImageSaysWhyItHasNoNames) {
  std::vector<ImageQuery> queries;
  queries.push_back(Query(FileOf("no ELF file"), {0x1000}));
  queries.push_back(Query(UniqueFd(), {0x1000}));
  queries.push_back(Query(FileOf(Code().BuildId("\x12").Build()), {0x1000}));
  queries.push_back(Query(FileOf(Code().Symbol("f", 0x1100, 0x10).Build()), {0x1100}));
  queries.push_back(Query(FileOf(Code().Symbol("f", 0x1100, 0x10).Build()), {}));
  SymbolizeImages(queries, 3);
  EXPECT_TRUE(absl::IsInvalidArgument(queries[0].status));
  EXPECT_FALSE(queries[1].status.ok());
  EXPECT_TRUE(absl::IsNotFound(queries[2].status));
  EXPECT_EQ(queries[2].build_id, "12");
  EXPECT_TRUE(queries[3].status.ok());
  EXPECT_TRUE(queries[4].status.ok());
  for (const ImageQuery& query : queries) {
    EXPECT_EQ(query.names.size(), query.offsets.size());
    EXPECT_FALSE(query.file.valid()) << "the file is closed";
  }
  EXPECT_EQ(queries[3].names[0].name, "f");
}

TEST(SymbolizerTest, ManyImagesOnAnyNumberOfThreads) {
  for (int threads : {-1, 0, 1, 2, 8, 100}) {
    std::vector<ImageQuery> queries;
    for (int i = 0; i < 50; ++i) {
      queries.push_back(
          Query(FileOf(Code().Symbol(absl::StrCat("f", i), 0x1100, 0x10).Build()), {0x1100}));
    }
    SymbolizeImages(queries, threads);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(queries[i].names[0].name, absl::StrCat("f", i));
  }
}

// Second opinion: the definition, asked for each offset on its own.
TEST(SymbolizerTest, AgreesWithAskingEverySymbol) {
  struct Symbol {
    std::string name;
    uint64_t begin, size;
    uint8_t type, binding;
  };
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    ElfBuilder builder = Code();
    std::vector<Symbol> symbols;
    for (int i = 0; i < 40; ++i) {
      const uint8_t bindings[] = {STB_LOCAL, STB_GLOBAL, STB_WEAK};
      symbols.push_back({absl::StrCat("s", i), 0x1f80 + random() % 0x100,
                         random() % 3 == 0 ? 0 : random() % 0x30,
                         static_cast<uint8_t>(random() % 4 == 0 ? STT_NOTYPE : STT_FUNC),
                         bindings[random() % 3]});
      const Symbol& s = symbols.back();
      builder.Symbol(s.name, s.begin, s.size, s.type, s.binding);
    }
    std::vector<uint64_t> offsets;
    std::vector<std::string> expected;
    for (uint64_t a = 0x1f70; a < 0x20c0; a += 1 + random() % 3) {
      offsets.push_back(a);
      const Symbol* best = nullptr;
      auto better = [](const Symbol& x, const Symbol& y) {
        auto rank = [](const Symbol& s) {
          return (s.binding == STB_GLOBAL  ? 4
                  : s.binding == STB_LOCAL ? 2
                                           : 0) +
                 (s.type == STT_FUNC);
        };
        if (x.begin != y.begin) return x.begin > y.begin;
        if (x.size != y.size) return x.size < y.size;
        return rank(x) > rank(y);
      };
      for (const Symbol& s : symbols) {
        if (s.size > 0 && s.begin <= a && a < s.begin + s.size && (!best || better(s, *best)))
          best = &s;
      }
      if (best == nullptr) {
        for (const Symbol& s : symbols) {
          if (s.size == 0 && s.begin <= a && (!best || better(s, *best))) best = &s;
        }
        for (const Symbol& s : symbols) {
          if (best && s.size > 0 && s.begin + s.size > best->begin && s.begin + s.size <= a) {
            best = nullptr;
          }
        }
        if (best && (best->begin < 0x2000) != (a < 0x2000)) best = nullptr;
      }
      expected.push_back(best == nullptr ? "" : best->name);
    }
    ASSERT_EQ(Names(builder, offsets), expected) << round;
  }
}

TEST(SymbolizerTest, NestedSymbolsDoNotMultiplyTheWork) {
  ElfBuilder builder = Code();
  for (int i = 0; i < 100'000; ++i) builder.Symbol("f", 0x1000, 0x2000 - i % 64);
  std::vector<uint64_t> offsets;
  for (uint64_t a = 0x1000; a < 0x3000; ++a) offsets.push_back(a);
  EXPECT_THAT(Names(builder, offsets), Not(testing::Contains("")));
}

// What `command` prints, line by line.
std::vector<std::string> LinesOf(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  char chunk[4096];
  for (size_t n; (n = std::fread(chunk, 1, sizeof(chunk), pipe)) > 0;) text.append(chunk, n);
  ::pclose(pipe);
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

bool HaveTool(const char* tool) {
  return std::system(absl::StrCat("command -v ", tool, " >/dev/null").c_str()) == 0;
}

// This program without its debug information, so that addr2line has the same source of names.
class BinutilsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* tool : {"objcopy", "nm", "addr2line", "objdump"}) {
      ASSERT_TRUE(HaveTool(tool)) << "needs " << tool;
    }
    path_ = absl::StrCat(testing::TempDir(), "symbolizer-test-", ::getpid());
    std::string self(4096, '\0');
    self.resize(static_cast<size_t>(::readlink("/proc/self/exe", self.data(), self.size())));
    ASSERT_EQ(std::system(absl::StrCat("objcopy -g '", self, "' '", path_, "'").c_str()), 0);
  }
  void TearDown() override { std::remove(path_.c_str()); }

  UniqueFd Open() { return UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)); }

  ImageQuery Ask(const std::vector<uint64_t>& addresses) {
    auto file = ElfFile::Open(Open(), path_);
    EXPECT_TRUE(file.ok()) << file.status();
    std::vector<uint64_t> offsets;
    for (uint64_t a : addresses) offsets.push_back(file->ToFileOffset({a})->value);
    ImageQuery query = Symbolize(Open(), offsets);
    for (size_t i = 0; i < addresses.size(); ++i) EXPECT_EQ(query.names[i].address, addresses[i]);
    return query;
  }

  std::string path_;
};

TEST_F(BinutilsTest, NamesAreThoseOfAddr2line) {
  // Functions as nm has them: "address size type name".
  std::map<std::string, std::set<std::pair<uint64_t, uint64_t>>> ranges;
  std::vector<std::pair<uint64_t, uint64_t>> functions;
  for (const std::string& line : LinesOf(absl::StrCat("nm -S '", path_, "'"))) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    uint64_t begin, size;
    if (words.size() != 4 || std::string("tTwWiu").find(words[2]) == std::string::npos ||
        !absl::SimpleHexAtoi(words[0], &begin) || !absl::SimpleHexAtoi(words[1], &size)) {
      continue;
    }
    ranges[words[3]].insert({begin, size});
    functions.push_back({begin, size});
  }
  ASSERT_GT(functions.size(), 500u);
  std::mt19937 random(11);
  std::shuffle(functions.begin(), functions.end(), random);
  std::set<uint64_t> chosen;
  for (const auto& [begin, size] : functions) {
    if (chosen.size() < 500) chosen.insert(begin + random() % size);
  }
  const std::vector<uint64_t> addresses(chosen.begin(), chosen.end());

  std::string command = absl::StrCat("addr2line -f -e '", path_, "'");
  for (uint64_t a : addresses) absl::StrAppendFormat(&command, " %x", a);
  const std::vector<std::string> theirs = LinesOf(command);
  ASSERT_EQ(theirs.size(), 2 * addresses.size());

  ImageQuery query = Ask(addresses);
  for (size_t i = 0; i < addresses.size(); ++i) {
    const std::string& ours = query.names[i].system_name;
    // Of several names of one piece of code either may be given.
    EXPECT_TRUE(ours == theirs[2 * i] || ranges[ours] == ranges[theirs[2 * i]])
        << std::hex << addresses[i] << ": " << ours << ", addr2line: " << theirs[2 * i];
    EXPECT_EQ(ranges.count(ours), 1u) << ours;
  }
}

TEST_F(BinutilsTest, LinkageStubsAreThoseOfObjdump) {
  std::map<uint64_t, std::string> stubs;
  for (const std::string& line :
       LinesOf(absl::StrCat("objdump -d --no-show-raw-insn -j .plt -j .plt.sec -j .plt.got '",
                            path_, "' 2>/dev/null | grep '@plt>:'"))) {
    std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(" <", 1));
    uint64_t address;
    ASSERT_TRUE(absl::SimpleHexAtoi(parts[0], &address)) << line;
    stubs[address] = parts[1].substr(0, parts[1].size() - 2);
  }
  ASSERT_FALSE(stubs.empty()) << "the compiler made no stubs";
  std::vector<uint64_t> addresses;
  std::vector<std::string> expected;
  for (const auto& [address, name] : stubs) {
    addresses.push_back(address + 4);
    expected.push_back(name);
  }
  ImageQuery query = Ask(addresses);
  std::vector<std::string> names;
  for (const SymbolName& name : query.names) names.push_back(name.system_name);
  EXPECT_EQ(names, expected);
}

TEST(IsBetterNameTest, ASymbolHasTheScopeThatDwarfLeavesOut) {
  const SymbolName scoped{.name = "app::Local::Run()", .system_name = "_ZN3app5Local3RunEv"};
  EXPECT_TRUE(IsBetterName(scoped, {.name = "Run"}));
  EXPECT_FALSE(IsBetterName(scoped, {.name = "app::Local::Run()",
                                     .linkage_name = "_ZN3app5Local3RunEv"}));
  EXPECT_FALSE(IsBetterName({}, {.name = "Run"}));
}

TEST(IsBetterNameTest, WhatOthersCallItGoesBeforeALibrarysOwnName) {
  const SymbolName malloc{.name = "malloc", .system_name = "malloc"};
  EXPECT_TRUE(
      IsBetterName(malloc, {.name = "__libc_malloc", .linkage_name = "__GI___libc_malloc"}));
  EXPECT_FALSE(IsBetterName({.name = "__libc_malloc", .system_name = "__libc_malloc"},
                            {.name = "malloc"}));
  // A part of a function that gcc has moved is the function.
  EXPECT_FALSE(IsBetterName({.name = "work.cold", .system_name = "work.cold"}, {.name = "work"}));
}

}  // namespace
}  // namespace jprof
