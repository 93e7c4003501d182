#include "helpers/v8/v8_names.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_code_heap.h"
#include "tests/helpers/v8_heap.h"

namespace jprof::v8 {
namespace {

// --- Builtins
// ------------------------------------------------------------------------------------------

TEST(V8BuiltinTest, FunctionsOfTheLibraryHaveTheirNames) {
  for (const char* name :
       {"ArrayMap", "ArrayPrototypeSort", "StringPrototypeReplace", "PromiseFulfillReactionJob",
        "AsyncFunctionAwaitResolveClosure", "LoadIC", "RunMicrotasks"}) {
    auto described = DescribeV8Builtin(std::string("Builtins_") + name);
    ASSERT_TRUE(described.has_value()) << name;
    EXPECT_EQ(described->name, name);
    EXPECT_EQ(described->kind, FrameKind::kBuiltin);
  }
}

TEST(V8BuiltinTest, PlumbingIsLeftOut) {
  for (const char* name :
       {"InterpreterEntryTrampoline", "InterpreterEntryTrampolineForProfiling", "JSEntry",
        "JSConstructEntry", "JSRunMicrotasksEntry", "CEntry_Return1_ArgvOnStack_NoBuiltinExit",
        "LdaNamedPropertyHandler", "CallProperty1WideHandler", "StarExtraWideHandler",
        "InterpreterPushArgsThenCall", "BaselineOutOfLinePrologue",
        "BaselineOrInterpreterEnterAtBytecode", "InterpreterOnStackReplacement"}) {
    EXPECT_FALSE(DescribeV8Builtin(std::string("Builtins_") + name).has_value()) << name;
  }
}

// --- Names and lines of records
// ----------------------------------------------------------------------

class V8NamesTest : public testing::Test {
 protected:
  V8NamesTest() : instance_(MakeV8Instance(heap_.Image(), heap_.memory())) {}

  // The record of a function at position `start` of a script as it is now.
  std::vector<uint8_t> Record(uint64_t script, uint64_t start) {
    const jp_v8_layout& l = heap_.layout();
    const auto field = [&](uint16_t offset) {
      return *heap_.memory().ReadValue<uint64_t>(Address{script - 1 + offset});
    };
    jp_symbol symbol = {};
    symbol.number = ++number_;
    symbol.words[JP_V8_EXTENT] = start == ~uint64_t{0} ? start : start | uint64_t{9000} << 32;
    symbol.words[JP_V8_SCRIPT_OBJECT] = script;
    symbol.words[JP_V8_SCRIPT_ID] = field(l.script_id) >> 32;
    const uint64_t source = field(l.script_source);
    symbol.words[JP_V8_SOURCE_HASH] =
        heap_.memory().ReadValue<uint64_t>(Address{source - 1 + l.string_length - 4}).value_or(0);
    symbol.words[JP_V8_LINE_OFFSET] = field(l.script_line_offset) >> 32;
    const jp_chunk chunk = {JP_V8_NAME, JP_ENCODING_LATIN1, 1};
    symbol.text_bytes = sizeof(chunk) + 1;
    std::vector<uint8_t> bytes(sizeof(symbol) + symbol.text_bytes);
    std::memcpy(bytes.data(), &symbol, sizeof(symbol));
    std::memcpy(bytes.data() + sizeof(symbol), &chunk, sizeof(chunk));
    bytes.back() = 'f';
    return bytes;
  }
  uint32_t LineIn(const std::vector<uint8_t>& record) {
    auto name = instance_->Describe(record);
    EXPECT_TRUE(name.ok()) << name.status();
    if (!name.ok()) return 999;
    EXPECT_EQ(name->name, "f");
    return name->start_line;
  }
  uint64_t ScriptOf(uint64_t source, int32_t line_offset = 0) {
    return heap_.Script(
        V8Heap::ScriptSpec{.source = source, .id = ++id_, .line_offset = line_offset});
  }
  uint32_t Line(uint64_t source, uint64_t start) { return LineIn(Record(ScriptOf(source), start)); }

  V8Heap heap_{20};
  std::unique_ptr<RuntimeInstance> instance_;
  uint32_t number_ = 0;
  int32_t id_ = 0;
};

TEST_F(V8NamesTest, LinesOfSourcesInEveryRepresentation) {
  const uint64_t one = heap_.OneByte("a\nb\n"), two = heap_.OneByte("c\nd\n");
  EXPECT_EQ(Line(one, 2), 2u);
  EXPECT_EQ(Line(heap_.TwoByte(u"名\n前\u2028x"), 4), 3u);
  EXPECT_EQ(Line(heap_.ExternalOneByte("a\nb\nc"), 4), 3u);
  EXPECT_EQ(Line(heap_.ExternalOneByte("a\nb\nc", /*cached=*/false), 4), 3u);
  EXPECT_EQ(Line(heap_.ExternalTwoByte(u"名\n前\nx"), 4), 3u);
  EXPECT_EQ(Line(heap_.ExternalTwoByte(u"名\n前\nx", /*cached=*/false), 4), 3u);
  EXPECT_EQ(Line(heap_.Cons(one, two), 6), 4u);
  EXPECT_EQ(Line(heap_.Cons(heap_.Cons(one, heap_.TwoByte(u"名\n")), two), 6), 4u);
  EXPECT_EQ(Line(heap_.Thin(heap_.Cons(one, two)), 6), 4u);
  EXPECT_EQ(
      Line(heap_.Sliced(heap_.Cons(heap_.OneByte("a\nb\nc\nd\n"), heap_.OneByte("")), 2, 6), 2),
      2u);
  EXPECT_EQ(Line(heap_.Sliced(heap_.TwoByte(u"名\n前\nx\n"), 2, 4), 2), 2u);
}

TEST_F(V8NamesTest, ReturnAndNewlineMayBeInTwoPieces) {
  const uint64_t cons = heap_.Cons(heap_.OneByte("a\r"), heap_.OneByte("\nb"));
  EXPECT_EQ(Line(cons, 3), 2u);
}

TEST_F(V8NamesTest, SourceIsReadOncePerScript) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line\n";
  const uint64_t script = ScriptOf(heap_.OneByte(text));
  EXPECT_EQ(LineIn(Record(script, 4999)), 1000u);
  const std::vector<uint8_t> other = Record(script, 0);
  const uint64_t reads = heap_.memory().reads();
  EXPECT_EQ(LineIn(other), 1u);
  EXPECT_EQ(heap_.memory().reads(), reads);
}

TEST_F(V8NamesTest, SourceThatCannotBeReadIsTriedEverMoreSeldom) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  heap_.Set(script, 0, heap_.Map(900));
  int attempts = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::vector<uint8_t> record = Record(script, 2);
    const uint64_t before = heap_.memory().reads();
    EXPECT_EQ(LineIn(record), 0u);
    attempts += heap_.memory().reads() != before;
  }
  EXPECT_EQ(attempts, 10);  // at 1, 2, 4, ... 512
}

TEST_F(V8NamesTest, SourceThatComesBackIsRead) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  heap_.Set(script, 0, heap_.Map(900));
  EXPECT_EQ(LineIn(Record(script, 2)), 0u);
  heap_.Set(script, 0, heap_.Map(heap_.layout().script_type));
  EXPECT_EQ(LineIn(Record(script, 2)), 2u);
  EXPECT_EQ(LineIn(Record(script, 2)), 2u);
}

TEST_F(V8NamesTest, LineOffsetIsAdded) {
  EXPECT_EQ(LineIn(Record(ScriptOf(heap_.OneByte("a\nb"), 10), 2)), 12u);
}

TEST_F(V8NamesTest, UnknownPositionHasNoLine) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  EXPECT_EQ(LineIn(Record(script, ~uint64_t{0})), 0u);
  EXPECT_EQ(LineIn(Record(script, 4)), 0u);
}

TEST_F(V8NamesTest, ScriptThatMovedAwayHasNoLine) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  const std::vector<uint8_t> record = Record(script, 2);
  const auto in_its_place = [&](uint64_t map) {
    heap_.Set(script, 0, map);
    return LineIn(record);
  };
  EXPECT_EQ(in_its_place(heap_.Map(900)), 0u);    // another object
  EXPECT_EQ(in_its_place(0x2000'0000'1000), 0u);  // a forwarding address
  EXPECT_EQ(in_its_place(0xdead'0001), 0u);       // nothing that can be read
  EXPECT_EQ(in_its_place(heap_.Map(heap_.layout().script_type)), 2u);
}

TEST_F(V8NamesTest, AnotherScriptInItsPlaceIsNotTakenForIt) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  const std::vector<uint8_t> record = Record(script, 2);
  heap_.Set(script, heap_.layout().script_id, V8Heap::Smi(4444));
  EXPECT_EQ(LineIn(record), 0u);
}

// What a collection leaves of a script that died since the sample: it still looks whole, while its
// source is another's already.
TEST_F(V8NamesTest, AnotherTextInPlaceOfTheSourceIsNotTakenForIt) {
  const uint16_t hash = heap_.layout().string_length - 4, length = heap_.layout().string_length;
  const uint64_t source = heap_.OneByte("a\nb\nc\n");
  heap_.Set(source, hash, uint32_t{0x1234'5678});
  const std::vector<uint8_t> record = Record(ScriptOf(source), 2);
  heap_.Set(source, hash, uint32_t{0x1234'567a});
  EXPECT_EQ(LineIn(record), 0u);
  heap_.Set(source, hash, uint32_t{0x1234'5678}).Set(source, length, 5);
  EXPECT_EQ(LineIn(record), 0u);
  heap_.Set(source, length, 6);
  EXPECT_EQ(LineIn(record), 0u);  // the third request: not tried
  EXPECT_EQ(LineIn(record), 2u);
}

// New objects over a dead source: what was its map is a pointer to no map, with zeros where a map
// has the type; that of a two-byte string is zero. Its length is left where an object has a gap.
TEST_F(V8NamesTest, ObjectsOverTheSourceAreNotTakenForText) {
  const uint16_t hash = heap_.layout().string_length - 4;
  const uint64_t source = heap_.TwoByte(u"a\nb\nc\n");
  heap_.Set(source, hash, uint32_t{3});
  const std::vector<uint8_t> record = Record(ScriptOf(source), 2);
  heap_.Set(source, hash, uint32_t{0xbc00}).Set(source, 0, heap_.Object(900, 80));
  EXPECT_EQ(LineIn(record), 0u);
  heap_.Set(source, 0, heap_.Map(kV8SeqTwoByte));
  EXPECT_EQ(LineIn(record), 2u);
}

TEST_F(V8NamesTest, SourceWhoseHashIsNotComputedIsToldByItsLength) {
  const uint16_t hash = heap_.layout().string_length - 4;
  const uint64_t source = heap_.OneByte("a\nb\nc\n");
  heap_.Set(source, hash, uint32_t{3});
  const std::vector<uint8_t> record = Record(ScriptOf(source), 2);
  heap_.Set(source, hash, uint32_t{0x1234'5678});
  EXPECT_EQ(LineIn(record), 2u);
}

TEST_F(V8NamesTest, FlatTextOfAConsIsCheckedToo) {
  const uint16_t hash = heap_.layout().string_length - 4;
  const uint64_t flat = heap_.OneByte("a\nb\nc\n"), other = heap_.OneByte("a\n");
  heap_.Set(flat, hash, uint32_t{3});
  const uint64_t cons = heap_.Cons(flat, heap_.OneByte(""));
  heap_.Set(cons, hash, uint32_t{0x1234'5678});
  const std::vector<uint8_t> record = Record(ScriptOf(cons), 2);
  heap_.Set(flat, hash, uint32_t{0x1234'567a});
  EXPECT_EQ(LineIn(record), 0u);
  heap_.Set(flat, hash, uint32_t{3}).Set(cons, heap_.layout().cons_first, other);
  EXPECT_EQ(LineIn(record), 0u);  // pieces that are not as long as the whole
  heap_.Set(cons, heap_.layout().cons_first, flat);
  EXPECT_EQ(LineIn(record), 0u);  // the third request: not tried
  EXPECT_EQ(LineIn(record), 2u);
}

TEST_F(V8NamesTest, SourceOfWhichTheSampleSawNothingHasNoLine) {
  const uint64_t script = ScriptOf(heap_.OneByte("a\nb"));
  std::vector<uint8_t> record = Record(script, 2);
  std::memset(record.data() + offsetof(jp_symbol, words) + 8 * JP_V8_SOURCE_HASH, 0, 8);
  EXPECT_EQ(LineIn(record), 0u);
}

TEST_F(V8NamesTest, SourcesThatLieHaveNoLineAndEnd) {
  const jp_v8_layout& l = heap_.layout();
  EXPECT_EQ(Line(heap_.Undefined(), 0), 0u);
  EXPECT_EQ(Line(V8Heap::Smi(5), 0), 0u);
  const uint64_t thin = heap_.Thin(heap_.OneByte("a\nb"));
  heap_.Set(thin, l.thin_actual, thin);
  EXPECT_EQ(Line(thin, 0), 0u);
  const uint64_t cons = heap_.Cons(heap_.OneByte("a\n"), heap_.OneByte("b\n"));
  heap_.Set(cons, l.cons_first, cons).Set(cons, l.cons_second, cons);
  const uint64_t before = heap_.memory().reads();
  EXPECT_EQ(Line(cons, 0), 0u);
  EXPECT_LT(heap_.memory().reads() - before, 10'000u);
  for (int32_t length : {-1, INT32_MIN, INT32_MAX, 1 << 24}) {
    const uint64_t lying = heap_.OneByte("a\nb");
    heap_.Set(lying, l.string_length, length);
    EXPECT_EQ(Line(lying, 0), 0u) << length;
  }
  EXPECT_EQ(Line(heap_.Sliced(heap_.OneByte("a\nb"), -1, 2), 0), 0u);
  EXPECT_EQ(Line(heap_.Sliced(heap_.OneByte("a\nb"), 4, 2), 0), 0u);
}

TEST_F(V8NamesTest, DamagedRecordIsDataLoss) {
  EXPECT_EQ(instance_->Describe({}).status().code(), absl::StatusCode::kDataLoss);
  std::vector<uint8_t> record = Record(ScriptOf(heap_.OneByte("a")), 0);
  record.pop_back();
  EXPECT_EQ(instance_->Describe(record).status().code(), absl::StatusCode::kDataLoss);
}

// --- Where an interpreted frame executes ---------------------------------------------------------

// A function of two lines, its extent 4 to 20, that executes position 9 of "a\nb\nfunction...".
class V8LocateTest : public V8NamesTest {
 protected:
  V8LocateTest() {
    const jp_v8_layout& l = heap_.layout();
    code_.map_instance_type = l.map_instance_type;
    code_.bytecode_array_type = static_cast<uint16_t>(l.script_type + 41);
    code_.byte_array_types[0] = static_cast<uint16_t>(l.script_type + 42);
    for (uint16_t type :
         {code_.bytecode_array_type, code_.byte_array_types[0], code_.map_type}) {
      heap_.Set(heap_.Map(type), 0, heap_.Map(code_.map_type));
    }
    RuntimeImage image = heap_.Image();
    const auto bytes = std::as_bytes(std::span(&code_, 1));
    image.user_layout.assign(bytes.begin(), bytes.end());
    instance_ = MakeV8Instance(image, heap_.memory());

    TableWriter table(/*unsigned_offsets=*/false);
    table.Add(0, RawPosition(9));
    const uint64_t positions =
        heap_.Object(code_.byte_array_types[0], 16 + table.bytes().size());
    heap_.Set(positions, 8, V8Heap::Smi(static_cast<int32_t>(table.bytes().size())));
    heap_.memory().Put(Address{positions - 1 + 16}, table.bytes());
    const uint64_t bytecode = heap_.Object(code_.bytecode_array_type, code_.bytecode_first + 4u);
    heap_.Set(bytecode, 8, V8Heap::Smi(4)).Set(bytecode, code_.bytecode_positions, positions);
    script_ = ScriptOf(heap_.OneByte("a\nb\nfunction f() {}\n"));
    shared_ = heap_.Shared(heap_.OneByte("f"), script_);
    heap_.Set(shared_, l.shared_data, bytecode);
  }

  // Its line, 0 for none.
  uint32_t LineWithExtent(uint64_t start, uint64_t end) {
    std::vector<uint8_t> record = Record(script_, start);
    jp_symbol symbol;
    std::memcpy(&symbol, record.data(), sizeof(symbol));
    symbol.identity = shared_;
    symbol.words[JP_V8_EXTENT] = start | end << 32;
    std::memcpy(record.data(), &symbol, sizeof(symbol));
    EXPECT_TRUE(instance_->Describe(record).ok());
    RawFrame frame;
    frame.kind = RawFrame::Kind::kRuntime;
    frame.symbol = symbol.number;
    frame.detail = JP_V8_BYTECODE;
    frame.address = code_.bytecode_first - 1u;
    const std::vector<FrameLine> lines = instance_->Locate(frame);
    return lines.empty() ? 0 : lines.back().line;
  }

  CodeLayout code_ = TestLayout(/*stream=*/false);
  uint64_t script_ = 0;
  uint64_t shared_ = 0;
};

TEST_F(V8LocateTest, PositionIsALine) { EXPECT_EQ(LineWithExtent(4, 20), 3u); }

TEST_F(V8LocateTest, PositionOutsideTheFunctionIsAnothers) {
  EXPECT_EQ(LineWithExtent(9, 9), 3u);
  EXPECT_EQ(LineWithExtent(10, 20), 0u);
  EXPECT_EQ(LineWithExtent(4, 8), 0u);
}

TEST_F(V8LocateTest, FunctionOfAnotherScriptAtTheAddressHasNoLine) {
  heap_.Set(shared_, heap_.layout().shared_script, ScriptOf(heap_.OneByte("another")));
  EXPECT_EQ(LineWithExtent(4, 20), 0u);
}

}  // namespace
}  // namespace jprof::v8
