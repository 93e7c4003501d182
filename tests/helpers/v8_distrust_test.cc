// Nothing a target can put into its memory makes the V8 helper name wrongly, run long or read
// astray.
#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/helpers/v8_helper_fixture.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

}  // namespace
}  // namespace jprof
