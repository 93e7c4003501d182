// Our walk against libunwind's, over the same thread while it stands still, at many random
// instants. JPROF_STOPS=10000 in the environment asks for more of them.
#include <dirent.h>
#include <gtest/gtest.h>
#include <libunwind-ptrace.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "helpers/native_runner.h"
#include "jprof_runtimes.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "profiler/unwind/frame_stepper.h"
#include "tests/helpers/stopped_process.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"
#include "tests/unwind/process_tables.h"

namespace jprof {
namespace {

size_t Stops() {
  const char* text = std::getenv("JPROF_STOPS");
  return text == nullptr ? 400 : static_cast<size_t>(std::atol(text));
}

using Stack = std::vector<uint64_t>;  // program counters, leaf first

class Libunwind {
 public:
  Libunwind() : space_(unw_create_addr_space(&_UPT_accessors, 0)) {
    unw_set_caching_policy(space_, UNW_CACHE_GLOBAL);
  }
  ~Libunwind() { unw_destroy_addr_space(space_); }

  Stack Walk(Tid tid) {
    Stack stack;
    void* thread = _UPT_create(tid);
    unw_cursor_t cursor;
    if (unw_init_remote(&cursor, space_, thread) == 0) {
      do {
        unw_word_t pc = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        if (pc == 0) break;
        stack.push_back(pc);
      } while (stack.size() < JP_MAX_FRAMES && unw_step(&cursor) > 0);
    }
    _UPT_destroy(thread);
    return stack;
  }

 private:
  unw_addr_space_t space_;
};

// "libc.so.6+0x27249".
std::string Place(Pid pid, uint64_t pc) {
  auto maps = ReadProcMaps(pid);
  if (maps.ok()) {
    for (const ProcMapping& m : *maps) {
      if (!m.range.Contains({pc})) continue;
      return absl::StrCat(m.path.substr(m.path.rfind('/') + 1), "+0x",
                          absl::Hex(pc - m.range.begin.value + m.offset.value));
    }
  }
  return absl::StrCat("0x", absl::Hex(pc));
}

struct Agreement {
  size_t stops = 0;
  size_t equal = 0;
  size_t rooted = 0;
  std::map<std::string, size_t> differences;  // where, how often
};

// Stops a random thread of the process so many times.
Agreement Compare(Pid pid, size_t stops) {
  const LiveMemory memory(pid);
  ProcessTables tables(pid);
  NativeRunner runner(BuiltinRuntimes(), memory, {});
  runner.SetTables(tables.pool(), tables.mappings());
  FrameStepper stepper(
      [](Pid of, std::span<const uint64_t> addresses) { return FindFrameCode(of, addresses); });
  runner.SetStepper([&](const WalkSoFar& walk) { return stepper.Step(walk, memory); });
  Libunwind libunwind;
  std::mt19937 random(1);
  Agreement agreement;
  while (agreement.stops < stops) {
    ::usleep(random() % 3000);
    auto threads = ListThreads(pid);
    if (!threads.ok()) break;
    const Tid tid = (*threads)[random() % threads->size()];
    Stack ours, theirs;
    {
      absl::StatusOr<StoppedThread> thread = StoppedThread::Stop(tid);
      if (!thread.ok()) continue;
      const NativeRunner::Result result = runner.Walk({}, pid, thread->registers());
      for (const RawFrame& frame : result.stack.frames) ours.push_back(frame.address);
      agreement.rooted += result.stack.end == WalkEnd::kRoot;
      theirs = libunwind.Walk(tid);
    }
    ++agreement.stops;
    if (ours == theirs) {
      ++agreement.equal;
      continue;
    }
    const auto [our, their] =
        std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
    const uint64_t last = our == ours.begin() ? 0 : our[-1];
    ++agreement.differences[absl::StrCat("after ", Place(pid, last), ": ours ",
                                         our == ours.end() ? "ends" : Place(pid, *our),
                                         ", libunwind's ",
                                         their == theirs.end() ? "ends" : Place(pid, *their))];
  }
  return agreement;
}

// Of few stops, all; no difference is known that would have to be explained.
void ExpectAgreement(const char* what, const Agreement& a) {
  std::printf("%s: %zu stops, %zu equal, %zu rooted\n", what, a.stops, a.equal, a.rooted);
  for (const auto& [where, count] : a.differences) std::printf("  %zu %s\n", count, where.c_str());
  EXPECT_EQ(a.stops, Stops());
  EXPECT_GE(static_cast<double>(a.equal), 0.999 * static_cast<double>(a.stops));
  EXPECT_GE(static_cast<double>(a.rooted), 0.999 * static_cast<double>(a.stops));
}

class SecondOpinionTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

TEST_F(SecondOpinionTest, AProgramOverManyLibraries) {
  auto child = Child::SpawnReady({TestProgram("libraries")});
  ASSERT_TRUE(child.ok()) << child.status();
  ExpectAgreement("libraries", Compare(child->pid(), Stops()));
}

// Frames of which a table holds nothing, and their instructions before and behind the call.
TEST_F(SecondOpinionTest, AProgramWhoseFramesNoTableExpresses) {
  auto child = Child::SpawnReady({TestProgram("expressions"), "again"});
  ASSERT_TRUE(child.ok()) << child.status();
  ExpectAgreement("expressions", Compare(child->pid(), Stops()));
}

}  // namespace
}  // namespace jprof
