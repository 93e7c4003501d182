#include "helpers/v8/v8_deopt.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_code_heap.h"

namespace jprof::v8 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::byte> FromHex(absl::string_view hex) {
  const std::string text = absl::HexStringToBytes(hex);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Read from nodes 23 and 24: one function each that Maglev compiled, with two inlined in it, and
// 23's by TurboFan.
const auto kMaglev23 = FromHex(
    "0e000606010a040225062703270525082424010a0002250a250c270525082424011c0206250e250c27052510251224"
    "2426010e320606430e37020201030402320e4006063a0014020600023324");
const auto kMaglev24 = FromHex(
    "0e000606010a04000126062803280526082525010a000201260a260c280526082525011c020403260e260c28052610"
    "2612252527010e350606440e3a02020103040001330e4406063b001402040300023425");
const auto kTurbofan23 = FromHex(
    "0e000606000a0a020002270627032705270a2424000a00020002250c250e2705251024240014020600022512250e27"
    "05251425162424240e370606010a0a0232010a000232011c02063326000e4c0606010a0a0232010a000232011c0206"
    "3326000e61020201030a0232");
const auto kMaglevTable23 =
    FromHex("04000000a10000000000000000000000470003440100750004480100e700000000012f0100000001");
const auto kTurbofanTable23 = FromHex("02000000910400005203c5b604c9");
const auto kMaglevTable24 =
    FromHex("0500000004000000a100000000000000240003340100610004380100d400000000011c0100000001");

// Read from node 12: a function without inlined ones. Its three translations follow each other.
const auto kTurbofan12 = FromHex(
    "00040400042404080000480c480a2c2c481064082c042c2c00040400047804080004480c480a480648106408640864"
    "0800040400040004080000480c480a48064810640864086408");

const DeoptCoding& Coding(uint32_t version) { return *FindDeoptCoding(version); }

TEST(DeoptCodingTest, VersionsWithoutFactsHaveNone) {
  for (uint32_t version : {0u, 703u, 705u, 707u, 802u, 1102u, 1205u, 1305u, 1407u, 1409u, 1501u}) {
    EXPECT_EQ(FindDeoptCoding(version), nullptr) << version;
  }
  for (uint32_t version : {704u, 708u, 709u, 801u}) {
    const DeoptCoding* coding = FindDeoptCoding(version);
    ASSERT_NE(coding, nullptr) << version;
    EXPECT_EQ(coding->operands.size(), 27u);
    // 7.4 does not say where the exits begin.
    EXPECT_EQ(coding->scalars, version == 704 ? 0 : 1);
  }
  for (uint32_t version : {1103u, 1108u, 1204u, 1209u, 1306u, 1401u, 1406u}) {
    const DeoptCoding* coding = FindDeoptCoding(version);
    ASSERT_NE(coding, nullptr) << version;
    // Both beginnings have three operands, frames with bytecode two more when they return.
    EXPECT_EQ(coding->operands.substr(coding->begin, 2), "33");
    EXPECT_EQ(coding->operands[coding->js_frame], coding->operands[coding->js_frame + 1] + 2);
    EXPECT_EQ(coding->operands.back(), '1');
  }
}

TEST(TranslationTest, FramesComeOutermostFirst) {
  const std::vector<DeoptFrame> expected = {{2, 5}, {0, 5}, {1, 14}};
  EXPECT_EQ(ReadTranslation(kMaglev23, 0, Coding(1209)), expected);
  EXPECT_EQ(ReadTranslation(kMaglev24, 0, Coding(1306)), expected);
  EXPECT_THAT(ReadTranslation(kTurbofan23, 0, Coding(1209)),
              ElementsAre(DeoptFrame{5, 5}, DeoptFrame{0, 5}, DeoptFrame{1, 10}));
}

TEST(TranslationTest, WhatAnEarlierTranslationSaidIsTakenFromThere) {
  const std::vector<DeoptFrame> call = {{2, 5}, {0, 5}, {1, 10}};
  const std::vector<DeoptFrame> all = {{2, 5}, {0, 5}, {1, 14}};
  // All of it; nothing of its frames; all but the last frame.
  EXPECT_EQ(ReadTranslation(kMaglev23, 50, Coding(1209)), all);
  EXPECT_THAT(ReadTranslation(kMaglev23, 55, Coding(1209)), ElementsAre(DeoptFrame{2, -1}));
  EXPECT_EQ(ReadTranslation(kMaglev23, 64, Coding(1209)), call);
  EXPECT_EQ(ReadTranslation(kMaglev24, 53, Coding(1306)), all);
  EXPECT_EQ(ReadTranslation(kMaglev24, 68, Coding(1306)), call);
  // Opcodes of its own between those of the earlier one.
  const std::vector<DeoptFrame> turbofan = {{5, 5}, {0, 5}, {1, 14}};
  EXPECT_EQ(ReadTranslation(kTurbofan23, 55, Coding(1209)), turbofan);
  EXPECT_EQ(ReadTranslation(kTurbofan23, 76, Coding(1209)), turbofan);
}

TEST(TranslationTest, OldNumbersHaveTheirFlagLast) {
  EXPECT_THAT(ReadTranslation(kTurbofan12, 0, Coding(708)), ElementsAre(DeoptFrame{1, 9}));
  EXPECT_THAT(ReadTranslation(kTurbofan12, 24, Coding(708)), ElementsAre(DeoptFrame{1, 30}));
  EXPECT_THAT(ReadTranslation(kTurbofan12, 48, Coding(708)), ElementsAre(DeoptFrame{1, 0}));
  // Offset 100 has two bytes; before it a builtin that is no frame, behind it one that is.
  const auto bytes = Bytes({0, 8, 8, 0, 8, 4, 4, 4, 4, 0x91, 2, 8, 0, 0, 0, 12, 4, 8, 0});
  EXPECT_THAT(ReadTranslation(bytes, 0, Coding(709)), ElementsAre(DeoptFrame{2, 100}));
  for (size_t size = 0; size < 14; ++size) {
    EXPECT_THAT(ReadTranslation(std::span(bytes).first(size), 0, Coding(709)), IsEmpty()) << size;
  }
}

TEST(TranslationTest, OldOpcodesHaveNoShortForms) {
  for (int opcode : {27 << 2, 0x7c, 2 | 1 << 2, 0}) {  // none, none, negative, a beginning
    EXPECT_THAT(ReadTranslation(Bytes({0, 4, 4, 0, opcode, 4, 4, 8, 0, 0, 4, 4, 4, 8, 0, 0}), 0,
                                Coding(708)),
                IsEmpty())
        << opcode;
  }
}

TEST(TranslationTest, BuiltinsThatGoOnAreNoFrames) {
  // Frames: function 1 at 7, a builtin of two kinds, function 2 at 9.
  const auto bytes = Bytes({13, 0, 8, 8, 1, 14, 2, 0, 2, 8, 2, 0, 3, 8, 2, 0, 1, 18, 4, 0});
  EXPECT_THAT(ReadTranslation(bytes, 0, Coding(1204)),
              ElementsAre(DeoptFrame{1, 7}, DeoptFrame{2, 9}));
  // 20's numbers.
  EXPECT_THAT(ReadTranslation(Bytes({2, 0, 4, 4, 24, 14, 2, 0, 25, 8, 2, 0}), 0, Coding(1103)),
              ElementsAre(DeoptFrame{1, 7}));
}

TEST(TranslationTest, LongFormOfRepetitionIsTheShortOne) {
  auto bytes = kMaglev23;
  // 0x43 is 44 opcodes + 23.
  ASSERT_EQ(bytes[54], std::byte{0x43});
  bytes.resize(54);
  bytes.insert(bytes.end(), {std::byte{43}, std::byte{23}});
  EXPECT_EQ(ReadTranslation(bytes, 50, Coding(1209)).size(), 3u);
  bytes.back() = std::byte{0};
  EXPECT_THAT(ReadTranslation(bytes, 50, Coding(1209)), IsEmpty());
}

TEST(TranslationTest, IndexThatIsNoBeginningIsNoAnswer) {
  for (uint64_t index : {uint64_t{1}, uint64_t{4}, uint64_t{51}, uint64_t{kMaglev23.size()},
                         uint64_t{1} << 40, UINT64_MAX}) {
    EXPECT_THAT(ReadTranslation(kMaglev23, index, Coding(1209)), IsEmpty()) << index;
  }
  EXPECT_THAT(ReadTranslation({}, 0, Coding(1209)), IsEmpty());
}

TEST(TranslationTest, CutAnywhereItEndsWithoutAnAnswer) {
  // The last frame's opcode and its two operands are at 69 to 71.
  for (size_t size = 0; size < kMaglev23.size(); ++size) {
    const auto frames = ReadTranslation(std::span(kMaglev23).first(size), 64, Coding(1209));
    EXPECT_EQ(frames.size(), size < 72 ? 0u : 3u) << size;
  }
}

TEST(TranslationTest, ReferencesThatLeadNowhereAreDamage) {
  auto with = [](size_t at, int value) {
    auto bytes = kMaglev23;
    bytes[at] = static_cast<std::byte>(value);
    return ReadTranslation(bytes, 64, Coding(1209));
  };
  EXPECT_THAT(with(65, 0x40), ::testing::SizeIs(3));
  EXPECT_THAT(with(65, 0x3f), IsEmpty());     // to no beginning
  EXPECT_THAT(with(65, 0x41), IsEmpty());     // in front of the first
  EXPECT_THAT(with(65, 0), IsEmpty());        // to none, and takes opcodes all the same
  EXPECT_THAT(with(65, 64 - 50), IsEmpty());  // to one that takes opcodes itself
  EXPECT_THAT(with(68, 44), IsEmpty());       // none of them
  EXPECT_THAT(with(69, 14), IsEmpty());       // another beginning
}

TEST(TranslationTest, NumbersOutOfRangeAreDamage) {
  auto with = [](std::initializer_list<int> values) {
    return ReadTranslation(Bytes(values), 0, Coding(1204));
  };
  EXPECT_THAT(with({13, 0, 2, 2, 1, 0, 0, 0}), ElementsAre(DeoptFrame{0, 0}));
  EXPECT_THAT(with({13, 0, 2, 0, 1, 0, 0, 0}), IsEmpty());        // no frame
  EXPECT_THAT(with({13, 0, 2, 3, 1, 0, 0, 0}), IsEmpty());        // -1
  EXPECT_THAT(with({13, 0, 2, 0x82, 1, 1, 0, 0, 0}), IsEmpty());  // 65
  EXPECT_THAT(with({13, 0, 2, 2, 1, 5, 0, 0}), IsEmpty());        // offset -2
  EXPECT_THAT(with({13, 0, 2, 2, 1, 0, 3, 0}), IsEmpty());        // function -1
  EXPECT_THAT(with({13, 0, 2, 2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0}), IsEmpty());
}

TEST(TranslationTest, TranslationWithoutEndEnds) {
  std::vector<std::byte> bytes = Bytes({13, 0, 2, 4, 1, 0, 0, 0});
  bytes.resize(1 << 20, std::byte{32});  // OPTIMIZED_OUT: no operands
  EXPECT_THAT(ReadTranslation(bytes, 0, Coding(1204)), IsEmpty());
}

std::vector<DeoptCall> Calls(std::span<const std::byte> bytes, uint32_t version, bool maglev) {
  auto table = ReadSafepointHeader(bytes, Coding(version), maglev);
  return table ? ReadDeoptCalls(bytes, *table) : std::vector<DeoptCall>();
}

TEST(SafepointTest, CallsWithoutAnEntryAreLeftOut) {
  EXPECT_THAT(Calls(kMaglevTable23, 1209, true),
              ElementsAre(DeoptCall{0x47, 0x143, 2}, DeoptCall{0x75, 0x147, 3}));
  EXPECT_THAT(Calls(kMaglevTable24, 1306, true),
              ElementsAre(DeoptCall{0x24, 0x133, 2}, DeoptCall{0x61, 0x137, 3}));
  EXPECT_THAT(Calls(kTurbofanTable23, 1209, false),
              ElementsAre(DeoptCall{0x52, 0xc4, 2}, DeoptCall{0xb6, 0xc8, 3}));
}

TEST(SafepointTest, OldEntriesAreWordsWithFlags) {
  const auto bytes =
      Bytes({3,    0,    0,    0,    1,    0,    0,    0,     // three, a byte of slots each
             7,    1,    0,    0,    5,    0,    0,    0x80,  // a flag
             0x66, 1,    0,    0,                             //
             9,    1,    0,    0,    0xff, 0xff, 0xff, 0x0f,  // no index
             0xff, 0xff, 0xff, 0xff,                          //
             11,   1,    0,    0,    0xff, 0xff, 0xff, 0x7f,  //
             0xff, 0xff, 0xff, 0xff});
  EXPECT_THAT(Calls(bytes, 708, false), ElementsAre(DeoptCall{0x107, 0x166, 5}));
}

TEST(SafepointTest, NothingIsNoTable) {
  for (uint32_t version : {708u, 1103u, 1209u, 1406u}) {
    for (bool maglev : {false, true}) {
      EXPECT_FALSE(ReadSafepointHeader({}, Coding(version), maglev).has_value()) << version;
    }
  }
}

TEST(SafepointTest, TableWithoutEntriesForDeoptimizationHasNoSuchCalls) {
  EXPECT_THAT(Calls(Bytes({2, 0, 0, 0, 0xa0, 0, 0, 0, 0x47, 0, 0x75, 0}), 1209, false), IsEmpty());
  EXPECT_THAT(Calls(Bytes({0, 0, 0, 0, 0xa1, 0, 0, 0}), 1209, false), IsEmpty());
}

TEST(SafepointTest, CutOrSenselessTablesSayNothing) {
  for (size_t size = 0; size < kMaglevTable23.size(); ++size) {
    EXPECT_THAT(Calls(std::span(kMaglevTable23).first(size), 1209, true), IsEmpty()) << size;
  }
  auto header = [](uint32_t pc, uint32_t index, uint32_t registers) {
    const uint32_t sizes = 1 | registers << 1 | pc << 4 | index << 7;
    return ReadSafepointHeader(Bytes({1, 0, 0, 0, static_cast<int>(sizes & 0xff),
                                      static_cast<int>(sizes >> 8), 0, 0}),
                               Coding(1209), false)
        .has_value();
  };
  EXPECT_TRUE(header(2, 1, 4));
  EXPECT_FALSE(header(0, 1, 0));
  EXPECT_FALSE(header(5, 1, 0));
  EXPECT_FALSE(header(7, 1, 0));
  EXPECT_FALSE(header(2, 5, 0));
  EXPECT_FALSE(header(2, 1, 6));
  const auto endless = Bytes({0xff, 0xff, 0xff, 0xff, 0xa1, 0, 0, 0, 0x47, 0, 1, 0, 0});
  EXPECT_EQ(ReadSafepointHeader(endless, Coding(1209), false)->size(), 8 + 5 * 0xffffffffull);
  EXPECT_THAT(Calls(endless, 1209, false), IsEmpty());
}

}  // namespace
}  // namespace jprof::v8
