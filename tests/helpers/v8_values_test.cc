#include "helpers/v8/v8_values.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"
#include "tests/helpers/v8_values_metadata.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kFrame = 0x7fff'0000'1000;

class V8ValuesTest : public testing::Test {
 protected:
  V8ValuesTest() {
    image_ = heap_.Image();
    image_.native_walk = BuiltinRuntimes().native_walk;
    image_.number = 1;
    const auto meta = heap_.memory().ReadValue<uint64_t>(Address{heap_.Map(1) - 1});
    heap_.Set(*meta, code_.map_instance_type, code_.map_type);
  }

  std::string Text(uint64_t value, int depth = 1) { return reader_.Text(value, depth); }
  uint64_t Number(double value) {
    const uint64_t number = heap_.Object(code_.values.heap_number_type, 16);
    heap_.Set(number, 8, value);
    return number;
  }
  uint64_t Oddball(uint8_t kind) {
    const uint64_t oddball = heap_.Object(code_.values.oddball_type, 48);
    heap_.Set(oddball, code_.values.oddball_kind, V8Heap::Smi(kind));
    return oddball;
  }
  uint64_t FixedArray(std::initializer_list<uint64_t> words, uint16_t type) {
    const uint64_t array = heap_.Object(type, 16 + 8 * words.size());
    heap_.Set(array, 8, V8Heap::Smi(static_cast<int32_t>(words.size())));
    uint64_t at = 16;
    for (uint64_t word : words) heap_.Set(array, (at += 8) - 8, word);
    return array;
  }
  uint64_t Array(std::initializer_list<uint64_t> words, uint8_t kind = 2) {
    const ValueLayout& l = code_.values;
    const bool doubles = kind >= 4;
    const uint64_t array = heap_.Object(l.array_type, 32);
    heap_.Set(heap_.Map(l.array_type), l.map_kind, static_cast<uint8_t>(kind << l.kind_shift));
    heap_.Set(array, l.object_elements,
              FixedArray(words, doubles ? l.double_array_type : l.fixed_array_type));
    heap_.Set(array, 24, V8Heap::Smi(static_cast<int32_t>(words.size())));
    return array;
  }
  // An object of `constructor` with two properties, one of which lies outside of it.
  uint64_t Object(uint64_t constructor, uint64_t first, uint64_t second) {
    const ValueLayout& l = code_.values;
    const uint64_t object = heap_.Object(kObjectType, 32);
    const uint64_t map = heap_.Map(kObjectType);
    heap_.Set(map, l.map_constructor, constructor);
    heap_.Set(map, l.map_size_words, uint8_t{4}).Set(map, l.map_first_property, uint8_t{3});
    heap_.Set(map, l.map_bits, uint32_t{2} << l.count_shift);
    const uint64_t descriptors = heap_.Object(l.descriptors_type, l.descriptors_begin + 48);
    heap_.Set(map, l.map_descriptors, descriptors);
    auto describe = [&](uint64_t at, absl::string_view name, uint64_t index) {
      heap_.Set(descriptors, at, heap_.OneByte(name));
      heap_.Set(descriptors, at + 8, (index << l.index_shift) << 32);
      heap_.Set(descriptors, at + 16, V8Heap::Smi(0));
    };
    describe(l.descriptors_begin, "in", 0);
    describe(l.descriptors_begin + 24, "out", 1);
    heap_.Set(object, 24, first);
    const uint64_t properties = heap_.Object(l.property_array_type, 24);
    heap_.Set(properties, 16, second);
    heap_.Set(object, l.object_properties, properties);
    return object;
  }

  static constexpr uint16_t kObjectType = 1057;
  V8Heap heap_{24};
  CodeLayout code_ = MakeTestCodeLayout();
  RuntimeImage image_;
  ValueReader reader_{image_, heap_.layout(), code_, heap_.memory()};
};

TEST_F(V8ValuesTest, EachKindOfValueHasItsText) {
  const ValueLayout& l = code_.values;
  EXPECT_EQ(Text(V8Heap::Smi(-7)), "-7");
  EXPECT_EQ(Text(Number(0.1)), "0.1");
  EXPECT_EQ(Text(Number(std::numeric_limits<double>::quiet_NaN())), "NaN");
  EXPECT_EQ(Text(Oddball(l.oddball_true)), "true");
  EXPECT_EQ(Text(Oddball(l.oddball_undefined)), "undefined");
  EXPECT_EQ(Text(Oddball(77)), "?");
  EXPECT_EQ(Text(heap_.Object(l.hole_type, 16)), "<hole>");
  EXPECT_EQ(Text(heap_.OneByte("a\"b\n")), R"("a\"b\n")");
  EXPECT_EQ(Text(heap_.TwoByte(u"é\xd800")), "\"é\xef\xbf\xbd\"");
  EXPECT_EQ(Text(heap_.Function(heap_.Shared(heap_.OneByte("paint"), heap_.Script("a.js")))),
            "function paint");
  EXPECT_EQ(Text(Array({V8Heap::Smi(1), heap_.OneByte("x")})), R"(Array(2) [1, "x"])");
  EXPECT_EQ(Text(Array({0x3ff8000000000000, 0xfff7fffffff7ffff}, 5)), "Array(2) [1.5, <hole>]");
  EXPECT_EQ(Text(Array({V8Heap::Smi(1)}), 0), "Array(1)");
}

TEST_F(V8ValuesTest, AStringIsCutWhereverItsPiecesEnd) {
  const std::string fifty(50, 'x');
  const std::string forty = "\"" + std::string(40, 'x') + "\"…";
  EXPECT_EQ(Text(heap_.OneByte(fifty)), forty);
  EXPECT_EQ(Text(heap_.Cons(heap_.OneByte(fifty.substr(0, 20)), heap_.OneByte(fifty))), forty);
  EXPECT_EQ(Text(heap_.Thin(heap_.OneByte(fifty))), forty);
  EXPECT_EQ(Text(heap_.Sliced(heap_.OneByte(fifty), 2, 41)), forty);
  EXPECT_EQ(Text(heap_.Sliced(heap_.OneByte("0123456789"), 2, 3)), "\"234\"");
  EXPECT_EQ(Text(heap_.ExternalOneByte("abc", false)), "\"abc\"");
}

TEST_F(V8ValuesTest, AnObjectHasItsConstructorAndProperties) {
  const uint64_t constructor =
      heap_.Function(heap_.Shared(heap_.OneByte("Canvas"), heap_.Script("a.js")));
  const uint64_t object = Object(constructor, V8Heap::Smi(1), heap_.OneByte("two"));
  EXPECT_EQ(Text(object), R"(Canvas {in: 1, out: "two"})");
  EXPECT_EQ(Text(object, 0), "Canvas {…}");
  // Its values are shown without theirs, so that one that refers to itself ends.
  heap_.Set(object, 24, object);
  EXPECT_EQ(Text(object), R"(Canvas {in: Canvas {…}, out: "two"})");
}

TEST_F(V8ValuesTest, WhatACollectionMovedIsReadWhereItWent) {
  const uint64_t old = heap_.OneByte("moved");
  heap_.Forward(old, heap_.OneByte("moved"));
  EXPECT_EQ(Text(old), "\"moved\"");
}

TEST_F(V8ValuesTest, WhatMakesNoSenseIsAQuestionMark) {
  EXPECT_EQ(Text(3), "?");                       // a weak pointer
  EXPECT_EQ(Text(0x1001), "?");                  // not mapped
  EXPECT_EQ(Text(heap_.Object(300, 64)), "?");   // no value of JavaScript's
  const uint64_t cyclic = heap_.Cons(heap_.OneByte("a"), heap_.OneByte("b"));
  heap_.Set(cyclic, heap_.layout().cons_first, cyclic);
  EXPECT_EQ(Text(cyclic), "\"\"…");
  const uint64_t array = Array({V8Heap::Smi(1)});
  heap_.Set(array, 24, V8Heap::Smi(1000));  // longer than its elements
  EXPECT_EQ(Text(array), "Array(1000)");
  const uint64_t map = heap_.Map(kObjectType);
  const uint64_t object = Object(map, 0, 0);  // its map's constructor is that map, for ever
  EXPECT_EQ(Text(object, 0), "Object {…}");
}

TEST_F(V8ValuesTest, ArgumentsAreThoseOfTheFunctionsOwnFrame) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("f"), heap_.Script("a.js"));
  auto put = [&](int64_t offset, uint64_t word) {
    heap_.memory().PutValue(Address{kFrame + static_cast<uint64_t>(offset)}, word);
  };
  put(-16, heap_.Function(shared));
  put(-24, 3);  // with the receiver
  put(16, Oddball(code_.values.oddball_undefined));
  put(24, V8Heap::Smi(1));
  put(32, heap_.OneByte("b"));
  const auto arguments = reader_.Arguments(shared, Address{kFrame});
  ASSERT_TRUE(arguments);
  EXPECT_EQ(*arguments, (std::vector<FrameArgument>{{"", "1"}, {"", "\"b\""}}));
  EXPECT_FALSE(
      reader_.Arguments(heap_.Shared(heap_.OneByte("g"), heap_.Script("b.js")), Address{kFrame}));
  put(-24, 1u << 20);
  EXPECT_FALSE(reader_.Arguments(shared, Address{kFrame}));
  put(-24, 0);
  EXPECT_FALSE(reader_.Arguments(shared, Address{kFrame}));
}

TEST_F(V8ValuesTest, ALayoutWithAGapIsNotUsed) {
  EXPECT_TRUE(MakeTestValues().known);
  EXPECT_TRUE(MakeTestValues("type_Hole__HOLE_TYPE").known);
  EXPECT_FALSE(MakeTestValues("OddballTrue").known);
  EXPECT_FALSE(MakeTestValues("class_JSObject__elements__Object").known);
}

}  // namespace
}  // namespace jprof::v8
