// Node as users run it: no flag, no restart, functions by name. Needs build/nodes (ctest fetches
// it).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "helpers/perfmap/jit_name.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

constexpr const char* kVersions[] = {"18.20.8", "20.20.2", "22.23.3"};
const std::string kScript = JPROF_SOURCE_DIR "/tests/e2e/known.js";

struct KnownFunction {
  const char* name;
  const char* begins;  // the text at which its line is found
};
constexpr KnownFunction kKnown[] = {
    {"spin", "function spin("},
    {"plainFunction", "function plainFunction("},
    {"arrowFunction", "const arrowFunction ="},
    {"computeArea", "  computeArea("},
    {"fromText", "  static fromText("},
    {"exports.inferredName", "exports.inferredName ="},
    {"größeΩ", "const größeΩ ="},
};

int LineOf(absl::string_view begins) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(ReadWholeFile(kScript), '\n')) {
    ++number;
    if (absl::StartsWith(line, begins)) return number;
  }
  ADD_FAILURE() << "no line begins with " << begins;
  return 0;
}

std::string Frame(const KnownFunction& function) {
  return absl::StrCat(function.name, " ", kScript, ":", LineOf(function.begins), "_[j]");
}

Child StartNode(absl::string_view version, std::vector<std::string> flags) {
  std::vector<std::string> command = {
      absl::StrCat(JPROF_SOURCE_DIR, "/build/nodes/", version, "/bin/node")};
  command.insert(command.end(), flags.begin(), flags.end());
  command.push_back(kScript);
  absl::StatusOr<Child> child = Child::SpawnReady(command);
  if (!child.ok()) {
    ADD_FAILURE() << command[0] << ": " << child.status() << " (tools/fetch-node " << version
                  << ")";
    std::abort();
  }
  return *std::move(child);
}

std::vector<std::string> Folded(const Child& node) {
  return {"-p", absl::StrCat(node.pid()), "-F", "999", "--format", "folded"};
}

// (version, how the code is compiled)
class NodeTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

TEST_P(NodeTest, EachFunctionIsSeenByNameAndPlaceAndShare) {
  const auto& [version, flags] = GetParam();
  Child node = StartNode(version, absl::StrSplit(flags, ' ', absl::SkipEmpty()));
  const JprofResult result = RunJprofFor(1500, Folded(node));
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_THAT(result.err, HasSubstr(", V8 "));
  uint64_t all = 0;
  for (const KnownFunction& function : kKnown) all += profile.With(Frame(function));
  ASSERT_GT(all, profile.total() * 8 / 10) << result.out.substr(0, 3000);
  // Each does about the same work; the optimizer may make of one loop what it does not of another.
  for (const KnownFunction& function : kKnown) {
    const double share =
        static_cast<double>(profile.With(Frame(function))) / static_cast<double>(all);
    EXPECT_GT(share, 0.25 / std::size(kKnown)) << function.name;
    EXPECT_LT(share, 4.0 / std::size(kKnown)) << function.name;
  }
}

TEST_P(NodeTest, JavaScriptStacksAreWholeAndNamed) {
  const auto& [version, flags] = GetParam();
  Child node = StartNode(version, absl::StrSplit(flags, ' ', absl::SkipEmpty()));
  const JprofResult result = RunJprofFor(500, Folded(node));
  uint64_t script = 0, named = 0, rooted = 0;
  for (const FoldedStack& stack : ParseFolded(result.out).stacks) {
    bool has_script = false, has_unnamed = false, has_caller = false;
    for (const std::string& frame : stack.frames) {
      has_script |= absl::StrContains(frame, "known.js:");
      has_caller |= absl::StartsWith(frame, "callAll ");
      has_unnamed |= absl::StartsWith(frame, "[v8") || absl::StrContains(frame, "[jit]");
    }
    if (!has_script) continue;
    script += stack.count;
    if (!has_unnamed) named += stack.count;
    if (has_caller && stack.Has("node::Start(int, char**)")) rooted += stack.count;
  }
  ASSERT_GT(script, 0u);
  EXPECT_GE(named * 100, script * 99) << result.out.substr(0, 3000);
  EXPECT_GE(rooted * 100, script * 95) << result.out.substr(0, 3000);
}

INSTANTIATE_TEST_SUITE_P(
    Versions, NodeTest,
    testing::Combine(testing::ValuesIn(kVersions),
                     testing::Values("", "--no-opt --always-sparkplug", "--no-opt --no-sparkplug")),
    [](const auto& instance) {
      const std::string flags = std::get<1>(instance.param);
      return absl::StrCat("Node", absl::string_view(std::get<0>(instance.param)).substr(0, 2),
                          flags.empty() ? "AsIs"
                          : absl::StrContains(flags, "always") ? "Baseline" : "Interpreted");
    });

class PerfMapOnlyTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

TEST_P(PerfMapOnlyTest, FramesHaveTheNamesOfTheMap) {
  const auto& [version, flags] = GetParam();
  Child node = StartNode(version, absl::StrSplit(flags, ' '));
  std::vector<std::string> command = Folded(node);
  command.push_back("--no-helpers");
  const JprofResult result = RunJprofFor(1000, command);
  const std::string map_path = absl::StrCat("/tmp/perf-", node.pid(), ".map");
  std::set<std::string> in_map;
  for (absl::string_view line : absl::StrSplit(ReadWholeFile(map_path), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(' ', 2));
    if (fields.size() != 3) continue;
    const JitName name = ParseJitName(fields[2]);
    in_map.insert(name.file.empty()
                      ? absl::StrCat(name.name, "_[j]")
                      : absl::StrCat(name.name, " ", name.file, ":", name.start_line, "_[j]"));
  }
  ::unlink(map_path.c_str());
  EXPECT_EQ(result.err.find("V8"), std::string::npos) << "the helper took part: " << result.err;

  uint64_t jit = 0, foreign = 0, unnamed = 0, known = 0;
  for (const FoldedStack& stack : ParseFolded(result.out).stacks) {
    bool is_known = false;
    for (const std::string& frame : stack.frames) {
      unnamed += absl::StrContains(frame, "[unknown] [jit]") ? stack.count : 0;
      if (!absl::EndsWith(frame, "_[j]")) continue;
      jit += stack.count;
      if (!in_map.contains(frame)) {
        foreign += stack.count;
        EXPECT_LT(foreign, 10u) << "not in the map: " << frame;
      }
      for (const KnownFunction& function : kKnown) {
        is_known |= absl::StrContains(frame, absl::StrCat(function.name, " "));
      }
    }
    known += is_known ? stack.count : 0;
  }
  EXPECT_GT(jit, 0u);
  EXPECT_EQ(foreign, 0u);
  EXPECT_LE(unnamed * 50, jit);
  EXPECT_GT(known * 10, ParseFolded(result.out).total() * 8) << result.out.substr(0, 3000);
}

// Without any privilege, on a process of the same user.
TEST(RingLevelTest, AnUnprivilegedUserSeesTheFunctionsOfOwnProcesses) {
  JPROF_REQUIRE_ROOT();
  TemporaryFolder folder;  // what the repository holds may be hidden from others
  const std::string jprof = CopyForAll(JPROF_BINARY, folder / "jprof");
  const std::string script = CopyForAll(kScript, folder / "known.js");
  for (const char* version : {"18.20.8", "22.23.3"}) {
    const std::string binary = CopyForAll(
        absl::StrCat(JPROF_SOURCE_DIR, "/build/nodes/", version, "/bin/node"), folder / version);
    auto node = Child::SpawnReady({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                   "--clear-groups", binary, script});
    ASSERT_TRUE(node.ok()) << node.status();
    auto recording = Jprof::Start({"-p", absl::StrCat(node->pid()), "-F", "499", "--format",
                                   "folded"},
                                  {.as_nobody = true, .binary = jprof});
    ASSERT_TRUE(recording.ok() && recording->WaitForSamples(250));
    recording->Signal(SIGINT);
    const JprofResult result = recording->Wait();
    ASSERT_EQ(result.exit_code(), 0) << result.err;
    const std::vector<std::string> lines = result.messages();
    ASSERT_EQ(lines.size(), 2u) << result.err;
    EXPECT_THAT(lines[0],
                testing::StartsWith("jprof: warning: level ring, without the kernel's part"));
    EXPECT_THAT(lines[1], HasSubstr("level ring (cpu-clock of user code"));
    const FoldedProfile profile = ParseFolded(result.out);
    for (const KnownFunction& function : kKnown) {
      EXPECT_GT(profile.With(absl::StrCat(function.name, " ", script, ":", LineOf(function.begins),
                                          "_[j]")),
                0u)
          << function.name << "\n"
          << result.out;
    }
  }
}

TEST(PerfMapTrouble, AMapThatOthersMayWriteIsNamedInAWarning) {
  JPROF_REQUIRE_ROOT();
  Child node = StartNode(kVersions[0], {"--perf-basic-prof"});
  const std::string map_path = absl::StrCat("/tmp/perf-", node.pid(), ".map");
  ASSERT_EQ(::chmod(map_path.c_str(), 0666), 0);
  std::vector<std::string> command = Folded(node);
  command.push_back("--no-helpers");
  const JprofResult result = RunJprofFor(100, command);
  ::unlink(map_path.c_str());
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_THAT(result.messages(),
              testing::Contains(absl::StrCat("jprof: warning: perf map of process ", node.pid(),
                                             ": ", map_path, ": others may write to it (mode 666); "
                                             "its names are not used")));
}

// Where the command line says, or the user.
TEST(PerfMapElsewhere, IsFound) {
  JPROF_REQUIRE_ROOT();
  for (const bool is_told : {false, true}) {
    const TemporaryFolder folder;
    Child node = StartNode("22.23.3", {"--perf-basic-prof",
                                       absl::StrCat("--perf-basic-prof-path=", folder.path())});
    std::vector<std::string> command = Folded(node);
    command.push_back("--no-helpers");
    const TemporaryFolder other;
    if (is_told) {
      const std::string name = absl::StrCat("perf-", node.pid(), ".map");
      ASSERT_EQ(::rename((folder / name).c_str(), (other / name).c_str()), 0);
      command.insert(command.end(), {"--perf-map-dir", other.path()});
    }
    const JprofResult result = RunJprofFor(300, command);
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    const FoldedProfile profile = ParseFolded(result.out);
    uint64_t known = 0;
    for (const KnownFunction& function : kKnown) known += profile.With(Frame(function));
    EXPECT_GT(known * 10, profile.total() * 8) << result.out.substr(0, 3000);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Versions, PerfMapOnlyTest,
    testing::Combine(testing::ValuesIn(kVersions),
                     testing::Values("--perf-basic-prof",
                                     "--perf-basic-prof --interpreted-frames-native-stack")),
    [](const auto& instance) {
      return absl::StrCat(
          "Node", absl::string_view(std::get<0>(instance.param)).substr(0, 2),
          absl::StrContains(std::get<1>(instance.param), "interpreted") ? "WithInterpreter" : "");
    });

}  // namespace
}  // namespace jprof
