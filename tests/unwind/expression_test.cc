#include "profiler/unwind/location.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

constexpr uint64_t kMemory = 0x7000;

std::optional<uint64_t> Evaluate(std::vector<uint8_t> expression,
                                 std::optional<uint64_t> first = std::nullopt) {
  FakeMemory memory;
  memory.PutValue(Address{kMemory}, uint64_t{0x1122334455667788});
  FrameRegisters registers;
  registers.Set(3, kMemory);
  registers.Set(7, 100);
  const absl::string_view bytes(reinterpret_cast<const char*>(expression.data()),
                                expression.size());
  return Compute(bytes, {.registers = registers, .memory = memory}, first);
}

TEST(ExpressionTest, EachOperationDoesWhatDwarfSays) {
  const struct {
    std::vector<uint8_t> expression;
    uint64_t value;
  } kCases[] = {
      {{0x77, 8}, 108},                                 // breg7 8
      {{0x77, 0x78}, 92},                               // breg7 -8
      {{0x92, 7, 1}, 101},                              // bregx
      {{0x73, 0, 0x06}, 0x1122334455667788},            // deref
      {{0x73, 0, 0x94, 2}, 0x7788},                     // deref_size
      {{0x30}, 0},                                      // lit0
      {{0x4f}, 31},                                     // lit31
      {{0x08, 0xff}, 255},                              // const1u
      {{0x09, 0xff}, ~uint64_t{0}},                     // const1s
      {{0x0a, 0xff, 0xff}, 65535},                      // const2u
      {{0x0b, 0xff, 0xff}, ~uint64_t{0}},               // const2s
      {{0x0c, 0xff, 0xff, 0xff, 0xff}, 0xffffffff},     // const4u
      {{0x0d, 0xff, 0xff, 0xff, 0xff}, ~uint64_t{0}},   // const4s
      {{0x0e, 1, 2, 3, 4, 5, 6, 7, 8}, 0x0807060504030201},
      {{0x10, 0x80, 0x01}, 128},                        // constu
      {{0x11, 0x7f}, ~uint64_t{0}},                     // consts
      {{0x35, 0x12, 0x22}, 10},                         // dup
      {{0x35, 0x36, 0x13}, 5},                          // drop
      {{0x35, 0x36, 0x14}, 5},                          // over
      {{0x35, 0x36, 0x37, 0x15, 2}, 5},                 // pick
      {{0x35, 0x36, 0x16}, 5},                          // swap
      {{0x31, 0x32, 0x33, 0x17, 0x13}, 1},              // rot: 3 1 2
      {{0x31, 0x32, 0x33, 0x17, 0x13, 0x13}, 3},
      {{0x09, 0xfb, 0x19}, 5},                          // abs
      {{0x36, 0x33, 0x1a}, 2},                          // and
      {{0x09, 0xfa, 0x33, 0x1b}, ~uint64_t{0} - 1},     // div: -6 / 3
      {{0x36, 0x32, 0x1c}, 4},                          // minus
      {{0x37, 0x33, 0x1d}, 1},                          // mod
      {{0x37, 0x33, 0x1e}, 21},                         // mul
      {{0x31, 0x1f}, ~uint64_t{0}},                     // neg
      {{0x30, 0x20}, ~uint64_t{0}},                     // not
      {{0x34, 0x31, 0x21}, 5},                          // or
      {{0x34, 0x23, 0x80, 0x01}, 132},                  // plus_uconst
      {{0x33, 0x32, 0x24}, 12},                         // shl
      {{0x33, 0x08, 64, 0x24}, 0},
      {{0x09, 0xff, 0x08, 63, 0x25}, 1},                // shr
      {{0x09, 0xfc, 0x31, 0x26}, ~uint64_t{0} - 1},     // shra
      {{0x09, 0xfc, 0x08, 200, 0x26}, ~uint64_t{0}},
      {{0x36, 0x33, 0x27}, 5},                          // xor
      {{0x36, 0x36, 0x29}, 1},                          // eq
      {{0x09, 0xff, 0x31, 0x2a}, 0},                    // ge, signed
      {{0x32, 0x31, 0x2b}, 1},                          // gt
      {{0x32, 0x31, 0x2c}, 0},                          // le
      {{0x09, 0xff, 0x31, 0x2d}, 1},                    // lt, signed
      {{0x32, 0x31, 0x2e}, 1},                          // ne
      {{0x35, 0x2f, 1, 0, 0x36, 0x96}, 5},              // skip, nop
      {{0x35, 0x31, 0x28, 1, 0, 0x36}, 5},              // bra, taken
      {{0x35, 0x30, 0x28, 1, 0, 0x36}, 6},              // bra, not taken
      // 3, and a loop that takes 1 away until nothing is left.
      {{0x33, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff}, 0},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Evaluate(c.expression), c.value) << testing::PrintToString(c.expression);
  }
  EXPECT_EQ(Evaluate({0x23, 8}, 100), 108u);
}

TEST(ExpressionTest, WhatCannotBeToldIsNotGuessed) {
  const std::vector<uint8_t> kCases[] = {
      {},                                // nothing
      {0x96},                            // nop alone
      {0x70, 0},                         // a register that is not known
      {0x92, 0xff, 0xff, 0xff, 0x0f, 0}, // no register
      {0x08, 1, 0x06},                   // memory that is not there
      {0x73, 0, 0x94, 0},                // no byte of it
      {0x73, 0, 0x94, 9},                // more than a word
      {0x22},                            // plus of nothing
      {0x31, 0x22},                      // plus of one
      {0x12},                            // dup of nothing
      {0x31, 0x15, 1},                   // pick too deep
      {0x31, 0x30, 0x1b},                // div by 0
      {0x31, 0x30, 0x1d},                // mod by 0
      {0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b},  // the quotient does not fit
      {0x31, 0x2f, 2, 0, 0x30},          // jump behind the end
      {0x31, 0x2f, 0x7f, 0xff},          // jump before the beginning
      {0x08},                            // ends within an operand
      {0x2f, 0xfd, 0xff},                // for ever
      {0x31, 0x2f, 0xfc, 0xff},          // for ever, with a growing stack
      {0x03, 0, 0, 0, 0, 0, 0, 0, 0},    // addr: of the file
      {0x9c},                            // call_frame_cfa
      {0xff},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Evaluate(c), std::nullopt) << testing::PrintToString(c);
  }
}

}  // namespace
}  // namespace jprof
