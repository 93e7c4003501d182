// Who awaits whom in a running node, against what its own Error.stack said of the same calls
// (await_chain.js).
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jprof_runtimes.h"
#include "tests/helpers/folded_text.h"
#include "tests/helpers/stopped_process.h"
#include "tests/helpers/test_nodes.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr char kScript[] = JPROF_SOURCE_DIR "/tests/helpers/await_chain.js";
constexpr int kMaxStops = 2000;

struct Truth {
  std::set<std::string> chains;  // "middle 32:22;plain 30:33;rotate 97:7"
  // Without places, outermost first: "rotate;plain;middle".
  std::set<std::string> Names() const {
    std::set<std::string> result;
    for (const std::string& chain : chains) {
      std::vector<std::string> names;
      for (absl::string_view frame : absl::StrSplit(chain, ';')) {
        names.insert(names.begin(), std::string(frame.substr(0, frame.find(' '))));
      }
      result.insert(absl::StrJoin(names, ";"));
    }
    return result;
  }
};

std::vector<std::string>::const_iterator FindLeaf(const std::vector<std::string>& frames) {
  return std::find_if(frames.begin(), frames.end(),
                      [](const std::string& f) { return absl::StartsWith(f, "leaf "); });
}

// Whether the innermost function is past its await: until then it stands on its callers.
bool GoesOn(const std::vector<std::string>& frames) {
  auto leaf = FindLeaf(frames);
  return leaf != frames.end() &&
         (leaf == frames.begin() || !absl::StrContains(*std::prev(leaf), "await_chain.js"));
}

class LiveV8AwaitTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoNode(GetParam()); !why.empty()) GTEST_SKIP() << why;
    auto child = Child::Spawn({GetParam(), kScript});
    ASSERT_TRUE(child.ok()) << child.status();
    child_ = std::make_unique<Child>(*std::move(child));
    for (;;) {
      auto line = child_->ReadLine();
      ASSERT_TRUE(line.ok()) << line.status();
      if (*line == "ready") break;
      truth_.chains.insert(*line);
    }
    ASSERT_GE(truth_.chains.size(), 9u);
  }

  std::unique_ptr<Child> child_;
  Truth truth_;
};

INSTANTIATE_TEST_SUITE_P(Node, LiveV8AwaitTest, testing::ValuesIn(TestNodes()),
                         [](const auto& test) { return TestNameOf(test.param); });

TEST_P(LiveV8AwaitTest, ChainsAndPlacesAreThoseOfTheEnginesStackTrace) {
  NativeSampler sampler(BuiltinRuntimes(), child_->pid(), /*async=*/true);
  std::set<std::string> seen;
  for (int i = 0; i < kMaxStops && seen.size() < truth_.chains.size(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    auto sample = sampler.Take();
    ASSERT_TRUE(sample.ok()) << sample.status();
    // Before its first and behind its last instruction nobody awaits it.
    if (!GoesOn(sample->functions) || sample->awaiting.empty()) continue;
    const std::string chain = absl::StrJoin(sample->awaiting, ";");
    EXPECT_EQ(truth_.chains.count(chain), 1u) << chain;
    EXPECT_EQ(sample->unreadable + sample->corrupt, 0u);
    seen.insert(chain);
    if (HasFailure()) break;
  }
  EXPECT_EQ(seen, truth_.chains);
}

TEST_P(LiveV8AwaitTest, KernelHalfGivesTheSameChains) {
  if (std::string why = WhyNoSampling(); !why.empty()) GTEST_SKIP() << why;
  auto stacks = RunFolded({JPROF, "-p", std::to_string(child_->pid()), "-d", "2", "-F", "499",
                           "--async", "--format", "folded"});
  ASSERT_TRUE(stacks.ok()) << stacks.status();
  const std::set<std::string> truth = truth_.Names();
  std::set<std::string> seen;
  uint64_t samples = 0, without = 0;
  for (const FoldedStack& stack : *stacks) {
    if (!GoesOn(stack.frames)) continue;
    samples += stack.samples;
    std::vector<std::string> names;
    for (absl::string_view frame : stack.frames) {
      if (!absl::ConsumePrefix(&frame, "async ")) continue;
      frame = frame.substr(0, frame.find(' '));
      absl::ConsumeSuffix(&frame, "_[j]");
      names.push_back(std::string(frame));
    }
    if (names.empty()) {
      without += stack.samples;
      continue;
    }
    ASSERT_NE(FindLeaf(stack.frames), stack.frames.begin());
    EXPECT_EQ(*std::prev(FindLeaf(stack.frames)), "--") << absl::StrJoin(stack.frames, ";");
    const std::string chain = absl::StrJoin(names, ";");
    EXPECT_EQ(truth.count(chain), 1u) << chain;
    seen.insert(chain);
  }
  EXPECT_GE(seen.size() * 2, truth.size());
  EXPECT_LE(without * 50, samples);
}

}  // namespace
}  // namespace jprof
