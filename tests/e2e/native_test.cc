// Whole recordings of small C programs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"
#include "symbolize/elf_file.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class NativeTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

Child StartProgram(std::vector<std::string> command) {
  command[0] = TestProgram(command[0]);
  absl::StatusOr<Child> child = Child::SpawnReady(command);
  if (!child.ok()) {
    ADD_FAILURE() << command[0] << ": " << child.status();
    std::abort();
  }
  return *std::move(child);
}

std::vector<std::string> Folded(absl::string_view target, Pid id) {
  return {std::string(target), absl::StrCat(id), "-F", "999", "--format", "folded"};
}

// Half-width of an interval that a share of n samples leaves once in some millions of runs, and a
// little for a clock that the loop may fall in step with.
double Tolerance(double share, uint64_t samples) {
  return 5 * std::sqrt(share * (1 - share) / static_cast<double>(samples)) + 0.03;
}

double CpuSeconds(Pid pid) {
  clockid_t clock;
  timespec t = {};
  EXPECT_EQ(::clock_getcpuclockid(pid, &clock), 0);
  EXPECT_EQ(::clock_gettime(clock, &t), 0);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

TEST_F(NativeTest, A70To30SplitIsSeenAsOne) {
  Child spin = StartProgram({"spin"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(1500, Folded("-p", spin.pid())).out);
  const uint64_t hot70 = profile.Leaf("hot70"), hot30 = profile.Leaf("hot30");
  const uint64_t both = hot70 + hot30;
  EXPECT_GT(both, profile.total() * 9 / 10);
  EXPECT_NEAR(static_cast<double>(hot70) / static_cast<double>(both), 0.7, Tolerance(0.7, both));
}

TEST_F(NativeTest, EveryStackReachesTheFirstFunction) {
  Child spin = StartProgram({"spin"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(200, Folded("-p", spin.pid())).out);
  for (const FoldedStack& stack : profile.stacks) {
    EXPECT_EQ(stack.frames[0], "spin");
    EXPECT_TRUE(stack.Has("main") && stack.Has("work")) << testing::PrintToString(stack.frames);
    EXPECT_FALSE(stack.Has("[truncated]")) << testing::PrintToString(stack.frames);
  }
}

TEST_F(NativeTest, CodeWithoutFramePointersHasItsCallers) {
  for (const char* program : {"sorter", "sorter_static", "sorter_static_pie", "sorter_no_pie"}) {
    Child sorter = StartProgram({program});
    const FoldedProfile profile = ParseFolded(RunJprofFor(200, Folded("-p", sorter.pid())).out);
    EXPECT_GE(profile.With("compare"), profile.total() * 9 / 10) << program;
    for (const FoldedStack& stack : profile.stacks) {
      EXPECT_TRUE(stack.Has("main") && !stack.Has("[truncated]"))
          << program << ": " << testing::PrintToString(stack.frames);
    }
  }
}

TEST_F(NativeTest, AStubOfNoFileWithoutAFramePointerHasItsCallers) {
  const Child child = StartProgram({"stub"});
  for (const char* level : {"kernel", "ring"}) {
    std::vector<std::string> command = Folded("-p", child.pid());
    command.insert(command.end(), {"-d", "1", "--level", level});
    const JprofResult result = RunJprof(command);
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("main;calls_stub;[unknown] [jit];burns ")) << level;
    // Before its first instruction is executed, nothing tells that it keeps no frame pointer.
    const FoldedProfile profile = ParseFolded(result.out);
    EXPECT_LE(profile.With("[truncated]"), profile.total() / 50) << result.out;
  }
}

// Natively by the programs of the frames; in the interrupt the stack ends there, and that is
// counted.
TEST_F(NativeTest, WhatNoTableExpressesIsSteppedNativelyAndCountedInTheKernel) {
  Child program = StartProgram({"expressions"});
  for (const bool natively : {true, false}) {
    std::vector<std::string> command = Folded("-p", program.pid());
    command.insert(command.end(), {"--level", natively ? "ring" : "kernel"});
    const JprofResult result = RunJprofFor(200, command);
    const FoldedProfile profile = ParseFolded(result.out);
    EXPECT_GT(profile.total(), 0u) << result.err;
    for (const FoldedStack& stack : profile.stacks) {
      EXPECT_EQ(stack.Has("main"), natively) << testing::PrintToString(stack.frames);
      EXPECT_EQ(stack.Has("[truncated]"), !natively) << testing::PrintToString(stack.frames);
      EXPECT_EQ(stack.Count("by_jump"), natively ? 2u : 1u);
      EXPECT_EQ(stack.Count("by_place"), natively ? 1u : 0u);
    }
    EXPECT_EQ(absl::StrContains(result.err, "stacks are cut where call-frame information says"),
              !natively)
        << result.err;
  }
}

TEST_F(NativeTest, LibrariesAndSignalHandlersHaveTheirCallers) {
  Child libraries = StartProgram({"libraries"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(2000, Folded("-p", libraries.pid())).out);
  uint64_t whole = 0, handlers = 0;
  for (const FoldedStack& stack : profile.stacks) {
    const bool has_root = !stack.Has("[truncated]");
    if (has_root) whole += stack.count;
    if (stack.Has("(anonymous namespace)::OnTimer(int)")) {
      handlers += stack.count;
      EXPECT_TRUE(stack.Has("(anonymous namespace)::Work(bool)"))
          << testing::PrintToString(stack.frames);
    }
  }
  EXPECT_GE(static_cast<double>(whole), 0.995 * static_cast<double>(profile.total()));
  EXPECT_GT(handlers, 0u);
}

TEST_F(NativeTest, InlinedFunctionsAndLinesAreShownWhenAskedFor) {
  Child inlines = StartProgram({"inlines"});
  const std::vector<std::string> command = Folded("-p", inlines.pid());
  const std::string plain = RunJprofFor(100, command).out;
  EXPECT_THAT(plain, AllOf(HasSubstr("Trade(unsigned int)"), Not(HasSubstr("_[i]")),
                           Not(HasSubstr("inlines.cc:"))));

  std::vector<std::string> with_inlines = command;
  with_inlines.push_back("--inlines");
  EXPECT_THAT(RunJprofFor(300, with_inlines).out,
              AllOf(HasSubstr("Trade(unsigned int)"), HasSubstr("shop::Stock::"), HasSubstr("_[i]"),
                    Not(HasSubstr("inlines.cc:"))));

  std::vector<std::string> with_lines = command;
  with_lines.push_back("--lines");
  const FoldedProfile lines = ParseFolded(RunJprofFor(100, with_lines).out);
  for (const FoldedStack& stack : lines.stacks) {
    const auto main = std::find_if(stack.frames.begin(), stack.frames.end(),
                                   [](const std::string& f) { return f.find("main ") == 0; });
    ASSERT_NE(main, stack.frames.end()) << testing::PrintToString(stack.frames);
    EXPECT_THAT(*main, MatchesRegex("main .*/inlines.cc:[0-9]+"));
  }
}

TEST_F(NativeTest, ALibraryLoadedLaterHasItsTable) {
  Child late = StartProgram({"late"});
  auto jprof = Jprof::Start(Folded("-p", late.pid()));
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  ASSERT_TRUE(jprof->WaitForSamples(50));
  ASSERT_TRUE(late.Write("x").ok());
  ASSERT_TRUE(late.ReadLine().ok());
  ASSERT_TRUE(jprof->WaitForSamples(1500));
  jprof->Signal(SIGINT);
  const FoldedProfile profile = ParseFolded(jprof->Wait().out);
  uint64_t whole = 0;
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.Has("late_work") && stack.Has("main")) whole += stack.count;
  }
  EXPECT_GT(whole, profile.total() / 2);  // until the table was made, they were cut
}

TEST_F(NativeTest, AStackIsMarkedAsCutWhereNothingTellsTheCaller) {
  Child untold = StartProgram({"untold"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(200, Folded("-p", untold.pid())).out);
  EXPECT_GE(profile.With("burn"), profile.total() * 9 / 10);
  for (const FoldedStack& stack : profile.stacks) {
    EXPECT_TRUE(stack.Has("[truncated]")) << testing::PrintToString(stack.frames);
  }
}

// musl describes none of its code; what the instructions do is followed.
class MuslTest : public NativeTest, public testing::WithParamInterface<const char*> {};

TEST_P(MuslTest, StacksThroughTheCLibraryAreWhole) {
  ASSERT_EQ(::access(TestProgram(GetParam()).c_str(), X_OK), 0) << "apt-get install musl-tools";
  Child program = StartProgram({GetParam()});
  RunJprofFor(100, Folded("-p", program.pid()));  // makes the tables, if no run did before
  const FoldedProfile profile = ParseFolded(RunJprofFor(700, Folded("-p", program.pid())).out);
  uint64_t whole = 0;
  std::set<std::string> callers;
  const std::map<std::string, std::vector<std::string>> truth = {
      {"memcpy", {"copies", "prints", "sorts"}},
      {"strlen", {"lengths", "prints"}},
      {"compare", {"sorts"}},
      {"snprintf", {"prints"}},
      {"malloc", {"allocates"}},
      {"free", {"allocates"}}};
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.Has("[truncated]") || !stack.Has("main")) continue;
    whole += stack.count;
    const auto main = std::find(stack.frames.begin(), stack.frames.end(), "main");
    if (std::next(main) == stack.frames.end()) continue;
    const std::string& caller = *std::next(main);
    callers.insert(caller);
    EXPECT_THAT(caller, AnyOf("copies", "lengths", "prints", "allocates", "sorts",
                              testing::EndsWith("_[k]")))
        << testing::PrintToString(stack.frames);
    for (const auto& [function, by] : truth) {
      if (!stack.Has(function)) continue;
      EXPECT_THAT(by, testing::Contains(caller)) << testing::PrintToString(stack.frames);
    }
  }
  for (const char* caller : {"copies", "lengths", "prints", "allocates", "sorts"}) {
    EXPECT_TRUE(callers.contains(caller)) << caller;
  }
  EXPECT_GE(whole * 100, profile.total() * 99);
}

INSTANTIATE_TEST_SUITE_P(Linked, MuslTest,
                         testing::Values("libc_mix_musl", "libc_mix_musl_static",
                                         "libc_mix_musl_static_pie"),
                         [](const auto& instance) { return std::string(instance.param); });

// In its own file, compressed there, and of a library's.
class ToldToDebuggerTest : public NativeTest, public testing::WithParamInterface<const char*> {};

TEST_P(ToldToDebuggerTest, WhatADebuggerIsToldTellsTheCaller) {
  Child told = StartProgram({GetParam()});
  const FoldedProfile profile = ParseFolded(RunJprofFor(200, Folded("-p", told.pid())).out);
  EXPECT_EQ(profile.With("main"), profile.total());
  EXPECT_GE(profile.With("repeat"), profile.total() * 9 / 10);
}

INSTANTIATE_TEST_SUITE_P(Of, ToldToDebuggerTest,
                         testing::Values("told_to_debugger", "told_packed", "told_by_library"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_F(NativeTest, WhatADebuggerIsToldMayBeInASeparateFile) {
  const std::string program = TestProgram("told_apart");
  auto elf = ElfFile::Open(UniqueFd(::open(program.c_str(), O_RDONLY | O_CLOEXEC)), program);
  ASSERT_TRUE(elf.ok()) << elf.status();
  const std::string id = elf->build_id();
  ASSERT_GT(id.size(), 2u);
  const std::filesystem::path directory = "/usr/lib/debug/.build-id/" + id.substr(0, 2);
  const std::filesystem::path debug_file = directory / (id.substr(2) + ".debug");
  const bool is_new = std::filesystem::create_directories(directory);
  std::filesystem::copy_file(program + ".debug", debug_file,
                             std::filesystem::copy_options::overwrite_existing);
  Child told = StartProgram({"told_apart"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(200, Folded("-p", told.pid())).out);
  std::filesystem::remove(debug_file);
  if (is_new) std::filesystem::remove(directory);
  EXPECT_EQ(profile.With("main"), profile.total());
}

TEST_F(NativeTest, SamplesTimesPeriodIsTheCpuTime) {
  Child spin = StartProgram({"spin"});
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-F", "199", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  const double before = CpuSeconds(spin.pid());
  ASSERT_TRUE(jprof->WaitForSamples(500));
  const double used = CpuSeconds(spin.pid()) - before;
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const double sampled = static_cast<double>(ParseFolded(result.out).total()) / 199;
  EXPECT_GT(sampled, 0.75 * used);
  EXPECT_LT(sampled, 1.5 * used + 1);  // what came after the signal, too
}

TEST_F(NativeTest, AThreadStartedLaterIsSampled) {
  Child threads = StartProgram({"threads"});
  auto jprof = Jprof::Start(Folded("-p", threads.pid()));
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  ASSERT_TRUE(threads.Write("x").ok());
  ASSERT_EQ(threads.ReadLine().value_or(""), "ready");
  ASSERT_TRUE(jprof->WaitForSamples(100));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_GE(profile.With("worker_loop"), profile.total() * 9 / 10) << result.out;
}

TEST_F(NativeTest, OneThreadIsSampledAlone) {
  Child threads = StartProgram({"threads"});
  ASSERT_TRUE(threads.Write("x").ok());
  ASSERT_EQ(threads.ReadLine().value_or(""), "ready");
  auto tids = ListThreads(threads.pid());
  ASSERT_TRUE(tids.ok() && tids->size() == 2) << tids.status();
  const Tid worker = (*tids)[0] == threads.pid() ? (*tids)[1] : (*tids)[0];

  const FoldedProfile profile = ParseFolded(RunJprofFor(100, Folded("-t", worker)).out);
  EXPECT_GE(profile.With("worker_loop"), profile.total() * 9 / 10);

  // The main thread waits for its input while the worker burns CPU.
  std::vector<std::string> command = Folded("-t", threads.pid());
  command.insert(command.end(), {"-d", "500ms"});
  const JprofResult main_thread = RunJprof(command);
  EXPECT_EQ(main_thread.exit_code(), 1);
  EXPECT_THAT(main_thread.err, HasSubstr("no samples"));
}

// Other code of the process could have been walked, so it is recorded all the same.
TEST_F(NativeTest, CodeOf32BitsIsSaidToBeCut) {
  Child narrow = StartProgram({"narrow"});
  std::vector<std::string> command = Folded("-p", narrow.pid());
  command.push_back("--explain");
  const JprofResult result = RunJprofFor(100, command);
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_EQ(profile.With("[truncated]"), profile.total()) << result.out;
  EXPECT_THAT(result.err, HasSubstr(", 0.0 % rooted"));
  EXPECT_THAT(result.err, HasSubstr("it is 32-bit code, whose frames jprof does not know"));
}

TEST_F(NativeTest, AProcessOutlivesItsMainThread) {
  Child threads = StartProgram({"threads", "leave"});
  ASSERT_TRUE(EndMainThread(threads).ok());
  const JprofResult result = RunJprofFor(100, Folded("-p", threads.pid()));
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_GE(profile.With("worker_loop"), profile.total() * 9 / 10) << result.out;
}

TEST_F(NativeTest, AProcessThatExitsEarlyIsWrittenAsFarAsItWent) {
  Child program = StartProgram({"early_exit"});
  std::vector<std::string> command = Folded("-p", program.pid());
  command.insert(command.end(), {"-d", "1h"});
  auto jprof = Jprof::Start(command);
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(50));
  ASSERT_TRUE(program.Write("x").ok());
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the target exited; writing what was gathered"));
  EXPECT_GE(ParseFolded(result.out).With("burn"), 45u);
}

TEST_F(NativeTest, CodeIsNamedByWhatItsJitdumpSaysOfThatInstant) {
  TemporaryFolder folder;
  Child program = StartProgram({"jitter", folder.path()});
  std::vector<std::string> command = Folded("-p", program.pid());
  command.push_back("--lines");
  const JprofResult result = RunJprofFor(700, command);
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  const std::string alpha = "alpha jitter.src:1_[j]", beta = "beta jitter.src:2_[j]";
  const std::pair<absl::string_view, std::string> truth[] = {
      {"runs_alpha", alpha}, {"runs_beta", beta}, {"runs_moved_beta", beta}};
  uint64_t named = 0;
  for (const FoldedStack& stack : profile.stacks) {
    for (const auto& [caller, code] : truth) {
      const std::string frame = absl::StrCat(caller, " ");
      const auto at = std::find_if(stack.frames.begin(), stack.frames.end(), [&](const auto& f) {
        return absl::StartsWith(f, frame);
      });
      if (at == stack.frames.end() || std::next(at) == stack.frames.end()) continue;
      if (absl::EndsWith(*std::next(at), "_[k]")) continue;
      EXPECT_EQ(*std::next(at), code) << testing::PrintToString(stack.frames);
      named += stack.count;
    }
  }
  EXPECT_GT(named, profile.total() / 2) << result.out;
  for (const auto& [caller, code] : truth) EXPECT_GT(profile.With(code), 100u) << result.out;
}

TEST_F(NativeTest, AProcessIsFollowedThroughExec) {
  auto shell = Child::SpawnReady(
      {"/bin/sh", "-c", "echo ready; read line; exec \"$0\"", TestProgram("spin")});
  ASSERT_TRUE(shell.ok()) << shell.status();
  auto jprof = Jprof::Start(Folded("-p", shell->pid()));
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  ASSERT_TRUE(shell->Write("\n").ok());
  ASSERT_TRUE(jprof->WaitForSamples(200));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  const FoldedProfile profile = ParseFolded(result.out);
  EXPECT_GE(profile.Leaf("hot70") + profile.Leaf("hot30"), profile.total() * 8 / 10) << result.out;
  // The shell may be met on its way from the line to the program; it runs nothing of that.
  for (const FoldedStack& stack : profile.stacks) {
    if (stack.Has("work")) {
      EXPECT_EQ(stack.frames[0], "spin") << testing::PrintToString(stack.frames);
    }
    EXPECT_THAT(stack.frames[0], AnyOf("sh", "spin"));
  }
}

TEST_F(NativeTest, ChildrenThatComeAndGoAreNamedWithAllProcesses) {
  // Each child executes a program, burns some tenths of a second and is gone before the naming.
  Child forker = StartProgram({"forker", TestProgram("early_exit"), "300"});
  auto jprof = Jprof::Start({"-a", "-F", "999", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(forker.Write("x").ok());
    ASSERT_EQ(forker.ReadLine().value_or(""), "ready") << "of the child";
    ASSERT_NE(forker.ReadLine().value_or(""), "") << "its pid, when it has ended";
  }
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  uint64_t named = 0, all = 0;
  for (const FoldedStack& stack : ParseFolded(result.out).stacks) {
    if (stack.frames[0] != "early_exit") continue;
    all += stack.count;
    if (stack.Has("burn") && stack.Has("main")) named += stack.count;
  }
  EXPECT_GE(all, 50u);
  EXPECT_GE(named, all * 8 / 10);
}

TEST_F(NativeTest, AllProcessesAreSampledAtOnce) {
  Child spin = StartProgram({"spin"});
  Child deep = StartProgram({"deep", "20"});
  auto jprof = Jprof::Start({"-a", "-F", "999", "--format", "folded"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForRecording());
  // However busy the machine is with other things.
  for (const Child* child : {&spin, &deep}) ASSERT_TRUE(AwaitCpuTime(child->pid(), 200'000'000));
  jprof->Signal(SIGINT);
  const FoldedProfile profile = ParseFolded(jprof->Wait().out);
  EXPECT_GT(profile.With("work"), 50u);
  EXPECT_GT(profile.With("bottom"), 50u);
}

TEST_F(NativeTest, AStackOfSomeHundredFramesIsWhole) {
  Child deep = StartProgram({"deep", "400"});
  const FoldedProfile profile = ParseFolded(RunJprofFor(100, Folded("-p", deep.pid())).out);
  EXPECT_EQ(profile.With("[truncated]"), 0u);
  for (const FoldedStack& stack : profile.stacks) {
    EXPECT_EQ(stack.Count("descend"), 400u);
    EXPECT_TRUE(stack.Has("main"));
  }
}

TEST_F(NativeTest, ADeeperStackIsCutAndSaysSo) {
  Child deep = StartProgram({"deep", "600"});
  const JprofResult result = RunJprofFor(100, Folded("-p", deep.pid()));
  const FoldedProfile profile = ParseFolded(result.out);
  ASSERT_FALSE(profile.stacks.empty());
  for (const FoldedStack& stack : profile.stacks) {
    EXPECT_EQ(stack.frames[1], "[truncated]");
    EXPECT_GE(stack.Count("descend"), 500u);
    EXPECT_LT(stack.Count("descend"), 512u);
    EXPECT_FALSE(stack.Has("main"));
  }
  EXPECT_THAT(result.err, HasSubstr(" 0.0 % rooted"));
}

TEST_F(NativeTest, EachSignalThatAsksForAnEndGetsAFile) {
  Child spin = StartProgram({"spin"});
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    TemporaryFolder folder;
    auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-o", folder / "out.svg"});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ASSERT_TRUE(jprof->WaitForSamples(5));
    jprof->Signal(number);
    const JprofResult result = jprof->Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(ReadWholeFile(folder / "out.svg"), AllOf(HasSubstr("<svg"), HasSubstr("</svg>")));
  }
}

TEST_F(NativeTest, ASecondSignalEndsWhateverItIs) {
  Child spin = StartProgram({"spin"});
  for (int second : {SIGINT, SIGTERM}) {
    // The first signal ends the recording; the writing then waits for a reader that never reads.
    auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-F", "999"},
                              {.standard_output = JprofOptions::Stdout::kStuckPipe});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ASSERT_TRUE(jprof->WaitForSamples(5));
    jprof->Signal(SIGINT);
    ASSERT_TRUE(jprof->WaitUntilStuck());
    jprof->SignalUntilEnd(second);
    EXPECT_EQ(jprof->Wait().signal(), second);
  }
}

TEST_F(NativeTest, AFileAppearsWholeOrNotAtAll) {
  Child spin = StartProgram({"spin"});
  TemporaryFolder folder;
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-o", folder / "out.svg"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(5));
  EXPECT_THAT(folder.Names(), Not(testing::Contains("out.svg")));
  jprof->Signal(SIGINT);
  EXPECT_EQ(jprof->Wait().exit_code(), 0);
  EXPECT_THAT(folder.Names(), ElementsAre("out.svg"));
}

TEST_F(NativeTest, ARecordingThatIsKilledAtOnceLeavesNothing) {
  Child spin = StartProgram({"spin"});
  TemporaryFolder folder;
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-o", folder / "out.svg"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(5));
  jprof->Signal(SIGKILL);
  EXPECT_EQ(jprof->Wait().signal(), SIGKILL);
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST_F(NativeTest, ARecordingThatIsKilledLeavesWhatItHad) {
  Child spin = StartProgram({"spin"});
  TemporaryFolder folder;
  const std::string file = folder / "out.svg";
  std::ofstream(file) << "an older one";
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-F", "999", "-o", file});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForSamples(5));
  EXPECT_EQ(ReadWholeFile(file), "an older one");
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (ReadWholeFile(file) == "an older one" && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  jprof->Signal(SIGKILL);
  EXPECT_EQ(jprof->Wait().signal(), SIGKILL);
  EXPECT_THAT(ReadWholeFile(file), AllOf(HasSubstr("of a recording that did not end"),
                                         HasSubstr("hot70"), HasSubstr("</svg>")));
  EXPECT_THAT(folder.Names(), ElementsAre("out.svg"));
}

TEST_F(NativeTest, ARecordingThatTakesTooMuchIsSampledLess) {
  Child spin = StartProgram({"spin"});
  TemporaryFolder folder;
  auto jprof = Jprof::Start({"-p", absl::StrCat(spin.pid()), "-F", "999", "--max-cpu", "0.001",
                             "-o", folder / "out.svg"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("own CPU was above 0.001 % for 10 s: sampled at 499 Hz"));
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("sampled at 499 Hz since 1"));
  EXPECT_THAT(ReadWholeFile(folder / "out.svg"), HasSubstr("sampled at 499 Hz since 1"));
}

TEST_F(NativeTest, TheVerdictIsOneLineAndAllThatIsSaidWithoutATerminal) {
  Child spin = StartProgram({"spin"});
  const JprofResult result = RunJprof(
      {"record", "-p", absl::StrCat(spin.pid()), "-d", "1", "-F", "999", "--format", "folded"},
      {.stderr_is_terminal = false});
  ASSERT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.messages(),
              ElementsAre(MatchesRegex(
                  "jprof: [0-9]+ samples in [0-9.]+ s, 0 lost, [0-9.]+ % rooted, [0-9.]+ % of "
                  "frames unnamed, [0-9.]+ of 999 Hz, level kernel \\(.*\\), own CPU [0-9.]+ s "
                  "\\([0-9.]+ %\\)")));
}

TEST_F(NativeTest, WhatHasNoNameIsExplainedBehindTheVerdict) {
  Child deep = StartProgram({"deep", "600"});
  std::vector<std::string> command = Folded("-p", deep.pid());
  command.push_back("--explain");
  const JprofResult result = RunJprofFor(20, command);
  const std::vector<std::string> messages = result.messages();
  ASSERT_GE(messages.size(), 3u);
  EXPECT_THAT(messages[0], HasSubstr(" rooted"));
  EXPECT_EQ(messages[1], "jprof: samples   frames  without a name, and why");
  EXPECT_THAT(messages[2], MatchesRegex("jprof: 100\\.0 % +\\[truncated\\] +above a frame of deep, "
                                        "deeper than the walk's limit of 512 frames"));
}

TEST_F(NativeTest, OtherProgramsReadWhatWasWritten) {
  Child spin = StartProgram({"spin"});
  TemporaryFolder folder;
  const auto shell = [](const std::string& command) { return std::system(command.c_str()); };
  const std::string pid = absl::StrCat(spin.pid());
  ASSERT_EQ(RunJprof({"-p", pid, "-d", "1", "-o", folder / "out.svg"}).exit_code(), 0);
  EXPECT_EQ(shell(absl::StrCat("xmllint --noout ", folder / "out.svg")), 0);
  ASSERT_EQ(RunJprof({"-p", pid, "-d", "1", "-o", folder / "out.pb.gz"}).exit_code(), 0);
  EXPECT_EQ(shell(absl::StrCat("HOME=", folder.path(), " go tool pprof -top ", folder / "out.pb.gz",
                               " >", folder / "top.txt")),
            0);
  EXPECT_THAT(ReadWholeFile(folder / "top.txt"), HasSubstr("hot70"));
}

}  // namespace
}  // namespace jprof
