// Stacks of live processes, and what is asked for meanwhile.
#include "profiler/cli/subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "jprof_runtimes.h"
#include "profiler/process/proc_status.h"
#include "symbolize/symbolizer.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class SubjectTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }

  // Of functions whose frames no table expresses: a program that computes below them, or waits.
  std::string StacksOf(const std::string& state, Running running, const FrameStepper::Find& find) {
    absl::StatusOr<Child> program = Child::SpawnReady({TestProgram("expressions"), state});
    if (!program.ok()) return program.status().ToString();
    const LiveMemory memory(program->pid());
    absl::StatusOr<Subject> subject = LiveSubject(program->pid(), memory, running);
    if (!subject.ok()) return subject.status().ToString();
    subject->find_frame_code = find;
    subject->world.symbolize = [](std::vector<ImageQuery>& queries, int threads,
                                  DebugFileFinder* finder) {
      SymbolizeImages(queries, threads, finder);
    };
    StackReport report;
    Profile profile;
    const absl::Status taken =
        TakeStacks(*std::move(subject), {.arguments = running == Running::kStopWithRegisters},
                   BuiltinRuntimes(), report, profile);
    EXPECT_TRUE(taken.ok()) << taken;
    EXPECT_EQ(report.threads.size(), 1u);
    was_stopped_ = report.threads[0].pause_ns > 0;
    return StackReportText(report, profile, {});
  }

  bool was_stopped_ = false;
};

constexpr char kWhole[] =
    "saves_rbx.*\n(.*\n)*.*by_jump.*\n(.*\n)*.*by_place.*\n(.*\n)*.*by_jump.*\n(.*\n)*.*main";

TEST_F(SubjectTest, NoFileIsReadWhileAThreadStands) {
  for (const Running running : {Running::kStop, Running::kStopWithRegisters}) {
    for (const char* state : {"work", "wait"}) {
      int questions = 0;
      const std::string text =
          StacksOf(state, running, [&](Pid pid, std::span<const uint64_t> addresses) {
            ++questions;
            const absl::StatusOr<ProcStat> stat = ReadProcStat(pid);
            EXPECT_TRUE(stat.ok()) << stat.status();
            EXPECT_NE(stat->state, 't') << "it stands, and is traced";
            return FindFrameCode(pid, addresses);
          });
      EXPECT_GT(questions, 0) << state;
      EXPECT_EQ(was_stopped_, state == std::string("work"));
      EXPECT_THAT(text, ContainsRegex(kWhole)) << state;
      EXPECT_THAT(text, Not(HasSubstr("[truncated]"))) << state;
    }
  }
}

TEST_F(SubjectTest, WhatIsNotFoundCutsTheStackAndNothingElse) {
  for (const char* state : {"work", "wait"}) {
    const std::string text = StacksOf(state, Running::kStop, [](Pid, std::span<const uint64_t>) {
      return std::vector<FrameCode>();
    });
    EXPECT_THAT(text, ContainsRegex("saves_rbx.*\n(.*\n)*.*by_jump")) << state;
    EXPECT_THAT(text, HasSubstr("[truncated]")) << state;
    EXPECT_THAT(text, Not(HasSubstr("by_place"))) << state;
  }
}

}  // namespace
}  // namespace jprof
