// How many stacks of real programs are whole.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "helpers/native_runner.h"
#include "jprof_runtimes.h"
#include "profiler/process/proc_status.h"
#include "tests/helpers/stopped_process.h"
#include "tests/helpers/test_nodes.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr size_t kStops = 600;

struct Wholeness {
  size_t stops = 0;
  size_t rooted = 0;
  size_t bridged = 0;                  // native code in between was skipped
  std::map<std::string, size_t> ends;  // of those that are not whole
};

// Stops random threads of the process at random instants.
Wholeness StopOften(const Child& child) {
  Wholeness result;
  NativeSampler sampler(BuiltinRuntimes(), child.pid());
  std::mt19937 random(1);
  while (result.stops < kStops) {
    ::usleep(random() % 4000);
    auto threads = ListThreads(child.pid());
    if (!threads.ok()) break;
    auto sample = sampler.Take((*threads)[random() % threads->size()]);
    if (!sample.ok()) continue;  // the thread has ended
    ++result.stops;
    bool bridged = false;
    for (const RawFrame& frame : sample->stack.frames) {
      bridged |= frame.kind == RawFrame::Kind::kUnresolved && frame.detail == JP_SKIPPED;
    }
    result.bridged += bridged;
    if (sample->stack.end == WalkEnd::kRoot) {
      ++result.rooted;
    } else {
      ++result.ends[absl::StrCat("end ", static_cast<int>(sample->stack.end), " after ",
                                 sample->stack.frames.size(), " frames, the last at 0x",
                                 absl::Hex(sample->stack.frames.back().address))];
    }
  }
  std::printf("%zu stops, %zu whole, %zu bridged\n", result.stops, result.rooted, result.bridged);
  for (const auto& [end, count] : result.ends) std::printf("  %zu: %s\n", count, end.c_str());
  return result;
}

void ExpectWhole(const Wholeness& result, double share) {
  EXPECT_EQ(result.stops, kStops);
  EXPECT_GE(static_cast<double>(result.rooted), share * static_cast<double>(result.stops));
}

class LiveUnwindTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }

  Child Start(const std::vector<std::string>& command) {
    absl::StatusOr<Child> child = Child::SpawnReady(command);
    if (!child.ok()) {
      ADD_FAILURE() << command[0] << ": " << child.status();
      std::abort();
    }
    return *std::move(child);
  }
};

TEST_F(LiveUnwindTest, Python) {
  const Child python = Start({"/usr/bin/python3", "-c", R"(
import hashlib, json, re, sys, threading, zlib
print('ready', flush=True)
def work():
  while True:
    text = json.dumps([{'a': i, 'b': str(i) * 3} for i in range(200)])
    json.loads(text)
    zlib.compress(text.encode())
    hashlib.sha256(text.encode()).hexdigest()
    sorted(re.findall('[0-9]+', text), key=lambda s: s[::-1])
threading.Thread(target=work).start()
work()
)"});
  ExpectWhole(StopOften(python), 0.995);
}

TEST_F(LiveUnwindTest, NodeBlockedInSystemCalls) {
  for (const std::string& node : TestNodes()) {
    ASSERT_EQ(WhyNoNode(node), "");
    const Child child =
        Start({node, absl::StrCat(JPROF_SOURCE_DIR, "/tests/programs/blocked.js")});
    const Wholeness result = StopOften(child);
    ExpectWhole(result, 0.995);
    EXPECT_LE(result.bridged, kStops / 200);
  }
}

TEST_F(LiveUnwindTest, NodeAtMixedWork) {
  for (const std::string& node : TestNodes()) {
    ASSERT_EQ(WhyNoNode(node), "");
    const Child child =
        Start({node, absl::StrCat(JPROF_SOURCE_DIR, "/tests/programs/mixed.js")});
    const Wholeness result = StopOften(child);
    ExpectWhole(result, 0.99);
    EXPECT_LE(result.bridged, kStops / 100);
  }
}

}  // namespace
}  // namespace jprof
