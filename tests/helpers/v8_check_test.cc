#include "helpers/v8/v8_check.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kStack = 0x7ffc'0000'0000;
constexpr uint64_t kStackBytes = 0x8000;

class V8CheckTest : public testing::Test {
 protected:
  V8CheckTest() {
    heap_.memory().Zero({{kStack}, {kStack + kStackBytes}});
    image_ = heap_.Image();
    image_.native_walk = BuiltinRuntimes().native_walk;
    image_.number = 1;
  }

  uint64_t NamedFunction(const std::string& name) {
    const uint64_t scope = heap_.ScopeInfo({.name = heap_.OneByte(name)});
    return heap_.Function(heap_.Shared(scope, heap_.Script("/app.js")));
  }
  // Puts words on the stack, from its outer end inwards.
  void Push(uint64_t word) {
    heap_.memory().PutValue(Address{kStack + kStackBytes - 8 * ++pushed_}, word);
  }
  Fit Check() { return CheckHeap(image_, heap_.layout(), heap_.memory(), Stack()); }
  static AddressRange Stack() { return {{kStack}, {kStack + kStackBytes}}; }

  V8Heap heap_{20};
  RuntimeImage image_;
  int pushed_ = 0;
};

TEST_F(V8CheckTest, SeveralFunctionsOnTheStackFit) {
  for (int i = 0; i < 3; ++i) Push(NamedFunction(absl::StrCat("f", i)));
  EXPECT_EQ(Check(), Fit::kUnseen);
  Push(NamedFunction("f3"));
  EXPECT_EQ(Check(), Fit::kFits);
}

TEST_F(V8CheckTest, OneFunctionIsCountedOnce) {
  const uint64_t function = NamedFunction("f");
  for (int i = 0; i < 10; ++i) Push(function);
  EXPECT_EQ(Check(), Fit::kUnseen);
}

TEST_F(V8CheckTest, FunctionsThatLeadToOtherObjectsDoNotFit) {
  for (int i = 0; i < 7; ++i) Push(heap_.Function(heap_.OneByte("no function")));
  EXPECT_EQ(Check(), Fit::kUnseen);
  Push(heap_.Function(heap_.OneByte("no function")));
  EXPECT_EQ(Check(), Fit::kDoesNotFit);
}

TEST_F(V8CheckTest, OneFunctionThatFitsKeepsTheProcess) {
  for (int i = 0; i < 20; ++i) Push(heap_.Function(heap_.OneByte("no function")));
  Push(NamedFunction("f"));
  EXPECT_EQ(Check(), Fit::kUnseen);
}

TEST_F(V8CheckTest, FunctionsOfTheLibrarySayNothing) {
  for (int i = 0; i < 20; ++i) Push(heap_.Function(heap_.BuiltinShared("map", i)));
  EXPECT_EQ(Check(), Fit::kUnseen);
}

TEST_F(V8CheckTest, WhatIsNoHeapIsUnseen) {
  EXPECT_EQ(Check(), Fit::kUnseen);
  for (int i = 0; i < 20; ++i) Push(NamedFunction(absl::StrCat("f", i)));
  EXPECT_EQ(Check(), Fit::kFits);
  // Maps without a map.
  heap_.Set(heap_.Map(heap_.layout().first_js_function_type), 0, uint64_t{0});
  EXPECT_EQ(Check(), Fit::kUnseen);
  EXPECT_EQ(CheckHeap(image_, heap_.layout(), heap_.memory(), {}), Fit::kUnseen);
  EXPECT_EQ(CheckHeap(image_, heap_.layout(), heap_.memory(), {{0x1000}, {UINT64_MAX}}),
            Fit::kUnseen);
}

TEST_F(V8CheckTest, ReadsAreBounded) {
  for (uint64_t i = 0; i < kStackBytes / 8; ++i) Push(0x10001 + i * 64);
  const uint64_t before = heap_.memory().reads();
  EXPECT_EQ(Check(), Fit::kUnseen);
  EXPECT_LT(heap_.memory().reads() - before, 10'000u);
}

}  // namespace
}  // namespace jprof::v8
