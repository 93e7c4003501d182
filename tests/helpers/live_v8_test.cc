// The sentence to prove: the helper gives the same names in the kernel, at a sample, and natively,
// on the stopped process, and they are the names that the script gave to its functions. For each
// node, in each tier.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/v8/v8_layout.h"
#include "jprof_runtimes.h"
#include "tests/helpers/folded_text.h"
#include "tests/helpers/stopped_process.h"
#include "tests/helpers/test_nodes.h"
#include "tests/testing/paths.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr int kStops = 20;

std::string ScriptPath(absl::string_view name) {
  return absl::StrCat(JPROF_SOURCE_DIR, "/tests/helpers/", name);
}

// "name file:line" of a function, its line found by the text of its definition.
std::string Defined(absl::string_view script, absl::string_view name,
                    absl::string_view definition) {
  std::ifstream in(ScriptPath(script));
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (absl::StrContains(line, definition)) {
      return absl::StrCat(name, " ", ScriptPath(script), ":", number);
    }
  }
  ADD_FAILURE() << "no " << definition << " in " << script;
  return "";
}

// What deep_chain.js does, outermost first. Code of eval has no file.
std::vector<std::string> DeepChain(bool with_builtins) {
  const auto at = [](absl::string_view name, absl::string_view definition) {
    return Defined("deep_chain.js", name, definition);
  };
  std::vector<std::string> chain = {
      at("outermost", "function outermost"),
      at("viaBuiltin", "function viaBuiltin"),
      "ArrayMap",
      at("eachItem", "function eachItem"),
      "fromEval",
      at("Painter", "constructor()"),
      at("paint", "  paint() {"),
      at("fromCanvas", "static fromCanvas"),
      at("manyLocals", "function manyLocals"),
      at("名前を描く", "function 名前を描く"),
      at("größeÄndern", "function größeÄndern"),
      at("plainFunction", "function plainFunction"),
      at("holder.deep.arrow", "holder.deep.arrow = "),
      at("spinHere", "function spinHere"),
  };
  if (!with_builtins) chain.erase(std::find(chain.begin(), chain.end(), "ArrayMap"));
  return chain;
}

std::vector<std::string> HotChain() {
  std::vector<std::string> chain;
  for (absl::string_view name : {"hotOuter", "hotMiddle", "hotInner", "hotLeaf"}) {
    chain.push_back(Defined("hot_chain.js", name, absl::StrCat("function ", name)));
  }
  return chain;
}

// What of `functions` lies below the top level of the script and node's own library.
std::vector<std::string> Below(const std::vector<std::string>& functions, absl::string_view first) {
  auto it = std::find_if(functions.begin(), functions.end(), [&](const std::string& f) {
    return absl::StartsWith(f, absl::StrCat(first, " "));
  });
  return {it, functions.end()};
}

struct Tier {
  const char* name;
  std::vector<std::string> flags;
};
const Tier kTiers[] = {
    {"default", {}},
    {"interpreter", {"--no-opt", "--no-sparkplug"}},
    {"baseline", {"--no-opt", "--sparkplug", "--always-sparkplug"}},
};

Child Start(const std::string& node, absl::string_view script,
            const std::vector<std::string>& flags) {
  // The scripts collect garbage before they say "ready": what they are made of has come to rest.
  std::vector<std::string> command = {node, "--expose-gc"};
  command.insert(command.end(), flags.begin(), flags.end());
  command.push_back(ScriptPath(script));
  auto child = Child::SpawnReady(command);
  EXPECT_TRUE(child.ok()) << child.status();
  return *std::move(child);
}

class LiveV8Test : public testing::TestWithParam<std::tuple<std::string, size_t>> {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoNode(node()); !why.empty()) GTEST_SKIP() << why;
  }
  std::string node() const { return std::get<0>(GetParam()); }
  Child RunInTier(absl::string_view script) {
    return Start(node(), script, kTiers[std::get<1>(GetParam())].flags);
  }
};

INSTANTIATE_TEST_SUITE_P(
    Node, LiveV8Test,
    testing::Combine(testing::ValuesIn(TestNodes()),
                     testing::Range(size_t{0}, std::size(kTiers))),
    [](const auto& test) {
      return absl::StrCat(TestNameOf(std::get<0>(test.param)), "_",
                          kTiers[std::get<1>(test.param)].name);
    });

// A sample in code of the script. Now and then V8 interrupts it for purposes of its own, in code
// that has no frame pointers.
absl::StatusOr<NativeSampler::Sample> TakeInScript(NativeSampler& sampler) {
  for (int i = 0; i < 5000; ++i) {
    // So that it gets somewhere between two stops.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    auto sample = sampler.Take();
    if (!sample.ok() || sample->stack.frames.at(0).kind != RawFrame::Kind::kNative) return sample;
  }
  return absl::UnavailableError("never in the script");
}

// It says "ready" out of native code, and is then on its way back.
void WaitUntilIn(absl::string_view function, NativeSampler& sampler) {
  for (int i = 0; i < 5000; ++i) {
    auto sample = TakeInScript(sampler);
    ASSERT_TRUE(sample.ok()) << sample.status();
    if (!sample->functions.empty() &&
        absl::StartsWith(sample->functions.back(), absl::StrCat(function, " "))) {
      return;
    }
  }
  FAIL() << "never in " << function;
}

TEST_P(LiveV8Test, StoppedProcessHasTheNamesOfItsScript) {
  Child child = RunInTier("deep_chain.js");
  NativeSampler sampler(BuiltinRuntimes(), child.pid());
  ASSERT_NO_FATAL_FAILURE(WaitUntilIn("spinHere", sampler));
  // The look at attaching sees it, before any sample.
  EXPECT_THAT(sampler.table().recognised(), testing::ElementsAre(testing::EndsWith(" (verified)")));
  for (int i = 0; i < kStops; ++i) {
    auto sample = TakeInScript(sampler);
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(Below(sample->functions, "outermost"), DeepChain(/*with_builtins=*/false));
    EXPECT_EQ(sample->unreadable, 0u);
    EXPECT_EQ(sample->corrupt, 0u);
    EXPECT_THAT(sample->stack.end, testing::AnyOf(WalkEnd::kRoot, WalkEnd::kNearBase));
    // Array.map, between its caller and its callback.
    EXPECT_EQ(std::count_if(sample->stack.frames.begin(), sample->stack.frames.end(),
                            [](const RawFrame& f) {
                              return f.kind == RawFrame::Kind::kBuiltin && f.is_return_address;
                            }),
              1);
  }
}

TEST_P(LiveV8Test, KernelHalfGivesTheSameNames) {
  if (std::string why = WhyNoSampling(); !why.empty()) GTEST_SKIP() << why;
  Child child = RunInTier("deep_chain.js");
  NativeSampler sampler(BuiltinRuntimes(), child.pid());
  ASSERT_NO_FATAL_FAILURE(WaitUntilIn("spinHere", sampler));
  auto stopped = TakeInScript(sampler);
  ASSERT_TRUE(stopped.ok()) << stopped.status();

  auto stacks = RunFolded({JPROF, "-p", std::to_string(child.pid()), "-d", "1", "-F", "499",
                           "--format", "folded"});
  ASSERT_TRUE(stacks.ok()) << stacks.status();
  uint64_t samples = 0;
  for (const FoldedStack& stack : *stacks) {
    std::vector<std::string> functions = stack.Functions();
    // Other threads of node have no JavaScript.
    if (functions.empty()) continue;
    samples += stack.samples;
    // Baseline code adds and multiplies in builtins: one may stand on the leaf.
    if (!absl::StartsWith(functions.back(), "spinHere ")) functions.pop_back();
    EXPECT_EQ(Below(functions, "outermost"), DeepChain(/*with_builtins=*/true));
    // Node's library too, down to the script's top level.
    std::vector<std::string> without_builtin = functions;
    std::erase(without_builtin, "ArrayMap");
    EXPECT_EQ(without_builtin, stopped->functions);
  }
  EXPECT_GT(samples, 0u);
}

class HotV8Test : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoNode(GetParam()); !why.empty()) GTEST_SKIP() << why;
  }
};

INSTANTIATE_TEST_SUITE_P(Node, HotV8Test, testing::ValuesIn(TestNodes()),
                         [](const auto& test) { return TestNameOf(test.param); });

// Without a symbol for a builtin, or, from V8 13 on, for anything of V8's.
TEST_P(HotV8Test, StrippedBinaryHasTheSameNames) {
  const std::string node =
      absl::StrCat(JPROF_BINARY_DIR, "/tests/helpers/renamed.", TestNameOf(GetParam()));
  const std::string strip = absl::StrCat("strip -o '", node, "' '", GetParam(), "'");
  ASSERT_EQ(std::system(strip.c_str()), 0) << strip;
  Child child = Start(node, "deep_chain.js", {});
  ::unlink(node.c_str());
  NativeSampler sampler(BuiltinRuntimes(), child.pid());
  ASSERT_NO_FATAL_FAILURE(WaitUntilIn("spinHere", sampler));
  for (int i = 0; i < kStops; ++i) {
    auto sample = TakeInScript(sampler);
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(Below(sample->functions, "outermost"), DeepChain(/*with_builtins=*/false));
    EXPECT_EQ(sample->unreadable + sample->corrupt, 0u);
  }
}

// A program that holds node and its script in one file, under a name of its own.
TEST(SingleExecutableTest, HasTheNamesOfItsScript) {
  const std::string node = JPROF_SOURCE_DIR "/build/nodes/26.10.0/bin/node";
  ASSERT_EQ(WhyNoNode(node), "");
  const std::string program = JPROF_BINARY_DIR "/tests/helpers/single_executable";
  const std::string config = program + ".json";
  std::ofstream(config) << R"({"main": ")" << ScriptPath("deep_chain.js") << R"(", "output": ")"
                        << program << R"(", "disableExperimentalSEAWarning": true})";
  const std::string build = absl::StrCat("'", node, "' --build-sea '", config, "' > /dev/null");
  ASSERT_EQ(std::system(build.c_str()), 0) << build;
  auto child = Child::SpawnReady({program});
  ASSERT_TRUE(child.ok()) << child.status();
  ::unlink(program.c_str());
  ::unlink(config.c_str());
  NativeSampler sampler(BuiltinRuntimes(), child->pid());
  ASSERT_NO_FATAL_FAILURE(WaitUntilIn("spinHere", sampler));
  for (int i = 0; i < kStops; ++i) {
    auto sample = TakeInScript(sampler);
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(Below(sample->functions, "outermost"), DeepChain(/*with_builtins=*/false));
    EXPECT_EQ(sample->unreadable + sample->corrupt, 0u);
  }
}

// Each function is compiled, and left and entered all the time: at any instant a stack shows the
// chain from its outer end.
TEST_P(HotV8Test, CompiledFunctionsKeepTheirNames) {
  Child child = Start(GetParam(), "hot_chain.js", {"--no-turbo-inlining"});
  const std::vector<std::string> chain = HotChain();
  const auto expect_prefix = [&](const std::vector<std::string>& functions) {
    const std::vector<std::string> seen = Below(functions, "hotOuter");
    ASSERT_LE(seen.size(), chain.size()) << absl::StrJoin(seen, ";");
    EXPECT_EQ(seen, std::vector<std::string>(chain.begin(), chain.begin() + seen.size()));
  };
  NativeSampler sampler(BuiltinRuntimes(), child.pid());
  ASSERT_NO_FATAL_FAILURE(WaitUntilIn("hotLeaf", sampler));
  size_t compiled = 0, whole = 0;
  for (int i = 0; i < kStops; ++i) {
    auto sample = TakeInScript(sampler);
    ASSERT_TRUE(sample.ok()) << sample.status();
    expect_prefix(sample->functions);
    whole += Below(sample->functions, "hotOuter").size() == chain.size();
    EXPECT_EQ(sample->unreadable + sample->corrupt, 0u);
    for (const RawFrame& frame : sample->stack.frames) {
      compiled += frame.kind == RawFrame::Kind::kRuntime && frame.detail == JP_V8_PC;
    }
  }
  EXPECT_GT(compiled, 0u);
  EXPECT_GT(whole, 0u);

  if (std::string why = WhyNoSampling(); !why.empty()) GTEST_SKIP() << why;
  auto stacks = RunFolded({JPROF, "-p", std::to_string(child.pid()), "-d", "1", "-F", "499",
                           "--format", "folded"});
  ASSERT_TRUE(stacks.ok()) << stacks.status();
  uint64_t samples = 0, below = 0;
  for (const FoldedStack& stack : *stacks) {
    const std::vector<std::string> functions = stack.Functions();
    if (functions.empty()) continue;
    expect_prefix(functions);
    samples += stack.samples;
    if (Below(functions, "hotOuter").size() == chain.size()) below += stack.samples;
    for (const std::string& frame : stack.frames) EXPECT_FALSE(absl::StartsWith(frame, "[v8"));
  }
  // The work is in hotLeaf; what it lacks are instants at a function's edge.
  EXPECT_GE(below * 10, samples * 8) << below << " of " << samples;
}

}  // namespace
}  // namespace jprof
