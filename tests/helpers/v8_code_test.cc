#include "helpers/v8/v8_code.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_code_heap.h"

namespace jprof::v8 {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kJit = 0x7f00'0000'1000;

// Bytecodes 0 to 3 are prefixes, 4 has no operand, 5 and 6 have; 23 more are without.
CodeLayout LayoutWithBytecodes() {
  CodeLayout layout = TestLayout();
  for (auto& row : layout.bytecode_sizes) std::fill(row + 7, row + 30, uint8_t{1});
  layout.bytecode_count = 30;
  return layout;
}

std::vector<uint32_t> HandlersAt64(size_t count) {
  std::vector<uint32_t> begins;
  for (size_t i = 0; i < count; ++i) begins.push_back(static_cast<uint32_t>(1000 + 64 * i));
  return begins;
}

void ExpectHandler(const CodeLayout& layout, uint32_t offset, int first, int count, int width) {
  auto handler = FindHandler(layout, offset);
  ASSERT_TRUE(handler.has_value()) << offset;
  EXPECT_EQ(handler->first, first) << offset;
  EXPECT_EQ(handler->count, count) << offset;
  EXPECT_EQ(handler->width, width) << offset;
}

TEST(HandlersTest, BytecodesWithOperandsHaveThree) {
  CodeLayout layout = LayoutWithBytecodes();
  SetHandlers(HandlersAt64(34), layout);
  EXPECT_FALSE(layout.has_short_stars);
  EXPECT_EQ(FindHandler(layout, 999), std::nullopt);
  ExpectHandler(layout, 1000, 0, 1, 0);
  ExpectHandler(layout, 1000 + 64 * 5 + 63, 5, 1, 0);
  ExpectHandler(layout, 1000 + 64 * 29, 29, 1, 0);
  ExpectHandler(layout, 1000 + 64 * 30, 5, 1, 1);
  ExpectHandler(layout, 1000 + 64 * 31, 6, 1, 1);
  ExpectHandler(layout, 1000 + 64 * 32, 5, 1, 2);
  ExpectHandler(layout, 1000 + 64 * 33, 6, 1, 2);
}

TEST(HandlersTest, ShortStarsHaveOne) {
  CodeLayout layout = LayoutWithBytecodes();
  SetHandlers(HandlersAt64(34 - 15), layout);
  EXPECT_TRUE(layout.has_short_stars);
  ExpectHandler(layout, 1000 + 64 * 12, 12, 1, 0);
  ExpectHandler(layout, 1000 + 64 * 13, 13, 16, 0);
  ExpectHandler(layout, 1000 + 64 * 14, 29, 1, 0);
  ExpectHandler(layout, 1000 + 64 * 15, 5, 1, 1);
  ExpectHandler(layout, 1000 + 64 * 18, 6, 1, 2);
}

TEST(HandlersTest, ThoseThatCannotBeOfTheseBytecodesAreNotKnown) {
  auto count = [](std::vector<uint32_t> begins, CodeLayout layout) {
    SetHandlers(begins, layout);
    return layout.handler_count;
  };
  for (size_t others : {0, 18, 20, 33, 35, 2000}) {
    EXPECT_EQ(count(HandlersAt64(others), LayoutWithBytecodes()), 0) << others;
  }
  std::vector<uint32_t> mixed_up = HandlersAt64(34);
  std::swap(mixed_up[3], mixed_up[4]);
  EXPECT_EQ(count(mixed_up, LayoutWithBytecodes()), 0);
  EXPECT_EQ(count(HandlersAt64(11), TestLayout()), 0);  // too few bytecodes
  CodeLayout no_sizes = LayoutWithBytecodes();
  no_sizes.bytecode_count = 0;
  EXPECT_EQ(count({}, no_sizes), 0);
  EXPECT_EQ(FindHandler(no_sizes, 5000), std::nullopt);
}

class FakeMetadata {
 public:
  std::map<std::string, int32_t> constants;
  std::map<std::string, int32_t> fields;
  std::vector<std::byte> sizes;

  absl::StatusOr<CodeLayout> Make(uint32_t version) {
    auto find = [](const std::map<std::string, int32_t>& values, absl::string_view name) {
      auto it = values.find(std::string(name));
      return it == values.end() ? std::nullopt : std::optional<int32_t>(it->second);
    };
    auto constant = [&](absl::string_view name) { return find(constants, name); };
    auto field = [&](absl::string_view name) { return find(fields, name); };
    return MakeCodeLayout(version, {constant, field, sizes});
  }
};

TEST(CodeLayoutTest, StrippedBinaryOfAKnownVersionHasOneByTheTable) {
  for (uint32_t version : {1306u, 1401u, 1406u, 1500u}) {
    auto layout = FakeMetadata().Make(version);
    ASSERT_TRUE(layout.ok()) << version << layout.status();
    EXPECT_EQ(layout->code_start, 40);
    EXPECT_EQ(layout->kind_turbofan, layout->kind_baseline + 2);
    EXPECT_EQ(layout->position_flag_bits, version < 1400 ? 0 : version < 1500 ? 2 : 3);
    EXPECT_EQ(layout->bytecode_count, version == 1306 ? 208 : version == 1500 ? 214 : 212);
    // Prefixes have no operands, in any row.
    for (const auto& row : layout->bytecode_sizes) {
      for (int i = 0; i < 4; ++i) EXPECT_EQ(row[i], 1);
    }
  }
}

TEST(CodeLayoutTest, VersionThatIsNotInTheTableHasNone) {
  for (uint32_t version : {0u, 703u, 1005u, 1307u, 1407u, 1501u}) {
    EXPECT_EQ(FakeMetadata().Make(version).status().code(), absl::StatusCode::kFailedPrecondition)
        << version;
  }
}

TEST(CodeLayoutTest, TypesThatNeitherMetadataNorTableKnowAreAnError) {
  EXPECT_THAT(FakeMetadata().Make(1204).status().message(), HasSubstr("type is missing"));
}

TEST(CodeLayoutTest, MetadataGoesBeforeTheTable) {
  FakeMetadata metadata;
  metadata.constants = {{"CodeKindBaseline", 11}, {"type_Code__CODE_TYPE", 999}};
  metadata.fields = {{"Code__instruction_size", 60}};
  auto layout = metadata.Make(1306);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->kind_baseline, 11);
  EXPECT_EQ(layout->kind_maglev, 12);
  EXPECT_EQ(layout->code_type, 999);
  EXPECT_EQ(layout->code_size, 60);
}

TEST(CodeLayoutTest, MetadataThatMakesNoSenseIsAnError) {
  for (auto [name, value] : std::map<std::string, int32_t>{
           {"CodeKindBaseline", -1},
           {"CodeKindBaseline", 14},  // turbofan above the mask
           {"CodeKindFieldShift", 32},
           {"type_Code__CODE_TYPE", 0},
           {"type_Code__CODE_TYPE", 70000},
           {"type_Code__CODE_TYPE", 192},  // that of InstructionStream
           {"DeoptimizationDataLiteralArrayIndex", 1 << 30},
       }) {
    FakeMetadata metadata;
    metadata.constants = {{name, value}};
    EXPECT_FALSE(metadata.Make(1306).ok()) << name << " " << value;
  }
  for (auto [name, value] : std::map<std::string, int32_t>{
           {"Code__instruction_start", 44},
           {"Code__instruction_start", -8},
           {"Code__flags", 1 << 20},
           {"Code__deoptimization_data", 0},
           {"InstructionStream__instruction_start", 36},
           {"BytecodeArray__source_position_table", 64},  // behind the first bytecode
       }) {
    FakeMetadata metadata;
    metadata.fields = {{name, value}};
    EXPECT_FALSE(metadata.Make(1306).ok()) << name << " " << value;
  }
}

TEST(CodeLayoutTest, SizesThatNoBytecodeHasAreNotBelieved) {
  FakeMetadata metadata;
  metadata.sizes = Bytes({1, 2, 1, 3, 1, 5});
  EXPECT_EQ(metadata.Make(1306)->bytecode_count, 2);
  for (auto sizes : {Bytes({1, 2, 1, 3, 1, 0}), Bytes({1, 2, 1, 3, 1, 200}), Bytes({1, 2, 1, 3}),
                     std::vector<std::byte>(900, std::byte{1})}) {
    metadata.sizes = sizes;
    EXPECT_EQ(metadata.Make(1306)->bytecode_count, 0);
  }
}

TEST(CodeLayoutTest, SizesBeforeVersion9AreInts) {
  FakeMetadata metadata;
  metadata.constants = {{"type_Map__MAP_TYPE", 68},
                        {"type_Code__CODE_TYPE", 69},
                        {"type_BytecodeArray__BYTECODE_ARRAY_TYPE", 72},
                        {"type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", 160},
                        {"type_ByteArray__BYTE_ARRAY_TYPE", 70},
                        {"type_FixedArray__FIXED_ARRAY_TYPE", 123}};
  metadata.sizes = Bytes({1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0});
  auto layout = metadata.Make(708);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->bytecode_count, 1);
  EXPECT_EQ(layout->bytecode_sizes[2][0], 9);
  EXPECT_EQ(layout->kind_turbofan, 0);
  EXPECT_EQ(layout->kind_baseline, CodeLayout::kNoKind);
}

class CodeFinderTest : public ::testing::TestWithParam<bool> {
 protected:
  CodeLayout layout_ = TestLayout(GetParam());
  CodeHeap heap_{layout_};
  CodeFinder finder_{layout_, heap_.memory()};
  // Where a header may be: instructions lie on 32 bytes.
  const uint64_t header_ = kJit + (32 - layout_.header % 32) % 32;

  FakeMemory& memory() { return heap_.memory(); }
  void Fill(uint64_t begin, uint64_t end, uint64_t word) {
    for (uint64_t at = begin; at < end; at += 8) memory().PutValue(Address{at}, word);
  }
};

TEST_P(CodeFinderTest, FindsTheCodeOfEachOfItsBytesAndOfNoOther) {
  memory().Zero({Address{kJit - 4096}, Address{kJit + 16384}});
  const CodeObject code = heap_.Code(header_, 9000, layout_.kind_turbofan, 77, 99);
  const Address begin = code.instructions.begin, end = code.instructions.end;
  EXPECT_EQ(finder_.Find(begin), code);
  EXPECT_EQ(finder_.Find(begin + 5000), code);
  EXPECT_EQ(finder_.Find(Address{end.value - 1}), code);
  EXPECT_EQ(finder_.Find(end), std::nullopt);
  EXPECT_EQ(finder_.Find(Address{begin.value - 1}), std::nullopt);
}

TEST_P(CodeFinderTest, KindsAreTheVersions) {
  const std::pair<int, CodeKind> kinds[] = {
      {2, CodeKind::kBuiltin},        {3, CodeKind::kRegExp},    {4, CodeKind::kWasm},
      {8, CodeKind::kWasm},           {9, CodeKind::kOther},     {10, CodeKind::kBaseline},
      {11, CodeKind::kMaglev},        {12, CodeKind::kTurbofan}, {13, CodeKind::kOther},
      {0, CodeKind::kBytecodeHandler}};
  uint64_t header = header_;
  for (auto [number, kind] : kinds) {
    const CodeObject code = heap_.Code(header, 64, number);
    EXPECT_EQ(finder_.Find(code.instructions.begin)->kind, kind) << number;
    header += 4096;
  }
}

TEST_P(CodeFinderTest, NeighbourEndsTheSearch) {
  heap_.Code(header_, 64, layout_.kind_turbofan);
  memory().Zero({Address{header_ + layout_.header + 64}, Address{kJit + 8192}});
  const uint64_t reads = memory().reads();
  EXPECT_EQ(finder_.Find(Address{kJit + 8000}), std::nullopt);
  EXPECT_LT(memory().reads() - reads, 20u);
}

TEST_P(CodeFinderTest, WordThatOnlyLooksLikeAHeaderIsPassedOver) {
  const uint64_t map =
      heap_.Map(layout_.stream_type != 0 ? layout_.stream_type : layout_.code_type);
  const CodeObject code = heap_.Code(header_, 4096, layout_.kind_maglev);
  const uint64_t inside = header_ + 1024;
  memory().PutValue(Address{inside}, map);  // with a size or a Code of zeros behind it
  EXPECT_EQ(finder_.Find(Address{inside + layout_.header + 40}), code);
  // And one that is not where headers can be.
  const CodeObject other = heap_.Code(header_ + 8192, 64, layout_.kind_maglev);
  memory().PutValue(Address{header_ + 8192 + layout_.header + 8}, map);
  EXPECT_EQ(finder_.Find(other.instructions.begin + 63), other);
}

TEST_P(CodeFinderTest, MapMustBeAMap) {
  const CodeObject code = heap_.Code(header_, 64, layout_.kind_maglev);
  // An object that has the right number where maps have their type.
  const uint64_t liar = heap_.Object(layout_.shared_type, 32);
  heap_.Set(liar, layout_.map_instance_type,
            layout_.stream_type != 0 ? layout_.stream_type : layout_.code_type);
  memory().PutValue(Address{header_}, liar);
  EXPECT_EQ(finder_.Find(code.instructions.begin), std::nullopt);
}

TEST_P(CodeFinderTest, SizesThatCannotBeAreNoCode) {
  for (uint32_t size : {0u, 0x8000'0000u, 0xffff'ffffu, 1u << 30}) {
    const CodeObject code = heap_.Code(header_, 64, layout_.kind_maglev);
    heap_.Set(code.code, layout_.code_size, size);
    finder_.Advance();
    EXPECT_EQ(finder_.Find(code.instructions.begin), std::nullopt) << size;
  }
}

TEST_P(CodeFinderTest, AnswersOfOneInstantAreNotReadAgain) {
  const CodeObject code = heap_.Code(header_, 64, layout_.kind_maglev);
  EXPECT_EQ(finder_.Find(code.instructions.begin), code);
  const uint64_t reads = memory().reads();
  EXPECT_EQ(finder_.Find(code.instructions.begin + 8), code);
  EXPECT_EQ(memory().reads(), reads);
  EXPECT_EQ(finder_.Find(code.instructions.end), std::nullopt);
  const uint64_t after_miss = memory().reads();
  EXPECT_EQ(finder_.Find(code.instructions.end), std::nullopt);
  EXPECT_EQ(memory().reads(), after_miss);
}

TEST_P(CodeFinderTest, CodeThatWasReplacedIsSeenInTheNextInstant) {
  const CodeObject old = heap_.Code(header_, 256, layout_.kind_maglev);
  EXPECT_EQ(finder_.Find(old.instructions.begin + 32), old);
  const CodeObject now = heap_.Code(header_, 64, layout_.kind_turbofan);
  finder_.Advance();
  EXPECT_EQ(finder_.Find(now.instructions.begin + 32), now);
  EXPECT_EQ(finder_.Find(now.instructions.begin + 128), std::nullopt);
  // Nothing at all there now.
  memory().PutValue(Address{header_}, uint64_t{0});
  finder_.Advance();
  EXPECT_EQ(finder_.Find(now.instructions.begin + 32), std::nullopt);
}

TEST_P(CodeFinderTest, NewCodeOverlappingAnOldOneTakesItsPlace) {
  const CodeObject old = heap_.Code(header_, 4096, layout_.kind_maglev);
  EXPECT_EQ(finder_.Find(old.instructions.begin), old);
  const CodeObject now = heap_.Code(header_ + 1024, 64, layout_.kind_turbofan);
  memory().PutValue(Address{header_}, uint64_t{0});
  finder_.Advance();
  EXPECT_EQ(finder_.Find(now.instructions.begin), now);
  EXPECT_EQ(finder_.Find(old.instructions.begin), std::nullopt);
}

TEST_P(CodeFinderTest, UnreadableMemoryEndsTheSearch) {
  const CodeObject code = heap_.Code(header_, 3 * 4096, layout_.kind_maglev);
  memory().MakeUnreadable({Address{kJit + 4096}, Address{kJit + 8192}});
  EXPECT_EQ(finder_.Find(code.instructions.begin + 2 * 4096 + 512), std::nullopt);
  EXPECT_EQ(finder_.Find(code.instructions.begin + 512), code);
}

TEST_P(CodeFinderTest, EveryFailingReadIsNoCodeRatherThanAnotherOne) {
  for (uint64_t n = 1; n < 100; ++n) {
    CodeHeap heap(layout_);
    const CodeObject code = heap.Code(header_, 64, layout_.kind_maglev);
    CodeFinder finder(layout_, heap.memory());
    heap.memory().FailRead(n);
    auto found = finder.Find(code.instructions.begin + 8);
    if (!heap.memory().FailedAsTold()) {
      EXPECT_EQ(found, code);
      EXPECT_GT(n, 3u);
      return;
    }
    EXPECT_EQ(found, std::nullopt) << n;
  }
  FAIL() << "reads without end";
}

TEST_P(CodeFinderTest, MemoryFullOfHeadersIsBounded) {
  // Each leads to a size of zero, or to a Code of something else.
  const uint64_t map =
      heap_.Map(layout_.stream_type != 0 ? layout_.stream_type : layout_.code_type);
  Fill(kJit, kJit + (64 << 10), map);
  const uint64_t reads = memory().reads();
  EXPECT_EQ(finder_.Find(Address{kJit + (64 << 10) - 8}), std::nullopt);
  EXPECT_LT(memory().reads() - reads, 20'000u);
}

TEST_P(CodeFinderTest, AddressesNearTheEndsAreNoCode) {
  for (uint64_t pc : {uint64_t{0}, uint64_t{7}, uint64_t{64}, uint64_t{200}, UINT64_MAX}) {
    EXPECT_EQ(finder_.Find(Address{pc}), std::nullopt);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, CodeFinderTest, ::testing::Bool(), [](const auto& form) {
  return form.param ? "InstructionStream" : "InCode";
});

}  // namespace
}  // namespace jprof::v8
