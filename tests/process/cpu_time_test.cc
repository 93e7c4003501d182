#include "profiler/process/cpu_time.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

TEST(CpuTimeTest, OfASchedstatTheFirstNumberCounts) {
  EXPECT_EQ(*ParseSchedstat("1300000 55 7\n"), 1'300'000u);
  EXPECT_TRUE(absl::IsDataLoss(ParseSchedstat("").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseSchedstat("x 1 2").status()));
}

TEST(CpuTimeTest, ACgroupsUsageIsInMicroseconds) {
  EXPECT_EQ(*ParseCgroupCpuStat("core_sched 1\nusage_usec 25\nuser_usec 20\n"), 25'000u);
  EXPECT_TRUE(absl::IsDataLoss(ParseCgroupCpuStat("user_usec 20\n").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseCgroupCpuStat("usage_usec 99999999999999999999\n").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseCgroupCpuStat("usage_usec 18446744073709551615\n").status()));
}

TEST(CpuTimeTest, TheHostIsBusyInUserNiceAndSystemTime) {
  EXPECT_EQ(*ParseProcStatBusy("cpu  100 20 3 5000 60 7 8 9 0 0\ncpu0 1 1 1 1\nintr 5\n", 100),
            1'230'000'000u);
  EXPECT_TRUE(absl::IsDataLoss(ParseProcStatBusy("cpu0 1 1 1 1\n", 100).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseProcStatBusy("cpu 1 2\n", 100).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseProcStatBusy("", 100).status()));
}

TEST(CpuTimeTest, OfAProcessIsThatOfItsThreadsTheEndedOnesToo) {
  auto used = [](clockid_t clock) {
    timespec t;
    ::clock_gettime(clock, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  std::thread([&] {
    while (used(CLOCK_THREAD_CPUTIME_ID) < 20'000'000) {
    }
  }).join();
  const uint64_t least = used(CLOCK_PROCESS_CPUTIME_ID);
  const uint64_t process = CpuTimeOfProcess(::getpid()).value_or(0);
  EXPECT_GE(process, least);
  EXPECT_LE(process, used(CLOCK_PROCESS_CPUTIME_ID));
  const uint64_t thread = CpuTimeOfThread(::getpid(), ::gettid()).value_or(0);
  EXPECT_GT(thread, 0u);
  EXPECT_LE(thread, used(CLOCK_PROCESS_CPUTIME_ID) - 20'000'000);
}

TEST(CpuTimeTest, ChildrenCountWhileTheyLiveAndWhenTheyWereWaitedFor) {
  constexpr uint64_t kEnoughNs = 100'000'000, kTickNs = 10'000'000;
  auto forker = Child::SpawnReady({TestProgram("forker"), TestProgram("spin")});
  ASSERT_TRUE(forker.ok()) << forker.status();
  const Pid pid = forker->pid();
  EXPECT_LT(*CpuTimeWithChildren(pid), kEnoughNs / 2);
  ASSERT_TRUE(forker->Write("x").ok());
  ASSERT_EQ(*forker->ReadLine(), "ready");
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (*CpuTimeWithChildren(pid) < kEnoughNs && absl::Now() < deadline) {
  }
  EXPECT_GE(*CpuTimeWithChildren(pid), kEnoughNs);
  Pid spin = 0;
  std::ifstream(absl::StrCat("/proc/", pid, "/task/", pid, "/children")) >> spin;
  ASSERT_GT(spin, 0);
  ::kill(spin, SIGKILL);
  EXPECT_EQ(*forker->ReadLine(), absl::StrCat(spin));
  EXPECT_GE(*CpuTimeWithChildren(pid), kEnoughNs - 2 * kTickNs);
  EXPECT_GE(OwnCpuTime(pid), OwnCpuTime(0) + kEnoughNs / 2);
}

TEST(CpuTimeTest, OfAProcessThatIsGoneIsNotFound) {
  auto gone = Child::Spawn({"/bin/true"});
  ASSERT_TRUE(gone.ok());
  const Pid pid = gone->pid();
  gone->Wait();
  EXPECT_TRUE(absl::IsNotFound(CpuTimeOfProcess(pid).status()));
}

TEST(CpuTimeTest, TheHostHasUsedSome) { EXPECT_GT(CpuTimeOfHost().value_or(0), 0u); }

}  // namespace
}  // namespace jprof
