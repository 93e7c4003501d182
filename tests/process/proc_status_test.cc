#include "profiler/process/proc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

std::string StatText(absl::string_view comm) {
  return absl::StrCat("4711 (", comm,
                      ") S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 987654 1 2\n");
}

TEST(ProcStatTest, FieldsAreReadBehindTheName) {
  auto stat = ParseProcStat(StatText("node"));
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->start_time_ticks, 987654u);
  EXPECT_EQ(stat->comm, "node");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 1);
  EXPECT_EQ(stat->children_cpu_ticks, 7u + 8u);
}

TEST(ProcStatTest, ThreadsOfTheKernelAreToldByTheirFlags) {
  EXPECT_FALSE(ParseProcStat(StatText("node"))->kernel_thread);
  auto stat =
      ParseProcStat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 987654 1 2\n");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_TRUE(stat->kernel_thread);
}

TEST(ProcStatTest, TheNameMayHoldAnything) {
  for (absl::string_view comm : {"a b", "a) R 1 2", "))((", "", "a\nb", ") S 1 (", "\xff\x1b"}) {
    auto stat = ParseProcStat(StatText(comm));
    ASSERT_TRUE(stat.ok()) << comm << ": " << stat.status();
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->state, 'S') << comm;
    EXPECT_EQ(stat->start_time_ticks, 987654u) << comm;
  }
}

TEST(ProcStatTest, CutTextIsDataLoss) {
  const std::string text = StatText("node");
  const size_t needed = text.find(" 987654");
  for (size_t size = 0; size <= needed; ++size) {
    EXPECT_EQ(ParseProcStat(text.substr(0, size)).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST(ProcStatusTest, TheInnermostNumberIsThatOfItsOwnNamespace) {
  auto status = ParseProcStatus(
      "Name:\tnode\nTgid:\t500\nPid:\t501\nTracerPid:\t9\nUid:\t1000\t1001\t1002\t1003\n"
      "Gid:\t100\t101\t102\t103\nGroups:\t4 27 \n"
      "NStgid:\t500\t40\t7\nNSpid:\t501\t41\t8\nThreads:\t11\n");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->thread_group, 500);
  EXPECT_EQ(status->effective_uid, 1001u);
  EXPECT_THAT(status->groups, ElementsAre(101, 4, 27));
  EXPECT_EQ(status->innermost_pid, 7);
}

TEST(ProcStatusTest, WithoutNamespacesItIsTheProcessItself) {
  auto status = ParseProcStatus("Tgid:\t500\n");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->innermost_pid, 500);
}

TEST(ProcStatusTest, ATracerIsTold) {
  EXPECT_EQ(ParseProcStatus("Tgid:\t500\nTracerPid:\t0\n")->tracer, 0);
  EXPECT_EQ(ParseProcStatus("Tgid:\t500\nTracerPid:\t77\n")->tracer, 77);
}

TEST(ProcStatusTest, OtherTextIsDataLoss) {
  for (absl::string_view text : {"", "Name:\tx\n", "Tgid:\tx\n", "Tgid:\t1\nUid:\t0\t-1\n"}) {
    EXPECT_EQ(ParseProcStatus(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(ProcStatusTest, WeKnowOurselves) {
  auto status = ReadProcStatus(::getpid());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->thread_group, ::getpid());
  EXPECT_EQ(status->effective_uid, ::geteuid());
  auto stat = ReadProcStat(::getpid());
  ASSERT_TRUE(stat.ok()) << stat.status();
  auto processes = ListProcesses();
  ASSERT_TRUE(processes.ok()) << processes.status();
  EXPECT_THAT(*processes, Contains(::getpid()));
}

TEST(ProcStatusTest, AThreadsNumberLeadsToItsProcess) {
  auto child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(child->Write("x").ok());
  ASSERT_EQ(*child->ReadLine(), "ready");
  auto threads = ListThreads(child->pid());
  ASSERT_TRUE(threads.ok()) << threads.status();
  ASSERT_EQ(threads->size(), 2u);
  ASSERT_EQ(threads->front(), child->pid());
  auto status = ReadProcStatus(threads->back());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->thread_group, child->pid());
  EXPECT_EQ(*ReadThreadComm(child->pid(), threads->back()), "worker");
}

TEST(ProcStatusTest, ANewlineInTheNameIsPartOfIt) {
  std::string comm;
  absl::StatusOr<ProcStat> stat = absl::UnknownError("not read");
  std::thread([&] {
    ::prctl(PR_SET_NAME, "a) R\n9\n");
    comm = *ReadThreadComm(::getpid(), ::gettid());
    stat = ReadProcStat(::gettid());
  }).join();
  EXPECT_EQ(comm, "a) R\n9\n");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->comm, "a) R\n9\n");
}

TEST(ProcStatusTest, AZombieIsDeadAndAGoneProcessIsNotFound) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  const Pid pid = child->pid();
  auto held = OpenProcess(pid);
  ASSERT_TRUE(held.ok() && ReadProcStat(*held).ok());
  child->Signal(SIGKILL);
  siginfo_t ended;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT), 0);
  auto zombie = ReadProcStat(pid);
  ASSERT_TRUE(zombie.ok()) << zombie.status();
  EXPECT_TRUE(zombie->dead());
  child->Wait();
  EXPECT_TRUE(absl::IsNotFound(ReadProcStat(pid).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadProcStatus(pid).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadProcStat(*held).status())) << ReadProcStat(*held).status();
  EXPECT_TRUE(absl::IsNotFound(OpenProcess(pid).status()));
  EXPECT_TRUE(absl::IsNotFound(ListThreads(pid).status()));
}

TEST(ProcStatTest, AThreadThatExitsIsToldByItsFlags) {
  EXPECT_FALSE(ParseProcStat(StatText("node"))->ending);
  const auto stat =
      ParseProcStat("4711 (node) R 1 4711 4711 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_TRUE(stat->ending);
  EXPECT_FALSE(stat->dead());
}

TEST(ProcStatusTest, WhatFailsOfAProcessThatHasExitedIsThat) {
  const absl::Status failed = absl::PermissionDeniedError("it may not");
  auto child = Child::SpawnReady({TestProgram("threads"), "x"});
  ASSERT_TRUE(child.ok()) << child.status();
  const Pid pid = child->pid();
  ASSERT_TRUE(EndMainThread(*child).ok());
  EXPECT_EQ(UnlessExited(pid, failed), failed);
  EXPECT_TRUE(UnlessExited(::getpid(), absl::OkStatus()).ok());
  child->Signal(SIGKILL);
  siginfo_t ended;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(absl::IsNotFound(UnlessExited(pid, failed)));
  EXPECT_TRUE(UnlessExited(pid, absl::OkStatus()).ok());
  child->Wait();
  EXPECT_EQ(UnlessExited(pid, failed).message(), absl::StrCat("process ", pid, " exited meanwhile"));
}

TEST(ProcStatusTest, AFileBeyondTheBoundIsRefused) {
  EXPECT_EQ(ReadProcFile("/proc/self/status", 10).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace jprof
