#include "profiler/stop/stopped_thread.h"

#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

// Calls that say EINTR after any stop, and are made anew.
TEST(StoppedThreadTest, ACallThatAnyStopEndsIsMadeOnceMore) {
  const int semaphores = ::semget(IPC_PRIVATE, 1, 0600);
  const struct {
    int64_t number;
    std::function<void()> wait;
  } kCalls[] = {
      {SYS_semtimedop,
       [semaphores] {
         sembuf down = {.sem_num = 0, .sem_op = -1, .sem_flg = 0};
         ::syscall(SYS_semtimedop, semaphores, &down, 1, nullptr);
       }},
      {SYS_io_getevents,
       [] {
         unsigned long context = 0;
         std::byte event[32];
         ::syscall(SYS_io_setup, 1, &context);
         ::syscall(SYS_io_getevents, context, 1, 1, event, nullptr);
       }},
      {SYS_io_uring_enter,
       [] {
         io_uring_params params = {};
         const long ring = ::syscall(SYS_io_uring_setup, 1, &params);
         ::syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
       }},
  };
  for (const auto& [number, wait] : kCalls) {
    const pid_t child = ::fork();
    if (child == 0) {
      wait();
      ::_exit(1);
    }
    // Or it has ended.
    const auto await_call = [child, number = number] {
      const std::string prefix = absl::StrCat(number, " ");
      for (std::string text; !absl::StartsWith(text, prefix) && StateOf(child) != 'Z';) {
        std::ifstream file(absl::StrCat("/proc/", child, "/syscall"));
        std::getline(file, text);
      }
    };
    for (int round = 0; round < 20; ++round) {
      await_call();
      auto thread = StoppedThread::Stop(child);
      EXPECT_TRUE(thread.ok()) << number << ": " << thread.status();
    }
    await_call();
    EXPECT_EQ(StateOf(child), 'S') << number;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  ::semctl(semaphores, 0, IPC_RMID);
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
