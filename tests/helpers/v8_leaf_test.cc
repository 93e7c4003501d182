// Where a V8 stack begins when the frame at its top is not there yet or no longer, or is not V8's.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_helper_fixture.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;

class V8LeafTest : public V8HelperTest {
 protected:
  V8LeafTest() {
    stack_.Native(kNativePc).Js(kJitPc + 0x400, Named(heap_.OneByte("caller")));
    leaf_ = Named(heap_.OneByte("leaf"));
  }
  // The code that the leaf stands in: what is before its pc, and from it on.
  void Code(absl::string_view before, absl::string_view at) {
    FakeMemory& memory = heap_.memory();
    memory.Zero({{kLeafPc - 64}, {kLeafPc + 64}});
    memory.Put(Address{kLeafPc - before.size()}, std::as_bytes(std::span(before)));
    memory.Put(Address{kLeafPc}, std::as_bytes(std::span(at)));
  }
  // Words on top of the stack, from the stack pointer on.
  Registers Top(const std::vector<uint64_t>& words) {
    Registers r = stack_.registers();
    for (size_t i = 0; i < words.size(); ++i) {
      heap_.memory().PutValue(Address{r.sp + 8 * i}, words[i]);
    }
    r.pc = kLeafPc;
    r.rdi = leaf_;
    return r;
  }
  static constexpr uint64_t kLeafPc = kJitPc + 0x800;
  static constexpr uint64_t kReturn = kJitPc + 0x420;

  V8Stack stack_{heap_};
  uint64_t leaf_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Node, V8LeafTest, testing::Values(18, 22, 24),
                         [](const auto& node) { return absl::StrCat(node.param); });

using std::string_literals::operator""s;

TEST_P(V8LeafTest, BeforeTheFrameIsMadeTheRegisterTellsTheFunction) {
  const auto expect_both = [&](const std::vector<uint64_t>& top) {
    EXPECT_THAT(Walk(Top(top)), ElementsAre("leaf", "caller", "native"));
    EXPECT_EQ(last_.stack.frames.at(1).address, kReturn);
    EXPECT_TRUE(last_.stack.frames.at(1).is_return_address);
    EXPECT_EQ(last_.stack.end, WalkEnd::kRoot);
  };
  Code("", "\x55\x48\x89\xe5\x56\x57");  // push rbp; mov rbp,rsp; push rsi; push rdi
  expect_both({kReturn});
  // mov rbx,[rcx-0x18]; test byte [rbx+0x32],0x20; jne; push rbp; mov rbp,rsp
  Code("", "\x48\x8b\x59\xe8\xf6\x43\x32\x20\x0f\x85\x01\x02\x03\x04\x55\x48\x89\xe5");
  expect_both({kReturn});
  Code("\x48\x8b\x59\xe8\xf6\x43\x32\x20", "\x0f\x85\x01\x02\x03\x04\x55\x48\x89\xe5");
  expect_both({kReturn});
  Code("\x55", "\x48\x89\xe5\x56\x57");
  expect_both({stack_.registers().fp, kReturn});
  // mov ebx,8; movabs r12,N; call
  const std::string mov = "\xbb\x08\0\0\0"s, movabs = "\x49\xbc\1\2\3\4\5\6\0\0"s;
  const std::string call = "\xe8\x01\x02\x03\x04";
  Code("", mov + movabs + call);
  expect_both({kReturn});
  Code(mov, movabs + call);
  expect_both({kReturn});
  Code(mov + movabs, call);
  expect_both({kReturn});
}

TEST_P(V8LeafTest, BytesInTheMiddleOfAFunctionAreNoPrologue) {
  // Another function's prologue is near, and the register holds a function.
  for (const std::string& code :
       {"\x90\x90\x90\x90\x55\x48\x89\xe5"s, "\x48\x89\xe5"s, "\xe8\1\2\3\4"s, "\x49\xbc"s}) {
    Code("", code);
    EXPECT_THAT(Walk(Top({kReturn})), ElementsAre("caller", "native"));
  }
}

TEST_P(V8LeafTest, FrameThatIsGivenATypeHasNoFunctionInTheRegister) {
  const auto expect_native = [&](const std::vector<uint64_t>& top) {
    EXPECT_THAT(Walk(Top(top)), ElementsAre("native", "caller", "native"));
    EXPECT_EQ(last_.stack.frames.at(1).address, kReturn);
  };
  Code("", "\x55\x48\x89\xe5\x6a\x08\x56");  // push rbp; mov rbp,rsp; push 8; push rsi
  expect_native({kReturn});
  Code("\x55", "\x48\x89\xe5\x6a\x08\x56");
  expect_native({stack_.registers().fp, kReturn});
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc + 0x400, Named(heap_.OneByte("caller"))).Frame(kLeafPc, 8, 0);
  Registers r = stack.registers();
  r.pc = kLeafPc;
  r.sp = r.fp - 8;
  r.rdi = leaf_;
  Code("\x55\x48\x89\xe5\x6a\x08", "\x56\x48\x83");
  EXPECT_THAT(Walk(r), ElementsAre("native", "caller", "native"));
}

TEST_P(V8LeafTest, FrameThatLacksItsFunctionStillHasItInTheRegister) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc + 0x400, Named(heap_.OneByte("caller"))).Frame(kLeafPc, 0, 0);
  Registers r = stack.registers();
  r.rdi = leaf_;
  Code("\x55\x48\x89\xe5", "\x56\x57");
  r.sp = r.fp;
  EXPECT_THAT(Walk(r), ElementsAre("leaf", "caller", "native"));
  Code("\x55\x48\x89\xe5\x56", "\x57");
  r.sp = r.fp - 8;
  EXPECT_THAT(Walk(r), ElementsAre("leaf", "caller", "native"));
  // Code of another kind begins its frame with a number, and the register is anything.
  Code("\x55\x48\x89\xe5", "\x6a\x06");
  r.sp = r.fp;
  EXPECT_THAT(Walk(r), ElementsAre("native", "caller", "native"));
}

TEST_P(V8LeafTest, FrameTakenDownIsFoundBelowTheStackPointer) {
  for (const std::string& code : {"\xc3"s, "\xc2\x18\0"s, "\x7f\x03\xc2\x18\0"s,
                                  "\x48\x83\xf9\x02\x7f\x03\xc2\x18\0"s,
                                  "\x49\x83\xf8\x02\x0f\x8f\x03\0\0\0\xc2\x18\0"s,
                                  "\x41\x5a\x48\x8d\x24\xcc\x41\x52\xc3"s}) {
    Code("\x48\x8b\xe5\x5d", code);
    Registers r = Top({kReturn});
    FakeMemory& memory = heap_.memory();
    memory.Zero({{r.sp - 128}, {r.sp}});
    memory.PutValue(Address{r.sp - 8}, r.fp).PutValue(Address{r.sp - 24}, leaf_);
    r.rdi = Named(heap_.OneByte("stranger"));
    EXPECT_THAT(Walk(r), ElementsAre("leaf", "caller", "native"));
    // Where no frame was, the bytes mean nothing.
    memory.PutValue(Address{r.sp - 8}, uint64_t{1});
    EXPECT_THAT(Walk(r), ElementsAre("caller", "native"));
    // More arguments than declared were popped with it.
    memory.PutValue(Address{r.sp - 32}, r.fp).PutValue(Address{r.sp - 48}, leaf_);
    EXPECT_THAT(Walk(r), ElementsAre("leaf", "caller", "native"));
  }
}

TEST_P(V8LeafTest, FrameAboutToBeTakenDownIsWhole) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kLeafPc, leaf_);
  Registers r = stack.registers();
  r.sp = r.fp;
  r.rdi = Named(heap_.OneByte("stranger"));
  Code("\x48\x8b\xe5", "\x5d\xc2\x18\0"s);
  EXPECT_THAT(Walk(r), ElementsAre("leaf", "native"));
}

TEST_P(V8LeafTest, CodeWithoutAFunctionKeepsItsCaller) {
  leaf_ = V8Heap::Smi(7);
  Code("", "\x55\x48\x89\xe5\x6a\x06");
  EXPECT_THAT(Walk(Top({kReturn})), ElementsAre("native", "caller", "native"));
}

TEST_P(V8LeafTest, BuiltinWithoutAFrameLeavesThePlaceOfItsCall) {
  Registers r = Top({3, kNativePc, kReturn, kReturn + 8});
  r.pc = kBlobPc;
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).address, kReturn);
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_PC);
  EXPECT_TRUE(last_.stack.frames.at(1).is_return_address);
  // None on the stack.
  r = Top({3, kNativePc, 4, 5});
  r.pc = kBlobPc;
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_NO_PLACE);
}

TEST_P(V8LeafTest, BuiltinOnInterpretedCodeIsTold) {
  const uint64_t fp = stack_.registers().fp;
  Registers r = Top({3});
  r.pc = kBlobPc;
  heap_.memory().PutValue(Address{fp - 40}, V8Heap::Smi(57));
  heap_.memory().PutValue(Address{fp - 32}, heap_.Object(heap_.layout().bytecode_array_type, 64));
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_INTERPRETED);
  heap_.memory().PutValue(Address{fp - 32}, heap_.Undefined());
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_NO_PLACE);
}

TEST_P(V8LeafTest, HandlerOnInterpretedCodeIsToldWithTheRegister) {
  const uint64_t fp = stack_.registers().fp, place = heap_.layout().handlers + 0x47;
  Registers r = Top({3});
  r.pc = V8Stack::process().ranges[0].begin + place;
  r.others[9] = 0x55;
  heap_.memory().PutValue(Address{fp - 40}, V8Heap::Smi(57));
  heap_.memory().PutValue(Address{fp - 32}, heap_.Object(heap_.layout().bytecode_array_type, 64));
  EXPECT_THAT(Walk(r), ElementsAre("caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(0).detail, JP_V8_HANDLER);
  EXPECT_EQ(last_.stack.frames.at(0).address, uint64_t{0x55} << 32 | place / 32 * 32);
  // No bytecode has such an offset.
  r.others[9] = uint64_t{1} << 24;
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_INTERPRETED);
  r.others[9] = 0x55;
  heap_.memory().PutValue(Address{fp - 32}, heap_.Undefined());
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
  EXPECT_EQ(last_.stack.frames.at(1).detail, JP_V8_NO_PLACE);
}

TEST_P(V8LeafTest, HandlerWithAFrameOfItsOwnTellsOfTheInterpretedOneBelow) {
  const uint64_t place = heap_.layout().handlers + 0x20;
  const uint64_t handler = V8Stack::process().ranges[0].begin + place;
  V8Stack stack(heap_);
  stack.Native(kNativePc);
  for (absl::string_view name : {"outer", "inner"}) {
    stack.Js(kBlobPc, Named(heap_.OneByte(name)));
    const uint64_t fp = stack.registers().fp;
    heap_.memory().PutValue(Address{fp - 40}, V8Heap::Smi(57));
    heap_.memory().PutValue(Address{fp - 32},
                            heap_.Object(heap_.layout().bytecode_array_type, 64));
  }
  stack.Frame(handler, 2 * 18, 0x66);
  Registers r = stack.registers();
  auto expect = [&](uint8_t detail, uint64_t address) {
    EXPECT_THAT(Walk(r), ElementsAre("builtin", "inner", "outer", "native"));
    EXPECT_EQ(last_.stack.frames.at(1).detail, detail);
    EXPECT_EQ(last_.stack.frames.at(1).address, address);
    EXPECT_EQ(last_.stack.frames.at(2).detail, JP_V8_BYTECODE);
  };
  r.others[9] = 0x55;
  expect(JP_V8_HANDLER, uint64_t{0x55} << 32 | place / 32 * 32);
  r.others[9] = 0;
  expect(JP_V8_HANDLER, uint64_t{0x66} << 32 | place / 32 * 32);
  r.others[9] = UINT64_MAX;
  expect(JP_V8_BYTECODE, 57);
  // Another builtin was called, and the slot written before.
  r.others[9] = 0x55;
  r.pc = kBlobPc;
  expect(JP_V8_BYTECODE, 57);
}

TEST_P(V8LeafTest, BuiltinThatMakesItsFrameHasNoFunctionYet) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc + 0x400, Named(heap_.OneByte("caller")));
  stack.Frame(kBlobPc, heap_.Context(), Named(heap_.OneByte("stale")));
  Registers r = stack.registers();
  r.sp = r.fp - 8;
  EXPECT_THAT(Walk(r), ElementsAre("builtin", "caller", "native"));
}

// --- Native code that cannot be walked -----------------------------------------------------------

class V8ResumeTest : public V8HelperTest {
 protected:
  V8ResumeTest() {
    heap_.memory().Zero({{kRoot - 0x1000}, {kRoot + 0x8000}});
    // A sample in V8's code told where the isolate is.
    V8Stack earlier(heap_);
    earlier.Js(kJitPc, Named(heap_.OneByte("earlier")));
    Registers r = earlier.registers();
    r.r13 = kRoot;
    EXPECT_THAT(Walk(r), ElementsAre("earlier"));
  }
  // The leaf of `stack`, its frame pointer used for something else.
  Registers Cut(const V8Stack& stack) {
    Registers r = stack.registers();
    r.pc = kNativePc;
    r.fp = 1;
    return r;
  }
  void SetIsolate(int slot, uint64_t word) { heap_.memory().PutValue(Address{kRoot + slot}, word); }

  static constexpr uint64_t kRoot = 0x3000'0000'0000;
};

INSTANTIATE_TEST_SUITE_P(Node, V8ResumeTest, testing::Values(18, 22, 24),
                         [](const auto& node) { return absl::StrCat(node.param); });

TEST_P(V8ResumeTest, WalkGoesOnAtTheExitFrame) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc, Named(heap_.OneByte("caller"))).Typed(kBlobPc, 3);
  const Registers r = Cut(stack);
  EXPECT_THAT(Walk(r), ElementsAre("native"));  // none was left
  SetIsolate(heap_.layout().isolate_exit_frame, stack.registers().fp);
  EXPECT_THAT(Walk(r), ElementsAre("native", "skipped", "caller", "native"));
  EXPECT_EQ(last_.stack.end, WalkEnd::kRoot);
  EXPECT_EQ(last_.unreadable + last_.corrupt, 0u);
}

TEST_P(V8ResumeTest, CallWithoutAnExitFrameGoesOnAtItsCaller) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc, Named(heap_.OneByte("caller")));
  for (int beside : {-8, 8}) {
    SetIsolate(heap_.layout().isolate_fast_call - 8, 0);
    SetIsolate(heap_.layout().isolate_fast_call + 8, 0);
    SetIsolate(heap_.layout().isolate_fast_call, stack.registers().fp);
    SetIsolate(heap_.layout().isolate_fast_call + beside, kJitPc + 0x20);
    EXPECT_THAT(Walk(Cut(stack)), ElementsAre("native", "skipped", "caller", "native"));
    EXPECT_EQ(last_.stack.frames.at(2).address, kJitPc + 0x20);
  }
}

TEST_P(V8ResumeTest, EntryFrameLeadsToTheExitFrameBeforeIt) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc, Named(heap_.OneByte("outer"))).Typed(kBlobPc, 3);
  const uint64_t outer_exit = stack.registers().fp;
  stack.Native(kNativePc).Typed(kBlobPc, 1);
  const uint64_t entry = stack.registers().fp;
  stack.Js(kJitPc, Named(heap_.OneByte("inner")));
  heap_.memory().PutValue(Address{entry - 64}, outer_exit);
  heap_.memory().PutValue(Address{entry}, uint64_t{1});  // the native code's own use
  const std::vector<std::string> whole = {"inner", "native", "skipped", "outer", "native"};
  EXPECT_EQ(Walk(stack), whole);
  heap_.memory().PutValue(Address{entry - 64}, uint64_t{0});
  EXPECT_THAT(Walk(stack), ElementsAre("inner", "native"));
}

TEST_P(V8ResumeTest, FrameThatIsNotOnThisStackIsNotTaken) {
  V8Stack stack(heap_);
  stack.Native(kNativePc).Js(kJitPc, Named(heap_.OneByte("caller"))).Typed(kBlobPc, 3);
  const Registers r = Cut(stack);
  const uint64_t frame = stack.registers().fp;
  V8Stack native(heap_);
  native.Native(kNativePc).Native(kNativePc).Native(kNativePc);
  for (uint64_t other : {uint64_t{8}, frame + 4, r.sp - 64, r.stack_base + 64, ~uint64_t{7},
                         kRoot /* V8's heap */}) {
    SetIsolate(heap_.layout().isolate_exit_frame, other);
    EXPECT_THAT(Walk(r), ElementsAre("native")) << other;
  }
  // Its caller is no code of V8's.
  SetIsolate(heap_.layout().isolate_exit_frame, frame);
  heap_.memory().PutValue(Address{frame + 8}, kNativePc);
  EXPECT_THAT(Walk(r), ElementsAre("native"));
}

}  // namespace
}  // namespace jprof
