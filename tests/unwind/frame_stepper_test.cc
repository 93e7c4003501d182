// Steps by whole programs of frames, over a made-up file in a made-up memory.
#include "profiler/unwind/frame_stepper.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/testing/fake_memory.h"
#include "tests/unwind/cfi_builder.h"

namespace jprof {
namespace {

constexpr Pid kPid = 4711;
constexpr uint64_t kFile = 0x40'0000;
constexpr uint64_t kIndex = kFile + 0x1000;
constexpr uint64_t kSection = kFile + 0x2000;
constexpr uint64_t kCode = kFile + 0x1'0000;  // each function has 0x100 bytes of it
constexpr uint64_t kStack = 0x7fff'0000'0000;
constexpr uint8_t kRbx = 3;

constexpr uint64_t F(uint64_t function) { return kCode + function * 0x100 + 0x10; }

class FrameStepperTest : public testing::Test {
 protected:
  FrameStepperTest() : stepper_([this](Pid) { return Maps(); }) {
    memory_.Zero({{kStack}, {kStack + 0x1000}});
    start_ = {.pc = F(0), .sp = kStack, .fp = 0x66};
    start_.others.fill(0x99);
    start_.others[kRbx] = kStack + 0x800;
  }

  // The next function. Its CFA is rsp + 8, unless `program` says otherwise.
  void Function(const std::vector<uint8_t>& program, const char* augmentation = "zR") {
    cfi_.Cie(augmentation);
    fdes_.push_back(kSection + cfi_.bytes().size());
    cfi_.Fde(F(fdes_.size() - 1) - 0x10, 0x100, program);
  }
  void Word(uint64_t address, uint64_t value) { memory_.PutValue(Address{address}, value); }

  void PutFile() {
    Elf64_Ehdr header = {};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    memory_.PutValue(Address{kFile}, header);
    Elf64_Phdr load = {}, index = {};
    load.p_type = PT_LOAD;
    index.p_type = PT_GNU_EH_FRAME;
    index.p_vaddr = kIndex - kFile;
    memory_.PutValue(Address{kFile + sizeof(header)}, load);
    memory_.PutValue(Address{kFile + sizeof(header) + sizeof(load)}, index);
    memory_.Zero({{kIndex}, {kIndex + 0x40}});
    memory_.PutValue(Address{kIndex}, uint32_t{0x3b'03'1b'01});
    memory_.PutValue(Address{kIndex + 8}, static_cast<uint32_t>(fdes_.size()));
    for (uint64_t i = 0; i < fdes_.size(); ++i) {
      memory_.PutValue(Address{kIndex + 12 + 8 * i}, static_cast<int32_t>(F(i) - 0x10 - kIndex));
      memory_.PutValue(Address{kIndex + 16 + 8 * i}, static_cast<int32_t>(fdes_[i] - kIndex));
    }
    memory_.Put(Address{kSection}, std::as_bytes(std::span(cfi_.bytes())));
    memory_.Zero({{kSection + cfi_.bytes().size()}, {kSection + cfi_.bytes().size() + 32}});
  }
  std::vector<ProcMapping> Maps() {
    ++maps_reads_;
    const FileIdentity file = {1, 2, 3};
    return {{.range = {{kFile}, {kCode}}, .offset = {0}, .file = file, .path = "/lib/x.so"},
            {.range = {{kCode}, {kCode + 0x1'0000}}, .offset = {kCode - kFile}, .file = file,
             .executable = true, .path = "/lib/x.so"}};
  }
  std::optional<FrameCaller> Step(const std::vector<FramePlace>& frames) {
    PutFile();
    return stepper_.Step(kPid, start_, frames, memory_, memory_);
  }
  FramePlace Leaf() const { return {.pc = start_.pc, .sp = start_.sp, .fp = start_.fp}; }

  FakeMemory memory_;
  FrameStepper stepper_;
  CfiBuilder cfi_{true, kSection};
  std::vector<uint64_t> fdes_;
  Registers start_;
  int maps_reads_ = 0;
};

// DW_CFA_def_cfa_expression: breg3 16, lit8, minus.
const std::vector<uint8_t> kByRbx = {kDefCfaExpression, 4, 0x73, 16, 0x38, 0x1c};

TEST_F(FrameStepperTest, AnExpressionIsComputedFromTheRegisters) {
  Function(kByRbx);
  Word(kStack + 0x800, F(1));
  const auto caller = Step({Leaf()});
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->registers.pc, F(1));
  EXPECT_EQ(caller->registers.sp, kStack + 0x808);
  EXPECT_EQ(caller->registers.fp, 0x66u);
  EXPECT_FALSE(caller->is_interrupted);
  // A call may have changed what it need not preserve; the leaf has not.
  EXPECT_EQ(caller->registers.others[0], 0x99u);
}

TEST_F(FrameStepperTest, ACalleesRegistersComeBack) {
  Function({kDefCfaOffset, 16, kOffset | kRbx, 2});
  Function(kByRbx);
  Word(kStack, kStack + 0x700);
  Word(kStack + 8, F(1));
  Word(kStack + 0x700, F(2));
  const auto caller = Step({Leaf(), {.pc = F(1), .sp = kStack + 16, .fp = 0x66}});
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->registers.pc, F(2));
  EXPECT_EQ(caller->registers.sp, kStack + 0x708);
}

TEST_F(FrameStepperTest, AReturnAddressMayLieAnywhere) {
  Function({kDefCfaOffset, 32, kOffset | kRa, 3});
  Word(kStack + 8, F(1));
  const auto caller = Step({Leaf()});
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->registers.pc, F(1));
  EXPECT_EQ(caller->registers.sp, kStack + 32);
}

TEST_F(FrameStepperTest, AReturnAddressMayBeInARegister) {
  Function({kDefCfaOffset, 0x40, 0x09 /* register */, kRa, kRbx});
  start_.others[kRbx] = F(1);
  EXPECT_EQ(Step({Leaf()})->registers.pc, F(1));
}

TEST_F(FrameStepperTest, ARegisterThatIsNotKnownEndsIt) {
  Function(kByRbx);
  Word(kStack + 0x800, F(1));
  start_.all_known = false;
  EXPECT_FALSE(Step({Leaf()}));
}

TEST_F(FrameStepperTest, WhatCallsNeedNotPreserveIsNotKnownBehindThem) {
  Function({kDefCfaOffset, 8});
  Function({kDefCfaOffset, 8});
  Function({kDefCfaExpression, 4, 0x70, 16, 0x38, 0x1c});  // by rax
  Word(kStack, F(1));
  Word(kStack + 8, F(2));
  start_.others[0] = kStack + 0x800;
  Word(kStack + 0x800, F(3));
  EXPECT_FALSE(Step({Leaf(),
                     {.pc = F(1), .sp = kStack + 8, .fp = 0x66},
                     {.pc = F(2), .sp = kStack + 16, .fp = 0x66}}));
  // The leaf's own caller may rely on it.
  Word(kStack, F(2));
  EXPECT_TRUE(Step({Leaf(), {.pc = F(2), .sp = kStack + 8, .fp = 0x66}}));
}

TEST_F(FrameStepperTest, BehindAFrameThatTheWalkSawElsewhereOnlyItsOwnRegistersAreKnown) {
  Function({kDefCfaOffset, 8});
  Function(kByRbx);
  Word(kStack, F(1));
  Word(kStack + 0x800, F(2));
  EXPECT_TRUE(Step({Leaf(), {.pc = F(1), .sp = kStack + 8, .fp = 0x66}}));
  EXPECT_FALSE(Step({Leaf(), {.pc = F(1), .sp = kStack + 16, .fp = 0x66}}));
}

TEST_F(FrameStepperTest, BehindCodeOfWhichNothingIsSaidTheFramePointerIsKnown) {
  Function({kDefCfaExpression, 4, 0x76, 16, 0x38, 0x1c});  // by rbp
  Word(kStack + 0x600, F(1));
  start_.pc = 0x1234;
  const auto caller = Step({Leaf(), {.pc = F(0), .sp = kStack + 8, .fp = kStack + 0x600}});
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->registers.pc, F(1));
}

TEST_F(FrameStepperTest, AFrameThatIsLookedAtTwiceIsOneFrame) {
  Function({kDefCfaOffset, 16, kOffset | kRbx, 2});
  Function(kByRbx);
  Word(kStack, kStack + 0x700);
  Word(kStack + 8, F(1));
  Word(kStack + 0x700, F(2));
  EXPECT_TRUE(Step({Leaf(), Leaf(), {.pc = F(1), .sp = kStack + 16, .fp = 0x66}}));
}

TEST_F(FrameStepperTest, AfterASignalAllRegistersAreThoseOfTheInterrupted) {
  // Register n is at CFA + 8 * n.
  std::vector<uint8_t> program = {kDefCfa, kRbx, 0};
  for (uint8_t number = 0; number <= kRa; ++number) {
    program.insert(program.end(), {0x2f /* GNU_negative_offset_extended */, number, number});
    Word(kStack + 0x800 + 8 * uint64_t{number}, 0x1000 + uint64_t{number});
  }
  Function(program, "zRS");
  const auto caller = Step({Leaf()});
  ASSERT_TRUE(caller);
  EXPECT_TRUE(caller->is_interrupted);
  EXPECT_EQ(caller->registers.pc, 0x1010u);
  EXPECT_EQ(caller->registers.sp, 0x1007u);
  EXPECT_EQ(caller->registers.fp, 0x1006u);
  EXPECT_EQ(caller->registers.others[15], 0x100fu);
  // One that is not known would be taken for known.
  memory_.MakeUnreadable({{kStack + 0x800}, {kStack + 0x808}});
  EXPECT_FALSE(Step({Leaf()}));
}

TEST_F(FrameStepperTest, NoReadThatFailsIsGuessed) {
  Function({kDefCfaOffset, 16, kOffset | kRbx, 2});
  Function(kByRbx);
  Word(kStack, kStack + 0x700);
  Word(kStack + 8, F(1));
  Word(kStack + 0x700, F(2));
  const std::vector<FramePlace> frames = {Leaf(), {.pc = F(1), .sp = kStack + 16, .fp = 0x66}};
  ASSERT_TRUE(Step(frames));
  int failed = 0;
  for (uint64_t n = 1;; ++n, ++failed) {
    stepper_.Forget(kPid);
    memory_.FailRead(n);
    const auto caller = stepper_.Step(kPid, start_, frames, memory_, memory_);
    if (!memory_.FailedAsTold()) break;
    // Whether the caller's rbp was saved is known without a read, so nothing else comes out.
    EXPECT_FALSE(caller) << n;
  }
  EXPECT_GT(failed, 10);
}

TEST_F(FrameStepperTest, EachFileIsAskedForOnce) {
  Function(kByRbx);
  Word(kStack + 0x800, F(1));
  ASSERT_TRUE(Step({Leaf()}));
  const uint64_t before = memory_.reads();
  ASSERT_TRUE(stepper_.Step(kPid, start_, std::vector{Leaf()}, memory_, memory_));
  EXPECT_EQ(memory_.reads(), before + 1);  // of the stack
  EXPECT_EQ(maps_reads_, 1);
  stepper_.Forget(kPid);
  ASSERT_TRUE(stepper_.Step(kPid, start_, std::vector{Leaf()}, memory_, memory_));
  EXPECT_EQ(maps_reads_, 2);
}

// One word of the file is another one.
TEST_F(FrameStepperTest, WhatIsNotUnderstoodIsNotFollowed) {
  Function(kByRbx);
  Word(kStack + 0x800, F(1));
  ASSERT_TRUE(Step({Leaf()}));
  const struct {
    const char* what;
    uint64_t at;
    uint32_t value;
  } kCases[] = {
      {"no ELF file", kFile, 0},
      {"another machine", kFile + 0x12, EM_AARCH64},
      {"too many segments", kFile + 0x36, 0xffff0038},
      {"another version of the index", kIndex, 0x3b'03'1b'02},
      {"another encoding", kIndex, 0x1b'03'1b'01},
      {"too many entries", kIndex + 8, 0xffffffff},
      {"no entries", kIndex + 8, 0},
      {"an entry of nowhere", kIndex + 16, 0x7fffffff},
      {"an entry of other code", kIndex + 16, static_cast<uint32_t>(fdes_[0] - kIndex - 0x20)},
      {"an entry that is too long", fdes_[0], 0x7fffffff},
      {"an entry without an end", fdes_[0], 0xffffffff},
      {"the CIE of nowhere", fdes_[0] + 4, 0x12345678},
      {"a CIE of another kind", kSection + 8, 0xffffffff},
  };
  for (const auto& c : kCases) {
    PutFile();
    memory_.PutValue(Address{c.at}, c.value);
    stepper_.Forget(kPid);
    EXPECT_FALSE(stepper_.Step(kPid, start_, std::vector{Leaf()}, memory_, memory_)) << c.what;
  }
}

}  // namespace
}  // namespace jprof
