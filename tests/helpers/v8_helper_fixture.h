// The V8 helper, in its native form, over object graphs that a test made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gtest/gtest.h"
#include "helpers/native_runner.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_names.h"
#include "jprof_runtimes.h"
#include "tests/helpers/v8_heap.h"

namespace jprof {

inline constexpr Pid kPid = 4711;
// More reads than any walk of one frame may need: 24 steps of a string twice, and the objects.
inline constexpr uint64_t kReadsOfOneFrame = 250;

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

}  // namespace jprof
