// Who awaits whom, over promises that a test made.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/v8/v8_names.h"
#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Pid kPid = 4711;
constexpr int32_t kRunning = -2;
constexpr int32_t kDone = -1;
constexpr size_t kMaxAwaiters = 48;
// Of one step, at most: objects, their maps, their types; the function's name and script.
constexpr uint64_t kReadsOfOneStep = 120;

class V8AwaitTest : public testing::TestWithParam<int> {
 protected:
  V8AwaitTest() : heap_(GetParam()), layout_(heap_.layout()) {
    runner_ =
        std::make_unique<NativeRunner>(BuiltinRuntimes(), heap_.memory(),
                                       std::vector<std::vector<std::byte>>{heap_.Image().layout});
    instance_ = v8::MakeV8Instance(heap_.Image(), heap_.memory());
  }

  uint64_t Named(absl::string_view name) {
    return heap_.Function(heap_.Shared(heap_.OneByte(name), script_));
  }
  uint64_t Promise(uint64_t reactions = 0, int32_t status = 0) {
    const uint64_t promise = heap_.Object(layout_.promise_type, 40);
    heap_.Set(promise, 24, reactions).Set(promise, 32, V8Heap::Smi(status));
    return promise;
  }
  uint64_t Capability(uint64_t promise) {
    const uint64_t capability = heap_.Object(layout_.capability_type, 32);
    return heap_.Set(capability, 8, promise), capability;
  }
  uint64_t Reaction(uint64_t fulfill, uint64_t reject, uint64_t then, uint64_t next = 0) {
    const uint64_t reaction = heap_.Object(layout_.reaction_type, 48);
    const uint16_t at = layout_.reaction_next;
    heap_.Set(reaction, at, next).Set(reaction, at + 8, reject).Set(reaction, at + 16, fulfill);
    return heap_.Set(reaction, at + 24, then), reaction;
  }
  // A builtin's closure over a context with these slots behind the first two.
  uint64_t Closure(std::initializer_list<uint64_t> slots) { return ClosureOver(Context(slots)); }
  uint64_t ClosureOver(uint64_t context) {
    const uint64_t closure = heap_.Function(heap_.BuiltinShared("", 123));
    return heap_.Set(closure, layout_.function_context, context), closure;
  }
  uint64_t Context(std::initializer_list<uint64_t> slots) {
    const uint64_t context = heap_.Object(kContextType, 32 + slots.size() * 8);
    uint64_t at = 32;
    for (uint64_t slot : slots) heap_.Set(context, std::exchange(at, at + 8), slot);
    return context;
  }
  // An asynchronous function that awaits at `bytecode`, or runs, and the promise for its result.
  uint64_t Generator(uint64_t function, uint64_t promise, int32_t bytecode = 77,
                     int32_t state = 0) {
    const uint64_t generator = heap_.Object(layout_.async_function_type, 96);
    heap_.Set(generator, 24, function).Set(generator, 48, V8Heap::Smi(bytecode));
    return heap_.Set(generator, 64, V8Heap::Smi(state)).Set(generator, 80, promise), generator;
  }
  uint64_t AsyncGenerator(uint64_t function, uint64_t promise) {
    const uint64_t request = heap_.Object(layout_.request_type, 40);
    heap_.Set(request, 32, promise);
    const uint64_t generator = Generator(function, request);
    return heap_.Set(generator, 0, heap_.Map(layout_.async_generator_type)), generator;
  }
  // The reaction by which a generator awaits.
  uint64_t AwaitBy(uint64_t generator) {
    const uint64_t context = Context({generator});
    return Reaction(ClosureOver(context), ClosureOver(context), heap_.Undefined());
  }
  // A promise that a suspended function of this name awaits; for its result waits `reactions`.
  uint64_t AwaitedBy(absl::string_view name, uint64_t reactions = 0) {
    return Promise(AwaitBy(Generator(Named(name), Promise(reactions))));
  }

  // A builtin's closure that combines promises, by its index among them.
  uint64_t ElementOf(uint64_t context, int32_t index) {
    const uint64_t closure = ClosureOver(context);
    return heap_.Set(closure, 8, V8Heap::Smi(index + 1)), closure;
  }
  // The microtask that calls a callback, or a then().
  uint64_t Task(uint16_t type, std::initializer_list<uint64_t> words) {
    const uint64_t task = heap_.Object(type, layout_.reaction_next + words.size() * 8);
    uint64_t at = layout_.reaction_next;
    for (uint64_t word : words) heap_.Set(task, std::exchange(at, at + 8), word);
    return task;
  }
  // The stack of a callback while that is at work.
  std::vector<std::string> CallbackOf(uint64_t task) {
    V8Stack stack(heap_);
    stack.Native(kNativePc)
        .Typed(kBlobPc, 1)
        .Typed(kMicrotasksPc + 0x123, 3)
        .Js(kJitPc, Named("callback"));
    heap_.memory().PutValue(Address{kRoot + layout_.isolate_microtask}, task);
    Registers registers = stack.registers();
    registers.r13 = kRoot;
    return WalkFrom(registers, JP_PROCESS_ASYNC);
  }

  // The stack of a function that V8 goes on with, the promise for whose result is this.
  std::vector<std::string> WalkWith(uint64_t promise) {
    return Walk(Generator(Named("leaf"), promise, 0, kRunning));
  }
  std::vector<std::string> Walk(uint64_t generator, uint32_t flags = JP_PROCESS_ASYNC) {
    V8Stack stack(heap_);
    stack.Native(kNativePc)
        .Typed(kBlobPc, 3)
        .Frame(kBlobPc, Context({generator}), Closure({}))
        .Js(kJitPc, Named("leaf"));
    return WalkFrom(stack.registers(), flags);
  }
  std::vector<std::string> WalkFrom(const Registers& registers, uint32_t flags) {
    jp_process process = V8Stack::process();
    process.flags = flags;
    const uint64_t before = heap_.memory().reads();
    last_ = runner_->Walk(process, kPid, registers);
    reads_ = heap_.memory().reads() - before;
    for (const SymbolEvent& symbol : last_.symbols) {
      auto name = instance_->Describe(symbol.record);
      EXPECT_TRUE(name.ok()) << name.status();
      if (name.ok()) names_[symbol.number] = name->name;
    }
    std::vector<std::string> texts;
    for (const RawFrame& frame : last_.stack.frames) {
      std::string text = frame.kind == RawFrame::Kind::kNative       ? "native"
                         : frame.kind == RawFrame::Kind::kBuiltin    ? "builtin"
                         : frame.kind == RawFrame::Kind::kUnresolved ? "unresolved"
                                                                     : names_[frame.symbol];
      texts.push_back(absl::StrCat(frame.is_async ? "async " : "", text));
    }
    return texts;
  }
  // Of that stack, those who await.
  std::vector<std::string> Awaiters(uint64_t promise) {
    std::vector<std::string> texts = WalkWith(promise);
    EXPECT_GE(texts.size(), 3u);
    EXPECT_EQ(texts.front(), "leaf");
    EXPECT_EQ(texts.back(), "native");
    EXPECT_EQ(texts[texts.size() - 2], "builtin");
    return {texts.begin() + 1, texts.end() - 2};
  }

  static constexpr uint16_t kContextType = 300;
  static constexpr uint64_t kRoot = 0x3000'0000'0000;
  V8Heap heap_;
  const jp_v8_layout& layout_;
  std::unique_ptr<NativeRunner> runner_;
  std::unique_ptr<RuntimeInstance> instance_;
  absl::flat_hash_map<uint32_t, std::string> names_;
  NativeRunner::Result last_;
  uint64_t reads_ = 0;
  uint64_t script_ = heap_.Script("/srv/app.js");
};

INSTANTIATE_TEST_SUITE_P(Node, V8AwaitTest, testing::Values(18, 20, 22, 24),
                         [](const auto& node) { return absl::StrCat(node.param); });

TEST_P(V8AwaitTest, AwaitersStandBetweenTheFunctionAndWhatResumedIt) {
  EXPECT_THAT(WalkWith(AwaitedBy("inner", AwaitBy(Generator(Named("outer"), Promise())))),
              ElementsAre("leaf", "async inner", "async outer", "builtin", "native"));
  const RawFrame& inner = last_.stack.frames[1];
  EXPECT_EQ(inner.detail, JP_V8_BYTECODE);
  EXPECT_EQ(inner.address, 77u);
  EXPECT_FALSE(inner.is_return_address);
}

TEST_P(V8AwaitTest, NobodyIsShownUnlessAskedFor) {
  const uint64_t generator = Generator(Named("leaf"), AwaitedBy("inner"), 0, kRunning);
  EXPECT_THAT(Walk(generator, 0), ElementsAre("leaf", "builtin", "native"));
}

TEST_P(V8AwaitTest, WhatDoesNotRunNowHasNoAwaitersHere) {
  for (int32_t state : {kDone, 0, 5}) {
    EXPECT_THAT(Walk(Generator(Named("leaf"), AwaitedBy("inner"), 0, state)),
                ElementsAre("leaf", "builtin", "native"));
  }
}

TEST_P(V8AwaitTest, GeneratorIsAwaitedByItsFirstRequest) {
  const uint64_t generator = AsyncGenerator(Named("numbers"), AwaitedBy("reader"));
  EXPECT_THAT(Awaiters(Promise(AwaitBy(generator))), ElementsAre("async numbers", "async reader"));
}

TEST_P(V8AwaitTest, GeneratorWithoutARequestIsTheLast) {
  const uint64_t generator = AsyncGenerator(Named("numbers"), 0);
  heap_.Set(generator, 80, heap_.Undefined());
  EXPECT_THAT(Awaiters(Promise(AwaitBy(generator))), ElementsAre("async numbers"));
}

TEST_P(V8AwaitTest, CombinatorsAreFramesOfTheirOwn) {
  const uint64_t undefined = heap_.Undefined();
  const uint64_t result = Capability(AwaitedBy("outer"));
  const uint64_t counting = Context({V8Heap::Smi(2), result, undefined});
  const uint64_t settling = Closure({Promise(), undefined, undefined});
  EXPECT_THAT(Awaiters(Promise(Reaction(ClosureOver(counting), settling, undefined))),
              ElementsAre("async Promise.all", "async outer"));
  EXPECT_THAT(Awaiters(Promise(Reaction(ClosureOver(counting), ClosureOver(counting), undefined))),
              ElementsAre("async Promise.allSettled", "async outer"));
  EXPECT_THAT(Awaiters(Promise(Reaction(settling, ClosureOver(counting), undefined))),
              ElementsAre("async Promise.any", "async outer"));
}

TEST_P(V8AwaitTest, CombinatorHasTheIndexOfThePromise) {
  const uint64_t undefined = heap_.Undefined();
  const uint64_t settling = Closure({Promise(), undefined, undefined});
  const uint64_t counting = Context({V8Heap::Smi(2), Capability(Promise()), undefined});
  const auto all = [&](int32_t index) {
    return Awaiters(Promise(Reaction(ElementOf(counting, index), settling, undefined)));
  };
  EXPECT_THAT(all(0), ElementsAre("async Promise.all (index 0)"));
  EXPECT_THAT(all(41), ElementsAre("async Promise.all (index 41)"));
  EXPECT_THAT(all(1023), ElementsAre("async Promise.all (index 1023)"));
  EXPECT_THAT(all(1024), ElementsAre("async Promise.all")) << "where they are so many";
  EXPECT_THAT(all(-7), ElementsAre("async Promise.all"));
  const uint64_t third = ElementOf(counting, 2);
  EXPECT_THAT(Awaiters(Promise(Reaction(third, ElementOf(counting, 2), undefined))),
              ElementsAre("async Promise.allSettled (index 2)"));
  EXPECT_THAT(Awaiters(Promise(Reaction(settling, third, undefined))),
              ElementsAre("async Promise.any (index 2)"));
}

TEST_P(V8AwaitTest, CallbackIsAwaitedByThePromiseForItsResult) {
  const uint64_t argument = V8Heap::Smi(1), context = Context({});
  const uint64_t callback = Named("callback"), undefined = heap_.Undefined();
  for (uint16_t type : {layout_.fulfill_task_type, layout_.reject_task_type}) {
    EXPECT_THAT(CallbackOf(Task(type, {argument, context, callback, AwaitedBy("outer")})),
                ElementsAre("callback", "async outer", "native"));
    // Of a function of V8's own, as of finally().
    EXPECT_THAT(
        CallbackOf(Task(type, {argument, context, Closure({undefined}), AwaitedBy("outer")})),
        ElementsAre("callback", "async outer", "native"));
  }
  EXPECT_THAT(CallbackOf(Task(layout_.thenable_task_type,
                              {context, AwaitedBy("outer"), heap_.Undefined(), callback})),
              ElementsAre("callback", "async outer", "native"));
}

TEST_P(V8AwaitTest, MicrotaskOfAnotherKindTellsNothing) {
  const uint64_t argument = V8Heap::Smi(1), context = Context({}), callback = Named("callback");
  const uint64_t promise = AwaitedBy("outer");
  EXPECT_THAT(CallbackOf(heap_.Undefined()), ElementsAre("callback", "native"));
  EXPECT_THAT(CallbackOf(Task(kContextType, {argument, context, callback, promise})),
              ElementsAre("callback", "native"));
  EXPECT_THAT(CallbackOf(Task(layout_.fulfill_task_type,
                              {argument, context, callback, heap_.Undefined()})),
              ElementsAre("callback", "native"));
  // Of one that goes on with an asynchronous function, the builtin's frame tells.
  const uint64_t goes_on = Closure({Generator(Named("leaf"), promise, 0, kRunning)});
  EXPECT_THAT(CallbackOf(Task(layout_.fulfill_task_type, {argument, context, goes_on, promise})),
              ElementsAre("callback", "native"));
}

TEST_P(V8AwaitTest, OnlyTheLoopOverTheMicrotasksIsAwaitedByTheOneAtWork) {
  const uint64_t task = Task(layout_.fulfill_task_type,
                             {V8Heap::Smi(1), Context({}), Named("callback"), AwaitedBy("outer")});
  EXPECT_THAT(CallbackOf(task), ElementsAre("callback", "async outer", "native"));
  V8Stack stack(heap_);
  stack.Native(kNativePc).Typed(kBlobPc, 3).Js(kJitPc, Named("callback"));
  Registers registers = stack.registers();
  registers.r13 = kRoot;
  EXPECT_THAT(WalkFrom(registers, JP_PROCESS_ASYNC), ElementsAre("callback", "native"));
  // Nobody is shown unless asked for.
  stack.Typed(kMicrotasksPc + 0x123, 3).Js(kJitPc, Named("callback"));
  registers = stack.registers();
  registers.r13 = kRoot;
  EXPECT_THAT(WalkFrom(registers, 0), ElementsAre("callback", "callback", "native"));
}

TEST_P(V8AwaitTest, ResultIsFollowedThroughWhatPassesItOn) {
  const uint64_t undefined = heap_.Undefined();
  // resolve() of another promise: a promise returned by an async function, Promise.race().
  const uint64_t settling = Closure({AwaitedBy("outer"), undefined, undefined});
  EXPECT_THAT(Awaiters(Promise(Reaction(settling, settling, undefined))),
              ElementsAre("async outer"));
  // then(callback).
  EXPECT_THAT(Awaiters(Promise(Reaction(Named("callback"), undefined, AwaitedBy("outer")))),
              ElementsAre("async outer"));
  EXPECT_THAT(
      Awaiters(Promise(Reaction(Named("callback"), undefined, Capability(AwaitedBy("outer"))))),
      ElementsAre("async outer"));
}

TEST_P(V8AwaitTest, ContextOfTheProgramsOwnCallbackTellsNothing) {
  // A variable of the program that holds what a builtin's context would.
  const uint64_t callback = Named("callback");
  heap_.Set(callback, layout_.function_context, Context({Generator(Named("other"), Promise())}));
  EXPECT_THAT(Awaiters(Promise(Reaction(callback, heap_.Undefined(), heap_.Undefined()))),
              IsEmpty());
}

TEST_P(V8AwaitTest, ChainEndsWhereItIsNotOne) {
  const uint64_t reaction = AwaitBy(Generator(Named("outer"), Promise()));
  EXPECT_THAT(Awaiters(heap_.Undefined()), IsEmpty());
  EXPECT_THAT(Awaiters(V8Heap::Smi(1)), IsEmpty());
  EXPECT_THAT(Awaiters(Promise(reaction, /*status=*/1)), IsEmpty()) << "it is settled";
  EXPECT_THAT(Awaiters(Promise(heap_.Undefined())), IsEmpty());
  const uint64_t context = Context({Generator(Named("outer"), Promise())});
  const uint64_t closure = ClosureOver(context);
  EXPECT_THAT(Awaiters(Promise(Reaction(closure, closure, heap_.Undefined(), reaction))), IsEmpty())
      << "two await it";
  EXPECT_THAT(Awaiters(Promise(AwaitBy(Generator(Named("done"), Promise(), 77, kDone)))),
              IsEmpty());
}

TEST_P(V8AwaitTest, CircleEnds) {
  const uint64_t undefined = heap_.Undefined();
  // leaf is awaited by all(), which a awaits; and all() awaits a as well.
  const uint64_t of_a = Promise();
  const uint64_t combined = Promise(AwaitBy(Generator(Named("a"), of_a)));
  const uint64_t counting = Context({V8Heap::Smi(2), Capability(combined), undefined});
  const uint64_t settling = Closure({Promise(), undefined, undefined});
  heap_.Set(of_a, 24, Reaction(ClosureOver(counting), settling, undefined));
  const std::vector<std::string> seen =
      Awaiters(Promise(Reaction(ClosureOver(counting), settling, undefined)));
  EXPECT_GE(seen.size(), 2u);
  EXPECT_LE(seen.size(), 8u) << "it is noticed";
}

TEST_P(V8AwaitTest, LongChainIsCut) {
  uint64_t promise = Promise();
  for (size_t i = 0; i < 2 * kMaxAwaiters; ++i) {
    promise = Promise(AwaitBy(Generator(Named("next"), promise)));
  }
  EXPECT_EQ(Awaiters(promise).size(), kMaxAwaiters);
  EXPECT_LE(reads_, kMaxAwaiters * kReadsOfOneStep);
}

TEST_P(V8AwaitTest, ManyResumedFramesTogetherHaveNoMore) {
  uint64_t promise = Promise();
  for (size_t i = 0; i < 2 * kMaxAwaiters; ++i) {
    promise = Promise(AwaitBy(Generator(Named("next"), promise)));
  }
  const uint64_t context = Context({Generator(Named("leaf"), promise, 0, kRunning)});
  V8Stack stack(heap_);
  for (int i = 0; i < 20; ++i) stack.Frame(kBlobPc, context, Closure({}));
  stack.Js(kJitPc, Named("leaf"));
  jp_process process = V8Stack::process();
  process.flags = JP_PROCESS_ASYNC;
  const NativeRunner::Result result = runner_->Walk(process, kPid, stack.registers());
  const auto& frames = result.stack.frames;
  EXPECT_EQ(std::count_if(frames.begin(), frames.end(),
                          [](const RawFrame& frame) { return frame.is_async; }),
            static_cast<ptrdiff_t>(kMaxAwaiters));
}

TEST_P(V8AwaitTest, FunctionThatCannotBeReadIsShownAndCounted) {
  const uint64_t function = Named("outer");
  const uint64_t promise = Promise(AwaitBy(Generator(function, AwaitedBy("outermost"))));
  heap_.Unmap(function, 64);
  EXPECT_THAT(Awaiters(promise), ElementsAre("async unresolved", "async outermost"));
  EXPECT_EQ(last_.unreadable, 1u);
}

}  // namespace
}  // namespace jprof
