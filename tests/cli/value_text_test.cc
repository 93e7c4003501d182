#include "profiler/cli/value_text.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using Kind = NativeType::Kind;

class ValueTextTest : public testing::Test {
 protected:
  uint32_t Add(NativeType type) {
    types_.push_back(std::move(type));
    return static_cast<uint32_t>(types_.size() - 1);
  }
  uint32_t Simple(Kind kind, uint64_t size) { return Add({.kind = kind, .size = size}); }

  template <typename T>
  std::string Of(uint32_t type, T value) {
    std::string bytes(sizeof(value), '\0');
    std::memcpy(bytes.data(), &value, sizeof(value));
    return ValueText(types_, type, {ValuePlace::Kind::kBytes, 0, bytes}, memory_);
  }
  std::string At(uint32_t type, uint64_t address) {
    return ValueText(types_, type, {ValuePlace::Kind::kMemory, address, ""}, memory_);
  }

  std::vector<NativeType> types_;
  FakeMemory memory_;
};

TEST_F(ValueTextTest, NumbersAreDecimal) {
  EXPECT_EQ(Of(Simple(Kind::kSigned, 4), int64_t{-7}), "-7");
  EXPECT_EQ(Of(Simple(Kind::kUnsigned, 2), uint64_t{0xabcdffff}), "65535");
  EXPECT_EQ(Of(Simple(Kind::kSigned, 8), INT64_MIN), "-9223372036854775808");
  EXPECT_EQ(Of(Simple(Kind::kBool, 1), uint64_t{1}), "true");
  EXPECT_EQ(Of(Simple(Kind::kBool, 1), uint64_t{2}), "2");
  EXPECT_EQ(Of(Simple(Kind::kCharacter, 1), 'Z'), "90 'Z'");
  EXPECT_EQ(Of(Simple(Kind::kCharacter, 1), char{-1}), "-1");
  EXPECT_EQ(Of(Simple(Kind::kFloat, 8), -0.125), "-0.125");
  EXPECT_EQ(Of(Simple(Kind::kFloat, 4), 1.5f), "1.5");
  EXPECT_EQ(Of(Simple(Kind::kSigned, 16), int64_t{1}), "?");
  EXPECT_EQ(Of(Simple(Kind::kUnknown, 4), int64_t{1}), "?");
}

TEST_F(ValueTextTest, EnumeratorsHaveNames) {
  const uint32_t color =
      Add({.kind = Kind::kEnum, .size = 4, .enumerators = {{"kRed", 0}, {"kBlue", UINT64_MAX}}});
  EXPECT_EQ(Of(color, 0), "kRed");
  EXPECT_EQ(Of(color, -1), "kBlue");
  const uint32_t flags = Add(
      {.kind = Kind::kEnum, .size = 4, .enumerators = {{"kNone", 0}, {"kRead", 1}, {"kExec", 4}}});
  EXPECT_EQ(Of(flags, 5), "kRead | kExec");
  EXPECT_EQ(Of(flags, 7), "7");
}

TEST_F(ValueTextTest, TextsAreQuotedAndCut) {
  const uint32_t text =
      Add({.kind = Kind::kPointer, .size = 8, .target = Simple(Kind::kCharacter, 1)});
  memory_.PutText(Address{0x1000}, std::string("say \"hi\"\n\0more", 14));
  memory_.PutText(Address{0x2000}, std::string(100, 'x'));
  memory_.PutText(Address{0x3000}, "no end");
  EXPECT_EQ(Of(text, 0x1000ul), "\"say \\\"hi\\\"\\n\"");
  EXPECT_EQ(Of(text, 0x2000ul), "\"" + std::string(64, 'x') + "\"…");
  EXPECT_EQ(Of(text, 0x3000ul), "0x3000");
  EXPECT_EQ(Of(text, 0x4000ul), "0x4000");
  EXPECT_EQ(Of(text, 0ul), "0x0");
  EXPECT_EQ(Of(Add({.kind = Kind::kPointer, .size = 8}), 0x1000ul), "0x1000");
}

TEST_F(ValueTextTest, AStringIsItsText) {
  const uint32_t string =
      Add({.kind = Kind::kText,
           .size = 32,
           .members = {{"_M_dataplus", kNoType, 0}, {"_M_string_length", kNoType, 8}}});
  memory_.PutValue(Address{0x1000}, uint64_t{0x2000});
  memory_.PutValue(Address{0x1008}, uint64_t{3});
  memory_.PutText(Address{0x2000}, "abc");
  EXPECT_EQ(At(string, 0x1000), "\"abc\"");
  memory_.PutValue(Address{0x1008}, uint64_t{4});
  EXPECT_EQ(At(string, 0x1000), "?");
  memory_.PutValue(Address{0x1008}, UINT64_MAX);
  EXPECT_EQ(At(string, 0x1000), "?");
  EXPECT_EQ(At(string, 0x5000), "?");
}

TEST_F(ValueTextTest, StructsAreShownOneLevelDeep) {
  const uint32_t number = Simple(Kind::kSigned, 4);
  const uint32_t inner = Add({.kind = Kind::kStruct, .size = 4, .members = {{"x", number, 0}}});
  const uint32_t name =
      Add({.kind = Kind::kArray, .size = 4, .target = Simple(Kind::kCharacter, 1), .count = 4});
  const uint32_t outer = Add({.kind = Kind::kStruct,
                              .size = 24,
                              .members = {{"a", number, 0},
                                          {"low", number, 4, 3, 0},
                                          {"high", number, 4, 5, 3},
                                          {"name", name, 8},
                                          {"in", inner, 12},
                                          {"far", number, 1000}}});
  memory_.PutValue(Address{0x1000}, int32_t{-5});
  memory_.PutValue(Address{0x1004}, uint32_t{0x10 << 3 | 2});
  memory_.PutText(Address{0x1008}, std::string("ab\0c", 4));
  memory_.PutValue(Address{0x100c}, int32_t{1});
  const std::string shown = "{a=-5, low=2, high=-16, name=\"ab\", in={…}, far=?}";
  EXPECT_EQ(At(outer, 0x1000), shown);
  const uint32_t reference = Add({.kind = Kind::kReference, .size = 8, .target = outer});
  EXPECT_EQ(Of(reference, 0x1000ul), shown);
}

TEST_F(ValueTextTest, WhatIsLongIsCut) {
  const uint32_t number = Simple(Kind::kUnsigned, 1);
  NativeType many = {.kind = Kind::kStruct, .size = 20};
  for (uint64_t i = 0; i < 20; ++i) many.members.push_back({"m", number, i});
  memory_.PutText(Address{0x1000}, std::string(20, '\1'));
  EXPECT_EQ(At(Add(many), 0x1000), "{m=1, m=1, m=1, m=1, m=1, m=1, m=1, m=1, …}");
  EXPECT_EQ(At(Add({.kind = Kind::kArray, .target = number, .count = UINT64_MAX}), 0x1000),
            "{1, 1, 1, 1, 1, 1, 1, 1, …}");
}

TEST_F(ValueTextTest, TypesThatLeadToThemselvesEnd) {
  const uint32_t self = Add({.kind = Kind::kReference, .size = 8, .target = 0});
  memory_.PutValue(Address{0x1000}, uint64_t{0x1000});
  EXPECT_EQ(At(self, 0x1000), "0x1000");
  const uint32_t list = Add({.kind = Kind::kStruct, .size = 8, .members = {{"next", 1, 0}}});
  EXPECT_EQ(At(list, 0x1000), "{next={…}}");
  const uint32_t array = Add({.kind = Kind::kArray, .size = 8, .target = 2, .count = 8});
  EXPECT_EQ(At(array, 0x1000).substr(0, 7), "{{{…}");
}

TEST_F(ValueTextTest, WhatIsNotKnownIsSaid) {
  const uint32_t number = Simple(Kind::kSigned, 4);
  EXPECT_EQ(ValueText(types_, number, {}, memory_), "?");
  EXPECT_EQ(ValueText(types_, number, {ValuePlace::Kind::kNowhere, 0, ""}, memory_),
            "<optimized out>");
  EXPECT_EQ(ValueText(types_, kNoType, {ValuePlace::Kind::kMemory, 0x1000, ""}, memory_), "?");
}

}  // namespace
}  // namespace jprof
