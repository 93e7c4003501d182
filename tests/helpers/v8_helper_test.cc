// What the V8 helper names, over object graphs that a test made.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_helper_fixture.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

INSTANTIATE_TEST_SUITE_P(Node, V8HelperTest, testing::Values(18, 20, 22, 24),
                         [](const auto& node) { return absl::StrCat(node.param); });

// --- Names ---------------------------------------------------------------------------------------

TEST_P(V8HelperTest, NameIsAStringOrInTheScopeInfo) {
  EXPECT_EQ(NameOf(heap_.OneByte("render")), "render");
  EXPECT_EQ(NameOf(heap_.ScopeInfo({.name = heap_.OneByte("paint")})), "paint");
  EXPECT_EQ(LastName().file, "/srv/app.js");
  EXPECT_EQ(LastName().kind, FrameKind::kScript);
}

TEST_P(V8HelperTest, FunctionWithoutNameHasTheInferredOne) {
  EXPECT_EQ(Inferred(heap_.OneByte("holder.deep.arrow")), "holder.deep.arrow");
  EXPECT_EQ(Inferred(heap_.Undefined()), "(anonymous)");
  EXPECT_EQ(NameOf(heap_.ScopeInfo({})), "(anonymous)");
  EXPECT_EQ(NameOf(V8Heap::Smi(0)), "(anonymous)");
  EXPECT_EQ(NameOf(heap_.OneByte("")), "(anonymous)");
}

TEST_P(V8HelperTest, OwnNameGoesBeforeTheInferredOne) {
  EXPECT_EQ(NameOf(heap_.ScopeInfo(
                {.name = heap_.OneByte("own"), .inferred = heap_.OneByte("inferred")})),
            "own");
}

TEST_P(V8HelperTest, EmptyNameGivesWayToTheInferredOne) {
  EXPECT_EQ(NameOf(heap_.ScopeInfo(
                {.name = heap_.OneByte(""), .inferred = heap_.OneByte("inferred")})),
            "inferred");
}

TEST_P(V8HelperTest, TopLevelOfAScriptHasNoName) {
  EXPECT_EQ(NameOf(heap_.ScopeInfo({.has_name = false, .start = 0, .end = 5000})), "(anonymous)");
}

TEST_P(V8HelperTest, StringsOfEveryRepresentation) {
  const uint64_t head = heap_.OneByte("before"), tail = heap_.OneByte("After");
  EXPECT_EQ(NameOf(heap_.OneByte("internalized", kV8InternalizedOneByte)), "internalized");
  EXPECT_EQ(NameOf(heap_.Cons(head, tail)), "beforeAfter");
  EXPECT_EQ(NameOf(heap_.Cons(heap_.Cons(head, tail), heap_.Cons(tail, head))),
            "beforeAfterAfterbefore");
  EXPECT_EQ(NameOf(heap_.Thin(head)), "before");
  EXPECT_EQ(NameOf(heap_.Sliced(head, 2, 3)), "for");
  EXPECT_EQ(NameOf(heap_.Sliced(heap_.Thin(head), 2, 3)), "for");
  EXPECT_EQ(NameOf(heap_.ExternalOneByte("outside")), "outside");
  EXPECT_EQ(NameOf(heap_.ExternalOneByte("farOutside", /*cached=*/false)), "farOutside");
  EXPECT_EQ(NameOf(heap_.Sliced(heap_.ExternalOneByte("outside"), 3, 4)), "side");
  EXPECT_EQ(NameOf(heap_.Cons(heap_.Sliced(head, 0, 2), heap_.Thin(heap_.ExternalOneByte("rry")))),
            "berry");
}

TEST_P(V8HelperTest, SliceOfAFlattenedConsStringIsOfItsFirstHalf) {
  const uint64_t flat = heap_.Cons(heap_.OneByte("beforeAfter"), heap_.OneByte(""));
  EXPECT_EQ(NameOf(heap_.Sliced(flat, 4, 5)), "reAft");
  EXPECT_EQ(NameOf(flat), "beforeAfter");
}

TEST_P(V8HelperTest, TwoByteStringsBecomeUtf8) {
  EXPECT_EQ(NameOf(heap_.TwoByte(u"名前")), "名前");
  EXPECT_EQ(NameOf(heap_.ExternalTwoByte(u"名前🦊")), "名前🦊");
  EXPECT_EQ(NameOf(heap_.ExternalTwoByte(u"名前🦊", /*cached=*/false)), "名前🦊");
  EXPECT_EQ(NameOf(heap_.Sliced(heap_.TwoByte(u"a名前b"), 1, 2)), "名前");
  EXPECT_EQ(NameOf(heap_.OneByte("gr\xf6\xdf" "e")), "größe");
  EXPECT_EQ(NameOf(heap_.Cons(heap_.OneByte("gr\xf6\xdf" "e"), heap_.TwoByte(u"名前"))),
            "größe名前");
  // A pair of surrogates that two pieces part.
  EXPECT_EQ(NameOf(heap_.Cons(heap_.TwoByte({u"\xd83e", 1}), heap_.TwoByte({u"\xdd8a", 1}))),
            "🦊");
}

TEST_P(V8HelperTest, LongNamesAreCutAndSayIt) {
  const std::string name = NameOf(heap_.OneByte(std::string(5000, 'x')));
  EXPECT_EQ(name, std::string(JP_STRING_BYTES - 2, 'x') + "…");
  std::u16string wide(5000, u'名');
  const std::string cut = NameOf(heap_.TwoByte(wide));
  EXPECT_EQ(cut.size(), 3 * (JP_STRING_BYTES - 2) / 2 + std::string("…").size());
}

TEST_P(V8HelperTest, ScopeInfoWithLocals) {
  const uint64_t name = heap_.OneByte("paint");
  for (int locals : {1, 2, 3, 74, 75, 76, 500}) {
    EXPECT_EQ(NameOf(heap_.ScopeInfo({.name = name, .locals = locals})), "paint") << locals;
  }
}

TEST_P(V8HelperTest, ScopeInfoWithReceiverSlot) {
  EXPECT_EQ(
      NameOf(heap_.ScopeInfo({.name = heap_.OneByte("paint"), .locals = 2, .receiver = true})),
      "paint");
  EXPECT_EQ(NameOf(heap_.ScopeInfo(
                {.inferred = heap_.OneByte("inferred"), .locals = 2, .receiver = true})),
            "inferred");
}

TEST_P(V8HelperTest, TopLevelOfAModuleHasNoName) {
  const uint64_t script = heap_.Script({.source = heap_.OneByte("one\ntwo\n")});
  const uint64_t scope = heap_.ScopeInfo({.locals = 3, .module = true, .start = 4, .end = 8});
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(scope, script))), "(anonymous)");
  EXPECT_EQ(LastName().start_line, 2u);
}

// What lies behind the object is not taken for a part of it.
TEST_P(V8HelperTest, TopLevelDoesNotTakeTheNameOfTheObjectBehindIt) {
  const uint64_t scope = heap_.ScopeInfo({.has_name = false, .start = 0, .end = 8});
  const uint64_t behind = heap_.layout().scope_slots + 5 * 8;
  heap_.Set(scope, behind, heap_.OneByte("stranger")).Set(scope, behind + 8, V8Heap::Smi(3));
  EXPECT_EQ(NameOf(scope), "(anonymous)");
}

TEST_P(V8HelperTest, ClassConstructorsAreFunctions) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("Painter"), script_);
  const int types =
      heap_.layout().last_js_function_type - heap_.layout().first_js_function_type + 1;
  for (int type = 0; type < types; ++type) {
    EXPECT_EQ(WalkOne(heap_.Function(shared, static_cast<uint16_t>(type))), "Painter") << type;
  }
  EXPECT_EQ(WalkOne(heap_.Function(shared, static_cast<uint16_t>(types))), "native");
}

// --- Position and script -------------------------------------------------------------------------

TEST_P(V8HelperTest, PositionOfTheFunctionInItsScript) {
  const uint64_t script =
      heap_.Script({.name = heap_.OneByte("/srv/app.js"),
                    .source = heap_.OneByte("one\ntwo\nfunction three() {}\n")});
  auto line_at = [&](V8Heap::ScopeSpec spec) {
    spec.name = heap_.OneByte("f");
    WalkOne(heap_.Function(heap_.Shared(heap_.ScopeInfo(spec), script)));
    return LastName().start_line;
  };
  EXPECT_EQ(line_at({.start = 0}), 1u);
  EXPECT_EQ(line_at({.start = 3}), 1u);
  EXPECT_EQ(line_at({.start = 4}), 2u);
  EXPECT_EQ(line_at({.start = 22}), 3u);
  EXPECT_EQ(line_at({.locals = 80, .receiver = true, .start = 22}), 3u);
  EXPECT_EQ(line_at({.inferred = heap_.OneByte("i"), .locals = 2, .start = 22}), 3u);
  EXPECT_EQ(line_at({.inferred = heap_.Undefined(), .start = 22}), 3u);
}

TEST_P(V8HelperTest, PositionOfTheTopLevel) {
  const uint64_t script = heap_.Script({.name = heap_.OneByte("/srv/app.js"),
                                        .source = heap_.OneByte("one\ntwo\n")});
  const uint64_t scope = heap_.ScopeInfo({.has_name = false, .start = 0, .end = 8});
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(scope, script))), "(anonymous)");
  EXPECT_EQ(LastName().start_line, 1u);
}

TEST_P(V8HelperTest, LineOffsetOfTheScriptIsAdded) {
  const uint64_t script = heap_.Script({.source = heap_.OneByte("one\ntwo\n"), .line_offset = 40});
  const uint64_t scope = heap_.ScopeInfo({.name = heap_.OneByte("f"), .start = 5, .end = 7});
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(scope, script))), "f");
  EXPECT_EQ(LastName().start_line, 42u);
}

TEST_P(V8HelperTest, ImpossiblePositionsAreNone) {
  const uint64_t script = heap_.Script({.source = heap_.OneByte("one\ntwo\n")});
  for (auto [start, end] : {std::pair(5, 4), {-1, 4}, {1000, 2000}}) {
    const uint64_t scope =
        heap_.ScopeInfo({.name = heap_.OneByte("f"), .start = start, .end = end});
    EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(scope, script))), "f");
    EXPECT_EQ(LastName().start_line, 0u) << start << " " << end;
  }
}

TEST_P(V8HelperTest, ScriptWithoutName) {
  EXPECT_EQ(WalkOne(heap_.Function(
                heap_.Shared(heap_.OneByte("evaluated"), heap_.Script(V8Heap::ScriptSpec{})))),
            "evaluated");
  EXPECT_EQ(LastName().file, "");
  // Functions of the runtime's own, and those that a debugger touched, have another object there.
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(heap_.OneByte("own"), heap_.Undefined()))), "own");
}

// --- Frames --------------------------------------------------------------------------------------

TEST_P(V8HelperTest, StackOfScriptNativeAndPlumbing) {
  V8Stack stack(heap_);
  stack.Native(kNativePc)
      .Typed(kBlobPc, 1)
      .Js(kBlobPc, Named(heap_.OneByte("main")))
      .Js(kJitPc, heap_.Function(heap_.BuiltinShared("map", 300)))
      .Js(kJitPc, Named(heap_.OneByte("each")))
      .Typed(kBlobPc, 3)
      .Native(kNativePc);
  EXPECT_THAT(Walk(stack), ElementsAre("native", "each", "builtin", "main", "native"));
  EXPECT_EQ(last_.stack.end, WalkEnd::kRoot);
  EXPECT_EQ(last_.unreadable + last_.corrupt, 0u);
}

TEST_P(V8HelperTest, FramesWithoutFunctionAreShownAtTheLeafOnly) {
  const uint64_t function = Named(heap_.OneByte("main"));
  for (int type = 1; type < 40; ++type) {
    V8Stack leaf(heap_);
    leaf.Js(kJitPc, function).Typed(kBlobPc, type);
    EXPECT_THAT(Walk(leaf), ElementsAre("builtin", "main")) << type;
    V8Stack inner(heap_);
    inner.Js(kJitPc, function).Typed(kBlobPc, type).Native(kNativePc);
    EXPECT_THAT(Walk(inner), ElementsAre("native", "main")) << type;
  }
}

TEST_P(V8HelperTest, TypedFrameInCompiledCodeIsNativeCode) {
  V8Stack stack(heap_);
  stack.Js(kJitPc, Named(heap_.OneByte("main"))).Typed(kJitPc, 5);
  EXPECT_THAT(Walk(stack), ElementsAre("native", "main"));
}

TEST_P(V8HelperTest, FramesOfWebAssemblyAreOfTheirInstance) {
  const uint64_t type = uint64_t{heap_.layout().frame_wasm} << 1, instance = heap_.Undefined();
  V8Stack stack(heap_);
  stack.Js(kJitPc, Named(heap_.OneByte("main")))
      .Typed(kJitPc, heap_.layout().frame_js_to_wasm)
      .Frame(kJitPc + 16, type, instance)
      .Typed(kJitPc, heap_.layout().frame_wasm_to_js)
      .Frame(kJitPc + 32, type, instance)
      .Frame(kJitPc + 48, type, instance + 64);
  EXPECT_THAT(Walk(stack), ElementsAre("[unknown] [wasm]", "[unknown] [wasm]", "[unknown] [wasm]",
                                       "main"));
  const std::vector<RawFrame>& frames = last_.stack.frames;
  EXPECT_EQ(frames[0].address, kJitPc + 48);
  EXPECT_EQ(frames[0].detail, JP_V8_WASM);
  EXPECT_NE(frames[0].symbol, frames[1].symbol);
  EXPECT_EQ(frames[1].symbol, frames[2].symbol);
  EXPECT_EQ(names_[frames[0].symbol].kind, FrameKind::kUnknown);
  // No instance there, or not in compiled code.
  for (uint64_t other : {uint64_t{0}, V8Heap::Smi(4), ~uint64_t{0}}) {
    V8Stack without(heap_);
    without.Js(kJitPc, Named(heap_.OneByte("main"))).Frame(kJitPc, type, other);
    EXPECT_THAT(Walk(without), ElementsAre("native", "main"));
  }
  V8Stack blob(heap_);
  blob.Js(kJitPc, Named(heap_.OneByte("main"))).Frame(kBlobPc, type, instance);
  EXPECT_THAT(Walk(blob), ElementsAre("builtin", "main"));
}

TEST_P(V8HelperTest, BuiltinsAreRecognisedByTheirNumber) {
  EXPECT_EQ(WalkOne(heap_.Function(heap_.BuiltinShared("map", 0))), "builtin");
  EXPECT_EQ(WalkOne(heap_.Function(heap_.BuiltinShared("map", 1234))), "builtin");
  EXPECT_THAT(last_.symbols, IsEmpty());
}

TEST_P(V8HelperTest, BuiltinOfCppIsNamedFromItsExitFrame) {
  V8Stack stack(heap_);
  stack.Js(kJitPc, Named(heap_.OneByte("main")))
      .Typed(kBlobPc, heap_.layout().frame_builtin_exit)
      .Native(kNativePc);
  const uint64_t exit_frame = stack.registers().fp + 128;
  const auto set_argument = [&](uint64_t function) {
    heap_.memory().PutValue(Address{exit_frame + 24}, function);
  };
  set_argument(heap_.Function(heap_.BuiltinShared("stringify", 77)));
  EXPECT_THAT(Walk(stack), ElementsAre("native", "stringify", "main"));
  EXPECT_EQ(names_[last_.stack.frames.at(1).symbol].kind, FrameKind::kBuiltin);
  EXPECT_EQ(names_[last_.stack.frames.at(1).symbol].file, "");
  // Whatever else is there names nothing.
  for (uint64_t other : {uint64_t{0}, heap_.Undefined(), V8Heap::Smi(4), ~uint64_t{2}}) {
    set_argument(other);
    EXPECT_THAT(Walk(stack), ElementsAre("native", "main"));
  }
}

TEST_P(V8HelperTest, BytecodeHandlerAtTheLeafStandsOnItsFunction) {
  V8Stack stack(heap_);
  stack.Js(kBlobPc, Named(heap_.OneByte("interpreted")));
  EXPECT_THAT(Walk(stack), ElementsAre("builtin", "interpreted"));
}

TEST_P(V8HelperTest, LeafWhoseSlotsAreNotPushedYetIsNoError) {
  const uint64_t main = Named(heap_.OneByte("main"));
  V8Stack builtin(heap_), compiled(heap_);
  builtin.Js(kJitPc, main).Frame(kBlobPc, 0x123457, 0x55551);
  EXPECT_THAT(Walk(builtin), ElementsAre("builtin", "main"));
  compiled.Js(kJitPc, main).Frame(kJitPc, 0x123457, 0x55551);
  EXPECT_THAT(Walk(compiled), ElementsAre("native", "main"));
  EXPECT_EQ(last_.unreadable + last_.corrupt, 0u);
}

TEST_P(V8HelperTest, CodeOutsideTheRangesIsNative) {
  V8Stack stack(heap_);
  stack.Js(kNativePc, Named(heap_.OneByte("f")));
  EXPECT_THAT(Walk(stack), ElementsAre("native"));
}

TEST_P(V8HelperTest, ReturnAddressBehindTheRangeBelongsToIt) {
  const uint64_t end = V8Stack::process().ranges[1].end;
  V8Stack stack(heap_);
  stack.Js(end, Named(heap_.OneByte("caller"))).Native(kNativePc);
  EXPECT_THAT(Walk(stack), ElementsAre("native", "caller"));
  // As a pc it lies outside.
  V8Stack leaf(heap_);
  leaf.Js(end, Named(heap_.OneByte("leaf")));
  EXPECT_THAT(Walk(leaf), ElementsAre("native"));
}

// --- The cache of symbols ------------------------------------------------------------------------

TEST_P(V8HelperTest, SecondSightOfAFunctionReadsItsFrameOnly) {
  const uint64_t function = Named(heap_.ScopeInfo({.name = heap_.OneByte("f")}));
  EXPECT_EQ(WalkOne(function), "f");
  const uint64_t first = reads_;
  EXPECT_EQ(last_.symbols.size(), 1u);
  EXPECT_EQ(WalkOne(function), "f");
  EXPECT_THAT(last_.symbols, IsEmpty());
  EXPECT_LE(reads_, 7u);  // block of stack, frame, code, function, its type, shared info, script
  EXPECT_LT(reads_, first);
}

TEST_P(V8HelperTest, ClosuresOfOneFunctionAreOneSymbol) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("f"), script_);
  EXPECT_EQ(WalkOne(heap_.Function(shared)), "f");
  EXPECT_EQ(WalkOne(heap_.Function(shared)), "f");
  EXPECT_THAT(last_.symbols, IsEmpty());
}

TEST_P(V8HelperTest, ReusedAddressIsANewSymbol) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("old"), script_);
  const uint64_t function = heap_.Function(shared);
  EXPECT_EQ(WalkOne(function), "old");
  heap_.Set(shared, heap_.layout().shared_name_or_scope_info, heap_.OneByte("new"));
  EXPECT_EQ(WalkOne(function), "new");
  heap_.Set(shared, heap_.layout().shared_script, heap_.Script("/srv/other.js"));
  EXPECT_EQ(WalkOne(function), "new");
  EXPECT_EQ(LastName().file, "/srv/other.js");
}

// The next script's objects may all lie where those of one that is gone lay.
TEST_P(V8HelperTest, OfAnotherScriptIdIsANewSymbol) {
  const jp_v8_layout& l = heap_.layout();
  const uint64_t name = heap_.OneByte("old");
  const uint64_t function = Named(name);
  EXPECT_EQ(WalkOne(function), "old");
  heap_.memory().PutText(Address{name - 1 + l.string_chars}, "new");
  EXPECT_EQ(WalkOne(function), "old");  // what the test is about: nothing else tells
  heap_.Set(script_, l.script_id, V8Heap::Smi(4711));
  EXPECT_EQ(WalkOne(function), "new");
}

// A script's text is read once for all its functions of a stack.
TEST_P(V8HelperTest, EachFunctionOfAStackHasItsOwnScript) {
  const uint64_t other = heap_.Script("/srv/other.js");
  const auto of_script = [&](absl::string_view name, uint64_t script) {
    return heap_.Function(heap_.Shared(heap_.ScopeInfo({.name = heap_.OneByte(name)}), script));
  };
  V8Stack stack(heap_);
  stack.Js(kJitPc, of_script("a", script_)).Js(kJitPc, of_script("b", script_));
  stack.Js(kJitPc, of_script("", script_)).Js(kJitPc, of_script("c", other));
  stack.Js(kJitPc, of_script("", heap_.Undefined())).Js(kJitPc, of_script("d", script_));
  EXPECT_THAT(Walk(stack), ElementsAre("d", "(anonymous)", "c", "(anonymous)", "b", "a"));
  std::vector<std::string> files;
  for (const RawFrame& frame : last_.stack.frames) files.push_back(names_[frame.symbol].file);
  EXPECT_THAT(files, ElementsAre("/srv/app.js", "", "/srv/other.js", "/srv/app.js", "/srv/app.js",
                                 "/srv/app.js"));
}

TEST_P(V8HelperTest, UnreadableNameIsTriedAgain) {
  // Whichever read fails, the frame is shown as it is and not remembered. (The first is of a block
  // of stack; when that fails, the frame is read alone.)
  for (uint64_t failing = 2;; ++failing) {
    ASSERT_LT(failing, 100u);
    V8Stack stack(heap_);
    stack.Js(kJitPc, Named(heap_.OneByte("later")));
    heap_.memory().FailRead(failing);
    const std::vector<std::string> seen = Walk(stack);
    ASSERT_THAT(seen, testing::AnyOf(ElementsAre("later"), ElementsAre("unreadable"),
                                     ElementsAre("corrupt"), ElementsAre("native")))
        << failing;
    EXPECT_EQ(last_.unreadable, seen[0] == "unreadable") << failing;
    EXPECT_EQ(last_.corrupt, seen[0] == "corrupt") << failing;
    EXPECT_EQ(last_.symbols.size(), seen[0] == "later") << failing;
    if (!heap_.memory().FailedAsTold()) {  // all reads were made
      EXPECT_GT(failing, 8u);
      break;
    }
    EXPECT_THAT(Walk(stack), ElementsAre("later")) << failing;
  }
}

// --- The walk ------------------------------------------------------------------------------------

TEST_P(V8HelperTest, WalkStopsAtTheDepthLimit) {
  const uint64_t function = Named(heap_.OneByte("recurse"));
  V8Stack stack(heap_);
  for (int i = 0; i < JP_MAX_FRAMES + 100; ++i) stack.Js(kJitPc, function);
  EXPECT_EQ(Walk(stack).size(), size_t{JP_MAX_FRAMES});
  EXPECT_EQ(last_.stack.end, WalkEnd::kDepthLimit);
  EXPECT_EQ(last_.symbols.size(), 1u);
}

TEST_P(V8HelperTest, WalkOfFramesThatAreLeftOutIsBoundedToo) {
  V8Stack stack(heap_);
  for (int i = 0; i < 1500; ++i) stack.Typed(kBlobPc, 1);
  EXPECT_EQ(Walk(stack).size(), 1u);
  EXPECT_EQ(last_.stack.end, WalkEnd::kDepthLimit);
  EXPECT_LE(reads_, 3u * JP_MAX_FRAMES);
}

TEST_P(V8HelperTest, FramePointerThatIsNoneEndsTheWalk) {
  const uint64_t function = Named(heap_.OneByte("f"));
  V8Stack stack(heap_);
  stack.Js(kJitPc, function).Js(kJitPc, function);
  const Registers registers = stack.registers();
  const uint64_t fp = registers.fp;
  const auto walk_to = [&](uint64_t saved_fp) {
    heap_.memory().PutValue(Address{registers.fp}, saved_fp);
    Walk(registers);
    EXPECT_LE(last_.stack.frames.size(), 2u);
    EXPECT_EQ(last_.stack.frames[0].kind, RawFrame::Kind::kRuntime);
    return last_.stack.end;
  };
  EXPECT_EQ(walk_to(0), WalkEnd::kRoot);
  EXPECT_EQ(walk_to(fp), WalkEnd::kNotAscending);  // itself
  EXPECT_EQ(walk_to(fp - 4096), WalkEnd::kNotAscending);
  EXPECT_EQ(walk_to(fp + 3), WalkEnd::kUnaligned);
  EXPECT_EQ(walk_to(0xffff'8880'0000'0000), WalkEnd::kNotUserAddress);
  EXPECT_EQ(walk_to(fp + 0x10'0000), WalkEnd::kUnreadable);
}

TEST_P(V8HelperTest, RegistersAreNotTrusted) {
  for (uint64_t fp : {uint64_t{0}, uint64_t{8}, uint64_t{0xffff'8880'0000'0000}, ~uint64_t{0},
                      uint64_t{0x8000'0000'0000}}) {
    EXPECT_THAT(Walk(Registers{.pc = kJitPc, .sp = fp, .fp = fp, .stack_base = 0x7ffd'0100'0000}),
                ElementsAre("native"));
    EXPECT_EQ(last_.stack.end, WalkEnd::kNotUserAddress) << fp;
    EXPECT_EQ(reads_, 0u) << fp;
  }
  EXPECT_THAT(Walk(Registers{.pc = kJitPc, .sp = 0x5000, .fp = 0x5000}), ElementsAre("native"));
  EXPECT_EQ(last_.stack.end, WalkEnd::kUnreadable);
}

TEST_P(V8HelperTest, KernelAddressInAnObjectIsPassedToTheReaderOnly) {
  // The reader of the kernel half refuses such addresses; nothing else is done with them.
  EXPECT_EQ(NameOf(0xffff'8880'0000'0001), "unreadable");
  EXPECT_EQ(WalkOne(heap_.Function(0xffff'8880'0000'0001)), "unreadable");
}

}  // namespace
}  // namespace jprof
