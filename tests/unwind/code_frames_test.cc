#include "profiler/unwind/code_frames.h"

#include <fcntl.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "profiler/unwind/call_frames.h"
#include "profiler/unwind/x86_instruction.h"

namespace jprof {
namespace {

using Code = std::vector<uint8_t>;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kBase = 0x1000;

// "7+16" is CFA = rsp + 16; "6+16 fp@-16": rbp + 16, and the caller's rbp is saved there.
std::string Text(const jp_rule& rule) {
  std::string text = absl::StrCat(rule.base, "+", rule.cfa_offset);
  if (rule.fp == JP_FP_AT_CFA) absl::StrAppend(&text, " fp@", rule.fp_offset);
  return text;
}

// "OFFSET rule" wherever the rule changes, "OFFSET" where there is none from there on.
std::vector<std::string> Frames(const Code& code,
                                const std::vector<CodeRange>& functions = {{kBase, kBase}},
                                const std::vector<CodeRange>& described = {}) {
  std::vector<std::string> result;
  uint64_t at = kBase;
  std::string last;
  for (const CodeFrame& frame : FramesOfCode(code, kBase, described, functions)) {
    if (frame.begin != at) {
      result.push_back(absl::StrCat(absl::Hex(at - kBase)));
      last.clear();
    }
    if (Text(frame.rule) != last) {
      result.push_back(absl::StrCat(absl::Hex(frame.begin - kBase), " ", Text(frame.rule)));
    }
    last = Text(frame.rule);
    at = frame.end;
  }
  return result;
}

TEST(CodeFramesTest, PushesAndRoomMoveTheStackPointer) {
  EXPECT_THAT(Frames({
                  0x41, 0x57,                    // push %r15
                  0x53,                          // push %rbx
                  0x48, 0x83, 0xec, 0x18,        // sub $0x18,%rsp
                  0xe8, 0x00, 0x01, 0x00, 0x00,  // call far away
                  0x48, 0x8d, 0x64, 0x24, 0x18,  // lea 0x18(%rsp),%rsp
                  0x5b,                          // pop %rbx
                  0x41, 0x5f,                    // pop %r15
                  0xc3,                          // ret
              }),
              ElementsAre("0 7+8", "2 7+16", "3 7+24", "7 7+48", "11 7+24", "12 7+16", "14 7+8"));
}

TEST(CodeFramesTest, SavedFramePointerIsFollowed) {
  EXPECT_THAT(Frames({0x55,              // push %rbp
                      0x89, 0xfd,        // mov %edi,%ebp
                      0x5d,              // pop %rbp
                      0xc3}),
              ElementsAre("0 7+8", "1 7+16 fp@-16", "4 7+8"));
}

TEST(CodeFramesTest, RealignedFrameIsFoundByItsFramePointer) {
  EXPECT_THAT(Frames({0x55,                    // push %rbp
                      0x48, 0x89, 0xe5,        // mov %rsp,%rbp
                      0x48, 0x83, 0xe4, 0xf0,  // and $-16,%rsp
                      0x90,
                      0xc9,                    // leave
                      0xc3}),
              ElementsAre("0 7+8", "1 7+16 fp@-16", "8 6+16 fp@-16", "a 7+8"));
}

TEST(CodeFramesTest, BothWaysOfABranchAreFollowed) {
  EXPECT_THAT(Frames({0x85, 0xff,  // test %edi,%edi
                      0x74, 0x03,  // je 7
                      0x53,        // push %rbx
                      0x5b,        // pop %rbx
                      0xc3,
                      0x31, 0xc0, 0xc3}),
              ElementsAre("0 7+8", "5 7+16", "6 7+8"));
}

TEST(CodeFramesTest, TargetsOfATableHaveTheStateOfItsJump) {
  EXPECT_THAT(Frames({0x53,              // push %rbx
                      0x3e, 0xff, 0xe0,  // notrack jmp *%rax
                      0xeb, 0x02,        // one target: jmp 8
                      0xeb, 0x00,        // another: jmp 8
                      0x5b,              // pop %rbx
                      0xc3}),
              ElementsAre("0 7+8", "1 7+16"))
      << "nothing leads behind the jump, so its function may end there";
  EXPECT_THAT(Frames({0x53, 0x3e, 0xff, 0xe0, 0xeb, 0x02, 0xeb, 0x00, 0x5b, 0xc3},
                     {{kBase, kBase + 10}}),
              ElementsAre("0 7+8", "1 7+16", "9 7+8"))
      << "unless its end is known";
  EXPECT_THAT(Frames({0x53,              // push %rbx
                      0x74, 0x07,        // je a
                      0x3e, 0xff, 0xe0,  // notrack jmp *%rax
                      0xeb, 0x02,        // one target: jmp a
                      0xeb, 0x00,        // another: jmp a
                      0x5b,              // pop %rbx
                      0xc3}),
              ElementsAre("0 7+8", "1 7+16", "b 7+8"));
}

TEST(CodeFramesTest, CalledCodeIsAFunctionToo) {
  EXPECT_THAT(Frames({0x50,                    // push %rax
                      0xe8, 2, 0, 0, 0,        // call 8
                      0x58,                    // pop %rax
                      0xc3,
                      0x53, 0x5b, 0xc3}),
              ElementsAre("0 7+8", "1 7+16", "7 7+8", "9 7+16", "a 7+8"));
}

TEST(CodeFramesTest, DescribedCodeIsLookedThroughForCallsAndGetsNoFrames) {
  EXPECT_THAT(
      Frames({0x50, 0xe8, 2, 0, 0, 0, 0x58, 0xc3, 0x53, 0x5b, 0xc3}, {}, {{kBase, kBase + 8}}),
      ElementsAre("0", "8 7+8", "9 7+16", "a 7+8"));
}

TEST(CodeFramesTest, TheEntryCallsTheFirstFunction) {
  const Code code = {0x48, 0x31, 0xed,        // xor %rbp,%rbp: the outermost frame
                     0x48, 0x83, 0xe4, 0xf0,  // and $-16,%rsp
                     0xe8, 1, 0, 0, 0,        // call d, which never returns
                     0x5b,                    // what no way leads to
                     0x53, 0x5b, 0xc3};
  const std::vector<CodeFrame> frames = FramesOfCode(code, kBase, {}, {}, kBase);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames.front().begin, kBase + 0xd);
  EXPECT_EQ(frames.back().end, kBase + code.size());
  EXPECT_THAT(FramesOfCode(code, kBase, {}, {}, kBase + code.size()), IsEmpty());
}

TEST(CodeFramesTest, CodeBehindACallThatNeverReturnsIsAnotherFunctions) {
  EXPECT_THAT(Frames({0x53, 0xe8, 0, 1, 0, 0,     // push %rbx; call abort
                      0xc3},                      // ret: the next function
                     {{kBase, kBase}, {kBase + 6, kBase + 6}}),
              ElementsAre("0 7+8", "1 7+16", "6 7+8"));
}

TEST(CodeFramesTest, FunctionThatContradictsItselfHasNoFrames) {
  const Code functions[] = {
      {0x53, 0xc3},                                // returns with something pushed
      {0x5b, 0xc3},                                // pops the return address
      {0x74, 0x01, 0x53, 0x5b, 0xc3},              // two ways with other states
      {0x31, 0xed, 0xc3},                          // xor %ebp,%ebp: the caller's is gone
      {0x48, 0x83, 0xe4, 0xf0, 0xc3},              // realigned without a frame pointer
      {0x48, 0x29, 0xc4, 0x48, 0x01, 0xc4, 0xc3},  // room of unknown size
      {0x48, 0x89, 0xfc, 0xc3},                    // another stack
      {0x53, 0x06},                                // no instruction
      {0x53, 0xe8, 0, 0},                          // not all of one
      {0x53, 0xeb, 0x7f},                          // leaves the code
      {0x55, 0x5b, 0x5d, 0xc3},                    // pops the caller's rbp elsewhere
      {0xc8, 8, 0, 0, 0xc9, 0xc3},                 // enter
  };
  for (const Code& code : functions) {
    EXPECT_THAT(Frames(code), IsEmpty()) << testing::PrintToString(code);
  }
  EXPECT_THAT(Frames({}), IsEmpty());
  EXPECT_THAT(
      Frames({0xc3}, {{0, 9}, {kBase - 1, kBase}, {kBase + 1, UINT64_MAX}, {UINT64_MAX, 0}}),
      IsEmpty());
}

TEST(CodeFramesTest, WorkIsLinearInTheCode) {
  // Each byte is said to begin a function, and each of them fails at the end.
  Code code(1 << 16, 0x90);
  std::vector<CodeRange> functions;
  for (uint64_t i = 0; i < code.size(); ++i) functions.push_back({kBase + i, kBase + code.size()});
  code.back() = 0x06;
  EXPECT_THAT(Frames(code), IsEmpty());
  EXPECT_LE(FramesOfCode(code, kBase, {}, functions).size(), code.size());
}

// A second opinion: the compiler's. What it described as CFA + offset is followed as if it had not.
TEST(CodeFramesTest, AgreesWithTheCompilersTableOfTheCLibrary) {
  std::vector<std::string> paths;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        const std::string path = info->dlpi_name;
        if (path.find("/libc.so") != std::string::npos ||
            path.find("/libstdc++.so") != std::string::npos) {
          static_cast<std::vector<std::string>*>(out)->push_back(path);
        }
        return 0;
      },
      &paths);
  ASSERT_EQ(paths.size(), 2u);
  for (const std::string& path : paths) {
    auto elf = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
    ASSERT_TRUE(elf.ok()) << elf.status();
    auto table = CallFrames(*elf).Build();
    ASSERT_TRUE(table.ok()) << table.status();
    const auto text = elf->ReadSection(".text", 16 << 20);
    ASSERT_TRUE(text.has_value());
    std::vector<CodeRange> functions;
    ASSERT_TRUE(elf->ForEachSymbolEntry(ElfFile::Table::kDynsym, [&](const auto& symbol) {
                     if (symbol.type == STT_FUNC) functions.push_back({symbol.address.value, 0});
                     return true;
                   }).ok());
    uint64_t same = 0, different = 0, described = 0;
    std::string examples;
    for (uint64_t i = 0; i < text->bytes.size(); ++i) {
      const auto rule = table->Find({text->address.value + i});
      described += rule && rule->kind == JP_RULE_OFFSET;
    }
    for (const CodeFrame& frame :
         FramesOfCode(text->bytes, text->address.value, {}, functions)) {
      const auto rule = table->Find({frame.begin});
      if (!rule || rule->kind == JP_RULE_NONE) continue;
      jp_rule theirs = *rule;
      if (theirs.kind == JP_RULE_FRAME) {
        theirs = {.cfa_offset = 16, .fp_offset = -16, .kind = JP_RULE_OFFSET,
                  .base = JP_REGISTER_RBP, .fp = JP_FP_AT_CFA};
      }
      // What was popped is still where it was saved, below the stack pointer.
      if (theirs.base == JP_REGISTER_RSP && theirs.fp == JP_FP_AT_CFA &&
          -theirs.fp_offset > theirs.cfa_offset) {
        theirs.fp = JP_FP_SAME;
        theirs.fp_offset = 0;
      }
      // Where both ways lead to the CFA, either may be said; that of rbp is the same.
      const bool agrees =
          theirs.kind == JP_RULE_OFFSET && theirs.base != frame.rule.base
              ? theirs.fp == frame.rule.fp && theirs.fp_offset == frame.rule.fp_offset
              : std::memcmp(&theirs, &frame.rule, sizeof(theirs)) == 0;
      (agrees ? same : different) += frame.end - frame.begin;
      if (!agrees && different < 400) {
        absl::StrAppend(&examples, absl::Hex(frame.begin), " ", Text(frame.rule), " theirs ",
                        static_cast<int>(theirs.kind), " ", Text(theirs), "\n");
      }
    }
    EXPECT_LE(different * 1000, same) << path << " " << same << "\n" << examples;
    EXPECT_GE(same * 100, described * 60) << path << " " << same << " of " << described;
  }
}

}  // namespace
}  // namespace jprof
