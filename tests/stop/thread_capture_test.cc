#include "profiler/stop/thread_capture.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/process/proc_status.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

// A stack of one frame that reaches the root.
NativeRunner::Result OneFrame(const Registers& registers) {
  NativeRunner::Result result;
  result.stack.end = WalkEnd::kRoot;
  result.stack.frames.push_back({.address = registers.pc});
  return result;
}

// All but "spinner" sleep.
Child SpawnWaits() {
  absl::StatusOr<Child> waits = Child::SpawnReady({TestProgram("waits")});
  if (!waits.ok()) {
    ADD_FAILURE() << waits.status();
    std::abort();
  }
  bool spins = false;
  for (int asleep = 0; asleep < 4 || !spins;) {
    asleep = 0;
    auto threads = ListThreads(waits->pid());
    if (!threads.ok()) break;
    for (Tid tid : *threads) {
      auto stat = ReadProcStat(tid);
      asleep += stat.ok() && stat->state == 'S';
      spins |= stat.ok() && stat->comm == "spinner";
    }
  }
  return *std::move(waits);
}

std::map<std::string, CapturedThread> ByName(std::vector<CapturedThread> threads) {
  std::map<std::string, CapturedThread> result;
  for (CapturedThread& thread : threads) result[thread.name] = std::move(thread);
  return result;
}

TEST(ThreadCaptureTest, OnlyAThreadThatRunsIsStopped) {
  Child waits = SpawnWaits();
  auto threads = ByName(CaptureThreads(waits.pid(), OneFrame, {}));
  ASSERT_EQ(threads.size(), 5u);
  EXPECT_GT(threads["spinner"].pause_ns, 0u);
  EXPECT_FALSE(threads["spinner"].call);
  for (const char* name : {"waits", "reader", "locker"}) {
    EXPECT_EQ(threads[name].pause_ns, 0u) << name;
    EXPECT_TRUE(threads[name].call) << name;
    EXPECT_EQ(threads[name].walk.stack.frames.size(), 1u) << name;
  }
  EXPECT_EQ(threads["waits"].call->number, SYS_epoll_wait);
}

TEST(ThreadCaptureTest, ASleeperIsStoppedWhenTheWalkNeedsARegister) {
  Child waits = SpawnWaits();
  auto needs_fp = [](const Registers& registers) {
    NativeRunner::Result result = OneFrame(registers);
    if (registers.fp % 8 != 0) result.stack.end = WalkEnd::kUnaligned;
    return result;
  };
  auto threads = ByName(CaptureThreads(waits.pid(), needs_fp, {}));
  EXPECT_GT(threads["reader"].pause_ns, 0u);
  ASSERT_TRUE(threads["reader"].call);
  EXPECT_EQ(threads["reader"].call->number, SYS_read);
  ASSERT_TRUE(waits.Write("x").ok());
  auto line = waits.ReadLine();
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->substr(0, 6), "whole ");
}

// 0: of none.
Pid TracerOf(Tid tid) {
  std::ifstream status(absl::StrCat("/proc/", tid, "/status"));
  std::string word;
  Pid tracer = -1;
  while (status >> word && word != "TracerPid:") continue;
  status >> tracer;
  return tracer;
}

TEST(ThreadCaptureTest, AThreadThatDoesNotStopIsLetGoAtOnce) {
  int to_child[2];
  ASSERT_EQ(::pipe(to_child), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // No signal but a deadly one, and no stop, gets through to it until its own child is gone.
    if (::vfork() == 0) {
      char byte;
      while (::read(to_child[0], &byte, 1) < 0) continue;
      ::_exit(0);
    }
    ::pause();
    ::_exit(0);
  }
  auto state = [&] {
    auto stat = ReadProcStat(child);
    return stat.ok() ? stat->state : '?';
  };
  while (state() != 'D') ::usleep(1000);
  auto never_whole = [](const Registers&) {
    NativeRunner::Result result;
    result.stack.end = WalkEnd::kUnreadable;
    return result;
  };
  const std::vector<CapturedThread> threads = CaptureThreads(child, never_whole, {});
  ASSERT_EQ(threads.size(), 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(threads[0].status)) << threads[0].status;
  EXPECT_EQ(TracerOf(child), 0);
  ASSERT_EQ(::write(to_child[1], "x", 1), 1);
  while (state() == 'D') ::usleep(1000);
  for (int i = 0; i < 10'000 && state() != 'S'; ++i) ::usleep(1000);
  EXPECT_EQ(state(), 'S');  // it runs on, to its pause()
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  for (int fd : to_child) ::close(fd);
}

TEST(ThreadCaptureTest, WhatCannotBeReadIsSaid) {
  EXPECT_TRUE(absl::IsInvalidArgument(CheckTarget(::getpid())));
  EXPECT_TRUE(absl::IsNotFound(CheckTarget(0x3ffffff)));
  auto early = Child::Spawn({TestProgram("waits")});
  ASSERT_TRUE(early.ok());
  early->Signal(SIGKILL);
  absl::Status status;
  do status = CheckTarget(early->pid());
  while (status.ok());
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find("zombie"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace jprof
