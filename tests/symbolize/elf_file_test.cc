#include "symbolize/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

__attribute__((noinline, used)) int FunctionToFind(int x) { return x * 3 + 1; }
const char kReadOnlyBytes[] = "bytes of the read-only segment";
uint64_t zeroed_words[4];

absl::StatusOr<ElfFile> OpenBytes(absl::string_view bytes) {
  return ElfFile::Open(FileOf(bytes), "test.so");
}

ElfFile MustOpen(const ElfBuilder& builder) {
  auto file = OpenBytes(builder.Build());
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

std::vector<std::string> Names(const ElfFile& file, ElfFile::Table table) {
  std::vector<std::string> names;
  absl::Status status = file.ForEachSymbol(table, [&](const ElfFile::Symbol& s) {
    names.emplace_back(s.name);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return names;
}

// Code at 0x2000, data with a .bss behind it at 0x4000.
ElfBuilder SmallFile() {
  ElfBuilder builder;
  builder.Content(std::string(0x100, 'c') + std::string(0x40, 'd'))
      .Segment(0x1000, 0x2000, 0x100, 0x100, PF_R | PF_X)
      .Segment(0x1100, 0x4100, 0x40, 0x80, PF_R | PF_W)
      .CodeSection(0x2000, 0x100)
      .BuildId(std::string("\x01\x23\xab\xff", 4))
      .Symbol("first", 0x2000, 0x10)
      .Symbol("second", 0x2010, 0x10)
      .DynamicSymbol("second", 0x2010, 0x10);
  return builder;
}

// Everything that can be asked of a file.
void AskEverything(const ElfFile& file) {
  for (auto table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
    (void)file.ForEachSymbol(
        table, [](const ElfFile::Symbol& s) { return std::string(s.name).size() < 100'000; });
    (void)file.ForEachSymbolEntry(table, [&](const ElfFile::SymbolEntry& s) {
      (void)file.SymbolName(table, s.name);
      (void)file.ExecutableRange(s.address);
      (void)file.ToFileOffset(s.address);
      return true;
    });
  }
  std::byte bytes[32];
  std::vector<ElfAddress> addresses;
  for (uint64_t a :
       {uint64_t{0}, uint64_t{0x1010}, uint64_t{0x2010}, uint64_t{0x4130}, ~uint64_t{0}}) {
    (void)file.ReadAt({a}, bytes);
    (void)file.ToElfAddress({a});
    addresses.push_back({a});
  }
  (void)file.PltTargets(addresses);
}

TEST(ElfFileTest, BuildIdIsLowerCaseHex) {
  EXPECT_EQ(MustOpen(SmallFile()).build_id(), "0123abff");
  EXPECT_EQ(MustOpen(ElfBuilder()).build_id(), "");
}

TEST(ElfFileTest, BuildIdOfMoreThan64BytesIsNone) {
  EXPECT_EQ(MustOpen(ElfBuilder().BuildId(std::string(64, '\x11'))).build_id().size(), 128u);
  EXPECT_EQ(MustOpen(ElfBuilder().BuildId(std::string(65, '\x11'))).build_id(), "");
}

TEST(ElfFileTest, OtherFilesAreInvalidArguments) {
  EXPECT_TRUE(absl::IsInvalidArgument(OpenBytes("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OpenBytes("#!/bin/sh\n").status()));
  UniqueFd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(absl::IsInvalidArgument(ElfFile::Open(std::move(directory), "/").status()));

  ElfBuilder class32, big_endian, object, core;
  class32.header.e_ident[EI_CLASS] = ELFCLASS32;
  big_endian.header.e_ident[EI_DATA] = ELFDATA2MSB;
  object.header.e_type = ET_REL;
  core.header.e_type = ET_CORE;
  for (const ElfBuilder* b : {&class32, &big_endian, &object, &core}) {
    EXPECT_TRUE(absl::IsInvalidArgument(OpenBytes(b->Build()).status()));
  }
}

TEST(ElfFileTest, FixedAddressExecutableIsRead) {
  ElfBuilder builder = SmallFile();
  builder.header.e_type = ET_EXEC;
  EXPECT_THAT(Names(MustOpen(builder), ElfFile::Table::kSymtab), ElementsAre("first", "second"));
}

TEST(ElfFileTest, SymbolsComeInFileOrderUntilTheVisitorHasEnough) {
  ElfBuilder builder;
  builder.Symbol("b", 0x20, 1).Symbol("a", 0x10, 1).Symbol("c", 0x30, 1);
  ElfFile file = MustOpen(builder);
  EXPECT_THAT(Names(file, ElfFile::Table::kSymtab), ElementsAre("b", "a", "c"));
  EXPECT_THAT(Names(file, ElfFile::Table::kDynsym), IsEmpty());
  std::vector<std::string> names;
  ASSERT_TRUE(file.ForEachSymbol(ElfFile::Table::kSymtab,
                                 [&](const ElfFile::Symbol& s) {
                                   names.emplace_back(s.name);
                                   return names.size() < 2;
                                 })
                  .ok());
  EXPECT_THAT(names, ElementsAre("b", "a"));
}

TEST(ElfFileTest, UndefinedAndCommonSymbolsAreLeftOut) {
  ElfBuilder builder;
  builder.Symbol("undefined", 0, 0, STT_FUNC, STB_GLOBAL, SHN_UNDEF)
      .Symbol("common", 8, 8, STT_OBJECT, STB_GLOBAL, SHN_COMMON)
      .Symbol("absolute", 8, 8, STT_OBJECT, STB_GLOBAL, SHN_ABS);
  EXPECT_THAT(Names(MustOpen(builder), ElfFile::Table::kSymtab), ElementsAre("absolute"));
}

TEST(ElfFileTest, ManySymbolsAreReadWhole) {
  ElfBuilder builder;
  for (int i = 0; i < 10'000; ++i) builder.Symbol(absl::StrCat("f", i), 0x10 * i, 0x10);
  std::vector<std::string> names = Names(MustOpen(builder), ElfFile::Table::kSymtab);
  ASSERT_EQ(names.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(names[i], absl::StrCat("f", i));
}

TEST(ElfFileTest, NamesOfTheTwoReadersAgree) {
  ElfBuilder builder;
  // Around the sizes in which names are read.
  for (size_t size : {1, 1022, 1023, 1024, 1025, 2100, 70'000, 3, 5000}) {
    builder.Symbol(std::string(size, static_cast<char>('a' + size % 26)), 0x10, 1);
  }
  ElfFile file = MustOpen(builder);
  std::vector<uint32_t> offsets;
  ASSERT_TRUE(file.ForEachSymbolEntry(ElfFile::Table::kSymtab, [&](const auto& s) {
                    offsets.push_back(s.name);
                    return true;
                  }).ok());
  std::vector<std::string> expected = Names(file, ElfFile::Table::kSymtab);
  ASSERT_EQ(expected.size(), 9u);
  ASSERT_EQ(expected.back(), std::string(5000, 'a' + 5000 % 26));
  for (size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_EQ(file.SymbolName(ElfFile::Table::kSymtab, offsets[i]), expected[i]);
  }
  auto together = [&] {
    std::vector<std::string> names;
    file.ForEachSymbolName(ElfFile::Table::kSymtab, offsets,
                           [&](size_t i, absl::string_view text) {
                             EXPECT_EQ(i, names.size());
                             names.emplace_back(text);
                             return true;
                           });
    return names;
  };
  EXPECT_EQ(together(), expected);
  std::reverse(offsets.begin(), offsets.end());
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(together(), expected);
}

TEST(ElfFileTest, LongNameIsCut) {
  ElfBuilder builder;
  builder.Symbol(std::string(10'000'000, 'x'), 0x10, 1);
  ElfFile file = MustOpen(builder);
  EXPECT_THAT(Names(file, ElfFile::Table::kSymtab),
              ElementsAre(std::string(ElfFile::kMaxNameBytes, 'x')));
  EXPECT_EQ(file.SymbolName(ElfFile::Table::kSymtab, 1), std::string(ElfFile::kMaxNameBytes, 'x'));
}

TEST(ElfFileTest, NameOutsideTheStringTableIsEmpty) {
  std::string bytes = ElfBuilder().Symbol("f", 0x10, 1).Build();
  Elf64_Sym symbol = {};
  symbol.st_value = 0x10;
  symbol.st_size = 1;
  symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  symbol.st_shndx = 1;
  symbol.st_name = 1;
  const size_t at = bytes.find(std::string(reinterpret_cast<char*>(&symbol), sizeof(symbol)));
  ASSERT_NE(at, std::string::npos);
  for (uint32_t name : {3u, 4u, 0x7fffffffu, 0xffffffffu}) {
    symbol.st_name = name;
    std::memcpy(&bytes[at], &symbol, sizeof(symbol));
    auto file = OpenBytes(bytes);
    ASSERT_TRUE(file.ok());
    EXPECT_THAT(Names(*file, ElfFile::Table::kSymtab), ElementsAre(""));
    EXPECT_EQ(file->SymbolName(ElfFile::Table::kSymtab, name), "");
  }
}

TEST(ElfFileTest, NameWithoutAnEndEndsWithItsTable) {
  ElfBuilder builder;
  builder.Symbol("f", 0x10, 1);
  std::string bytes = builder.Build();
  // The last section header is the string table's: shorten it by the final NUL.
  Elf64_Shdr strings;
  std::memcpy(&strings, &bytes[bytes.size() - sizeof(strings)], sizeof(strings));
  ASSERT_EQ(strings.sh_size, 3u);
  strings.sh_size = 2;
  std::memcpy(&bytes[bytes.size() - sizeof(strings)], &strings, sizeof(strings));
  auto file = OpenBytes(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(Names(*file, ElfFile::Table::kSymtab), ElementsAre("f"));
  EXPECT_EQ(file->SymbolName(ElfFile::Table::kSymtab, 1), "f");
}

TEST(ElfFileTest, OffsetsConvertByTheirSegment) {
  ElfFile file = MustOpen(SmallFile());
  EXPECT_EQ(file.ToElfAddress({0x1010}), ElfAddress{0x2010});
  EXPECT_EQ(file.ToElfAddress({0x1110}), ElfAddress{0x4110});
  EXPECT_EQ(file.ToElfAddress({0x9000}), std::nullopt);
  EXPECT_EQ(file.ToFileOffset({0x2010}), FileOffset{0x1010});
  EXPECT_EQ(file.ToFileOffset({0x4110}), FileOffset{0x1110});
  EXPECT_EQ(file.ToFileOffset({0x4150}), std::nullopt) << ".bss is not in the file";
  EXPECT_EQ(file.ToFileOffset({0x2100}), std::nullopt);
}

// lld puts segments behind each other in the file; the kernel maps the shared page twice.
TEST(ElfFileTest, SharedPageBelongsToTheCode) {
  ElfBuilder builder;
  builder.Segment(0, 0, 0x1720, 0x1720, PF_R)
      .Segment(0x1720, 0x2720, 0x500, 0x500, PF_R | PF_X)
      .Segment(0x1c20, 0x3c20, 0x100, 0x100, PF_R | PF_W);
  ElfFile file = MustOpen(builder);
  EXPECT_EQ(file.ToElfAddress({0x1000}), ElfAddress{0x2000});
  EXPECT_EQ(file.ToElfAddress({0x1800}), ElfAddress{0x2800});
  EXPECT_EQ(file.ToElfAddress({0x0800}), ElfAddress{0x0800});
  EXPECT_EQ(file.ToElfAddress({0x1c20}), ElfAddress{0x3c20});
}

TEST(ElfFileTest, ReadsContentAndZeros) {
  ElfFile file = MustOpen(SmallFile());
  char text[16];
  auto bytes = std::as_writable_bytes(std::span(text));
  ASSERT_TRUE(file.ReadAt({0x4138}, bytes));
  EXPECT_EQ(std::string(text, 16), std::string(8, 'd') + std::string(8, '\0'));
  ASSERT_TRUE(file.ReadAt({0x4170}, bytes));
  EXPECT_EQ(std::string(text, 16), std::string(16, '\0'));
  EXPECT_FALSE(file.ReadAt({0x4171}, bytes));
  EXPECT_FALSE(file.ReadAt({0x20f8}, bytes));
  EXPECT_FALSE(file.ReadAt({0x1ff8}, bytes));
  EXPECT_FALSE(file.ReadAt({~uint64_t{0} - 4}, bytes));
}

TEST(ElfFileTest, ContentBehindTheEndOfTheFileIsNotRead) {
  ElfBuilder builder;
  builder.Segment(0x100000, 0x2000, 0x100, 0x100, PF_R);
  char text[16];
  EXPECT_FALSE(MustOpen(builder).ReadAt({0x2000}, std::as_writable_bytes(std::span(text))));
}

TEST(ElfFileTest, FileThatShrinksIsAnError) {
  UniqueFd fd = FileOf(SmallFile().Build());
  auto file = ElfFile::Open(UniqueFd(::dup(fd.get())), "test.so");
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::ftruncate(fd.get(), 64), 0);
  char text[16];
  EXPECT_FALSE(file->ReadAt({0x2000}, std::as_writable_bytes(std::span(text))));
  EXPECT_TRUE(absl::IsDataLoss(
      file->ForEachSymbol(ElfFile::Table::kSymtab, [](const ElfFile::Symbol&) { return true; })));
}

TEST(ElfFileTest, CodeIsBoundedByItsSection) {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x2000, 0x100, 0x100, PF_R | PF_X);
  auto segment = MustOpen(builder).ExecutableRange({0x2020});
  ASSERT_TRUE(segment.has_value());
  EXPECT_EQ(segment->end, ElfAddress{0x2100});

  builder.CodeSection(0x2000, 0x20).CodeSection(0x2020, 0x30);
  ElfFile file = MustOpen(builder);
  EXPECT_EQ(file.ExecutableRange({0x201f})->end, ElfAddress{0x2020});
  EXPECT_EQ(file.ExecutableRange({0x2020})->end, ElfAddress{0x2050});
  EXPECT_FALSE(file.ExecutableRange({0x2050}).has_value());
  EXPECT_FALSE(file.ExecutableRange({0x1fff}).has_value());
}

TEST(ElfFileTest, SectionCountMayBeInTheFirstSection) {
  ElfBuilder builder = SmallFile();
  builder.extended_numbering = true;
  EXPECT_THAT(Names(MustOpen(builder), ElfFile::Table::kSymtab), ElementsAre("first", "second"));
}

TEST(ElfFileTest, DamagedTablesAreDataLoss) {
  ElfBuilder wraps, larger, many;
  wraps.Segment(0x1000, ~uint64_t{0} - 0x10, 0x100, 0x100, PF_R);
  larger.Segment(0x1000, 0x2000, 0x200, 0x100, PF_R);
  for (int i = 0; i < 300; ++i) many.Segment(0, 0x1000 * i, 1, 1, PF_R);
  ElfBuilder entry_size;
  entry_size.Segment(0, 0, 1, 1, PF_R);
  entry_size.header.e_phentsize = 57;
  EXPECT_TRUE(absl::IsDataLoss(OpenBytes(wraps.Build()).status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenBytes(larger.Build()).status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenBytes(many.Build()).status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenBytes(entry_size.Build()).status()));
}

TEST(ElfFileTest, FileCutAtAnyByteIsAStatus) {
  const std::string whole = SmallFile().Build();
  ASSERT_TRUE(OpenBytes(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    auto file = OpenBytes(absl::string_view(whole).substr(0, size));
    // The section headers are the last bytes.
    ASSERT_FALSE(file.ok()) << size;
    ASSERT_TRUE(absl::IsDataLoss(file.status()) ||
                (size < 4 && absl::IsInvalidArgument(file.status())))
        << size << ": " << file.status();
  }
}

TEST(ElfFileTest, AnyChangedByteIsSurvived) {
  const std::string whole = SmallFile().Build();
  int opened = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    if (whole[at] == 'c' || whole[at] == 'd') continue;  // content
    for (char value : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = value;
      auto file = OpenBytes(bytes);
      if (!file.ok()) continue;
      ++opened;
      AskEverything(*file);
    }
  }
  EXPECT_GT(opened, 1000);
}

TEST(ElfFileTest, ReadsWhatTheProgramSees) {
  auto file = ElfFile::Open(UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), "self");
  ASSERT_TRUE(file.ok()) << file.status();
  ElfAddress function;
  ASSERT_TRUE(file->ForEachSymbol(ElfFile::Table::kSymtab,
                                  [&](const ElfFile::Symbol& s) {
                                    if (s.name.find("FunctionToFind") == absl::string_view::npos)
                                      return true;
                                    function = s.address;
                                    return false;
                                  })
                  .ok());
  // The symbol table and the running program differ by one load bias.
  const uint64_t bias = reinterpret_cast<uint64_t>(&FunctionToFind) - function.value;
  EXPECT_EQ(bias % 4096, 0u);

  char text[sizeof(kReadOnlyBytes)];
  ASSERT_TRUE(file->ReadAt({reinterpret_cast<uint64_t>(kReadOnlyBytes) - bias},
                           std::as_writable_bytes(std::span(text))));
  EXPECT_STREQ(text, kReadOnlyBytes);

  zeroed_words[1] = 7;
  uint64_t words[4] = {1, 1, 1, 1};
  ASSERT_TRUE(file->ReadAt({reinterpret_cast<uint64_t>(zeroed_words) - bias},
                           std::as_writable_bytes(std::span(words))));
  EXPECT_THAT(words, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace jprof
