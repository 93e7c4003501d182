#include "profiler/process/process_access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/core/status.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

TEST(ProcessAccessTest, AChildAndAKernelThreadMayBeRead) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_TRUE(CheckAccess(child->pid(), true).ok()) << CheckAccess(child->pid(), true);
  EXPECT_TRUE(CheckAccess(::getpid(), true).ok());
}

TEST(ProcessAccessTest, AProcessThatIsGoneIsNoMatterOfRights) {
  auto child = Child::Spawn({"/bin/true"});
  ASSERT_TRUE(child.ok()) << child.status();
  const Pid pid = child->pid();
  child->Wait();
  EXPECT_TRUE(CheckAccess(pid, true).ok()) << CheckAccess(pid, true);
}

// Runs in a process that gives its rights up.
int CodeWithoutRights(Pid pid) {
  const pid_t asker = ::fork();
  if (asker == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(100);
    absl::Status status = CheckAccess(pid, true);
    const bool named = HintOf(status).find("cap_sys_ptrace") != std::string::npos;
    ::_exit(named ? static_cast<int>(status.code()) : 101);
  }
  int wait_status = 0;
  ::waitpid(asker, &wait_status, 0);
  return WEXITSTATUS(wait_status);
}

TEST(ProcessAccessTest, AnotherUsersProcessMayNotBeRead) {
  JPROF_REQUIRE_ROOT();  // to drop it
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(CodeWithoutRights(child->pid()), static_cast<int>(absl::StatusCode::kPermissionDenied));
}

TEST(ProcessAccessTest, WhatForbidsItIsNamed) {
  struct Case {
    bool capability, only_memory;
    const char* scope;
    const char* message;
    const char* hint;
  };
  for (const Case& c : {
           Case{false, false, "", "reading it takes CAP_SYS_PTRACE, which jprof lacks", "setcap"},
           Case{false, false, "1", "reading it takes CAP_SYS_PTRACE, which jprof lacks", "setcap"},
           Case{false, true, "0", "reading its memory takes CAP_SYS_PTRACE, which jprof lacks",
                "setcap"},
           Case{false, true, "1",
                "reading its memory takes CAP_SYS_PTRACE, which jprof lacks "
                "(kernel.yama.ptrace_scope is 1)",
                "setcap"},
           Case{true, true, "3",
                "reading its memory is forbidden, to root as well (kernel.yama.ptrace_scope is 3)",
                "--no-helpers"},
       }) {
    const absl::Status status = AccessDenied(c.capability, c.only_memory, c.scope);
    EXPECT_EQ(status.message(), c.message);
    EXPECT_THAT(HintOf(status), HasSubstr(c.hint)) << c.message;
  }
  EXPECT_THAT(std::string(AccessDenied(true, false, "1").message()),
              HasSubstr("although jprof has CAP_SYS_PTRACE"));
}

}  // namespace
}  // namespace jprof
