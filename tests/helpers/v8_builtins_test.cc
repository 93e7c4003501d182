// The table of builtins' names is found where pointers are constants and where they are relocated,
// and what only looks like it is not.
#include "helpers/v8/v8_builtins.h"

#include <elf.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kConstants = 0x400000;
constexpr size_t kEntry = 7;  // of the names
constexpr size_t kHandlers = 5;

std::vector<std::string> UsualNames() {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back(absl::StrCat("Builtin", i));
  names[kEntry] = "InterpreterEntryTrampoline";
  for (const char* handler : {"WideHandler", "ExtraWideHandler", "LdaZeroHandler", "LdaHandler",
                              "LdaWideHandler"}) {
    names.push_back(handler);
  }
  return names;
}

// Constants with the names, and behind them the table.
struct File {
  std::vector<std::string> names = UsualNames();
  std::vector<uint64_t> kinds = std::vector<uint64_t>(names.size(), 3);
  bool relocated = false;
  uint64_t segment_flags = PF_R | PF_W;
  std::string before = std::string(48, '\x11'), behind = before;  // of the table
  std::string relocations;

  void Relocate(uint64_t at, uint64_t target) {
    const Elf64_Rela r = {at, ELF64_R_INFO(0, R_X86_64_RELATIVE), static_cast<int64_t>(target)};
    relocations.append(reinterpret_cast<const char*>(&r), sizeof(r));
  }

  std::vector<std::string> Find(size_t builtins, size_t handlers) {
    std::string data(8, '\0');
    std::vector<uint64_t> addresses;
    for (const std::string& name : names) {
      addresses.push_back(kConstants + data.size());
      data.append(name).push_back('\0');
    }
    data.resize(size_t{1} << 16, '\x11');
    data += before;
    const auto add = [&data](uint64_t word) {
      data.append(reinterpret_cast<const char*>(&word), sizeof(word));
    };
    for (size_t i = 0; i < names.size(); ++i) {
      if (relocated) Relocate(kConstants + data.size(), addresses[i]);
      add(relocated ? 0 : addresses[i]);
      add(kinds[i]);
      add(0x4711);
    }
    data += behind;
    data.resize(size_t{2} << 16, '\x11');
    ElfBuilder elf;
    elf.Segment(ElfBuilder::kContent, kConstants, size_t{1} << 16, size_t{1} << 16, PF_R)
        .Segment(ElfBuilder::kContent + (1 << 16), kConstants + (1 << 16), 1 << 16, 1 << 16,
                 static_cast<uint32_t>(segment_flags))
        .CodeSection(kConstants + (1 << 16), 16)
        .Content(data);
    if (relocated) elf.NamedSection(".rela.dyn", 0x100000, relocations);
    auto image = ElfFile::Open(FileOf(elf.Build()), "names");
    EXPECT_TRUE(image.ok()) << image.status();
    return FindBuiltinNames(*image, builtins, handlers);
  }
  std::vector<std::string> Find() { return Find(names.size(), kHandlers); }
};

TEST(V8BuiltinsTest, NamesAreReadInTheOrderOfTheTable) {
  for (bool relocated : {false, true}) {
    for (uint64_t flags : {PF_R, PF_R | PF_W, PF_R | PF_X}) {
      File file{.relocated = relocated, .segment_flags = flags};
      EXPECT_EQ(file.Find(), UsualNames()) << relocated << flags;
    }
  }
}

TEST(V8BuiltinsTest, NumberOfRowsMustBeThatOfTheBuiltins) {
  EXPECT_TRUE(File().Find(UsualNames().size() - 1, kHandlers).empty());
  EXPECT_TRUE(File().Find(UsualNames().size() + 1, kHandlers).empty());
  EXPECT_TRUE(File().Find(0, kHandlers).empty());
}

TEST(V8BuiltinsTest, LastOnesMustBeTheHandlers) {
  EXPECT_TRUE(File().Find(UsualNames().size(), kHandlers - 1).empty());
  EXPECT_TRUE(File().Find(UsualNames().size(), kHandlers + 1).empty());
  EXPECT_TRUE(File().Find(UsualNames().size(), 0).empty());
  File file;
  file.names[file.names.size() - 2] = "LdaHandle";
  EXPECT_TRUE(file.Find().empty());
}

TEST(V8BuiltinsTest, NoTwoHaveOneName) {
  File file;
  file.names[3] = file.names[4];
  EXPECT_TRUE(file.Find().empty());
}

TEST(V8BuiltinsTest, RowThatIsNoneEndsTheTable) {
  for (const char* name : {"", "Builtin 3", "Builtin-3"}) {
    File file;
    file.names[3] = name;
    EXPECT_TRUE(file.Find().empty()) << name;
  }
  File kind;
  kind.kinds[3] = 32;
  EXPECT_TRUE(kind.Find().empty());
  File long_name;
  long_name.names[3] = std::string(256, 'a');
  EXPECT_TRUE(long_name.Find().empty());
}

// As in a table of functions with names that lies beside.
TEST(V8BuiltinsTest, RowWhoseKindIsRelocatedIsNone) {
  const uint64_t table = kConstants + (1 << 16) + 48;
  const uint64_t end = table + 24 * UsualNames().size();
  File file{.relocated = true};
  file.behind = std::string(48, '\0');
  file.Relocate(end, kConstants + 8);
  EXPECT_TRUE(file.Find().empty());  // one row more
  file.relocations.clear();
  file.Relocate(end, kConstants + 8);
  file.Relocate(end + 8, kConstants + 8);
  EXPECT_EQ(file.Find(), UsualNames());
}

TEST(V8BuiltinsTest, FileWithoutTheTableHasNoNames) {
  File file;
  file.names[kEntry] = "InterpreterEntry";
  EXPECT_TRUE(file.Find().empty());
}

// Every word points to the literal.
TEST(V8BuiltinsTest, SearchInAHostileFileEnds) {
  const uint64_t words[] = {kConstants + 9, 1, 0};
  std::string data(8, '\0');
  data += absl::StrCat(std::string(1, '\0'), "InterpreterEntryTrampoline", std::string(1, '\0'));
  data.resize(48, '\0');
  while (data.size() < (size_t{8} << 20)) {
    data.append(reinterpret_cast<const char*>(words), sizeof(words));
  }
  ElfBuilder elf;
  elf.Segment(ElfBuilder::kContent, kConstants, data.size(), data.size(), PF_R).Content(data);
  auto image = ElfFile::Open(FileOf(elf.Build()), "hostile");
  ASSERT_TRUE(image.ok());
  EXPECT_TRUE(FindBuiltinNames(*image, 2000, 500).empty());
}

}  // namespace
}  // namespace jprof::v8
