#include "profiler/unwind/location.h"

#include <initializer_list>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using Kind = ValuePlace::Kind;

std::string Expression(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

class LocationTest : public testing::Test {
 protected:
  LocationTest() {
    registers_.Set(0, 0x1122334455667788);
    registers_.Set(6, 0x7000);  // rbp
    memory_.PutValue(Address{0x6ff0}, uint64_t{0x1234});
  }

  ValuePlace LocateIn(std::initializer_list<int> bytes, const std::string& frame_base = "") {
    const LocationContext context = {.registers = registers_,
                                     .cfa = cfa_,
                                     .frame_base = frame_base,
                                     .bias = 0x10000,
                                     .memory = memory_,
                                     .vectors = vectors_};
    return Locate(Expression(bytes), context);
  }
  std::optional<uint64_t> ValueOf(std::initializer_list<int> bytes,
                                  const std::string& frame_base = "") {
    const LocationContext context = {.registers = registers_,
                                     .cfa = cfa_,
                                     .frame_base = frame_base,
                                     .bias = 0x10000,
                                     .memory = memory_};
    return Compute(Expression(bytes), context, uint64_t{5});
  }

  FrameRegisters registers_;
  std::optional<uint64_t> cfa_ = 0x7010;
  const VectorRegisters* vectors_ = nullptr;
  FakeMemory memory_;
};

TEST_F(LocationTest, NoExpressionIsNowhere) { EXPECT_EQ(LocateIn({}).kind, Kind::kNowhere); }

TEST_F(LocationTest, AVectorRegisterHoldsSixteenBytes) {
  // DW_OP_reg18 is xmm1, DW_OP_regx 32 xmm15.
  EXPECT_EQ(LocateIn({0x62}).kind, Kind::kUnknown);
  VectorRegisters vectors = {};
  vectors[1].fill('b');
  vectors[15].fill('p');
  vectors_ = &vectors;
  EXPECT_EQ(LocateIn({0x62}).kind, Kind::kBytes);
  EXPECT_EQ(LocateIn({0x62}).bytes, std::string(16, 'b'));
  EXPECT_EQ(LocateIn({0x90, 32}).bytes, std::string(16, 'p'));
  EXPECT_EQ(LocateIn({0x90, 33}).kind, Kind::kUnknown);
  // In pieces, of which it is the second.
  EXPECT_EQ(LocateIn({0x50, 0x93, 8, 0x62, 0x93, 4}).bytes.substr(8), "bbbb");
}

TEST_F(LocationTest, AVariableLiesBesideTheFrameBase) {
  // DW_OP_fbreg -32 with the frame base in DW_OP_call_frame_cfa, and in DW_OP_reg6.
  ValuePlace at = LocateIn({0x91, 0x60}, Expression({0x9c}));
  EXPECT_EQ(at.kind, Kind::kMemory);
  EXPECT_EQ(at.address, 0x6ff0u);
  at = LocateIn({0x91, 0x60}, Expression({0x56}));
  EXPECT_EQ(at.address, 0x6fe0u);
  EXPECT_EQ(LocateIn({0x91, 0x60}).kind, Kind::kUnknown);
  EXPECT_EQ(LocateIn({0x91, 0x60}, Expression({0x91, 0})).kind, Kind::kUnknown);
}

TEST_F(LocationTest, WithoutTheCfaTheFrameBaseIsNotKnown) {
  cfa_.reset();
  EXPECT_EQ(LocateIn({0x91, 0x60}, Expression({0x9c})).kind, Kind::kUnknown);
}

TEST_F(LocationTest, AVariableInARegisterIsItsBytes) {
  const ValuePlace at = LocateIn({0x50});
  EXPECT_EQ(at.kind, Kind::kBytes);
  EXPECT_EQ(at.bytes, "\x88\x77\x66\x55\x44\x33\x22\x11");
}

TEST_F(LocationTest, ARegisterThatIsNotKnownIsNotGuessed) {
  EXPECT_EQ(LocateIn({0x53}).kind, Kind::kUnknown);       // rbx
  EXPECT_EQ(LocateIn({0x73, 0}).kind, Kind::kUnknown);    // beside it
  EXPECT_EQ(LocateIn({0x50 + 17}).kind, Kind::kUnknown);  // xmm0
  EXPECT_EQ(LocateIn({0x90, 0xff, 0xff, 0x7f}).kind, Kind::kUnknown);
}

TEST_F(LocationTest, AnAddressOfTheFileIsMoved) {
  const ValuePlace at = LocateIn({0x03, 0x34, 0x12, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(at.kind, Kind::kMemory);
  EXPECT_EQ(at.address, 0x11234u);
}

TEST_F(LocationTest, AValueMayBeComputed) {
  const ValuePlace at = LocateIn({0x35, 0x37, 0x1e, 0x9f});  // lit5 lit7 mul stack_value
  EXPECT_EQ(at.kind, Kind::kBytes);
  EXPECT_EQ(at.bytes, std::string("\x23\0\0\0\0\0\0\0", 8));
}

TEST_F(LocationTest, WhatWasThereAtTheCallAloneIsNowhere) {
  EXPECT_EQ(LocateIn({0xa3, 1, 0x55, 0x9f}).kind, Kind::kNowhere);
  EXPECT_EQ(LocateIn({0xf3, 1, 0x55, 0x9f}).kind, Kind::kNowhere);
  EXPECT_EQ(LocateIn({0xa0, 0, 0, 0, 0, 0}).kind, Kind::kNowhere);
}

TEST_F(LocationTest, WhatWasPassedMayBeTold) {
  LocationContext context = {
      .registers = registers_, .cfa = cfa_, .frame_base = "", .bias = 0, .memory = memory_};
  context.at_entry = [](uint64_t number) -> std::optional<uint64_t> {
    if (number != 5) return std::nullopt;
    return 7;
  };
  const ValuePlace at = Locate(Expression({0xa3, 1, 0x55, 0x23, 1, 0x9f}), context);
  EXPECT_EQ(at.kind, Kind::kBytes);
  EXPECT_EQ(at.bytes, std::string("\x08\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(Locate(Expression({0xa3, 1, 0x54, 0x9f}), context).kind, Kind::kNowhere);
}

// f(&local) of an optimizing compiler.
TEST_F(LocationTest, WhatWasPassedMayLieBesideTheFrameBase) {
  EXPECT_EQ(ValueOf({0x91, 0x60}, Expression({0x9c})), 0x6ff0u);
  EXPECT_EQ(ValueOf({0x91, 0x60}, Expression({0x91, 0})), std::nullopt);
}

TEST_F(LocationTest, PiecesArePutTogether) {
  // reg0 piece 2, lit1 stack_value piece 1, breg6 -16 piece 2.
  const ValuePlace at = LocateIn({0x50, 0x93, 2, 0x31, 0x9f, 0x93, 1, 0x76, 0x70, 0x93, 2});
  EXPECT_EQ(at.kind, Kind::kBytes);
  EXPECT_EQ(at.bytes, "\x88\x77\x01\x34\x12");
  EXPECT_EQ(LocateIn({0x50, 0x93, 4, 0x93, 4}).kind,
            Kind::kNowhere);  // the second one is in no place
  EXPECT_EQ(LocateIn({0x50, 0x93, 0xff, 0xff, 0x7f}).kind, Kind::kUnknown);
}

TEST_F(LocationTest, RegistersAreFoundByTheRowsExpressions) {
  EXPECT_EQ(ValueOf({0x23, 3}), 8u);                                   // plus_uconst
  EXPECT_EQ(ValueOf({0x76, 0x70, 0x06}), 0x1234u);                     // breg6 -16 deref
  EXPECT_EQ(ValueOf({0x34, 0x28, 1, 0, 0x39, 0x31, 0x22}), 6u);        // bra over lit9
  EXPECT_EQ(ValueOf({0x31, 0x16, 0x1c}), UINT64_MAX - 3);              // 1 - 5
  EXPECT_EQ(ValueOf({0x32, 0x33, 0x17, 0x1c, 0x1c}), 3u - (5u - 2u));  // rot: 3 5 2
}

TEST_F(LocationTest, StepsMayBeLimited) {
  int steps = 5;
  const LocationContext context = {.registers = registers_, .memory = memory_, .steps = &steps};
  // lit1, plus, nop
  EXPECT_EQ(Compute(Expression({0x31, 0x22, 0x96}), context, uint64_t{5}), 6u);
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(Compute(Expression({0x31, 0x22, 0x96}), context, uint64_t{5}), std::nullopt);
}

TEST_F(LocationTest, NonsenseIsNotKnown) {
  EXPECT_EQ(LocateIn({0x06}).kind, Kind::kUnknown);                          // of nothing
  EXPECT_EQ(LocateIn({0x31, 0x30, 0x1b}).kind, Kind::kUnknown);              // 1 / 0
  EXPECT_EQ(LocateIn({0x31, 0x30, 0x1d}).kind, Kind::kUnknown);              // 1 mod 0
  EXPECT_EQ(LocateIn({0x30, 0x06}).kind, Kind::kUnknown);                    // not readable
  EXPECT_EQ(LocateIn({0x03, 1}).kind, Kind::kUnknown);                       // cut
  EXPECT_EQ(LocateIn({0x2f, 0xfd, 0xff}).kind, Kind::kUnknown);              // for ever
  EXPECT_EQ(LocateIn({0x2f, 0, 0x80}).kind, Kind::kUnknown);                 // out of it
  EXPECT_EQ(LocateIn({0x31, 0x12, 0x2f, 0xfc, 0xff}).kind, Kind::kUnknown);  // deeper and deeper
  EXPECT_EQ(LocateIn({0x50, 0x50}).kind, Kind::kUnknown);                    // two places
  EXPECT_EQ(LocateIn({0xee}).kind, Kind::kUnknown);
}

}  // namespace
}  // namespace jprof
