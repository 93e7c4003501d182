// WebAssembly and JavaScript that call each other, on real nodes: the chain is whole, in code of
// either compiler, stopped and in the kernel, and the module has the name that V8 gives it.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jprof_runtimes.h"
#include "tests/helpers/folded_text.h"
#include "tests/helpers/stopped_process.h"
#include "tests/helpers/test_nodes.h"
#include "tests/testing/paths.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr int kStops = 30;
constexpr absl::string_view kScript = JPROF_SOURCE_DIR "/tests/helpers/wasm_chain.js";

struct Compiler {
  const char* name;
  std::vector<std::string> flags;
};
const Compiler kCompilers[] = {
    {"default", {}},
    {"liftoff", {"--liftoff", "--no-wasm-tier-up"}},
    {"turbofan", {"--no-liftoff"}},
};

// A function without its line, and a module without its hash: "jsOuter .../wasm_chain.js",
// "wasmOuter wasm".
std::string Short(absl::string_view function) {
  const size_t blank = function.rfind(' ');
  const absl::string_view file = function.substr(std::min(blank, function.size()));
  if (absl::StartsWith(file, " wasm")) return absl::StrCat(function.substr(0, blank), " wasm");
  return std::string(function.substr(0, function.rfind(':')));
}

std::vector<std::string> Chain(bool named) {
  std::vector<std::string> chain;
  for (absl::string_view js : {"jsOuter", "jsBack"}) {
    chain.push_back(absl::StrCat(js, " ", kScript));
    chain.push_back(named ? "wasmOuter wasm" : "wasm-function[1] wasm");
    chain.push_back("wasm-function[2] wasm");
    chain.push_back(named ? "wasmInner wasm" : "wasm-function[3] wasm");
  }
  return chain;
}

std::vector<std::string> FromJsOuter(const std::vector<std::string>& functions) {
  std::vector<std::string> result;
  for (const std::string& function : functions) {
    if (!result.empty() || absl::StartsWith(function, "jsOuter ")) {
      result.push_back(Short(function));
    }
  }
  return result;
}

class LiveWasmTest : public testing::TestWithParam<std::tuple<std::string, size_t>> {
 protected:
  void SetUp() override {
    const std::string& node = std::get<0>(GetParam());
    if (std::string why = WhyNoNode(node); !why.empty()) GTEST_SKIP() << why;
  }

  Child Start(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {std::get<0>(GetParam()), "--expose-gc"};
    const std::vector<std::string>& flags = kCompilers[std::get<1>(GetParam())].flags;
    command.insert(command.end(), flags.begin(), flags.end());
    command.emplace_back(kScript);
    command.insert(command.end(), arguments.begin(), arguments.end());
    auto child = Child::SpawnReady(command);
    EXPECT_TRUE(child.ok()) << child.status();
    auto url = child->ReadLine();
    EXPECT_TRUE(url.ok()) << url.status();
    if (url.ok()) url_ = *url;
    return *std::move(child);
  }

  // That `functions`, outermost first, are the chain's outer end; whether they are all of it.
  bool CheckChain(std::vector<std::string> functions, bool named = true) {
    std::erase(functions, "(WebAssembly stub)");
    // One language has called the other, the callee's frame is not made yet.
    if (!functions.empty() && functions.back() == "[unknown] [wasm]") {
      ++unknown_;
      functions.pop_back();
    }
    const std::vector<std::string> seen = FromJsOuter(functions), chain = Chain(named);
    EXPECT_LE(seen.size(), chain.size()) << absl::StrJoin(seen, ";");
    const size_t size = std::min(seen.size(), chain.size());
    EXPECT_EQ(seen, std::vector<std::string>(chain.begin(), chain.begin() + size));
    for (const std::string& function : functions) {
      EXPECT_FALSE(absl::StartsWith(function, "[unknown]"));
      if (absl::EndsWith(Short(function), " wasm") && !url_.empty()) {
        EXPECT_TRUE(absl::EndsWith(function, absl::StrCat(" ", url_))) << function;
      }
    }
    return seen == chain;
  }

  int CheckStopped(Child& child, bool named = true) {
    NativeSampler sampler(BuiltinRuntimes(), child.pid());
    int whole = 0;
    for (int i = 0; i < kStops; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      auto sample = sampler.Take();
      EXPECT_TRUE(sample.ok()) << sample.status();
      if (!sample.ok()) break;
      EXPECT_EQ(sample->unreadable + sample->corrupt, 0u);
      whole += CheckChain(sample->functions, named);
    }
    return whole;
  }

  std::string url_;
  int unknown_ = 0;
};

INSTANTIATE_TEST_SUITE_P(
    Node, LiveWasmTest,
    testing::Combine(testing::ValuesIn(TestNodes()),
                     testing::Range(size_t{0}, std::size(kCompilers))),
    [](const auto& test) {
      return absl::StrCat(TestNameOf(std::get<0>(test.param)), "_",
                          kCompilers[std::get<1>(test.param)].name);
    });

TEST_P(LiveWasmTest, ChainIsWhole) {
  Child child = Start({});
  EXPECT_GT(CheckStopped(child), kStops / 2);
  EXPECT_EQ(unknown_, 0);
}

TEST_P(LiveWasmTest, FunctionsWithoutNamesHaveNumbers) {
  Child child = Start({"200000", "unnamed"});
  EXPECT_GT(CheckStopped(child, /*named=*/false), kStops / 2);
}

// Mostly in first and last instructions, and on the way from one language to the other.
TEST_P(LiveWasmTest, NoFunctionIsTakenForAnotherWhereCallsAreMany) {
  Child child = Start({"1"});
  CheckStopped(child);
  EXPECT_LT(unknown_, kStops / 3);
}

TEST_P(LiveWasmTest, KernelHalfGivesTheSameNames) {
  if (std::string why = WhyNoSampling(); !why.empty()) GTEST_SKIP() << why;
  for (const char* loops : {"200000", "1"}) {
    Child child = Start({loops});
    auto stacks = RunFolded({JPROF, "-p", std::to_string(child.pid()), "-d", "1", "-F", "499",
                             "--format", "folded"});
    ASSERT_TRUE(stacks.ok()) << stacks.status();
    uint64_t whole = 0;
    for (const FoldedStack& stack : *stacks) {
      std::vector<std::string> functions;
      for (absl::string_view frame : stack.frames) {
        // jsOuter may be inlined into the script's top level. What has no file is V8's own.
        if ((absl::ConsumeSuffix(&frame, "_[j]") || absl::ConsumeSuffix(&frame, "_[i]")) &&
            (absl::StrContains(frame, ".js") || absl::StrContains(frame, " wasm"))) {
          functions.emplace_back(frame);
        }
      }
      if (CheckChain(functions)) whole += stack.samples;
    }
    EXPECT_GT(whole, 0u);
  }
}

}  // namespace
}  // namespace jprof
