#include "profiler/stop/stopped_thread.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/guard.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

char StateOf(Tid tid) {
  auto stat = ReadProcStat(tid);
  return stat.ok() ? stat->state : '?';
}

TEST(StoppedThreadTest, StandsStillAndRunsOn) {
  auto spin = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(spin.ok()) << spin.status();
  {
    auto thread = StoppedThread::Stop(spin->pid());
    ASSERT_TRUE(thread.ok()) << thread.status();
    EXPECT_EQ(StateOf(spin->pid()), 't');
    EXPECT_NE(thread->registers().rip, 0u);
  }
  EXPECT_EQ(StateOf(spin->pid()), 'R');
}

TEST(StoppedThreadTest, WhatItsOwnerStoppedStaysStopped) {
  auto spin = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(spin.ok()) << spin.status();
  spin->Signal(SIGSTOP);
  while (StateOf(spin->pid()) != 'T') {
  }
  { ASSERT_TRUE(StoppedThread::Stop(spin->pid()).ok()); }
  // It wakes up to stop again, within the kernel.
  for (int i = 0; i < 20'000 && StateOf(spin->pid()) != 'T'; ++i) ::usleep(1000);
  EXPECT_EQ(StateOf(spin->pid()), 'T');
  spin->Signal(SIGCONT);
  while (StateOf(spin->pid()) == 'T') {
  }
}

TEST(StoppedThreadTest, AWaitWithoutALimitGoesOnUnseen) {
  auto waits = Child::SpawnReady({TestProgram("waits")});
  ASSERT_TRUE(waits.ok()) << waits.status();
  auto threads = ListThreads(waits->pid());
  ASSERT_TRUE(threads.ok());
  ASSERT_EQ(threads->size(), 5u);
  for (int round = 0; round < 20; ++round) {
    for (Tid tid : *threads) {
      auto thread = StoppedThread::Stop(tid);
      ASSERT_TRUE(thread.ok()) << thread.status();
    }
  }
  ASSERT_TRUE(waits->Write("x").ok());
  auto line = waits->ReadLine();
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->substr(0, 6), "whole ");
}

TEST(StoppedThreadTest, OneThatIsGoneIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(StoppedThread::Stop(0x3ffffff).status()));
}

TEST(GuardTest, ReturnsWhatTheWorkReturns) {
  auto result = RunGuarded([] { return 7; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, 7);
}

TEST(GuardTest, APauseThatIsTooLongEndsTheWork) {
  auto result = RunGuarded([] {
    const PauseLimit limit;
    for (;;) ::pause();
    return 0;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
}

TEST(GuardTest, ThePauseCountsFromWhenTheThreadMayStand) {
  int counted[2];
  ASSERT_EQ(::pipe(counted), 0);
  auto result = RunGuarded([&] {
    PauseLimit limit(absl::Seconds(1));
    const uint64_t until = NowNs() + 1'500'000'000;
    while (NowNs() < until) limit.CountFrom(NowNs());
    if (::write(counted[1], "x", 1) != 1) return 1;
    for (;;) ::pause();
    return 0;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  ::close(counted[1]);
  char byte;
  EXPECT_EQ(::read(counted[0], &byte, 1), 1);  // it lived to here
  ::close(counted[0]);
}

TEST(GuardTest, APauseThatIsTooLongEndsTheWorkEvenIfItIsStopped) {
  auto spin = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(spin.ok()) << spin.status();
  auto result = RunGuarded([&] {
    const PauseLimit limit;
    auto thread = StoppedThread::Stop(spin->pid());
    ::raise(SIGSTOP);
    return 0;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_EQ(StateOf(spin->pid()), 'R');
}

}  // namespace
}  // namespace jprof
