#include "helpers/v8/v8_positions.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_code_heap.h"

namespace jprof::v8 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kJit = 0x7f00'0000'1000;

// The position tables of `function d1(r, k) { return d2(r, k) - 1; }`, read from nodes 24 and 26:
// the function's entry, a statement at 0, expressions at 3 and 8, a statement at 11.
const auto kSignedTable =
    Bytes({0x01, 0xe8, 0x90, 0x01, 0x02, 0x24, 0x07, 0x1c, 0x0b, 0x24, 0x06, 0x10});
const auto kUnsignedTable =
    Bytes({0x02, 0xe8, 0x90, 0x01, 0x07, 0x24, 0x0e, 0x1c, 0x16, 0x24, 0x0f, 0x10});

TEST(PositionTableTest, BothCodingsOfOneFunctionSayTheSame) {
  const std::pair<uint32_t, int> expected[] = {{0, 4642}, {2, 4642},  {3, 4649},  {7, 4649},
                                               {8, 4658}, {11, 4662}, {500, 4662}};
  for (auto [offset, position] : expected) {
    EXPECT_EQ(FindPosition(kSignedTable, offset, 0)->position, position) << offset;
    EXPECT_EQ(FindPosition(kUnsignedTable, offset, 2)->position, position) << offset;
  }
}

TEST(PositionTableTest, WriterOfTheTestsWritesAsV8) {
  for (uint32_t coding : {0, 2}) {
    TableWriter table(coding);
    table.Add(-1, RawPosition(4633)).Add(0, RawPosition(4642), true).Add(3, RawPosition(4649));
    table.Add(8, RawPosition(4658)).Add(11, RawPosition(4662), true);
    EXPECT_EQ(table.bytes(), coding ? kUnsignedTable : kSignedTable);
  }
}

TEST(PositionTableTest, InliningIdsAndStepsBackSurviveBothCodings) {
  for (uint32_t coding : {0, 2, 3}) {
    TableWriter table(coding);
    table.Add(10, RawPosition(0x3ffffffe, 65535))
        .Add(2000, RawPosition(0))
        .Add(300000, RawPosition(-1, 2));
    EXPECT_EQ(FindPosition(table.bytes(), 9, coding), std::nullopt);
    EXPECT_EQ(FindPosition(table.bytes(), 10, coding), (CodePosition{0x3ffffffe, 65535}));
    EXPECT_EQ(FindPosition(table.bytes(), 2000, coding), (CodePosition{0, 0}));
    EXPECT_EQ(FindPosition(table.bytes(), 300000, coding), (CodePosition{kNoPosition, 2}));
  }
}

TEST(PositionTableTest, PositionOutsideTheScriptIsUnknown) {
  TableWriter table(0);
  table.Add(0, RawPosition(100) | 1);
  EXPECT_EQ(FindPosition(table.bytes(), 0, 0), CodePosition{});
}

TEST(PositionTableTest, EmptyTableSaysNothing) {
  EXPECT_EQ(FindPosition({}, 0, 0), std::nullopt);
  EXPECT_EQ(FindPosition({}, UINT32_MAX, 2), std::nullopt);
}

TEST(PositionTableTest, TableCutAnywhereGivesAnEarlierEntryOnlyIfItIsTheAnswer) {
  for (size_t size = 0; size < kSignedTable.size(); ++size) {
    const auto cut = std::span(kSignedTable).first(size);
    auto last = FindPosition(cut, 11, 0);
    // Cut between entries it is a shorter table; within one it is damaged.
    const bool whole = size == 4 || size == 6 || size == 8 || size == 10;
    EXPECT_EQ(last.has_value(), whole) << size;
  }
}

TEST(PositionTableTest, NumbersWithoutEndAndOverflowsAreDamage) {
  EXPECT_EQ(FindPosition(std::vector<std::byte>(100, std::byte{0xff}), 5, 0), std::nullopt);
  EXPECT_EQ(FindPosition(std::vector<std::byte>(100, std::byte{0xff}), 5, 2), std::nullopt);
  // A delta of 2^62.
  EXPECT_EQ(FindPosition(Bytes({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0}), 5,
                         false),
            std::nullopt);
  // The most negative number.
  EXPECT_EQ(FindPosition(Bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}), 5,
                         false),
            std::nullopt);
}

TEST(OffsetTableTest, FirstSizeIsThePrologues) {
  // A prologue of 40 bytes; bytecodes 4 (1 byte), 5 x (2), 6 x y (3), with 10, 20 and 300 bytes.
  const auto table = Bytes({40, 10, 20, 0xac, 0x02});
  const auto bytecodes = Bytes({4, 5, 0, 6, 0, 0});
  const CodeLayout layout = TestLayout();
  auto find = [&](uint32_t offset) { return FindBytecode(table, bytecodes, layout, offset); };
  EXPECT_EQ(find(0), std::nullopt);
  EXPECT_EQ(find(39), std::nullopt);
  EXPECT_EQ(find(40), 0u);
  EXPECT_EQ(find(49), 0u);
  EXPECT_EQ(find(50), 1u);
  EXPECT_EQ(find(70), 3u);
  EXPECT_EQ(find(369), 3u);
  EXPECT_EQ(find(370), std::nullopt);
}

TEST(OffsetTableTest, PrefixesMakeOperandsWide) {
  const CodeLayout layout = TestLayout();
  const auto table = Bytes({0, 1, 1, 1});
  // Index of the last bytecode tells how long the ones before it were.
  auto third = [&](std::initializer_list<int> bytecodes) {
    return FindBytecode(table, Bytes(bytecodes), layout, 2);
  };
  EXPECT_EQ(third({5, 9, 6, 9, 9, 4}), 5u);
  EXPECT_EQ(third({0, 5, 9, 9, 4, 4}), 5u);                     // wide: 1 + 3
  EXPECT_EQ(third({2, 5, 9, 9, 4, 4}), 5u);                     // the same, with a break point
  EXPECT_EQ(third({1, 5, 9, 9, 9, 9, 4, 4}), 7u);               // extra wide: 1 + 5
  EXPECT_EQ(third({3, 6, 9, 9, 9, 9, 9, 9, 9, 9, 4, 4}), 11u);  // 1 + 9
}

TEST(OffsetTableTest, BytecodesThatDoNotExistAreDamage) {
  const CodeLayout layout = TestLayout();
  const auto table = Bytes({0, 1, 1, 1});
  EXPECT_EQ(FindBytecode(table, Bytes({7, 4, 4}), layout, 1), std::nullopt);
  EXPECT_EQ(FindBytecode(table, Bytes({0}), layout, 1), std::nullopt);
  EXPECT_EQ(FindBytecode(table, {}, layout, 1), std::nullopt);
  EXPECT_EQ(FindBytecode(Bytes({0, 1}), Bytes({4, 4}), layout, 1), std::nullopt);
  EXPECT_EQ(FindBytecode(std::vector<std::byte>(20, std::byte{0xff}), Bytes({4}), layout, 1),
            std::nullopt);
  CodeLayout no_sizes = layout;
  no_sizes.bytecode_count = 0;
  EXPECT_EQ(FindBytecode(table, Bytes({4, 4}), no_sizes, 0), std::nullopt);
}

// As in TestLayout(), and 23 bytecodes more, of which 13 to 28 are short stars.
CodeLayout LayoutWithHandlers() {
  CodeLayout layout = TestLayout();
  for (auto& row : layout.bytecode_sizes) std::fill(row + 7, row + 30, uint8_t{1});
  layout.bytecode_count = 30;
  std::vector<uint32_t> begins;
  for (uint32_t i = 0; i < 19; ++i) begins.push_back(64 * i);
  SetHandlers(begins, layout);
  return layout;
}

std::vector<uint32_t> InHandler(std::initializer_list<int> bytecodes, HandlerBytecodes handler,
                                uint32_t index) {
  return FindInHandler(Bytes(bytecodes), LayoutWithHandlers(), handler, index);
}

TEST(HandlerTest, RunsTheBytecodeOfTheRegisterOrTheOneBeforeIt) {
  // At 0: 5 x; at 2: 4; at 3: 6 x y.
  auto at = [](int handler, uint32_t index) {
    return InHandler({5, 9, 4, 6, 9, 9}, {static_cast<uint8_t>(handler)}, index);
  };
  EXPECT_THAT(at(5, 0), ElementsAre(0));
  EXPECT_THAT(at(5, 2), ElementsAre(0));
  EXPECT_THAT(at(4, 2), ElementsAre(2));
  EXPECT_THAT(at(4, 3), ElementsAre(2));
  EXPECT_THAT(at(6, 6), ElementsAre(3));
  // Another one runs there, or none begins there.
  EXPECT_THAT(at(6, 2), IsEmpty());
  EXPECT_THAT(at(5, 3), IsEmpty());
  EXPECT_THAT(at(5, 1), IsEmpty());
  EXPECT_THAT(at(6, 7), IsEmpty());
  EXPECT_THAT(InHandler({4, 4}, {4}, 1), ElementsAre(1, 0));
  EXPECT_THAT(InHandler({}, {4}, 0), IsEmpty());
}

TEST(HandlerTest, ShortStarBehindABytecodeMayBeExecutedWithIt) {
  EXPECT_THAT(InHandler({5, 9, 13, 4}, {5}, 3), ElementsAre(0));
  EXPECT_THAT(InHandler({5, 9, 28, 4}, {5}, 3), ElementsAre(0));
  EXPECT_THAT(InHandler({5, 9, 12, 4}, {5}, 3), IsEmpty());
  EXPECT_THAT(InHandler({5, 9, 29, 4}, {5}, 3), IsEmpty());
  // All of them have one handler.
  EXPECT_THAT(InHandler({4, 20, 4}, {13, 16}, 1), ElementsAre(1));
}

TEST(HandlerTest, PrefixIsOfTheBytecodeBehindIt) {
  // At 0: 4; at 1: wide 5 x x; at 5: extra wide 5 x x x x; at 11: 4.
  auto at = [](HandlerBytecodes handler, uint32_t index) {
    return InHandler({4, 0, 5, 9, 9, 1, 5, 9, 9, 9, 9, 4}, handler, index);
  };
  EXPECT_THAT(at({0}, 1), ElementsAre(1));
  EXPECT_THAT(at({0}, 2), ElementsAre(1));
  EXPECT_THAT(at({5, 1, 1}, 2), ElementsAre(1));
  EXPECT_THAT(at({5, 1, 1}, 5), ElementsAre(1));
  EXPECT_THAT(at({1}, 5), ElementsAre(5));
  EXPECT_THAT(at({5, 1, 2}, 6), ElementsAre(5));
  EXPECT_THAT(at({5, 1, 2}, 11), ElementsAre(5));
  EXPECT_THAT(at({5}, 2), IsEmpty());
  EXPECT_THAT(at({5, 1, 2}, 2), IsEmpty());
}

class CodePositionsTest : public ::testing::Test {
 protected:
  CodeLayout layout_ = TestLayout();
  CodeHeap heap_{layout_};
  CodePositions positions_{layout_, heap_.memory()};

  CodeObject Optimized(uint64_t deopt, const TableWriter& table) {
    return heap_.Code(kJit, 1000, layout_.kind_turbofan, deopt, heap_.ByteArray(table.bytes()));
  }
  std::vector<ScriptPosition> At(const CodeObject& code, uint32_t offset,
                                 PcKind kind = PcKind::kExact) {
    return positions_.Optimized(code, code.instructions.begin + offset, kind);
  }
};

TEST_F(CodePositionsTest, InlinedFunctionsComeInnermostFirst) {
  const uint64_t outer = heap_.Shared(), middle = heap_.Shared(), inner = heap_.Shared();
  // inner was inlined (id 2) into middle (id 1) at 50, middle into outer at 7.
  const uint64_t deopt =
      heap_.Deopt(outer, {middle, inner}, {{RawPosition(7), 0}, {RawPosition(50, 1), 1}});
  const CodeObject code = Optimized(deopt, TableWriter(0)
                                               .Add(0, RawPosition(1))
                                               .Add(100, RawPosition(99, 2))
                                               .Add(200, RawPosition(55, 1)));
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{outer, 1}));
  EXPECT_THAT(At(code, 150), ElementsAre(ScriptPosition{inner, 99}, ScriptPosition{middle, 50},
                                         ScriptPosition{outer, 7}));
  EXPECT_THAT(At(code, 200), ElementsAre(ScriptPosition{middle, 55}, ScriptPosition{outer, 7}));
}

TEST_F(CodePositionsTest, ReturnAddressBelongsToTheCallBeforeIt) {
  const uint64_t outer = heap_.Shared();
  const CodeObject code = Optimized(
      heap_.Deopt(outer), TableWriter(0).Add(10, RawPosition(1)).Add(20, RawPosition(2)));
  EXPECT_THAT(At(code, 20), ElementsAre(ScriptPosition{outer, 2}));
  EXPECT_THAT(At(code, 20, PcKind::kReturnAddress), ElementsAre(ScriptPosition{outer, 1}));
  // A call may be the last instruction: the return address then lies behind the code.
  EXPECT_THAT(At(code, 1000, PcKind::kReturnAddress), ElementsAre(ScriptPosition{outer, 2}));
  EXPECT_THAT(At(code, 1000), IsEmpty());
  EXPECT_THAT(At(code, 0, PcKind::kReturnAddress), IsEmpty());
}

TEST_F(CodePositionsTest, NearestCallIsNotWhereALeafIs) {
  const uint64_t outer = heap_.Shared();
  layout_.has_positions_of_calls_only = true;
  const CodeObject code = Optimized(
      heap_.Deopt(outer), TableWriter(0).Add(10, RawPosition(1)).Add(20, RawPosition(2)));
  EXPECT_THAT(At(code, 20), IsEmpty());
  EXPECT_THAT(At(code, 20, PcKind::kReturnAddress), ElementsAre(ScriptPosition{outer, 1}));
}

TEST_F(CodePositionsTest, LengthMayBeANumberAndNoSmi) {
  const uint64_t outer = heap_.Shared();
  const TableWriter table = TableWriter(0).Add(0, RawPosition(1));
  const uint64_t bytes = heap_.ByteArray(table.bytes()), deopt = heap_.Deopt(outer);
  const CodeObject code = heap_.Code(kJit, 1000, layout_.kind_turbofan, deopt, bytes);
  const uint64_t words = heap_.memory().ReadValue<uint64_t>(Address{deopt - 1 + 8}).value() >> 32;
  heap_.Set(bytes, 8, table.bytes().size());
  heap_.Set(deopt, 8, words);
  EXPECT_THAT(At(code, 20), IsEmpty());
  layout_.has_plain_lengths = true;
  positions_.Advance();
  EXPECT_THAT(At(code, 20), ElementsAre(ScriptPosition{outer, 1}));
}

TEST_F(CodePositionsTest, WeakLiteralsAndWrappersLeadToTheFunction) {
  const uint64_t outer = heap_.Shared(), inner = heap_.Shared(), other = heap_.Shared();
  const uint64_t deopt = heap_.Deopt(heap_.Wrapper(outer), {inner | 2, heap_.Wrapper(other)},
                                     {{RawPosition(3), 0}, {RawPosition(4), 1}});
  const CodeObject code =
      Optimized(deopt, TableWriter(0).Add(0, RawPosition(1, 1)).Add(9, RawPosition(2, 2)));
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{inner, 1}, ScriptPosition{outer, 3}));
  EXPECT_THAT(At(code, 9), ElementsAre(ScriptPosition{other, 2}, ScriptPosition{outer, 4}));
  EXPECT_EQ(positions_.Owner(code), outer);
}

TEST_F(CodePositionsTest, FunctionInlinedInItselfHasNoLiteral) {
  const uint64_t outer = heap_.Shared();
  const CodeObject code = Optimized(heap_.Deopt(outer, {}, {{RawPosition(8), -1}}),
                                    TableWriter(0).Add(0, RawPosition(3, 1)));
  EXPECT_THAT(At(code, 5), ElementsAre(ScriptPosition{outer, 3}, ScriptPosition{outer, 8}));
}

TEST_F(CodePositionsTest, CodeWithoutATableIsOneFunctionSomewhere) {
  const uint64_t outer = heap_.Shared();
  const CodeObject empty = Optimized(heap_.Deopt(outer), TableWriter(0));
  EXPECT_THAT(At(empty, 5), ElementsAre(ScriptPosition{outer, kNoPosition}));
  CodeObject none = empty;
  none.positions = CodeHeap::Smi(0);
  EXPECT_THAT(At(none, 5), ElementsAre(ScriptPosition{outer, kNoPosition}));
}

TEST_F(CodePositionsTest, InliningIdOutOfRangeIsNoAnswer) {
  const uint64_t outer = heap_.Shared(), inner = heap_.Shared();
  const uint64_t deopt = heap_.Deopt(outer, {inner}, {{RawPosition(3), 0}});
  for (uint32_t id : {2u, 3u, 65535u}) {
    const CodeObject code = Optimized(deopt, TableWriter(0).Add(0, RawPosition(1, id)));
    EXPECT_THAT(At(code, 0), IsEmpty()) << id;
  }
}

TEST_F(CodePositionsTest, LiteralThatIsNoFunctionIsNoAnswer) {
  const uint64_t outer = heap_.Shared(), inner = heap_.Shared();
  const uint64_t string = heap_.Object(40, 32);
  for (int32_t literal : {1, 2, 3, -2, INT32_MAX, INT32_MIN}) {
    const uint64_t deopt =
        heap_.Deopt(outer, {inner, string, CodeHeap::Smi(1)}, {{RawPosition(3), literal}});
    const CodeObject code = Optimized(deopt, TableWriter(0).Add(0, RawPosition(1, 1)));
    EXPECT_THAT(At(code, 0), IsEmpty()) << literal;
  }
}

TEST_F(CodePositionsTest, CirclesOfCallSitesEnd) {
  const uint64_t outer = heap_.Shared(), inner = heap_.Shared();
  for (uint32_t back : {1u, 2u}) {
    const uint64_t deopt =
        heap_.Deopt(outer, {inner}, {{RawPosition(3, back), 0}, {RawPosition(4, 1), 0}});
    const CodeObject code = Optimized(deopt, TableWriter(0).Add(0, RawPosition(1, 2)));
    EXPECT_THAT(At(code, 0), IsEmpty());
  }
}

TEST_F(CodePositionsTest, MoreFunctionsThanV8InlinesAreNoAnswer) {
  const uint64_t outer = heap_.Shared(), inner = heap_.Shared();
  std::vector<CodeHeap::Inlined> inlined;
  for (uint32_t id = 0; id < 1000; ++id) inlined.push_back({RawPosition(1, id), 0});
  const CodeObject code = Optimized(heap_.Deopt(outer, {inner}, inlined),
                                    TableWriter(0)
                                        .Add(0, RawPosition(1, 1000))
                                        .Add(9, RawPosition(1, CodePositions::kMaxInlined - 1)));
  EXPECT_THAT(At(code, 0), IsEmpty());
  EXPECT_EQ(At(code, 9).size(), CodePositions::kMaxInlined);
}

TEST_F(CodePositionsTest, LengthsThatCannotBeAreNoAnswer) {
  const uint64_t outer = heap_.Shared();
  for (uint64_t length : {CodeHeap::Smi(0x7fff'ffff), CodeHeap::Smi(-1), CodeHeap::Smi(1 << 22),
                          uint64_t{5}, CodeHeap::Smi(4000)}) {
    const CodeObject code =
        Optimized(heap_.Deopt(outer), TableWriter(0).Add(0, RawPosition(1)));
    heap_.Set(code.positions, 8, length);
    EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{outer, kNoPosition}));
    heap_.Set(code.deopt, 8, length);
    positions_.Advance();
    EXPECT_THAT(At(code, 0), IsEmpty());
  }
}

TEST_F(CodePositionsTest, OptimizedCodeOfNoFunctionIsNoAnswer) {
  const TableWriter table = TableWriter(0).Add(0, RawPosition(1));
  for (uint64_t owner : {uint64_t{0}, CodeHeap::Smi(3), heap_.Object(40, 32),
                         heap_.Wrapper(heap_.Object(40, 32)), uint64_t{0x41}}) {
    const CodeObject code = Optimized(heap_.Deopt(owner), table);
    EXPECT_EQ(positions_.Owner(code), std::nullopt);
    EXPECT_THAT(At(code, 0), IsEmpty());
  }
  EXPECT_THAT(At(Optimized(0, table), 0), IsEmpty());
  EXPECT_THAT(At(Optimized(heap_.ByteArray({}), table), 0), IsEmpty());
}

// Two functions, inner inlined in outer, with the positions 100 + 10 * offset and 200 + 10 *
// offset, and a call in Maglev's code that returns to 50, to which a table gives the position 7.
class DeoptPositionsTest : public CodePositionsTest {
 protected:
  uint64_t Bytecode(int position) {
    TableWriter table(2);
    for (int i = 0; i < 10; ++i) table.Add(i, RawPosition(position + 10 * i));
    return heap_.BytecodeArray(std::vector<std::byte>(10), heap_.ByteArray(table.bytes()));
  }
  DeoptPositionsTest() { layout_.position_flag_bits = 2; }
  CodeObject Code(uint64_t deopt, bool has_table = true) {
    const CodeObject code = heap_.Code(
        kJit, 1000, layout_.kind_maglev, deopt,
        has_table ? heap_.ByteArray(TableWriter(2).Add(0, RawPosition(7)).bytes()) : 0);
    heap_.PutSafepoint(code, 50);
    return code;
  }
  CodeObject Code(const std::vector<CodeHeap::Frame>& frames, bool has_table = true) {
    return Code(heap_.DeoptWithEntry(outer_, {inner_, outer_}, CodeHeap::Translation(frames)),
                has_table);
  }

  const uint64_t outer_bytecode_ = Bytecode(100);
  const uint64_t outer_ = heap_.SharedWith(outer_bytecode_);
  const uint64_t inner_ = heap_.SharedWith(Bytecode(200));
};

TEST_F(DeoptPositionsTest, CallIsWhereItWouldGoOnWithoutTheCode) {
  const CodeObject code = Code({{1, 3}, {0, 4}});
  EXPECT_THAT(At(code, 50, PcKind::kReturnAddress),
              ElementsAre(ScriptPosition{inner_, 240}, ScriptPosition{outer_, 130}));
  // Anywhere else the table holds, and where there is none nothing.
  EXPECT_THAT(At(code, 51, PcKind::kReturnAddress), ElementsAre(ScriptPosition{outer_, 7}));
  EXPECT_THAT(At(code, 50), ElementsAre(ScriptPosition{outer_, 7}));
  const CodeObject bare = Code({{1, 3}, {0, 4}}, false);
  EXPECT_EQ(At(bare, 50, PcKind::kReturnAddress).size(), 2u);
  EXPECT_THAT(At(bare, 50), ElementsAre(ScriptPosition{outer_, kNoPosition}));
  // The trampoline, once the code is given up.
  EXPECT_EQ(At(code, 199, PcKind::kReturnAddress).size(), 2u);
}

TEST_F(DeoptPositionsTest, BytecodeIsFoundBehindBaselineCode) {
  const uint64_t data = heap_.Object(layout_.interpreter_data_type, 24);
  heap_.Set(data, 8, outer_bytecode_);
  const uint64_t baseline = heap_.Code(kJit + 0x10000, 64, layout_.kind_baseline, data).code;
  const uint64_t both = heap_.Object(layout_.baseline_data_type, 24);
  heap_.Set(both, 16, outer_bytecode_);
  for (uint64_t way : {data, baseline, both}) {
    heap_.Set(outer_, 8, way);
    EXPECT_THAT(At(Code({{1, 3}}), 50, PcKind::kReturnAddress),
                ElementsAre(ScriptPosition{outer_, 130}));
    positions_.Advance();
  }
  // It was thrown away, or is behind itself.
  heap_.Set(data, 8, data);
  for (uint64_t way : {CodeHeap::Smi(1), heap_.Object(40, 32), data}) {
    heap_.Set(outer_, 8, way);
    EXPECT_THAT(At(Code({{1, 3}}), 50, PcKind::kReturnAddress),
                ElementsAre(ScriptPosition{outer_, kNoPosition}));
    positions_.Advance();
  }
}

TEST_F(DeoptPositionsTest, OffsetsThatTheBytecodeHasNotHaveNoPosition) {
  for (int offset : {10, 31}) {
    EXPECT_THAT(At(Code({{1, offset}}), 50, PcKind::kReturnAddress),
                ElementsAre(ScriptPosition{outer_, kNoPosition}));
  }
}

TEST_F(DeoptPositionsTest, DataThatDoesNotFitLeavesTheTable) {
  auto at = [&](const CodeObject& code) {
    positions_.Advance();
    return At(code, 50, PcKind::kReturnAddress);
  };
  const auto table_only = ElementsAre(ScriptPosition{outer_, 7});
  EXPECT_THAT(at(Code({{0, 3}, {1, 4}})), table_only);  // not the code's function outermost
  EXPECT_THAT(at(Code({{1, 3}, {2, 4}})), table_only);  // no such literal
  EXPECT_THAT(at(Code(heap_.DeoptWithEntry(outer_, {heap_.Object(40, 32), outer_},
                                           CodeHeap::Translation({{1, 3}, {0, 4}})))),
              table_only);
  EXPECT_THAT(at(Code(heap_.DeoptWithEntry(outer_, {outer_}, {}))), table_only);
  EXPECT_THAT(at(Code(heap_.Deopt(outer_, {outer_}))), table_only);  // no entries
  CodeObject code = Code({{1, 3}});
  heap_.Set(code.deopt, 16 + 8 * 13, uint64_t{0x41});  // an index that is no Smi
  EXPECT_THAT(at(code), table_only);
  heap_.Set(code.deopt, 16 + 8 * 13, CodeHeap::Smi(-1));
  EXPECT_THAT(at(code), table_only);
  heap_.Set(code.deopt, 16 + 8 * 13, CodeHeap::Smi(0));
  EXPECT_THAT(at(code), ElementsAre(ScriptPosition{outer_, 130}));
  // A safepoint table of which more is told than memory holds.
  heap_.memory().PutValue(code.instructions.end + 4, uint32_t{100'000});
  EXPECT_THAT(at(code), table_only);
  heap_.memory().PutValue(code.instructions.end + 4, UINT32_MAX);
  EXPECT_THAT(at(code), table_only);
}

TEST(OldDeoptPositionsTest, TableIsWhereCodeSays) {
  CodeLayout layout = TestLayout(false);
  layout.version = 708;
  layout.code_flags = 44;
  layout.deopt_literals = 2;
  layout.deopt_shared = 6;
  layout.deopt_inlining = 7;
  CodeHeap heap(layout);
  CodePositions positions(layout, heap.memory());
  const uint64_t shared = heap.SharedWith(heap.BytecodeArray(
      std::vector<std::byte>(10),
      heap.ByteArray(TableWriter(0).Add(0, RawPosition(1)).Add(4, RawPosition(104)).bytes())));
  std::vector<uint64_t> words(12, CodeHeap::Smi(0));
  words[0] = heap.ByteArray(Bytes({0, 4, 4, 0, 4, 20, 0, 0, 0, 0}));  // function 0 at 5
  words[layout.deopt_literals] = heap.Array({shared});
  words[layout.deopt_shared] = shared;
  const CodeObject code = heap.Code(kJit, 1000, layout.kind_turbofan, heap.Array(words));
  heap.Set(code.code, 48, uint32_t{800});
  heap.memory().Put(code.instructions.begin + 800,
                    Bytes({1, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0}));
  for (uint64_t offset : {50, 200}) {
    EXPECT_THAT(positions.Optimized(code, code.instructions.begin + offset, PcKind::kReturnAddress),
                ElementsAre(ScriptPosition{shared, 104}));
  }
  heap.Set(code.code, 48, UINT32_MAX);
  EXPECT_THAT(positions.Optimized(code, code.instructions.begin + 50, PcKind::kReturnAddress),
              ElementsAre(ScriptPosition{shared, kNoPosition}));
}

// inner is inlined (id 1) in outer at 7, as its table says, and once more (id 2) in itself at 205.
class PeeledLoopTest : public DeoptPositionsTest {
 protected:
  // The call that returns to 50 is at `position` of the function with that id.
  CodeObject Peeled(const std::vector<CodeHeap::Frame>& frames, int position, uint32_t id) {
    CodeObject code =
        Code(heap_.DeoptWithEntry(outer_, {inner_, outer_}, CodeHeap::Translation(frames),
                                  {{RawPosition(7), 0}, {RawPosition(205, 1), 0}}));
    TableWriter table(2);
    table.Add(20, RawPosition(222, 1)).Add(40, RawPosition(position, id)).Add(50, RawPosition(0));
    code.positions = heap_.ByteArray(table.bytes());
    return code;
  }
};

TEST_F(PeeledLoopTest, CallFromAnInlinedFunctionTellsWhereThatOneWasCalled) {
  EXPECT_THAT(At(Peeled({{1, 3}, {0, 4}}, 240, 1), 30),
              ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 130}));
  // From a function that was inlined there.
  EXPECT_THAT(At(Peeled({{1, 3}, {0, 5}, {0, 6}}, 260, 2), 30),
              ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 130}));
}

TEST_F(PeeledLoopTest, CheckThatMayGiveTheCodeUpTellsAsWell) {
  const auto by_table = ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 7});
  const auto by_entry = ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 130});
  struct Case {
    std::vector<std::byte> jump;  // at 44, where the table says 240
    int exit;
    bool tells;
  };
  for (const Case& c : {Case{Bytes({0x0f, 0x85, 0xf6, 1, 0, 0}), 552, true},
                        Case{Bytes({0xe9, 0xf7, 1, 0, 0}), 552, true},
                        Case{Bytes({0xe9, 0xf7, 1, 0, 0}), 551, false},        // to another place
                        Case{Bytes({0x90, 0x85, 0xf6, 1, 0, 0}), 552, false},  // no jump
                        Case{Bytes({0xe9, 0xf7, 1, 0, 0}), -1, false}}) {
    const CodeObject code = Peeled({{1, 3}, {0, 4}}, 240, 1);
    // The call has no entry now, the check has.
    heap_.memory().Put(code.instructions.end, std::vector<std::byte>(20));
    heap_.Set(code.deopt, 16 + 8 * 14, CodeHeap::Smi(c.exit));
    heap_.memory().Put(code.instructions.begin + 44, c.jump);
    positions_.Advance();
    EXPECT_THAT(At(code, 30), c.tells ? by_entry : by_table) << c.exit;
  }
}

TEST_F(PeeledLoopTest, CallOfWhichTheTwoTellDifferentlyTellsNothing) {
  const auto by_table = ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 7});
  EXPECT_THAT(At(Peeled({{1, 3}, {0, 4}}, 241, 1), 30), by_table);
  EXPECT_THAT(At(Peeled({{1, 3}, {1, 4}}, 140, 1), 30), by_table);
  EXPECT_THAT(At(Peeled({{1, 3}}, 130, 0), 30), by_table);
  EXPECT_THAT(At(Peeled({{1, 3}, {0, 4}}, 240, 3), 30), by_table);  // no such id
  EXPECT_THAT(At(Peeled({}, 240, 1), 30), by_table);
}

TEST_F(PeeledLoopTest, OtherCodeHasNoSuchLoops) {
  CodeObject code = Peeled({{1, 3}, {0, 4}}, 240, 1);
  code.kind = CodeKind::kTurbofan;
  EXPECT_THAT(At(code, 30), ElementsAre(ScriptPosition{inner_, 222}, ScriptPosition{outer_, 7}));
}

TEST_F(CodePositionsTest, InterpretedFrameCountsFromTheTaggedAddress) {
  const uint64_t bytecode =
      heap_.BytecodeArray(std::vector<std::byte>(12), heap_.ByteArray(kSignedTable));
  auto at = [&](int64_t index) {
    return positions_.Interpreted(bytecode, CodeHeap::Smi(index + layout_.bytecode_first - 1));
  };
  EXPECT_EQ(at(0), 4642);
  EXPECT_EQ(at(3), 4649);
  EXPECT_EQ(at(11), 4662);
  EXPECT_EQ(at(12), std::nullopt);  // behind the last bytecode
  EXPECT_EQ(at(-1), std::nullopt);
  EXPECT_EQ(at(0x7fff'ff00), std::nullopt);
  EXPECT_EQ(positions_.Interpreted(bytecode, 0x41), std::nullopt);  // no Smi
  EXPECT_EQ(positions_.Interpreted(heap_.Shared(), CodeHeap::Smi(70)), std::nullopt);
}

TEST_F(CodePositionsTest, HandlerTellsWhereItsFunctionIs) {
  layout_ = LayoutWithHandlers();
  const auto table = TableWriter(false).Add(0, RawPosition(100)).Add(3, RawPosition(130)).bytes();
  const uint64_t bytecode = heap_.BytecodeArray(Bytes({5, 0, 4, 4, 4, 5}), heap_.ByteArray(table));
  auto at = [&](int64_t index, uint32_t handler) {
    return positions_.InHandler(
        bytecode, static_cast<uint64_t>(index + layout_.bytecode_first - 1) << 32 | handler);
  };
  EXPECT_EQ(at(0, 64 * 5), 100);
  EXPECT_EQ(at(2, 64 * 5 + 63), 100);
  EXPECT_EQ(at(4, 64 * 4), 130);           // at 4, or still at 3
  EXPECT_EQ(at(3, 64 * 4), std::nullopt);  // at 3, or still at 2
  EXPECT_EQ(at(1, 64 * 5), std::nullopt);
  EXPECT_EQ(at(6, 64 * 5), std::nullopt);  // behind the end, and cut
  EXPECT_EQ(at(-1, 64 * 5), std::nullopt);
  EXPECT_EQ(at(1 << 20, 64 * 5), std::nullopt);
  layout_.handler_count = 0;
  EXPECT_EQ(at(0, 64 * 5), std::nullopt);
  EXPECT_EQ(positions_.InHandler(heap_.Shared(), 0), std::nullopt);
}

TEST_F(CodePositionsTest, FunctionWithoutPositionsSaysNothing) {
  const uint64_t bytecode = heap_.BytecodeArray(std::vector<std::byte>(12), heap_.Object(131, 32));
  EXPECT_EQ(positions_.Interpreted(bytecode, CodeHeap::Smi(layout_.bytecode_first - 1)),
            std::nullopt);
}

TEST_F(CodePositionsTest, BaselineGoesByTheBytecode) {
  const uint64_t bytecode = heap_.BytecodeArray(
      Bytes({5, 0, 4, 6, 0, 0, 4}),
      heap_.ByteArray(
          TableWriter(0).Add(0, RawPosition(100), true).Add(3, RawPosition(130)).bytes()));
  const CodeObject code = heap_.Code(kJit, 100, layout_.kind_baseline, bytecode,
                                     heap_.ByteArray(Bytes({20, 10, 10, 10, 10})));
  auto at = [&](uint32_t offset, PcKind kind) {
    return positions_.Baseline(code, bytecode, code.instructions.begin + offset, kind);
  };
  EXPECT_EQ(at(10, PcKind::kExact), std::nullopt);  // prologue
  EXPECT_EQ(at(20, PcKind::kExact), 100);
  EXPECT_EQ(at(40, PcKind::kExact), 130);
  EXPECT_EQ(at(40, PcKind::kReturnAddress), 100);
  EXPECT_EQ(at(50, PcKind::kReturnAddress), 130);
  EXPECT_EQ(at(99, PcKind::kExact), std::nullopt);
  EXPECT_EQ(positions_.Owner(code), bytecode);
}

TEST_F(CodePositionsTest, BaselineCodeKnowsItsBytecodeThroughInterpreterData) {
  const uint64_t bytecode = heap_.BytecodeArray(Bytes({4}), 0);
  const uint64_t data = heap_.Object(layout_.interpreter_data_type, 24);
  heap_.Set(data, 8, bytecode);
  EXPECT_EQ(positions_.Owner(heap_.Code(kJit, 9, layout_.kind_baseline, data)), bytecode);
  heap_.Set(data, 8, data);
  positions_.Advance();
  EXPECT_EQ(positions_.Owner(heap_.Code(kJit, 9, layout_.kind_baseline, data)), std::nullopt);
}

TEST_F(CodePositionsTest, OtherKindsHaveNoOwnerAndNoPositions) {
  const uint64_t outer = heap_.Shared();
  const CodeObject code = heap_.Code(kJit, 100, layout_.kind_regexp, heap_.Deopt(outer));
  EXPECT_EQ(positions_.Owner(code), std::nullopt);
  EXPECT_THAT(At(code, 0), IsEmpty());
}

TEST_F(CodePositionsTest, WhatChangedInMemoryIsSeenInTheNextInstant) {
  const uint64_t outer = heap_.Shared(), other = heap_.Shared();
  const CodeObject code = Optimized(heap_.Deopt(outer), TableWriter(0).Add(0, RawPosition(5)));
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{outer, 5}));
  const uint64_t reads = heap_.memory().reads();
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{outer, 5}));
  EXPECT_EQ(heap_.memory().reads(), reads);

  heap_.memory().Put(Address{code.positions - 1 + 16},
                     TableWriter(0).Add(0, RawPosition(6)).bytes());
  heap_.Set(code.deopt, 16 + 8 * layout_.deopt_shared, other);
  positions_.Advance();
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{other, 6}));
  // No longer a table at all.
  heap_.Set(code.positions, 0, heap_.Map(40));
  positions_.Advance();
  EXPECT_THAT(At(code, 0), ElementsAre(ScriptPosition{other, kNoPosition}));
}

TEST_F(CodePositionsTest, TableInFrontOfWhichACacheLiesIsFound) {
  layout_.frame_cache_type = 97;
  const uint64_t cache = heap_.Object(97, 24);
  heap_.Set(cache, 8, heap_.ByteArray(kSignedTable));
  const uint64_t bytecode = heap_.BytecodeArray(std::vector<std::byte>(12), cache);
  EXPECT_EQ(positions_.Interpreted(bytecode, CodeHeap::Smi(layout_.bytecode_first + 2)), 4649);
}

}  // namespace
}  // namespace jprof::v8
