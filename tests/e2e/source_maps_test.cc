// A bundle that was made of TypeScript, minified, shown by its originals. Needs build/nodes (ctest
// fetches it).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kFolder = JPROF_SOURCE_DIR "/tests/e2e/maps";

// "burnArea src/shapes.ts:23", the line found by its text.
std::string Original(absl::string_view name, absl::string_view file, absl::string_view text) {
  int number = 0;
  for (absl::string_view line :
       absl::StrSplit(ReadWholeFile(absl::StrCat(kFolder, "/", file)), '\n')) {
    ++number;
    if (absl::StrContains(line, text))
      return absl::StrCat(name, " ", kFolder, "/", file, ":", number);
  }
  ADD_FAILURE() << file << " has no line with " << text;
  return "";
}

std::vector<std::string> Originals() {
  return {Original("burnArea", "src/shapes.ts", "const burnArea"),
          Original("area", "src/shapes.ts", "  area(): number {"),
          Original("Circle", "src/shapes.ts", "class Circle"),
          Original("burnConstructor", "src/shapes.ts", "function burnConstructor"),
          Original("runOneJob", "src/queue.ts", "function runOneJob"),
          Original("spinBefore", "src/queue.ts", "const spinBefore"),
          Original("drainEverything", "src/queue.ts", "async drainEverything"),
          Original("sumAreas", "src/main.ts", "  sumAreas("),
          Original("mainLoop", "src/main.ts", "async function mainLoop")};
}

// esbuild's own functions for private members come before all that the map knows of.
bool IsOfTheBundler(absl::string_view frame) {
  const absl::string_view name = frame.substr(0, frame.find(' '));
  return name.size() == 1 && absl::StrContains("abchimp", name);
}

// In rows of text: a name is before its place.
void ExpectNoOtherOfTheBundle(absl::string_view text) {
  for (absl::string_view row : absl::StrSplit(text, '\n')) {
    if (!absl::StrContains(row, "bundle.js:")) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(row, ' ', absl::SkipEmpty());
    const auto place = std::find_if(words.begin(), words.end(), [](absl::string_view word) {
      return absl::StrContains(word, "bundle.js:");
    });
    ASSERT_NE(place, words.begin()) << row;
    EXPECT_TRUE(IsOfTheBundler(*std::prev(place))) << row;
  }
}

// Asked anew until it has the text: at one instant, or in the few samples of a process that others
// keep from the CPU, there may be nothing of the script.
JprofResult RunUntil(absl::string_view text, const std::vector<std::string>& arguments) {
  JprofResult result = RunJprof(arguments);
  for (int i = 0; i < 20 && result.exit_code() == 0 && !absl::StrContains(result.out, text); ++i) {
    result = RunJprof(arguments);
  }
  return result;
}

Child StartBundle(absl::string_view version, const std::string& bundle) {
  absl::StatusOr<Child> child = Child::SpawnReady(
      {absl::StrCat(JPROF_SOURCE_DIR, "/build/nodes/", version, "/bin/node"), bundle});
  if (!child.ok()) {
    ADD_FAILURE() << bundle << ": " << child.status() << " (tools/fetch-node " << version << ")";
    std::abort();
  }
  // Once it has said "ready" it is still in the script's top level, which the map does not name.
  EXPECT_TRUE(AwaitCpuTime(child->pid(), 300'000'000));
  return *std::move(child);
}

JprofResult Record(const Child& node, const std::string& maps) {
  return RunJprofFor(300, {"-p", absl::StrCat(node.pid()), "-F", "999", "--format", "folded",
                           "--source-maps", maps});
}

class SourceMapsE2eTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

TEST_P(SourceMapsE2eTest, MinifiedBundleIsShownByItsOriginals) {
  const Child node = StartBundle(GetParam(), kFolder + "/bundle.js");
  const JprofResult result = Record(node, "auto");
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.err, Not(HasSubstr("warning"))) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  for (const std::string& original : Originals()) {
    EXPECT_GT(profile.With(original + "_[j]"), 0u) << original << "\n" << result.out;
  }
  for (const FoldedStack& stack : profile.stacks) {
    for (const std::string& frame : stack.frames) {
      EXPECT_TRUE(!absl::StrContains(frame, "bundle.js:") || IsOfTheBundler(frame)) << frame;
    }
  }
}

TEST_P(SourceMapsE2eTest, WithoutTheMapNamesAreTheGeneratedOnesAndThatIsTold) {
  TemporaryFolder folder;
  const std::string bundle = CopyForAll(kFolder + "/bundle.js", folder / "bundle.js");
  const Child node = StartBundle(GetParam(), bundle);
  JprofResult result = Record(node, "auto");
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(
      result.messages(),
      Contains(absl::StrCat("jprof: warning: 1 script names a source map that is not there (",
                            bundle, ": bundle.js.map)")));
  const FoldedProfile generated = ParseFolded(result.out);
  EXPECT_GT(generated.With(absl::StrCat("sumAreas ", bundle, ":1_[j]")), 0u) << result.out;
  EXPECT_THAT(result.out, Not(HasSubstr("shapes.ts")));

  // Where the user has it, sources are told as the map has them.
  result = Record(node, kFolder);
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  for (const std::string& original : Originals()) {
    const size_t place = original.find(kFolder);
    const std::string relative =
        original.substr(0, place) + original.substr(place + kFolder.size() + 1);
    EXPECT_GT(profile.With(relative + "_[j]"), 0u) << relative << "\n" << result.out;
  }
}

TEST_P(SourceMapsE2eTest, SourcesThatTheMapIgnoresLookLikeNodeModules) {
  TemporaryFolder folder;
  std::string map = ReadWholeFile(kFolder + "/bundle.js.map");
  map.insert(map.find('{') + 1, "\"ignoreList\": [0],");  // shapes.ts
  std::ofstream(folder / "bundle.js.map") << map;
  const Child node = StartBundle(GetParam(), kFolder + "/bundle.js");
  const JprofResult result =
      RunJprofFor(300, {"-p", absl::StrCat(node.pid()), "-F", "999", "--format", "svg",
                        "--source-maps", folder / ""});
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  std::set<std::string> kinds;  // "shapes k2"
  for (absl::string_view frame : absl::StrSplit(result.out, "<g class=\"")) {
    for (const char* file : {"shapes", "queue"}) {
      if (!absl::StrContains(frame, absl::StrCat(" src/", file, ".ts:"))) continue;
      for (absl::string_view word : absl::StrSplit(frame.substr(0, frame.find('"')), ' ')) {
        if (word.size() == 2 && word[0] == 'k') kinds.insert(absl::StrCat(file, " ", word));
      }
    }
  }
  EXPECT_THAT(kinds, ElementsAre("queue k1", "shapes k2")) << result.out;
}

TEST_P(SourceMapsE2eTest, StacksTellTheGeneratedPlaceToo) {
  const Child node = StartBundle(GetParam(), kFolder + "/bundle.js");
  const std::string pid = absl::StrCat(node.pid());
  const JprofResult text = RunUntil(kFolder + "/src/", {"stacks", pid, "--source-maps", "auto"});
  ASSERT_EQ(text.exit_code(), 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr(kFolder + "/src/"));
  EXPECT_THAT(text.out, HasSubstr("\n        from "));
  EXPECT_THAT(text.out, HasSubstr(absl::StrCat(" ", kFolder, "/bundle.js:1:")));
  const JprofResult json =
      RunUntil("\"generated\":\"", {"stacks", pid, "--json", "--source-maps", "auto"});
  ASSERT_EQ(json.exit_code(), 0) << json.err;
  EXPECT_THAT(json.out, HasSubstr("\"generated\":\""));
}

// A map in the script itself, read by node too.
TEST_P(SourceMapsE2eTest, NodeItselfHasTheSamePlaces) {
  TemporaryFolder folder;
  const std::string told = folder / "stack";
  const absl::StatusOr<Child> node = Child::SpawnReady(
      {absl::StrCat(JPROF_SOURCE_DIR, "/build/nodes/", GetParam(), "/bin/node"),
       "--enable-source-maps", kFolder + "/parked.js", told});
  ASSERT_TRUE(node.ok()) << node.status();
  const JprofResult result =
      RunJprof({"stacks", absl::StrCat(node->pid()), "--source-maps", "auto"});
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  // "    at launch (FILE:LINE:COLUMN)"; the first one is where the text was made.
  int callers = -1;
  for (absl::string_view line : absl::StrSplit(ReadWholeFile(told), '\n')) {
    const size_t place = line.find(kFolder + "/src/parked.ts:");
    if (place == absl::string_view::npos || ++callers == 0) continue;
    const size_t end = std::min(line.find(')', place), line.size());
    EXPECT_THAT(result.out, HasSubstr(absl::StrCat("  ", line.substr(place, end - place), "\n")));
  }
  EXPECT_EQ(callers, 3) << ReadWholeFile(told);
}

TEST_P(SourceMapsE2eTest, WhyNamesTheOriginalsToo) {
  const Child node = StartBundle(GetParam(), kFolder + "/bundle.js");
  const JprofResult result =
      RunUntil(kFolder + "/src/", {"why", absl::StrCat(node.pid()), "--source-maps", "auto"});
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr(kFolder + "/src/"));
  ExpectNoOtherOfTheBundle(result.out);
}

TEST_P(SourceMapsE2eTest, TopNamesTheOriginalsEachTime) {
  const Child node = StartBundle(GetParam(), kFolder + "/bundle.js");
  const JprofResult result = RunJprof({"top", "-p", absl::StrCat(node.pid()), "--batch", "3",
                                       "--sort", "total", "--rows", "40", "--source-maps", "auto"});
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("burnArea"));
  EXPECT_THAT(result.out, HasSubstr("shapes.ts:"));
  ExpectNoOtherOfTheBundle(result.out);
}

INSTANTIATE_TEST_SUITE_P(Versions, SourceMapsE2eTest, testing::Values("20.20.2", "24.21.0"),
                         [](const auto& instance) {
                           return absl::StrCat("Node", std::string(instance.param).substr(0, 2));
                         });

}  // namespace
}  // namespace jprof
