// The walk by call-frame tables, natively, over made-up tables and a made-up stack.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "helpers/native_runner.h"
#include "jprof_runtimes.h"
#include "profiler/unwind/unwind_table.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kCode = 0x40'0000;   // each function has 0x100 bytes of it
constexpr uint64_t kOther = 0x80'0000;  // code without a table
constexpr uint64_t kStack = 0x7fff'0000'0000;

constexpr uint64_t F(uint64_t function) { return kCode + function * 0x100 + 0x10; }

class TableStepTest : public testing::Test {
 protected:
  TableStepTest() { memory_.Zero({{kStack - 0x1000}, {kStack + 0x5000}}); }

  // The next function: rule number i is of F(i).
  void Rule(jp_rule rule) { rules_.push_back(rule); }
  void Offset(uint8_t base, int32_t offset) {
    Rule({.cfa_offset = offset, .kind = JP_RULE_OFFSET, .base = base});
  }
  void Word(uint64_t address, uint64_t value) { memory_.PutValue(Address{address}, value); }

  NativeRunner::Result Walk(Registers registers, uint64_t base = kCode) {
    std::vector<UnwindRow> rows;
    for (uint32_t i = 0; i <= rules_.size(); ++i) rows.push_back({0x1000 + i * 0x100ull, i});
    rows.back().rule = 0;
    return WalkWith(UnwindTable(rows, rules_), registers, base);
  }
  NativeRunner::Result WalkWith(const UnwindTable& table, Registers registers, uint64_t base) {
    mappings_.push_back({.begin = base,
                         .end = base + table.size(),
                         .base = base,
                         .buckets = 0,
                         .rows = table.rows_at(),
                         .rules = table.rules_at(),
                         .size = table.size()});
    NativeRunner runner(BuiltinRuntimes(), memory_, {});
    runner.SetTables(table.words(), mappings_);
    if (stepper_) runner.SetStepper(stepper_);
    return runner.Walk({}, 1, registers);
  }
  static std::vector<uint64_t> Addresses(const NativeRunner::Result& result) {
    std::vector<uint64_t> addresses;
    for (const RawFrame& frame : result.stack.frames) addresses.push_back(frame.address);
    return addresses;
  }

  FakeMemory memory_;
  NativeRunner::Stepper stepper_;
  std::vector<jp_rule> rules_;
  std::vector<jp_mapping> mappings_;
};

TEST_F(TableStepTest, ACalleeIsLeftByTheStackPointerUntilTheRoot) {
  Offset(JP_REGISTER_RSP, 8);
  Offset(JP_REGISTER_RSP, 0x40);
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack, F(1));
  Word(kStack + 0x40, F(2));
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = 0x1234});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
  EXPECT_FALSE(result.stack.frames[0].is_return_address);
  EXPECT_TRUE(result.stack.frames[1].is_return_address);
}

TEST_F(TableStepTest, EachAddressHasTheRuleOfTheRowThatHoldsThere) {
  constexpr uint64_t kBegin = 0x1000;
  constexpr uint64_t kB = JP_BUCKET_BYTES;
  std::vector<uint64_t> dense;  // as many rows as a bucket can have
  for (uint64_t i = 0; i <= kB + 3; ++i) dense.push_back(i);
  for (const std::vector<uint64_t>& begins : std::vector<std::vector<uint64_t>>{
           {0, 1, kB - 1, kB, kB + 1, 2 * kB, 5 * kB - 1, 5 * kB + 7, 5 * kB + 8},
           {0, 3 * kB, 3 * kB + 1},
           {0, kB - 1, kB + 1},
           {0, 10},
           dense}) {
    std::vector<UnwindRow> rows;
    rules_.clear();
    for (uint32_t i = 0; i < begins.size(); ++i) {
      rows.push_back({kBegin + begins[i], i});
      Offset(JP_REGISTER_RSP, static_cast<int32_t>(8 * (i + 1)));
      Word(kStack + 8 * i, kOther + i);
    }
    const UnwindTable table(rows, rules_);
    std::vector<uint64_t> offsets;
    for (uint64_t begin : begins) offsets.insert(offsets.end(), {begin, begin + 1, begin + kB - 1});
    for (uint64_t at = 0; at < begins.back(); at += kB) offsets.insert(offsets.end(), {at, at + 1});
    for (uint64_t offset : offsets) {
      if (offset >= begins.back()) continue;
      const auto row = std::upper_bound(begins.begin(), begins.end(), offset) - begins.begin() - 1;
      mappings_.clear();
      const auto result = WalkWith(table, {.pc = kCode + offset, .sp = kStack}, kCode);
      ASSERT_THAT(Addresses(result), ElementsAre(kCode + offset, kOther + row)) << offset;
      ASSERT_EQ(table.Find({kBegin + offset})->cfa_offset, 8 * (row + 1)) << offset;
    }
    EXPECT_FALSE(table.Find({kBegin + begins.back()}));
  }
}

TEST_F(TableStepTest, AReturnAddressBehindAFunctionBelongsToIt) {
  Offset(JP_REGISTER_RSP, 8);
  Rule({.kind = JP_RULE_ROOT});
  Rule({.kind = JP_RULE_OTHER});
  Word(kStack, kCode + 0x200);  // the end of the second
  const auto result = Walk({.pc = F(0), .sp = kStack});
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
}

TEST_F(TableStepTest, TheFramePointerComesBackFromWhereItWasSaved) {
  // rbp is saved near the CFA, far from it, and where rbp points at.
  Rule({.cfa_offset = 0x30, .fp_offset = -0x20, .kind = JP_RULE_OFFSET, .base = JP_REGISTER_RSP,
        .fp = JP_FP_AT_CFA});
  Rule({.cfa_offset = 0x200, .fp_offset = -0x1f8, .kind = JP_RULE_OFFSET, .base = JP_REGISTER_RSP,
        .fp = JP_FP_AT_CFA});
  Rule({.cfa_offset = -8, .fp_offset = 0, .kind = JP_RULE_DEREF, .base = JP_REGISTER_RBP,
        .fp = JP_FP_AT_FP});
  Offset(JP_REGISTER_RBP, 0x18);
  Rule({.kind = JP_RULE_ROOT});
  const uint64_t cfa0 = kStack + 0x30, cfa1 = cfa0 + 0x200, cfa2 = cfa1 + 0x100;
  Word(cfa0 - 8, F(1));
  Word(cfa0 - 0x20, 0x77);
  Word(cfa1 - 8, F(2));
  Word(cfa1 - 0x1f8, cfa1 + 0x40);
  Word(cfa1 + 0x38, cfa2);  // the CFA of the third is in memory
  Word(cfa1 + 0x40, cfa2 + 0x20);
  Word(cfa2 - 8, F(3));
  Word(cfa2 + 0x20 + 0x10, F(4));
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = 1});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2), F(3), F(4)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
}

TEST_F(TableStepTest, CodeWithFramePointersIsLeftByThem) {
  Rule({.kind = JP_RULE_FRAME});
  Offset(JP_REGISTER_RSP, 0x10);
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack + 0x40, 0x99);  // the caller's rbp, which is no frame pointer
  Word(kStack + 0x48, F(1));
  Word(kStack + 0x58, F(2));
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = kStack + 0x40});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
}

TEST_F(TableStepTest, CodeWithoutATableIsLeftByFramePointers) {
  Offset(JP_REGISTER_RSP, 8);
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack, kOther);
  Word(kStack + 0x40, 0);
  Word(kStack + 0x48, F(1));
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = kStack + 0x40});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), kOther, F(1)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
}

// A stub that calls and is about to return, at kOther.
class StubStepTest : public TableStepTest {
 protected:
  StubStepTest() {
    Offset(JP_REGISTER_RSP, 8);
    Rule({.kind = JP_RULE_ROOT});
    Word(kStack, kOther);
    Word(kStack + 0x18, F(1));
    Word(kOther, 0xc310c48348);  // add $0x10,%rsp; ret
    // What the frame pointer leads to.
    Word(kStack + 0x200, kStack + 0x300);
    Word(kStack + 0x208, kOther + 0x100);
  }
  const Registers registers_ = {.pc = F(0), .sp = kStack, .fp = kStack + 0x200};
};

TEST_F(StubStepTest, CodeOfNoFileThatIsAboutToReturnIsLeftByWhatItExecutes) {
  const auto result = Walk(registers_);
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), kOther, F(1)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
}

TEST_F(StubStepTest, ALeafThatReturnsOrCallsFirstIsLeftTheSameWay) {
  for (const auto& [code, sp] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0xc310c48348, kStack + 8}, {0xc310c48348'd1ff, kStack + 8}, {0x4883c3, kStack + 0x18}}) {
    Word(kOther, code);
    mappings_.clear();
    const auto result = Walk({.pc = kOther, .sp = sp, .fp = kStack + 0x200});
    EXPECT_THAT(Addresses(result), ElementsAre(kOther, F(1))) << std::hex << code;
  }
}

TEST_F(StubStepTest, OtherCodeIsLeftByFramePointers) {
  for (const uint64_t code :
       {0xc3'90'c4'83'48, 0xc3'0c'c4'83'48, 0x90'10'c4'83'48, 0xc3'10'ec'83'48}) {
    Word(kOther, code);
    mappings_.clear();
    EXPECT_EQ(Walk(registers_).stack.frames.at(2).address, kOther + 0x100);
  }
}

TEST_F(StubStepTest, WhereFramePointersLedThereTheyAreGoneOnWith) {
  Word(kStack + 0x208, kOther);
  Word(kStack + 0x210 + 0x10, F(1));
  const auto result = Walk({.pc = kOther + 0x50, .sp = kStack, .fp = kStack + 0x200});
  EXPECT_THAT(Addresses(result), testing::Not(testing::Contains(F(1))));
}

TEST_F(TableStepTest, AFramePointerBelowTheStackPointerIsNone) {
  Offset(JP_REGISTER_RSP, 0x100);
  Word(kStack + 0xf8, kOther);
  Word(kStack + 0x48, F(1));
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = kStack + 0x40});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), kOther));
  EXPECT_EQ(result.stack.end, WalkEnd::kNotAscending);
}

TEST_F(TableStepTest, OtherRegistersAreKnownInTheLeafAndScratchOnesInItsCaller) {
  constexpr uint8_t kRax = 0, kRbx = 3, kR11 = 11;
  Offset(kR11, 8);
  Offset(kRax, 8);
  Offset(kRbx, 8);
  Registers registers = {.pc = F(0), .sp = kStack};
  registers.others[kR11] = kStack + 0x20;
  registers.others[kRax] = kStack + 0x80;
  registers.others[kRbx] = kStack + 0x100;
  Word(kStack + 0x20, F(1));
  Word(kStack + 0x80, F(2));
  Word(kStack + 0x100, F(0));
  const auto result = Walk(registers);
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2)));
  EXPECT_EQ(result.stack.end, WalkEnd::kNoRule);
  EXPECT_EQ(result.no_rule, 1u);
}

TEST_F(TableStepTest, WhatTheTableDoesNotExpressEndsTheWalkAndIsCounted) {
  Rule({.kind = JP_RULE_OTHER});
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = kStack + 0x40});
  EXPECT_EQ(result.stack.end, WalkEnd::kNoRule);
  EXPECT_EQ(result.no_rule, 1u);
}

TEST_F(TableStepTest, ALinkageStubHasPushedFromItsThresholdOn) {
  Rule({.cfa_offset = 8, .cfa_extra = 11, .kind = JP_RULE_PLT, .base = JP_REGISTER_RSP});
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack, 0x5);
  Word(kStack + 8, F(1));
  EXPECT_THAT(Addresses(Walk({.pc = kCode + 0x2b, .sp = kStack})), ElementsAre(kCode + 0x2b, F(1)));
  mappings_.clear();
  Word(kStack, F(1));
  EXPECT_THAT(Addresses(Walk({.pc = kCode + 0x2a, .sp = kStack})), ElementsAre(kCode + 0x2a, F(1)));
}

TEST_F(TableStepTest, WhereASignalInterruptedAllRegistersAreKnownAgain) {
  constexpr uint8_t kR11 = 11;
  Offset(JP_REGISTER_RSP, 8);      // the handler
  Rule({.kind = JP_RULE_SIGNAL});  // returns to the restorer
  Offset(kR11, 8);                 // what was interrupted
  Rule({.kind = JP_RULE_ROOT});
  const uint64_t old = kStack + 0x1000;
  Word(kStack, kCode + 0x101);  // looked up by the byte before
  const uint64_t context = kStack + 8;  // a struct ucontext
  Word(context + offsetof(ucontext_t, uc_mcontext.gregs[REG_R11]), old + 0x40);
  Word(context + offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]), old);
  Word(context + offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]), F(2));
  Word(old + 0x40, F(3));
  const auto whole = Walk({.pc = F(0), .sp = kStack});
  EXPECT_THAT(Addresses(whole), ElementsAre(F(0), kCode + 0x101, F(2), F(3)));
  EXPECT_EQ(whole.stack.end, WalkEnd::kRoot);
  EXPECT_FALSE(whole.stack.frames[1].is_return_address);
  EXPECT_FALSE(whole.stack.frames[2].is_return_address);
  EXPECT_TRUE(whole.stack.frames[3].is_return_address);
}

TEST_F(TableStepTest, ACfaThatDoesNotLieAboveEndsTheWalk) {
  for (auto [offset, end] : {std::pair{0, WalkEnd::kNotAscending},
                             {-64, WalkEnd::kNotAscending},
                             {12, WalkEnd::kUnaligned}}) {
    rules_.clear();
    mappings_.clear();
    Offset(JP_REGISTER_RSP, offset);
    EXPECT_EQ(Walk({.pc = F(0), .sp = kStack}).stack.end, end) << offset;
  }
}

TEST_F(TableStepTest, AStackThatCannotBeReadEndsTheWalk) {
  Offset(JP_REGISTER_RSP, 0x100'0000);
  EXPECT_EQ(Walk({.pc = F(0), .sp = kStack}).stack.end, WalkEnd::kUnreadable);
}

TEST_F(TableStepTest, NoReturnAddressIsTheRoot) {
  Offset(JP_REGISTER_RSP, 8);
  EXPECT_EQ(Walk({.pc = F(0), .sp = kStack}).stack.end, WalkEnd::kRoot);
}

TEST_F(TableStepTest, TheMappingIsFoundAmongThousands) {
  Offset(JP_REGISTER_RSP, 8);
  Rule({.kind = JP_RULE_ROOT});
  for (uint64_t i = 0; i < 10'000; ++i) {
    const uint64_t at = 0x1'0000'0000 + i * 0x10000;
    mappings_.push_back({.begin = at, .end = at + 0x200, .base = at, .buckets = 0, .rows = 1,
                         .rules = 2, .size = 0x200});
  }
  const std::vector<jp_mapping> all = mappings_;
  for (size_t i = 0; i < all.size(); i += 97) {
    mappings_ = all;
    const uint64_t pc = all[i].begin + 0x10;
    Word(kStack, all[all.size() - 1 - i].begin + 0x110);
    const auto result = Walk({.pc = pc, .sp = kStack}, 0x7000'0000'0000);
    EXPECT_EQ(result.stack.end, WalkEnd::kRoot) << i;
    EXPECT_EQ(result.stack.frames.size(), 2u) << i;
  }
}

TEST_F(TableStepTest, TablesThatPointOutsideOfThePoolAreHarmless) {
  Offset(JP_REGISTER_RSP, 8);
  for (uint32_t wrong : {1000u, 0x7fffffffu, 0xffffffffu}) {
    for (int field = 0; field < 3; ++field) {
      mappings_ = {{.begin = kOther, .end = kOther + 0x100, .base = kOther,
                    .buckets = field == 0 ? wrong : 0, .rows = field == 1 ? wrong : 1,
                    .rules = field == 2 ? wrong : 2, .size = 0x100}};
      const auto result = Walk({.pc = kOther + 1, .sp = kStack, .fp = 0}, 0x7000'0000'0000);
      EXPECT_EQ(result.stack.frames.size(), 1u);
    }
  }
}

TEST_F(TableStepTest, AFrameThatNoTableExpressesIsLeftToTheStepper) {
  Offset(JP_REGISTER_RSP, 0x20);
  Rule({.kind = JP_RULE_OTHER});
  Offset(JP_REGISTER_RBP, 0x10);
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack + 0x18, F(1));
  Word(kStack + 0x208, F(3));
  std::vector<uint64_t> seen;
  stepper_ = [&](const WalkSoFar& walk) {
    EXPECT_EQ(walk.pid, 1);
    EXPECT_EQ(walk.start.r13, 0x1313u);
    for (const FramePlace& frame : walk.frames) seen.push_back(frame.pc);
    EXPECT_EQ(walk.frames.back().sp, kStack + 0x20);
    return FrameCaller{{.pc = F(2), .sp = kStack + 0x100, .fp = kStack + 0x200}};
  };
  const auto result = Walk({.pc = F(0), .sp = kStack, .fp = 0x66, .r13 = 0x1313});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2), F(3)));
  EXPECT_EQ(result.stack.end, WalkEnd::kRoot);
  EXPECT_TRUE(result.stack.frames[2].is_return_address);
  EXPECT_EQ(result.no_rule, 0u);
  EXPECT_THAT(seen, ElementsAre(F(0), F(1)));
  EXPECT_TRUE(result.places.empty()) << "nobody asked for them";
}

TEST_F(TableStepTest, TheStepperIsToldOfEachWalksFirstStep) {
  Rule({.kind = JP_RULE_OTHER});
  Rule({.kind = JP_RULE_OTHER});
  Rule({.kind = JP_RULE_ROOT});
  std::vector<bool> first;
  stepper_ = [&](const WalkSoFar& walk) {
    first.push_back(walk.is_first);
    return FrameCaller{{.pc = F(walk.frames.size()), .sp = walk.frames.back().sp + 0x10}};
  };
  for (int i = 0; i < 2; ++i) Walk({.pc = F(0), .sp = kStack});
  EXPECT_THAT(first, ElementsAre(true, false, true, false));
}

TEST_F(TableStepTest, TheStepperLeadsOutOfASignalHandlersStack) {
  Rule({.kind = JP_RULE_OTHER});
  Offset(3, 0x10);  // by rbx, which a leaf's registers have
  Rule({.kind = JP_RULE_ROOT});
  Word(kStack - 0x100 + 8, F(2));
  stepper_ = [&](const WalkSoFar&) {
    FrameCaller caller{{.pc = F(1), .sp = kStack - 0x100}, true};
    caller.registers.others[3] = kStack - 0x100;
    return caller;
  };
  const auto result = Walk({.pc = F(0), .sp = kStack});
  EXPECT_THAT(Addresses(result), ElementsAre(F(0), F(1), F(2)));
  EXPECT_FALSE(result.stack.frames[1].is_return_address);
}

TEST_F(TableStepTest, WhatTheStepperSaysIsNotBelievedIfItLeadsNowhere) {
  Rule({.kind = JP_RULE_OTHER});
  Offset(JP_REGISTER_RSP, 8);
  const std::optional<FrameCaller> kCases[] = {
      std::nullopt,
      FrameCaller{{.pc = F(1), .sp = kStack - 8}},          // not above
      FrameCaller{{.pc = F(1), .sp = kStack + 12}},         // not aligned
      FrameCaller{{.pc = F(1), .sp = ~uint64_t{7}}},        // the kernel's
      FrameCaller{{.pc = ~uint64_t{0}, .sp = kStack + 8}},
      FrameCaller{{.pc = 0, .sp = kStack + 8}},
      FrameCaller{{.pc = F(1), .sp = kStack - 12}, true},
  };
  for (const auto& caller : kCases) {
    stepper_ = [&](const WalkSoFar&) { return caller; };
    const auto result = Walk({.pc = F(0), .sp = kStack});
    EXPECT_THAT(Addresses(result), ElementsAre(F(0)));
    EXPECT_EQ(result.stack.end, WalkEnd::kNoRule);
    EXPECT_EQ(result.no_rule, 1u);
  }
}

}  // namespace
}  // namespace jprof
