// jprof why on processes that are stuck, each in a way of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/process/proc_status.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

char StateOf(Pid pid) {
  auto stat = ReadProcStat(pid);
  return stat.ok() ? stat->state : '?';
}

Child SpawnStuck(const std::string& state) {
  absl::StatusOr<Child> stuck = Child::SpawnReady({TestProgram("stuck"), state});
  if (!stuck.ok()) {
    ADD_FAILURE() << stuck.status();
    std::abort();
  }
  // It says "ready" just before.
  const bool sleeps = state != "loop";
  for (int i = 0; i < 10'000 && (StateOf(stuck->pid()) != 'R') != sleeps; ++i) ::usleep(1000);
  ::usleep(20'000);
  return *std::move(stuck);
}

Child SpawnNode(const std::string& state) {
  const char* node = std::getenv("JPROF_TEST_NODE");
  absl::StatusOr<Child> stuck = Child::SpawnReady(
      {node != nullptr ? node : JPROF_SOURCE_DIR "/build/nodes/22.23.3/bin/node",
       JPROF_SOURCE_DIR "/tests/programs/stuck.js", state});
  if (!stuck.ok()) {
    ADD_FAILURE() << stuck.status();
    std::abort();
  }
  return *std::move(stuck);
}

Jprof StartWhy(Pid pid, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"why", absl::StrCat(pid)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  absl::StatusOr<Jprof> jprof = Jprof::Start(arguments);
  if (!jprof.ok()) {
    ADD_FAILURE() << jprof.status();
    std::abort();
  }
  return *std::move(jprof);
}

// Its first line.
std::string Sentence(Jprof jprof) {
  const JprofResult result = jprof.Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  return std::vector<std::string>(absl::StrSplit(result.out, '\n'))[0];
}

// What is said of a process is of one second and of one instant at its end: others on the CPU may
// keep the process from being then what it is otherwise, so it is asked anew: once if it uses no
// CPU.
void ExpectSentence(Jprof first, Pid pid, const testing::Matcher<std::string>& matcher,
                    int retries = 1) {
  std::string sentence = Sentence(std::move(first));
  for (int i = 0; i < retries && !matcher.Matches(sentence); ++i)
    sentence = Sentence(StartWhy(pid));
  EXPECT_THAT(sentence, matcher);
}

class WhyTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

// Those that use no CPU are watched at the same time.
TEST_F(WhyTest, WhatAProcessIsBlockedInIsNamed) {
  Child pipe = SpawnStuck("pipe"), queue = SpawnStuck("queue"), locks = SpawnStuck("locks");
  Child sockets = SpawnStuck("sockets"), connect = SpawnStuck("connect");
  Child sleep = SpawnStuck("sleep"), vfork = SpawnStuck("vfork"), idle = SpawnNode("idle");
  std::vector<Jprof> whys;
  for (const Child* child : {&pipe, &queue, &locks, &sockets, &connect, &sleep, &vfork, &idle}) {
    whys.push_back(StartWhy(child->pid()));
  }
  ExpectSentence(std::move(whys[0]), pipe.pid(),
                 AllOf(HasSubstr("blocked in a write to a full pipe (65536 of 65536 bytes unread)"),
                       HasSubstr("whose reader slow-reader"), HasSubstr("nanosleep")));
  ExpectSentence(std::move(whys[1]), queue.pid(),
                 AllOf(HasSubstr("blocked in sending to System V message queue"),
                       HasSubstr("is full"), HasSubstr("last receiver receiver")));
  ExpectSentence(
      std::move(whys[2]), locks.pid(),
      AllOf(HasSubstr(absl::StrCat("deadlock: thread ", locks.pid(), " stuck in LockBoth")),
            HasSubstr(absl::StrCat("waits for a lock that thread ", locks.pid(), " holds"))));
  ExpectSentence(std::move(whys[3]), sockets.pid(),
                 AllOf(HasSubstr("deadlock across processes: "),
                       HasSubstr("needs other-writer (pid "), HasSubstr("needs this process")));
  ExpectSentence(std::move(whys[4]), connect.pid(),
                 AllOf(HasSubstr("waits to be accepted at the local socket @jprof-test-"),
                       HasSubstr("1 connection waits to be accepted, the backlog is 0"),
                       HasSubstr("whose listener busy-server")));
  ExpectSentence(std::move(whys[5]), sleep.pid(), MatchesRegex(".*: sleeps \\([0-9]+ s\\): .*"));
  ExpectSentence(
      std::move(whys[6]), vfork.pid(),
      AllOf(HasSubstr("in uninterruptible sleep: waits until a child that it made by vfork"),
            HasSubstr("in pause()")));
  ExpectSentence(std::move(whys[7]), idle.pid(),
                 HasSubstr("event loop alive and idle: it woke up "));
  queue.CloseStdin();  // removes the queue
  queue.Wait();
}

// Neither is an event loop with nothing to do.
TEST_F(WhyTest, AChildThatIsWaitedForIsNamed) {
  Child poll = SpawnStuck("poll"), node = SpawnNode("child");
  std::vector<Jprof> whys;
  for (const Child* child : {&poll, &node}) whys.push_back(StartWhy(child->pid()));
  ExpectSentence(std::move(whys[0]), poll.pid(),
                 AllOf(HasSubstr("waits in PollChild"), HasSubstr(" for the end of slow-child (pid"),
                       HasSubstr(", which sleeps in clock_nanosleep")));
  constexpr int kRetries = 10;  // the child is started after "ready"
  ExpectSentence(std::move(whys[1]), node.pid(),
                 AllOf(HasSubstr("waits for a child to exit in backUp /"),
                       HasSubstr("its only living one: cat (pid ")),
                 kRetries);
}

TEST_F(WhyTest, WhatAProcessSpendsItsTimeInIsNamed) {
  Child loop = SpawnStuck("loop");
  Child js_loop = SpawnNode("loop"), regexp = SpawnNode("regexp"), gc = SpawnNode("gc");
  std::vector<Jprof> whys;
  for (const Child* child : {&loop, &js_loop, &regexp, &gc}) whys.push_back(StartWhy(child->pid()));
  constexpr int kRetries = 10;
  ExpectSentence(std::move(whys[0]), loop.pid(), HasSubstr(" in SpinInCpp() ("), kRetries);
  ExpectSentence(std::move(whys[1]), js_loop.pid(),
                 MatchesRegex(".* in spinInJs /.*/stuck.js:[67]:.* % of [0-9]+ samples.*"),
                 kRetries);
  ExpectSentence(std::move(whys[2]), regexp.pid(),
                 MatchesRegex(".*: matching a regular expression in matchBadly /.*/stuck.js:12:.*"),
                 kRetries);
  ExpectSentence(std::move(whys[3]), gc.pid(),
                 MatchesRegex(".*: collecting garbage in [0-9]+ % of .*"), kRetries);
}

TEST_F(WhyTest, WhoHoldsAProcessStillIsNamed) {
  Child stopped = SpawnStuck("sleep"), traced = SpawnStuck("sleep"), zombies = SpawnStuck("zombie");
  absl::StatusOr<std::string> zombie = zombies.ReadLine();
  ASSERT_TRUE(zombie.ok());
  stopped.Signal(SIGSTOP);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, traced.pid(), 0, 0), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, traced.pid(), 0, 0), 0);
  while (StateOf(stopped.pid()) != 'T' || StateOf(traced.pid()) != 't') ::usleep(1000);
  EXPECT_THAT(Sentence(StartWhy(stopped.pid())),
              HasSubstr("stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU)"));
  EXPECT_THAT(
      Sentence(StartWhy(traced.pid())),
      HasSubstr(absl::StrCat("stopped by a debugger: why_e2e_test (pid ", ::getpid(), ")")));
  EXPECT_THAT(RunJprof({"why", *zombie}).out,
              AllOf(HasSubstr("has exited (exit status 3) and is a zombie: its parent stuck"),
                    HasSubstr("the parent sleeps in pause()")));
  EXPECT_EQ(StateOf(stopped.pid()), 'T');
  EXPECT_EQ(StateOf(traced.pid()), 't');
}

TEST_F(WhyTest, ItDiffersFromAHealthyOneInWhatTheyDo) {
  Child loop = SpawnStuck("loop"), sleep = SpawnStuck("sleep");
  const JprofResult result = RunJprof(
      {"why", absl::StrCat(loop.pid()), "--baseline", absl::StrCat(sleep.pid()), "--json"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("SpinInCpp"), HasSubstr("\"baseline\":[\n"),
                                HasSubstr("main thread: runs, there clock_nanosleep")));
}

TEST_F(WhyTest, WhatIsNoProcessIsSaid) {
  EXPECT_THAT(RunJprof({"why", "67108863"}).err, HasSubstr("there is no process"));
  EXPECT_EQ(RunJprof({"why"}).exit_code(), 2);
  EXPECT_EQ(RunJprof({"why", "x"}).exit_code(), 2);
}

}  // namespace
}  // namespace jprof
