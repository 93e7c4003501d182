#include "helpers/v8/v8_shared_functions.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"

namespace jprof::v8 {
namespace {

// The heap's memory; `change` is called before the n-th read from now on, counted from 1.
class WatchedMemory : public MemoryReader {
 public:
  explicit WatchedMemory(const FakeMemory& heap) : heap_(heap) {}

  void ChangeAtRead(uint64_t n, std::function<void()> change) {
    change_at_ = heap_.reads() + n;
    change_ = std::move(change);
  }
  bool WasChanged() const { return change_ == nullptr; }

  size_t Read(Address address, std::span<std::byte> out) const override {
    if (change_ != nullptr && heap_.reads() + 1 == change_at_) std::exchange(change_, nullptr)();
    return heap_.Read(address, out);
  }

 private:
  const FakeMemory& heap_;
  uint64_t change_at_ = 0;
  mutable std::function<void()> change_;  // nullptr: was called, or there is none
};

class V8SharedFunctionsTest : public testing::Test {
 protected:
  V8SharedFunctionsTest() {
    image_.native_walk = BuiltinRuntimes().native_walk;
    image_.number = 1;
    source_ = heap_.OneByte("a\nb\nfunction paint() {}\n");
    script_ = Script("/app.js", 7);
    scope_ = Scope("paint");
    shared_ = heap_.Shared(scope_, script_);
  }

  uint64_t Script(absl::string_view name, int32_t id) {
    return heap_.Script({.name = heap_.OneByte(name), .source = source_, .id = id});
  }
  uint64_t Scope(absl::string_view name) {
    return heap_.ScopeInfo({.name = heap_.OneByte(name), .start = 4, .end = 20});
  }
  // "name file:line"; "" where nothing is found.
  std::string Find(uint64_t shared) {
    const NamedFunction* function = functions_.Find(shared);
    if (function == nullptr) return "";
    const FrameName& name = function->name;
    return absl::StrCat(name.name, " ", name.file, ":", name.start_line);
  }
  uint64_t ReadsToFind(uint64_t shared) {
    const uint64_t before = heap_.memory().reads();
    functions_.Find(shared);
    return heap_.memory().reads() - before;
  }
  void SetScope(uint64_t scope) {
    heap_.Set(shared_, heap_.layout().shared_name_or_scope_info, scope);
  }
  void SetScript(uint64_t script) { heap_.Set(shared_, heap_.layout().shared_script, script); }

  // The words of a SharedFunctionInfo, the id of its script.
  static constexpr uint64_t kReadsOfKept = 2;
  static constexpr size_t kMaxKept = 5;

  V8Heap heap_{20};
  RuntimeImage image_ = heap_.Image();
  WatchedMemory memory_{heap_.memory()};
  TypeReader types_{heap_.layout(), memory_};
  Scripts scripts_{heap_.layout(), memory_, types_};
  SharedFunctions functions_{image_, heap_.layout(), memory_, types_, scripts_, kMaxKept};
  uint64_t source_ = 0;
  uint64_t script_ = 0;
  uint64_t scope_ = 0;
  uint64_t shared_ = 0;
};

TEST_F(V8SharedFunctionsTest, WhileNothingChangesItIsNotReadAgain) {
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  EXPECT_EQ(ReadsToFind(shared_), kReadsOfKept);
  functions_.Advance();
  EXPECT_EQ(ReadsToFind(shared_), kReadsOfKept);
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
}

TEST_F(V8SharedFunctionsTest, FunctionWithoutAScriptIsNotReadAgainEither) {
  const uint64_t shared = heap_.Shared(heap_.OneByte("map"), heap_.Undefined());
  EXPECT_EQ(Find(shared), "map :0");
  functions_.Advance();
  EXPECT_EQ(ReadsToFind(shared), 1u);
  EXPECT_EQ(Find(shared), "map :0");
}

TEST_F(V8SharedFunctionsTest, AnotherFunctionAtTheAddressIsFound) {
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  SetScope(Scope("erase"));
  EXPECT_EQ(Find(shared_), "erase /app.js:3");
  SetScript(Script("/other.js", 8));
  EXPECT_EQ(Find(shared_), "erase /other.js:3");
}

TEST_F(V8SharedFunctionsTest, WordBehindTheScriptIsOneOfThoseThatTell) {
  ASSERT_EQ(Find(shared_), "paint /app.js:3");
  heap_.Set(shared_, heap_.layout().shared_script + 8, uint64_t{5});
  EXPECT_GT(ReadsToFind(shared_), kReadsOfKept);
  EXPECT_EQ(ReadsToFind(shared_), kReadsOfKept);
}

TEST_F(V8SharedFunctionsTest, AnotherScriptInPlaceOfItsOwnIsFound) {
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  const jp_v8_layout& l = heap_.layout();
  heap_.Set(script_, l.script_id, V8Heap::Smi(8));
  heap_.Set(script_, l.script_name, heap_.OneByte("/other.js"));
  EXPECT_EQ(Find(shared_), "paint /other.js:3");
}

TEST_F(V8SharedFunctionsTest, WhatWasCollectedOrIsBeingMovedIsNoFunction) {
  const uint64_t map = heap_.Map(heap_.layout().shared_type);
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  heap_.Set(shared_, 0, heap_.Map(900));
  EXPECT_EQ(Find(shared_), "");
  heap_.Set(shared_, 0, map);
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  heap_.Forward(shared_, heap_.Shared(scope_, script_));
  EXPECT_EQ(Find(shared_), "");
  heap_.Set(shared_, 0, map);
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  heap_.Unmap(shared_, 72);
  EXPECT_EQ(Find(shared_), "");
}

TEST_F(V8SharedFunctionsTest, FunctionWithoutItsLineIsReadAgainInAnotherInstant) {
  heap_.Set(source_, 0, heap_.Map(900));
  EXPECT_EQ(Find(shared_), "paint /app.js:0");
  heap_.Set(source_, 0, heap_.Map(kV8SeqOneByte));
  EXPECT_EQ(ReadsToFind(shared_), kReadsOfKept);
  EXPECT_EQ(Find(shared_), "paint /app.js:0");
  functions_.Advance();
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
  functions_.Advance();
  EXPECT_EQ(ReadsToFind(shared_), kReadsOfKept);
}

// One function is gone while it is read, another at its address, and then the first again.
TEST_F(V8SharedFunctionsTest, WhatChangedWhileItWasReadIsReadAgainInAnotherInstant) {
  ASSERT_EQ(Find(heap_.Shared(scope_, script_)), "paint /app.js:3");  // the types are known
  memory_.ChangeAtRead(2, [this] { SetScope(Scope("erase")); });
  EXPECT_EQ(Find(shared_), "erase /app.js:3");
  ASSERT_TRUE(memory_.WasChanged());
  SetScope(scope_);
  functions_.Advance();
  EXPECT_EQ(Find(shared_), "paint /app.js:3");
}

TEST_F(V8SharedFunctionsTest, NoMoreThanSoManyAreKept) {
  std::vector<uint64_t> shared;
  for (size_t i = 0; i <= kMaxKept; ++i) shared.push_back(heap_.Shared(scope_, script_));
  for (size_t i = 0; i < kMaxKept; ++i) EXPECT_EQ(Find(shared[i]), "paint /app.js:3");
  for (size_t i = 0; i < kMaxKept; ++i) EXPECT_EQ(ReadsToFind(shared[i]), kReadsOfKept);
  EXPECT_EQ(Find(shared[kMaxKept]), "paint /app.js:3");
  EXPECT_EQ(ReadsToFind(shared[kMaxKept]), kReadsOfKept);
  EXPECT_GT(ReadsToFind(shared[0]), kReadsOfKept);
}

}  // namespace
}  // namespace jprof::v8
