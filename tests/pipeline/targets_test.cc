#include "profiler/pipeline/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

TEST(TargetsTest, AStoppedProcessIsSaidToBe) {
  auto child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  auto targets = Targets::Open({.pids = {child->pid()}});
  ASSERT_TRUE(targets.ok()) << targets.status();
  EXPECT_THAT(targets->WhyIdle(), HasSubstr("it sleeps or is stopped"));
  child->Signal(SIGSTOP);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child->pid()), &info, WSTOPPED | WNOWAIT), 0);
  EXPECT_EQ(targets->WhyIdle(), absl::StrCat("it is stopped: kill -CONT ", child->pid()));
}

TEST(TargetsTest, AProcessThatADebuggerHoldsIsSaidToBe) {
  auto child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  auto targets = Targets::Open({.pids = {child->pid()}});
  ASSERT_TRUE(targets.ok()) << targets.status();
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child->pid(), 0, 0), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, child->pid(), 0, 0), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child->pid(), &status, 0), child->pid());
  EXPECT_EQ(targets->WhyIdle(), absl::StrCat("it is held by pipeline_test (pid ", ::getpid(), ")"));
}

// Calls `test` in a pid namespace of its own that sees the host's /proc; its result is an exit
// status.
int InPidNamespace(int (*test)()) {
  const pid_t outer = ::fork();
  if (outer == 0) {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(100);
    const pid_t inner = ::fork();
    if (inner == 0) ::_exit(test());
    int status = 0;
    ::waitpid(inner, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 101);
  }
  int status = 0;
  ::waitpid(outer, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 102;
}

TEST(TargetsTest, AProcOfAnotherPidNamespaceIsRefused) {
  JPROF_REQUIRE_ROOT();  // unshare
  EXPECT_TRUE(Targets::Open({}).ok());
  EXPECT_EQ(InPidNamespace([] {
              const absl::Status status = Targets::Open({}).status();
              return absl::IsFailedPrecondition(status) && !HintOf(status).empty() ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace jprof
