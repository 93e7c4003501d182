// A V8 is told by its literals, and what looks like one is not taken for one.
#include "helpers/v8/v8_literals.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kConstants = 0x400000;
constexpr uint64_t kCode = 0x1000000;
constexpr size_t kConstantBytes = size_t{1} << 20;
const std::string kName("\0InterpreterEntryTrampoline\0", 28);

std::string Literal(absl::string_view text) {
  return absl::StrCat(std::string(1, '\0'), text, std::string(1, '\0'));
}

// A file whose constants are `text`, and behind kConstantBytes more `far`.
std::optional<V8Literals> Find(const std::string& text, uint64_t code_bytes = kMinV8CodeBytes,
                               const std::string& far = "") {
  std::string content = text;
  content.resize(kConstantBytes, '\x55');
  content += far;
  content.resize((content.size() + 4095) / 4096 * 4096, '\x55');
  const uint64_t constants = content.size();
  content.resize(constants + code_bytes, '\x90');
  ElfBuilder elf;
  elf.Segment(ElfBuilder::kContent, kConstants, constants, constants, PF_R)
      .Segment(ElfBuilder::kContent + constants, kCode, code_bytes, code_bytes, PF_R | PF_X)
      .CodeSection(kCode, code_bytes)
      .Content(content);
  auto image = ElfFile::Open(FileOf(elf.Build()), "embedder");
  EXPECT_TRUE(image.ok()) << image.status();
  return FindV8Literals(*image);
}

std::string VersionIn(const std::string& text) {
  auto found = Find(kName + text);
  return !found ? "no V8" : found->version.empty() ? "unknown" : found->version;
}

TEST(V8LiteralsTest, VersionIsWhatItsTextSays) {
  auto found = Find(kName + Literal("15.0.245.2-rusty"));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, "15.0.245.2");
  EXPECT_EQ(found->major, 15u);
  EXPECT_EQ(found->minor, 0u);
  EXPECT_EQ(VersionIn(Literal("7.8.279.23-node.57")), "7.8.279.23");
  EXPECT_EQ(VersionIn(Literal("15.6.75.27")), "15.6.75.27");
}

TEST(V8LiteralsTest, BothLiteralsMustBeThere) {
  EXPECT_FALSE(Find(Literal("15.6.75.27")).has_value());
  EXPECT_EQ(VersionIn(""), "no V8");
  EXPECT_FALSE(Find("xInterpreterEntryTrampoline" + Literal("15.6.75.27")).has_value());
}

TEST(V8LiteralsTest, OtherNumbersAreNoVersions) {
  for (const char* text :
       {"8.8.8.8", "9.9.9.11", "156.0.8078.79", "45.11.45.11", "6.9.427.23", "15.6.75",
        "15.6.75.27.1", "15.6.75.27 ", "15..75.27", "15.6.12345.27"}) {
    EXPECT_EQ(VersionIn(Literal(text)), "no V8") << text;
    EXPECT_EQ(VersionIn(Literal(text) + Literal("15.6.75.27")), "15.6.75.27") << text;
  }
  EXPECT_EQ(VersionIn("v15.6.75.27"), "no V8");
}

TEST(V8LiteralsTest, OneOfSeveralVersionsIsNotChosen) {
  EXPECT_EQ(VersionIn(Literal("15.6.75.27") + Literal("14.6.202.34")), "unknown");
  EXPECT_EQ(VersionIn(Literal("15.6.75.27") + Literal("15.6.75.27-x")), "15.6.75.27");
}

TEST(V8LiteralsTest, LiteralMayLieAnywhere) {
  for (size_t skip = 0; skip < 40; skip += 3) {
    const std::string far = std::string(skip, '\x55') + kName + Literal("15.6.75.27");
    auto found = Find("", kMinV8CodeBytes, far);
    ASSERT_TRUE(found.has_value()) << skip;
    EXPECT_EQ(found->version, "15.6.75.27");
    // Across the end of what is read at once.
    const std::string before(kConstantBytes / 4 - 20 + skip, '\x55');
    EXPECT_TRUE(Find(before + kName + Literal("15.6.75.27")).has_value()) << skip;
  }
}

TEST(V8LiteralsTest, FileWithLittleCodeIsNotRead) {
  EXPECT_FALSE(Find(kName + Literal("15.6.75.27"), kMinV8CodeBytes - 4096).has_value());
}

}  // namespace
}  // namespace jprof::v8
