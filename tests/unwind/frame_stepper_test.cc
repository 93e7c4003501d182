// Steps by whole programs of frames, over a made-up file in a made-up memory.
#include "profiler/unwind/frame_stepper.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
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
  FrameStepperTest()
      : stepper_([this](Pid, std::span<const uint64_t> addresses) { return Find(addresses); }) {
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
    memory_.Zero({{kIndex}, {kIndex + 0x100}});
    memory_.PutValue(Address{kIndex}, uint32_t{0x3b'03'1b'01});
    memory_.PutValue(Address{kIndex + 8}, static_cast<uint32_t>(fdes_.size()));
    for (uint64_t i = 0; i < fdes_.size(); ++i) {
      memory_.PutValue(Address{kIndex + 12 + 8 * i}, static_cast<int32_t>(F(i) - 0x10 - kIndex));
      memory_.PutValue(Address{kIndex + 16 + 8 * i}, static_cast<int32_t>(fdes_[i] - kIndex));
    }
    memory_.Put(Address{kSection}, std::as_bytes(std::span(cfi_.bytes())));
    memory_.Zero({{kSection + cfi_.bytes().size()}, {kSection + cfi_.bytes().size() + 32}});
  }
  std::vector<FrameCode> Find(std::span<const uint64_t> addresses) {
    ++questions_;
    addresses_ += addresses.size();
    const FileIdentity file = {1, 2, 3};
    const std::vector<ProcMapping> maps = {
        {.range = {{kFile}, {kCode}}, .offset = {0}, .file = file, .path = "/lib/x.so"},
        {.range = {{kCode}, {kStack}},
         .offset = {kCode - kFile},
         .file = file,
         .executable = true,
         .path = "/lib/x.so"}};
    return FindFrameCode(maps, memory_, addresses);
  }
  std::optional<FrameCaller> StepOn(const std::vector<FramePlace>& frames, bool is_first = true) {
    return stepper_.Step(
        {.pid = kPid, .start = start_, .frames = frames, .is_first = is_first}, memory_);
  }
  std::optional<FrameCaller> Step(const std::vector<FramePlace>& frames) {
    PutFile();
    return StepOn(frames);
  }
  size_t Follow(size_t most, uint64_t frame_bytes);
  FramePlace Leaf() const { return {.pc = start_.pc, .sp = start_.sp, .fp = start_.fp}; }

  FakeMemory memory_;
  FrameStepper stepper_;
  CfiBuilder cfi_{true, kSection};
  std::vector<uint64_t> fdes_;
  Registers start_;
  size_t questions_ = 0;
  size_t addresses_ = 0;
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
    const auto caller = StepOn(frames);
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
  ASSERT_TRUE(StepOn({Leaf()}));
  EXPECT_EQ(memory_.reads(), before + 1);  // of the stack
  EXPECT_EQ(questions_, 1u);
  stepper_.Forget(kPid);
  ASSERT_TRUE(StepOn({Leaf()}));
  EXPECT_EQ(questions_, 2u);
}

TEST_F(FrameStepperTest, WhereThereIsNoAnswerItAsksAgain) {
  Function(kByRbx);
  Word(kStack + 0x800, F(1));
  PutFile();
  bool answers = false;
  FrameStepper stepper([&](Pid, std::span<const uint64_t> addresses) {
    return answers ? Find(addresses) : std::vector<FrameCode>();
  });
  const std::vector<FramePlace> frames = {Leaf()};
  const WalkSoFar walk = {.pid = kPid, .start = start_, .frames = frames, .is_first = true};
  EXPECT_FALSE(stepper.Step(walk, memory_));
  answers = true;
  EXPECT_TRUE(stepper.Step(walk, memory_));
}

// Frames of one function, each from its callee, as long as they are told.
size_t FrameStepperTest::Follow(size_t most, uint64_t frame_bytes) {
  std::vector<FramePlace> frames = {Leaf()};
  while (frames.size() <= most) {
    const auto caller = StepOn(frames, frames.size() == 1);
    if (!caller) break;
    EXPECT_EQ(caller->registers.sp, kStack + frames.size() * frame_bytes);
    frames.push_back({.pc = caller->registers.pc, .sp = caller->registers.sp, .fp = 0x66});
  }
  return frames.size() - 1;
}

TEST_F(FrameStepperTest, AWalkRunsEachFrameOnce) {
  Function({kDefCfaOffset, 16});
  PutFile();
  constexpr size_t kFrames = 200;
  for (uint64_t i = 0; i < kFrames; ++i) Word(kStack + 16 * i + 8, F(0));
  ASSERT_EQ(Follow(1, 16), 1u);
  const uint64_t before = memory_.reads();
  EXPECT_EQ(Follow(kFrames, 16), kFrames);
  EXPECT_EQ(memory_.reads(), before + kFrames);
}

// A register's value, by 4 operations 240 times.
std::vector<uint8_t> CountDown(uint8_t number) {
  return {0x16 /* val_expression */, number, 9, 0x0a, 240, 0, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff};
}

TEST_F(FrameStepperTest, AWalkThatTakesTooManyStepsEnds) {
  std::vector<uint8_t> program = {kDefCfaOffset, 16};
  for (uint8_t number = 0; number < kRa; ++number) {
    const std::vector<uint8_t> rule = CountDown(number);
    if (number != kRsp) program.insert(program.end(), rule.begin(), rule.end());
  }
  Function(program);
  PutFile();
  for (uint64_t i = 0; i < 64; ++i) Word(kStack + 16 * i + 8, F(0));
  for (int walk = 0; walk < 2; ++walk) {
    const size_t frames = Follow(64, 16);
    EXPECT_GT(frames, 4u);
    EXPECT_LE(frames, FrameStepper::kMaxSteps / (15 * 4 * 240u));
    EXPECT_LT(stepper_.steps(), 0);
  }
}

TEST_F(FrameStepperTest, AWalkThatReadsTooMuchEnds) {
  std::vector<uint8_t> program = {kDefCfaOffset, 16};
  constexpr int kReads = 300;
  for (uint8_t number : {0, 1, 2, 3}) {
    // breg7 0, and then dup, deref, drop.
    constexpr int kBytes = 2 + 3 * kReads;
    program.insert(program.end(), {0x16 /* val_expression */, number, (kBytes & 0x7f) | 0x80,
                                   kBytes >> 7, 0x77, 0});
    for (int i = 0; i < kReads; ++i) program.insert(program.end(), {0x12, 0x06, 0x13});
  }
  Function(program);
  PutFile();
  for (uint64_t i = 0; i < 64; ++i) Word(kStack + 16 * i + 8, F(0));
  ASSERT_EQ(Follow(1, 16), 1u);
  const uint64_t before = memory_.reads();
  EXPECT_LT(Follow(64, 16), 64u);
  EXPECT_LE(memory_.reads(), before + FrameStepper::kMaxSteps / FrameStepper::kStepsOfRead);
}

TEST_F(FrameStepperTest, AWalkAsksFewQuestions) {
  constexpr size_t kFunctions = 12;
  for (uint64_t i = 0; i < kFunctions; ++i) {
    Function({kDefCfaOffset, 16});
    Word(kStack + 16 * i + 8, F(i + 1));
  }
  PutFile();
  EXPECT_EQ(Follow(64, 16), size_t{FrameStepper::kMaxQuestions});
  EXPECT_EQ(questions_, size_t{FrameStepper::kMaxQuestions});
  EXPECT_EQ(Follow(64, 16), kFunctions);  // what it was told is known
}

TEST_F(FrameStepperTest, OneQuestionIsAboutAllFrames) {
  std::vector<FramePlace> frames;
  for (uint64_t i = 0; i < 8; ++i) {
    Function({kDefCfaOffset, 16});
    Word(kStack + 16 * i + 8, F(i + 1));
    frames.push_back({.pc = F(i), .sp = kStack + 16 * i, .fp = 0x66});
  }
  EXPECT_TRUE(Step(frames));
  EXPECT_EQ(questions_, 1u);
  EXPECT_EQ(addresses_, 8u);
}

TEST_F(FrameStepperTest, AFunctionIsKeptOnce) {
  Function({kDefCfaOffset, 16});
  Word(kStack + 8, F(0));
  ASSERT_TRUE(Step({Leaf()}));
  const size_t bytes = stepper_.bytes();
  for (uint64_t i = 1; i < 100; ++i) {
    start_.pc = F(0) + i;
    EXPECT_TRUE(StepOn({Leaf()}));
  }
  EXPECT_EQ(stepper_.bytes(), bytes);
  EXPECT_EQ(questions_, 1u);
  stepper_.Forget(kPid);
  EXPECT_EQ(stepper_.bytes(), 0u);
}

TEST_F(FrameStepperTest, WhatIsKeptOfAllProcessesIsBounded) {
  // Each function has an entry of its own that is as large as may be; every other one has none.
  const std::vector<uint8_t> nops(FrameCode::kMaxEntryBytes - 64);
  FrameStepper stepper([&](Pid, std::span<const uint64_t> addresses) {
    std::vector<FrameCode> found(addresses.size());
    for (size_t i = 0; i < addresses.size(); ++i) {
      if (addresses[i] / 0x100 % 2 != 0) continue;
      CfiBuilder cfi(true, kSection);
      cfi.Cie();
      const size_t cie_bytes = cfi.bytes().size();
      cfi.Fde(addresses[i] / 0x100 * 0x100, 0x100, nops);
      const auto middle = cfi.bytes().begin() + static_cast<ptrdiff_t>(cie_bytes);
      found[i] = {.address = kSection + cie_bytes,
                  .fde = {middle, cfi.bytes().end()},
                  .cie = {cfi.bytes().begin(), middle}};
    }
    return found;
  });
  Word(kStack, F(0));
  size_t told = 0, most = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    start_.pc = F(i);
    told += stepper
                .Step({.pid = static_cast<Pid>(1 + i % 7),
                       .start = start_,
                       .frames = std::vector{Leaf()}},
                      memory_)
                .has_value();
    most = std::max(most, stepper.bytes());
  }
  EXPECT_EQ(told, 2000u);
  EXPECT_LE(most, FrameStepper::kMaxBytes);
  EXPECT_GT(most, FrameStepper::kMaxBytes / 2);
}

TEST_F(FrameStepperTest, AnEntryThatIsTooLargeIsNotTaken) {
  Function(std::vector<uint8_t>(FrameCode::kMaxEntryBytes));
  Word(kStack, F(0));
  EXPECT_FALSE(Step({Leaf()}));
  EXPECT_LT(stepper_.bytes(), 100u);
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
    EXPECT_FALSE(StepOn({Leaf()})) << c.what;
  }
}

}  // namespace
}  // namespace jprof
