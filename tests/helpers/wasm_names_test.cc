// Names in a WebAssembly module: what counts, and that damage ends in names missing, not in names
// wrong.
#include "helpers/v8/wasm_names.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_memory.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kWire = 0x10000;

std::string Number(uint64_t n) {
  std::string bytes;
  for (; n >= 128; n >>= 7) bytes.push_back(static_cast<char>((n & 127) | 128));
  bytes.push_back(static_cast<char>(n));
  return bytes;
}
std::string Bytes(absl::string_view s) { return absl::StrCat(Number(s.size()), s); }
std::string Section(char id, absl::string_view content) {
  return absl::StrCat(std::string(1, id), Bytes(content));
}
std::string Custom(absl::string_view name, absl::string_view content) {
  return Section(0, absl::StrCat(Bytes(name), content));
}
std::string FunctionName(uint32_t function, absl::string_view name) {
  return absl::StrCat(Number(function), Bytes(name));
}
std::string Module(absl::string_view sections) {
  return absl::StrCat(absl::string_view("\0asm\1\0\0\0", 8), sections);
}
const std::string kTwo =
    Section(1, absl::StrCat(Number(2), FunctionName(1, "one"), FunctionName(300, "größe")));

std::optional<WasmNames> Read(const std::string& module) {
  FakeMemory memory;
  memory.PutText(Address{kWire}, module);
  return WasmNames::Read(memory, Address{kWire}, module.size());
}
std::string Find(const std::string& module, uint32_t function) {
  auto names = Read(module);
  EXPECT_TRUE(names.has_value());
  return names ? names->Find(function) : "";
}

TEST(WasmNamesTest, FunctionsHaveTheNamesOfTheSection) {
  const std::string module = Module(
      Section(1, "types") + Custom("other", "x") + Section(10, std::string(5000, 'c')) +
      Custom("name", Section(0, Bytes("module")) + kTwo + Section(2, "locals")));
  EXPECT_EQ(Find(module, 1), "one");
  EXPECT_EQ(Find(module, 300), "größe");
  EXPECT_EQ(Find(module, 0), "");
  EXPECT_EQ(Find(module, 2), "");
  EXPECT_EQ(Find(module, 301), "");
}

TEST(WasmNamesTest, NamesNeedNotBeInOrder) {
  const std::string names = absl::StrCat(Number(3), FunctionName(9, "nine"), FunctionName(2, "two"),
                                         FunctionName(5, "five"));
  const std::string module = Module(Custom("name", Section(1, names)));
  EXPECT_EQ(Find(module, 2), "two");
  EXPECT_EQ(Find(module, 5), "five");
  EXPECT_EQ(Find(module, 9), "nine");
}

TEST(WasmNamesTest, FirstNameAndFirstSectionCount) {
  const std::string twice =
      absl::StrCat(Number(2), FunctionName(1, "first"), FunctionName(1, "second"));
  EXPECT_EQ(Find(Module(Custom("name", Section(1, twice))), 1), "first");
  EXPECT_EQ(Find(Module(Custom("name", Section(1, twice)) + Custom("name", kTwo)), 300), "");
}

TEST(WasmNamesTest, ModuleWithoutTheSectionHasNoNames) {
  EXPECT_EQ(Read(Module(""))->size(), 0u);
  EXPECT_EQ(Read(Module(Section(1, "types") + Custom("names", kTwo)))->size(), 0u);
  EXPECT_EQ(Read(Module(Custom("name", "")))->size(), 0u);
}

TEST(WasmNamesTest, OtherBytesAreNoModule) {
  EXPECT_FALSE(Read("").has_value());
  EXPECT_FALSE(Read(std::string("\0asm", 4)).has_value());
  EXPECT_FALSE(Read(std::string("\0asm\2\0\0\0", 8)).has_value());
  EXPECT_FALSE(Read(std::string(100, 'x')).has_value());
  FakeMemory nothing;
  EXPECT_FALSE(WasmNames::Read(nothing, Address{kWire}, 1000).has_value());
}

// However much of it is there, what is named is named right.
TEST(WasmNamesTest, CutModuleHasNoWrongNames) {
  const std::string module = Module(Section(1, "types") + Custom("name", kTwo));
  for (size_t size = 8; size <= module.size(); ++size) {
    auto names = Read(module.substr(0, size));
    ASSERT_TRUE(names.has_value());
    EXPECT_EQ(names->size(), size == module.size() ? 2u : 0u);
    // A size that lies: memory ends before.
    FakeMemory memory;
    memory.PutText(Address{kWire}, module.substr(0, size));
    names = WasmNames::Read(memory, Address{kWire}, module.size());
    ASSERT_TRUE(names.has_value());
    EXPECT_EQ(names->size(), size == module.size() ? 2u : 0u);
  }
}

TEST(WasmNamesTest, CountThatLiesLeavesWhatIsThere) {
  const std::string names = absl::StrCat(Number(UINT32_MAX), FunctionName(1, "one"));
  EXPECT_EQ(Find(Module(Custom("name", Section(1, names))), 1), "one");
  EXPECT_EQ(Read(Module(Custom("name", Section(1, names))))->size(), 1u);
}

TEST(WasmNamesTest, NameThatEndsBeyondItsPartIsNone) {
  const std::string names =
      absl::StrCat(Number(2), FunctionName(1, "one"), Number(2), Number(1000), "two");
  const std::string module = Module(Custom("name", Section(1, names) + std::string(2000, 'x')));
  EXPECT_EQ(Find(module, 1), "one");
  EXPECT_EQ(Find(module, 2), "");
}

TEST(WasmNamesTest, NumbersWithoutEndOrTooLargeEndTheSection) {
  for (absl::string_view number : {"\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\x1f"}) {
    EXPECT_EQ(Read(Module(absl::StrCat("\1", number, std::string(100, 'x'))))->size(), 0u);
    const std::string names = absl::StrCat(Number(2), number, "xxxxx", FunctionName(1, "one"));
    EXPECT_EQ(Read(Module(Custom("name", Section(1, names))))->size(), 0u);
  }
}

TEST(WasmNamesTest, LongNameIsCutBetweenCharacters) {
  std::string name(WasmNames::kMaxNameBytes - 1, 'a');
  absl::StrAppend(&name, "ößß");
  const std::string names = absl::StrCat(Number(2), FunctionName(1, name), FunctionName(2, "two"));
  const std::string module = Module(Custom("name", Section(1, names)));
  EXPECT_EQ(Find(module, 1), absl::StrCat(std::string(WasmNames::kMaxNameBytes - 1, 'a'), "…"));
  EXPECT_EQ(Find(module, 2), "two");
}

std::string Import(absl::string_view what) {
  return absl::StrCat(Bytes("env"), Bytes("thing"), what);
}
uint32_t CountImports(uint32_t count, absl::string_view imports) {
  auto names = Read(Module(Section(2, absl::StrCat(Number(count), imports)) +
                           Custom("name", kTwo)));
  EXPECT_EQ(names->size(), 2u);
  return names->imported();
}

TEST(WasmNamesTest, ImportedFunctionsAreCountedAmongOtherImports) {
  const std::string function = Import(absl::string_view("\0\x05", 2));
  const std::string table = Import(absl::string_view("\1\x70\0\x01", 4));
  const std::string table_of_type = Import(absl::string_view("\1\x63\x05\1\x01\x80\x01", 7));
  const std::string memory = Import(absl::string_view("\2\0\x01", 3));
  const std::string memory64 =
      Import(absl::string_view("\2\5\x01\x80\x80\x80\x80\x80\x80\x01", 10));
  const std::string global = Import("\3\x7f\1");
  const std::string tag = Import(absl::string_view("\4\0\x03", 3));
  EXPECT_EQ(CountImports(0, ""), 0u);
  EXPECT_EQ(CountImports(1, function), 1u);
  EXPECT_EQ(CountImports(8, absl::StrCat(table, table_of_type, memory, memory64, function, global,
                                         tag, function)),
            2u);
  EXPECT_EQ(Read(Module(""))->imported(), 0u);
}

TEST(WasmNamesTest, DamageEndsTheCountOfImports) {
  const std::string function = Import(absl::string_view("\0\x05", 2));
  EXPECT_EQ(CountImports(UINT32_MAX, function), 1u);
  EXPECT_EQ(CountImports(3, absl::StrCat(function, Import("\x09"), function)), 1u);
  for (size_t size = 0; size < function.size(); ++size) {
    EXPECT_EQ(CountImports(2, absl::StrCat(function, function.substr(0, size))), 1u);
  }
}

TEST(WasmNamesTest, SectionsWithoutEndAreLeft) {
  std::string sections;
  for (int i = 0; i <= WasmNames::kMaxSections; ++i) absl::StrAppend(&sections, Section(1, ""));
  EXPECT_EQ(Read(Module(sections + Custom("name", kTwo)))->size(), 0u);
}

}  // namespace
}  // namespace jprof::v8
