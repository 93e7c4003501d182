// Finding WebAssembly functions over objects that a test made: superseded code has its name, and
// nothing that memory may hold gives a wrong one.
#include "helpers/v8/v8_wasm.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/helpers/wasm_heap.h"

namespace jprof::v8 {
namespace {

using Heap = WasmHeap;

class WasmModulesTest : public testing::TestWithParam<bool> {
 protected:
  std::string Find(uint64_t pc, uint64_t instance = Heap::kInstance) {
    auto name = modules_.Find(Address{pc}, instance);
    return name ? name->name : "";
  }

  Heap heap_{GetParam()};
  jp_v8_layout layout_ = heap_.layout();
  WasmModules modules_{layout_, heap_};
};

INSTANTIATE_TEST_SUITE_P(Version, WasmModulesTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "new" : "old"; });

TEST_P(WasmModulesTest, FunctionIsTheOneWhoseCodeHoldsThePc) {
  EXPECT_EQ(Find(Heap::kCode2), "wasm-function[2]");
  EXPECT_EQ(Find(Heap::kCode2 + Heap::kCodeBytes - 1), "wasm-function[2]");
  EXPECT_EQ(Find(Heap::kCode3 + 8), "leaf");
  auto name = modules_.Find(Address{Heap::kCode3}, Heap::kInstance);
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->kind, FrameKind::kWasm);
  EXPECT_EQ(name->file, "wasm://wasm/12345678");
}

TEST_P(WasmModulesTest, SupersededCodeIsItsFunctionToo) {
  EXPECT_EQ(Find(Heap::kOld1 + 8), "outer");
  EXPECT_EQ(Find(Heap::kNew1 + 8), "outer");
}

TEST_P(WasmModulesTest, PcOutsideOfAllCodeHasNoName) {
  EXPECT_EQ(Find(Heap::kCode2 + Heap::kCodeBytes), "");
  EXPECT_EQ(Find(Heap::kStub - 1), "");
  EXPECT_EQ(Find(Heap::kCode3 + 0x10000), "");
}

TEST_P(WasmModulesTest, StubsAndWaysOutAreNoFunctions) {
  for (uint64_t pc : {Heap::kStub, Heap::kImport}) {
    auto name = modules_.Find(Address{pc}, Heap::kInstance);
    ASSERT_TRUE(name.has_value());
    EXPECT_EQ(name->kind, FrameKind::kBuiltin);
  }
}

TEST_P(WasmModulesTest, WithoutInstanceOnlyKnownModulesAreAsked) {
  EXPECT_EQ(Find(Heap::kCode2, 0), "");
  EXPECT_EQ(Find(Heap::kOld1), "outer");
  EXPECT_EQ(Find(Heap::kCode2, 0), "wasm-function[2]");
  EXPECT_EQ(Find(Heap::kCode3, 0), "leaf");
}

TEST_P(WasmModulesTest, AllCodeMayBeInTheVector) {
  heap_.Put(Heap::kTree + 8, uint64_t{0});
  heap_.Put(Heap::kTree + 16, Heap::kTree);
  heap_.Put(Heap::kTree + 24, Heap::kTree);
  EXPECT_EQ(Find(Heap::kOld1), "");
  EXPECT_EQ(Find(Heap::kCode3), "leaf");
  // It moves to the tree later.
  heap_.Put(Heap::kTree + 8, Heap::Node(2));
  modules_.Advance();
  EXPECT_EQ(Find(Heap::kOld1), "outer");
}

TEST_P(WasmModulesTest, CodeThatIsGoneIsNotBelievedAnyMore) {
  EXPECT_EQ(Find(Heap::kCode3), "leaf");
  heap_.AddCode(5, Heap::kCode3 + 0x1000, 3);
  EXPECT_EQ(Find(Heap::kCode3), "leaf") << "of the same instant";
  modules_.Advance();
  EXPECT_EQ(Find(Heap::kCode3), "");
  EXPECT_EQ(Find(Heap::kCode3 + 0x1000), "leaf");
}

TEST_P(WasmModulesTest, CodeOfAnotherModuleIsNotThisOnes) {
  heap_.Put(Heap::CodeObject(5), Heap::kNative + 8);
  EXPECT_EQ(Find(Heap::kCode3), "");
}

TEST_P(WasmModulesTest, AnotherModuleAtTheSameAddressIsReadAnew) {
  EXPECT_EQ(Find(Heap::kOld1), "outer");
  modules_.Advance();
  // The same bytes at another place, function 1 named otherwise.
  for (uint64_t i = 0; i < 0x100; ++i) {
    heap_.Put(Heap::kWire + 0x800 + i, heap_.bytes()[Heap::kWire - Heap::kBase + i]);
  }
  const std::string wire(reinterpret_cast<const char*>(heap_.bytes().data()) + Heap::kWire -
                             Heap::kBase, 0x100);
  heap_.PutText(Heap::kWire + 0x800 + wire.find("outer"), "other");
  heap_.Put(Heap::kNative + 0x780, Heap::kWire + 0x800);
  EXPECT_EQ(Find(Heap::kOld1), "other");
}

TEST_P(WasmModulesTest, TreeWithoutEndIsLeft) {
  heap_.Put(Heap::Node(3) + 24, Heap::Node(3));
  EXPECT_EQ(Find(Heap::kCode2 + 0x1000), "");
  EXPECT_EQ(Find(Heap::kCode2), "wasm-function[2]");
}

TEST_P(WasmModulesTest, VectorThatLiesAboutItsSizeIsLeft) {
  EXPECT_EQ(Find(Heap::kOld1), "outer");
  for (uint64_t end :
       {uint64_t{0}, Heap::kArray - 8, Heap::kArray + 4, Heap::kArray + (1u << 30)}) {
    heap_.Put(Heap::kTree + 48, end);
    modules_.Advance();
    EXPECT_EQ(Find(Heap::kNew1), "") << end;
  }
}

TEST_P(WasmModulesTest, WhatIsNoInstanceCostsAFewReadsOnce) {
  for (uint64_t instance :
       {Heap::kInstance + 0x1f00, Heap::kInstance + 1, uint64_t{1}, ~uint64_t{0} - 2}) {
    EXPECT_EQ(Find(Heap::kOld1, instance), "");
  }
  const uint64_t before = heap_.reads();
  modules_.Advance();
  EXPECT_EQ(Find(Heap::kOld1, Heap::kInstance + 0x1f00), "");
  EXPECT_EQ(heap_.reads(), before);
}

TEST_P(WasmModulesTest, UnknownVersionNamesNothing) {
  layout_.version = 7u << 24;
  WasmModules modules(layout_, heap_);
  EXPECT_FALSE(modules.Find(Address{Heap::kOld1}, Heap::kInstance).has_value());
}

}  // namespace
}  // namespace jprof::v8
