// The V8 helper over object graphs that a test made, in its native form: what it names, and that
// nothing a target can put into its memory makes it name wrongly, run long or read astray.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_names.h"
#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Pid kPid = 4711;
// More reads than any walk of one frame may need: 24 steps of a string twice, and the objects.
constexpr uint64_t kReadsOfOneFrame = 250;

class V8HelperTest : public testing::TestWithParam<int> {
 protected:
  V8HelperTest() : heap_(GetParam()) {
    std::vector<std::byte> layout(sizeof(jp_v8_layout));
    std::memcpy(layout.data(), &heap_.layout(), sizeof(jp_v8_layout));
    runner_ = std::make_unique<NativeRunner>(BuiltinRuntimes(), heap_.memory(),
                                             std::vector<std::vector<std::byte>>{layout});
    instance_ = v8::MakeV8Instance(RuntimeImage{.layout = layout}, heap_.memory());
  }

  // One text for each frame, leaf first: a function's name, "builtin", "native", "unreadable" or
  // "corrupt".
  std::vector<std::string> Walk(const V8Stack& stack) { return Walk(stack.registers()); }
  std::vector<std::string> Walk(const Registers& registers) {
    const uint64_t before = heap_.memory().reads();
    last_ = runner_->Walk(V8Stack::process(), kPid, registers);
    reads_ = heap_.memory().reads() - before;
    for (const SymbolEvent& symbol : last_.symbols) {
      auto name = instance_->Describe(symbol.record);
      EXPECT_TRUE(name.ok()) << name.status();
      if (name.ok()) names_[symbol.number] = *std::move(name);
    }
    std::vector<std::string> texts;
    for (const RawFrame& frame : last_.stack.frames) {
      switch (frame.kind) {
        case RawFrame::Kind::kNative:
          texts.push_back("native");
          break;
        case RawFrame::Kind::kBuiltin:
          texts.push_back("builtin");
          break;
        case RawFrame::Kind::kUnresolved:
          texts.push_back(frame.detail == JP_UNREADABLE ? "unreadable"
                          : frame.detail == JP_SKIPPED  ? "skipped"
                                                        : "corrupt");
          break;
        case RawFrame::Kind::kRuntime:
          texts.push_back(names_[frame.symbol].name);
          break;
      }
    }
    return texts;
  }

  // The only frame of a stack of one compiled function.
  std::string WalkOne(uint64_t function) {
    V8Stack stack(heap_);
    stack.Js(kJitPc, function);
    std::vector<std::string> texts = Walk(stack);
    EXPECT_EQ(texts.size(), 1u);
    return texts.empty() ? "" : texts[0];
  }
  // A function of this name, which may be a string or a ScopeInfo.
  uint64_t Named(uint64_t name) { return heap_.Function(heap_.Shared(name, script_)); }
  std::string NameOf(uint64_t name) { return WalkOne(Named(name)); }
  std::string Inferred(uint64_t inferred) {
    return NameOf(heap_.ScopeInfo({.inferred = inferred}));
  }
  const FrameName& LastName() { return names_[last_.stack.frames.at(0).symbol]; }

  V8Heap heap_;
  std::unique_ptr<NativeRunner> runner_;
  std::unique_ptr<RuntimeInstance> instance_;
  absl::flat_hash_map<uint32_t, FrameName> names_;
  NativeRunner::Result last_;
  uint64_t reads_ = 0;
  uint64_t script_ = heap_.Script("/srv/app.js");
};

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
  EXPECT_EQ(NameOf(heap_.Cons(heap_.TwoByte({u"\xd83e", 1}), heap_.TwoByte({u"\xdd8a", 1}))), "🦊");
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
  EXPECT_EQ(NameOf(heap_.ScopeInfo({.name = heap_.OneByte("paint"), .locals = 2, .receiver = true})),
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
  const uint64_t script = heap_.Script({.name = heap_.OneByte("/srv/app.js"),
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
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(heap_.OneByte("evaluated"), heap_.Script(V8Heap::ScriptSpec{})))),
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

// --- What must not be believed -------------------------------------------------------------------

TEST_P(V8HelperTest, ObjectsOfAnotherTypeAreCorruptAndCounted) {
  const uint64_t other = heap_.Object(900, 128);
  const jp_v8_layout& l = heap_.layout();
  const auto expect_corrupt = [&](uint64_t function, const char* what) {
    EXPECT_EQ(WalkOne(function), "corrupt") << what;
    EXPECT_EQ(last_.corrupt, 1u) << what;
    EXPECT_THAT(last_.symbols, IsEmpty()) << what;
  };
  heap_.Set(other, l.shared_data, other);  // not to be taken for a builtin
  expect_corrupt(heap_.Function(other), "shared info");
  expect_corrupt(heap_.Function(heap_.Object(900, 128)), "shared info of a builtin");
  expect_corrupt(heap_.Function(V8Heap::Smi(5)), "shared info");
  expect_corrupt(Named(other), "name");
  expect_corrupt(Named(0x1234'5678'9abc'def2), "name");
  expect_corrupt(heap_.Function(heap_.Shared(heap_.OneByte("f"), V8Heap::Smi(1))), "script");
  const uint64_t cons = heap_.Cons(heap_.OneByte("a"), heap_.OneByte("b"));
  heap_.Set(cons, l.cons_second, other);
  expect_corrupt(Named(cons), "half of a string");
}

// A function that is not the leaf, whose frame slots are full: no other reading is possible.
TEST_P(V8HelperTest, CallerThatIsNoFunctionIsCorrupt) {
  V8Stack stack(heap_);
  stack.Frame(kJitPc, heap_.Context(), heap_.Object(900, 64)).Native(kNativePc);
  EXPECT_THAT(Walk(stack), ElementsAre("native", "corrupt"));
  V8Stack junk(heap_);
  junk.Frame(kJitPc, 0x12346, 0x55550).Native(kNativePc);
  EXPECT_THAT(Walk(junk), ElementsAre("native", "corrupt"));
}

TEST_P(V8HelperTest, UnmappedObjectsAreUnreadable) {
  const auto unmapped = [&](uint64_t object) { return heap_.Unmap(object, 8), object; };
  EXPECT_EQ(NameOf(unmapped(heap_.OneByte("gone"))), "unreadable");
  EXPECT_EQ(NameOf(heap_.Thin(unmapped(heap_.OneByte("gone")) )), "unreadable");
  EXPECT_EQ(WalkOne(heap_.Function(unmapped(heap_.Shared(heap_.OneByte("f"), script_)))),
            "unreadable");
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(heap_.OneByte("f"),
                                                unmapped(heap_.Script("/srv/a.js"))))),
            "unreadable");
  EXPECT_EQ(last_.unreadable, 1u);
  V8Stack stack(heap_);
  stack.Js(kJitPc, unmapped(heap_.Function(heap_.Undefined()))).Native(kNativePc);
  EXPECT_THAT(Walk(stack), ElementsAre("native", "unreadable"));
}

TEST_P(V8HelperTest, UnmappedCharactersAreUnreadable) {
  const uint64_t external = heap_.ExternalOneByte("outside");
  heap_.Set(external, heap_.layout().external_data, uint64_t{0xdead0000});
  EXPECT_EQ(NameOf(external), "unreadable");
  heap_.Set(external, heap_.layout().external_data, ~uint64_t{0} - 2);
  EXPECT_EQ(NameOf(external), "unreadable");
}

TEST_P(V8HelperTest, ForwardedObjectsAreReadWhereTheyWent) {
  const auto moved = [&](uint64_t object) {
    const uint64_t shell = heap_.Object(900, 128);
    return heap_.Forward(shell, object), shell;
  };
  EXPECT_EQ(WalkOne(moved(Named(heap_.OneByte("f")))), "f");
  EXPECT_EQ(WalkOne(heap_.Function(moved(heap_.Shared(heap_.OneByte("f"), script_)))), "f");
  EXPECT_EQ(NameOf(moved(heap_.OneByte("f"))), "f");
  EXPECT_EQ(NameOf(moved(heap_.ScopeInfo({.name = moved(heap_.OneByte("f"))}))), "f");
  EXPECT_EQ(NameOf(heap_.Cons(moved(heap_.OneByte("f")), heap_.OneByte("g"))), "fg");
  EXPECT_EQ(WalkOne(heap_.Function(heap_.Shared(heap_.OneByte("f"), moved(script_)))), "f");
  EXPECT_EQ(LastName().file, "/srv/app.js");
}

TEST_P(V8HelperTest, ForwardedObjectIsTheSameSymbolAsTheMovedOne) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("f"), script_);
  EXPECT_EQ(WalkOne(heap_.Function(shared)), "f");
  const uint64_t shell = heap_.Object(900, 128);
  heap_.Forward(shell, shared);
  EXPECT_EQ(WalkOne(heap_.Function(shell)), "f");
  EXPECT_THAT(last_.symbols, IsEmpty());
}

TEST_P(V8HelperTest, ForwardingInACircleEnds) {
  const uint64_t a = heap_.Object(900, 128), b = heap_.Object(900, 128);
  heap_.Forward(a, b).Forward(b, a);
  EXPECT_EQ(WalkOne(heap_.Function(a)), "corrupt");
  EXPECT_EQ(NameOf(a), "unreadable");  // no map, no type
  heap_.Forward(a, a);
  EXPECT_EQ(WalkOne(heap_.Function(a)), "corrupt");
  EXPECT_LE(reads_, kReadsOfOneFrame);
}

TEST_P(V8HelperTest, StringsInCirclesEnd) {
  const jp_v8_layout& l = heap_.layout();
  const uint64_t thin = heap_.Thin(heap_.OneByte("x"));
  heap_.Set(thin, l.thin_actual, thin);
  EXPECT_EQ(NameOf(thin), "corrupt");
  EXPECT_LE(reads_, kReadsOfOneFrame);

  const uint64_t sliced = heap_.Sliced(heap_.OneByte("xyz"), 0, 3);
  heap_.Set(sliced, l.sliced_parent, sliced);
  EXPECT_EQ(NameOf(sliced), "corrupt");
  EXPECT_LE(reads_, kReadsOfOneFrame);

  const uint64_t cons = heap_.Cons(heap_.OneByte("x"), heap_.OneByte("y"));
  heap_.Set(cons, l.cons_first, cons);
  NameOf(cons);
  EXPECT_LE(reads_, kReadsOfOneFrame);
  heap_.Set(cons, l.cons_first, heap_.OneByte("x")).Set(cons, l.cons_second, cons);
  EXPECT_EQ(NameOf(cons).substr(0, 4), "xxxx");
  EXPECT_LE(reads_, kReadsOfOneFrame);
  heap_.Set(cons, l.cons_first, cons).Set(cons, l.cons_second, cons);
  NameOf(cons);
  EXPECT_LE(reads_, kReadsOfOneFrame);
}

TEST_P(V8HelperTest, DeepConsStringsAreCutNotRefused) {
  // As a loop of += builds them: the long half comes first.
  uint64_t left = heap_.OneByte("0"), right = heap_.OneByte("0");
  for (char c = '1'; c <= '9'; ++c) left = heap_.Cons(left, heap_.OneByte({&c, 1}));
  EXPECT_EQ(NameOf(left), "0123456789");
  for (int i = 0; i < 100; ++i) {
    left = heap_.Cons(left, heap_.OneByte("x"));
    right = heap_.Cons(heap_.OneByte("x"), right);
  }
  EXPECT_EQ(NameOf(right), "xxxxxxxxxxxx…");
  // Its beginning is out of reach.
  EXPECT_EQ(NameOf(left), "corrupt");
}

TEST_P(V8HelperTest, WhatHasNoRoomIsTheEndOfAName) {
  uint64_t name = heap_.OneByte("begin");
  for (int i = 0; i < 16 + 3; ++i) name = heap_.Cons(name, heap_.OneByte("."));
  const std::string seen = NameOf(name);
  EXPECT_EQ(seen.rfind("begin.", 0), 0u) << seen;
  EXPECT_THAT(seen, testing::EndsWith("…"));
  EXPECT_EQ(LastName().file, "/srv/app.js");  // that one is whole
}

TEST_P(V8HelperTest, LengthsThatLieReadNothingOutside) {
  const jp_v8_layout& l = heap_.layout();
  for (int32_t length : {INT32_MAX, -1, INT32_MIN, 1 << 30}) {
    const uint64_t s = heap_.OneByte("short");
    heap_.Set(s, l.string_length, length);
    const std::string name = NameOf(s);
    // Behind the string's page there is nothing: what is cut to the record's limit cannot be read.
    EXPECT_EQ(name, length < 0 ? "corrupt" : "unreadable") << length;
  }
  const uint64_t parent = heap_.OneByte("parent");
  EXPECT_EQ(NameOf(heap_.Sliced(parent, 7, 1)), "corrupt");
  EXPECT_EQ(NameOf(heap_.Sliced(parent, -1, 1)), "corrupt");
  EXPECT_EQ(NameOf(heap_.Sliced(parent, INT32_MIN, 1)), "corrupt");
  // A slice reaches at most to its parent's end.
  EXPECT_EQ(NameOf(heap_.Sliced(parent, 3, 1000)), "ent");
}

TEST_P(V8HelperTest, LocalsThatLieAreCorrupt) {
  const uint64_t scope = heap_.ScopeInfo({.name = heap_.OneByte("f")});
  const uint64_t count = heap_.layout().scope_slots + 16;
  for (int32_t locals : {-1, INT32_MAX, 100'001}) {
    heap_.Set(scope, count, V8Heap::Smi(locals));
    EXPECT_EQ(NameOf(scope), "corrupt") << locals;
  }
  heap_.Set(scope, count, V8Heap::Smi(99'999));
  EXPECT_EQ(NameOf(scope), "unreadable");  // there is nothing so far behind it
  heap_.Set(scope, count, heap_.Undefined());
  EXPECT_EQ(NameOf(scope), "corrupt");
}

TEST_P(V8HelperTest, ScopeInfoAtTheEndOfMemoryHasItsName) {
  // Nothing is readable behind the object: what it does not have must not be asked for.
  for (bool inferred : {false, true}) {
    V8Heap::ScopeSpec spec = {.name = heap_.OneByte("last"), .locals = 1};
    if (inferred) spec.inferred = heap_.Undefined();
    EXPECT_EQ(NameOf(heap_.ScopeInfo(spec)), "last") << inferred;
  }
}

TEST_P(V8HelperTest, SecondNameIsNotTakenForTheFirstOfALyingScope) {
  // The name slot holds no string: nothing else in the object is taken for it.
  const uint64_t scope = heap_.ScopeInfo({.name = heap_.Object(900, 16)});
  EXPECT_THAT(NameOf(scope), testing::AnyOf("(anonymous)", "corrupt", "unreadable"));
}

// --- Leaves whose frame is not there yet, or no longer -------------------------------------------

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
    EXPECT_THAT(Walk(Registers{.pc = kJitPc, .sp = fp, .fp = fp, .stack_base = 0x7ffd'0100'0000}), ElementsAre("native"));
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
