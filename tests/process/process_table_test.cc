#include "profiler/process/process_table.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

MapEvent Map(Pid pid, uint64_t begin, uint64_t end, uint64_t inode) {
  return {0, pid, {{begin}, {end}}, {0}, {8, 1, inode}, absl::StrCat("/f", inode)};
}
CommEvent Comm(Pid pid, Tid tid, std::string comm) { return {0, pid, tid, false, comm}; }
CommEvent Exec(Pid pid, std::string comm) { return {0, pid, pid, true, comm}; }
ForkEvent ForkProcess(Pid child, Pid parent, Tid parent_tid) {
  return {0, child, child, parent, parent_tid};
}
ForkEvent ForkThread(Pid pid, Tid tid, Tid parent_tid) { return {0, pid, tid, pid, parent_tid}; }
ExitEvent Exit(Pid pid, Tid tid) { return {0, pid, tid}; }

TEST(ProcessTableTest, AMappingMakesItsProcessKnown) {
  ProcessTable table;
  EXPECT_EQ(table.Find(1), nullptr);
  table.Apply(Map(1, 10, 20, 5));
  ASSERT_NE(table.Find(1), nullptr);
  EXPECT_EQ(table.Find(1)->maps.Find({15})->path, "/f5");
  EXPECT_EQ(table.Find(1)->comm, "");
}

TEST(ProcessTableTest, EventsOfOtherKindsChangeNothing) {
  ProcessTable table;
  table.Apply(Event(SampleEvent{.pid = 1}));
  table.Apply(Event(LostEvent{}));
  EXPECT_EQ(table.size(), 0u);
  table.Apply(Event(Comm(1, 1, "a")));
  EXPECT_EQ(table.size(), 1u);
}

TEST(ProcessTableTest, AChildHasItsParentsMappingsAndName) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "main"));
  table.Apply(Comm(1, 2, "spawner"));
  table.Apply(Map(1, 10, 20, 5));
  table.Apply(ForkProcess(7, 1, 2));
  ASSERT_NE(table.Find(7), nullptr);
  EXPECT_EQ(table.Find(7)->comm, "spawner") << "that of the thread which forked";
  EXPECT_EQ(table.Find(7)->maps.Find({15})->path, "/f5");

  table.Apply(Map(7, 10, 20, 6));
  EXPECT_EQ(table.Find(1)->maps.Find({15})->path, "/f5") << "the parent keeps its own";
}

TEST(ProcessTableTest, ExecReplacesTheAddressSpaceAndTheThreads) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "old"));
  table.Apply(Comm(1, 2, "worker"));
  table.Apply(Map(1, 10, 20, 5));
  const uint64_t life = table.Find(1)->life;
  table.Apply(Exec(1, "new"));
  EXPECT_EQ(table.Find(1)->comm, "new");
  EXPECT_TRUE(table.Find(1)->maps.empty());
  EXPECT_EQ(table.Find(1)->threads.size(), 1u);
  EXPECT_NE(table.Find(1)->life, life);
}

TEST(ProcessTableTest, ARenameKeepsTheAddressSpace) {
  ProcessTable table;
  table.Apply(Map(1, 10, 20, 5));
  table.Apply(Comm(1, 1, "renamed"));
  EXPECT_EQ(table.Find(1)->comm, "renamed");
  EXPECT_FALSE(table.Find(1)->maps.empty());
}

TEST(ProcessTableTest, AThreadInheritsTheNameOfItsCreatorUntilItHasItsOwn) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "main"));
  table.Apply(Comm(1, 2, "pool"));
  table.Apply(ForkThread(1, 3, 2));
  EXPECT_EQ(table.Find(1)->ThreadComm(3), "pool");
  table.Apply(Comm(1, 3, "pool-1"));
  EXPECT_EQ(table.Find(1)->ThreadComm(3), "pool-1");
  EXPECT_EQ(table.Find(1)->ThreadComm(2), "pool");
  EXPECT_EQ(table.Find(1)->comm, "main");
  EXPECT_EQ(table.Find(1)->ThreadComm(99), "main") << "unknown threads: the process's";
}

TEST(ProcessTableTest, AThreadsNameOutlivesIt) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "main"));
  table.Apply(Comm(1, 2, "worker"));
  table.Apply(Exit(1, 2));
  EXPECT_EQ(table.Find(1)->ThreadComm(2), "worker");
  EXPECT_FALSE(table.Find(1)->exited);
}

TEST(ProcessTableTest, AProcessEndsWithItsLastThreadNotWithItsMainThread) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "main"));
  table.Apply(ForkThread(1, 2, 1));
  table.Apply(Exit(1, 1));
  EXPECT_FALSE(table.Find(1)->exited);
  table.Apply(Exit(1, 1));
  EXPECT_FALSE(table.Find(1)->exited) << "told twice";
  table.Apply(Exit(1, 2));
  EXPECT_TRUE(table.Find(1)->exited);
}

TEST(ProcessTableTest, AnExitedProcessIsStillFound) {
  ProcessTable table;
  table.Apply(Map(1, 10, 20, 5));
  table.Apply(Exit(1, 1));
  ASSERT_NE(table.Find(1), nullptr);
  EXPECT_TRUE(table.Find(1)->exited);
  EXPECT_NE(table.Find(1)->maps.Find({15}), nullptr);
}

TEST(ProcessTableTest, ANumberUsedAgainIsAnotherProcess) {
  ProcessTable table;
  table.Apply(Comm(1, 1, "init"));
  table.Apply(Map(5, 10, 20, 5));
  const uint64_t life = table.Find(5)->life;
  table.Apply(Exit(5, 5));
  table.Apply(ForkProcess(5, 1, 1));
  EXPECT_FALSE(table.Find(5)->exited);
  EXPECT_TRUE(table.Find(5)->maps.empty());
  EXPECT_EQ(table.Find(5)->comm, "init");
  EXPECT_NE(table.Find(5)->life, life);
}

TEST(ProcessTableTest, AChildOfAnUnknownParentIsEmpty) {
  ProcessTable table;
  table.Apply(ForkProcess(5, 1, 1));
  ASSERT_NE(table.Find(5), nullptr);
  EXPECT_TRUE(table.Find(5)->maps.empty());
  EXPECT_EQ(table.Find(5)->comm, "");
}

TEST(ProcessTableTest, OnlySoManyExitedProcessesAreKeptTheOldestGoFirst) {
  ProcessTable table({.exited_processes = 3});
  for (Pid pid = 1; pid <= 10; ++pid) {
    table.Apply(Comm(pid, pid, "x"));
    if (pid != 2) table.Apply(Exit(pid, pid));
  }
  EXPECT_EQ(table.size(), 4u);
  EXPECT_NE(table.Find(2), nullptr) << "it lives";
  EXPECT_EQ(table.Find(7), nullptr);
  EXPECT_NE(table.Find(8), nullptr);
  EXPECT_NE(table.Find(10), nullptr);
}

TEST(ProcessTableTest, ANumberUsedAgainIsNotDroppedForItsFirstEnd) {
  ProcessTable table({.exited_processes = 2});
  table.Apply(Comm(1, 1, "x"));
  table.Apply(Exit(1, 1));
  table.Apply(ForkProcess(1, 99, 99));
  for (Pid pid = 2; pid <= 6; ++pid) {
    table.Apply(Comm(pid, pid, "x"));
    table.Apply(Exit(pid, pid));
  }
  EXPECT_NE(table.Find(1), nullptr);
  EXPECT_EQ(table.size(), 3u);
}

TEST(ProcessTableTest, ExitedMappingsAreBoundedTogether) {
  ProcessTable table({.exited_mappings = 5});
  for (Pid pid = 1; pid <= 4; ++pid) {
    table.Apply(Map(pid, 10, 20, 1));
    table.Apply(Map(pid, 30, 40, 2));
    table.Apply(Exit(pid, pid));
  }
  EXPECT_EQ(table.size(), 2u);
  EXPECT_NE(table.Find(4), nullptr);
}

TEST(ProcessTableTest, OnlySoManyNamesOfEndedThreadsAreKept) {
  ProcessTable table({.exited_threads = 3});
  table.Apply(Comm(1, 1, "main"));
  for (Tid tid = 2; tid <= 20; ++tid) {
    table.Apply(Comm(1, tid, absl::StrCat("t", tid)));
    table.Apply(Exit(1, tid));
  }
  EXPECT_EQ(table.Find(1)->threads.size(), 4u);
  EXPECT_EQ(table.Find(1)->ThreadComm(20), "t20");
  EXPECT_EQ(table.Find(1)->ThreadComm(17), "main");
}

TEST(ProcessTableTest, OneNumberUsedForEverDoesNotGrowTheTable) {
  ProcessTable table({.exited_processes = 8, .exited_threads = 8});
  table.Apply(Comm(1, 1, "main"));
  table.Apply(Comm(2, 2, "first to end"));
  table.Apply(Exit(2, 2));
  for (int i = 0; i < 100'000; ++i) {
    table.Apply(ForkProcess(3, 1, 1));
    table.Apply(Exit(3, 3));
    table.Apply(ForkThread(1, 9, 1));
    table.Apply(Exit(1, 9));
  }
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.Find(1)->threads.size(), 2u);
}

TEST(SynthesizeTest, ARunningProcessIsDescribedByEvents) {
  auto child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(child->Write("x").ok());
  ASSERT_EQ(*child->ReadLine(), "ready");
  auto events = SynthesizeProcessEvents(child->pid(), 1234);
  ASSERT_TRUE(events.ok()) << events.status();
  ProcessTable table;
  for (const Event& event : *events) table.Apply(event);
  const Process* process = table.Find(child->pid());
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(process->start_time, 1234u);
  EXPECT_EQ(process->comm, "threads");
  ASSERT_EQ(process->threads.size(), 2u);
  for (const auto& [tid, thread] : process->threads) {
    EXPECT_EQ(thread.comm, tid == child->pid() ? "threads" : "worker");
  }
  auto mappings = process->maps.Mappings();
  EXPECT_EQ(std::count_if(mappings.begin(), mappings.end(),
                          [](const Mapping& m) { return m.path == TestProgram("threads"); }),
            1);
}

TEST(SynthesizeTest, AnonymousCodeLooksAsTheKernelsEventsHaveIt) {
  void* code = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  auto events = SynthesizeProcessEvents(::getpid(), 1);
  ::munmap(code, 4096);
  ASSERT_TRUE(events.ok()) << events.status();
  ProcessTable table;
  for (const Event& event : *events) table.Apply(event);
  const Mapping* mapping = table.Find(::getpid())->maps.Find({reinterpret_cast<uint64_t>(code)});
  ASSERT_NE(mapping, nullptr);
  EXPECT_EQ(mapping->path, kAnonymousPath);
  EXPECT_EQ(mapping->offset.value, 0u);
}

// What /proc has under its number is a zombie's, without maps.
TEST(SynthesizeTest, AProcessOutlivesItsMainThread) {
  auto child = Child::SpawnReady({TestProgram("threads"), "leave"});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(EndMainThread(*child).ok());
  auto events = SynthesizeProcessEvents(child->pid(), 1);
  ASSERT_TRUE(events.ok()) << events.status();
  ProcessTable table;
  for (const Event& event : *events) table.Apply(event);
  const Process* process = table.Find(child->pid());
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(process->comm, "threads");
  EXPECT_FALSE(process->exited);
  auto mappings = process->maps.Mappings();
  EXPECT_EQ(std::count_if(mappings.begin(), mappings.end(),
                          [](const Mapping& m) { return m.path == TestProgram("threads"); }),
            1);
  for (const auto& [tid, thread] : process->threads) {
    if (tid != child->pid()) table.Apply(ExitEvent{2, child->pid(), tid});
  }
  EXPECT_TRUE(process->exited);
}

TEST(SynthesizeTest, AZombieIsNotFound) {
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  child->Signal(SIGKILL);
  siginfo_t ended;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child->pid()), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(absl::IsNotFound(SynthesizeProcessEvents(child->pid(), 1).status()));
}

}  // namespace
}  // namespace jprof
