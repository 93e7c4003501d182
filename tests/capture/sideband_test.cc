// The side-band path on the real kernel: event, ring, parser, sorter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "profiler/capture/event_sorter.h"
#include "profiler/capture/perf_event.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/record_parser.h"
#include "profiler/core/status.h"
#include "profiler/process/process_table.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

class Sideband {
 public:
  static constexpr size_t kPages = 512;  // for what others do meanwhile, too

  static absl::StatusOr<Sideband> Start(uint32_t wakeup_bytes) {
    Sideband sideband;
    JPROF_ASSIGN_OR_RETURN(std::vector<int> cpus, OnlineCpus());
    for (int cpu : cpus) {
      JPROF_ASSIGN_OR_RETURN(UniqueFd event, OpenSidebandEvent(cpu, wakeup_bytes));
      JPROF_ASSIGN_OR_RETURN(PerfRing ring, PerfRing::Map(event.get(), kPages));
      JPROF_RETURN_IF_ERROR(EnableEvent(event));
      sideband.events_.push_back(std::move(event));
      sideband.rings_.push_back(std::move(ring));
    }
    return sideband;
  }

  // Whether a poll() would be woken.
  bool WakesNow() const {
    std::vector<pollfd> fds;
    for (const UniqueFd& event : events_) fds.push_back({event.get(), POLLIN, 0});
    return ::poll(fds.data(), fds.size(), 0) > 0;
  }

  // All events since the start, in time order.
  std::vector<Event> Collect() {
    EventSorter sorter;
    for (PerfRing& ring : rings_) {
      uint64_t bytes = 0;
      DrainResult result = ring.Drain([&](std::span<const std::byte> record) {
        bytes += record.size();
        auto event = ParseSidebandRecord(record);
        ASSERT_TRUE(event.ok()) << event.status();
        if (!event->has_value()) return;
        ASSERT_FALSE(std::holds_alternative<LostEvent>(**event)) << "ring too small for this test";
        sorter.Push(*std::move(*event));
      });
      EXPECT_FALSE(result.corrupt());
      most_bytes_ = std::max(most_bytes_, bytes);
    }
    std::vector<Event> events;
    sorter.Flush([&](Event event) { events.push_back(std::move(event)); });
    return events;
  }

  // In one ring, of what was collected.
  uint64_t most_bytes() const { return most_bytes_; }

 private:
  std::vector<UniqueFd> events_;
  std::vector<PerfRing> rings_;
  uint64_t most_bytes_ = 0;
};

#define START(name) START_WITH_WAKEUP(name, 1 << 16)
#define START_WITH_WAKEUP(name, wakeup_bytes)        \
  auto name##_or = Sideband::Start(wakeup_bytes);    \
  ASSERT_TRUE(name##_or.ok()) << name##_or.status(); \
  Sideband name = *std::move(name##_or)

TEST(SidebandTest, AForkedAndExecutedChildIsToldInOrder) {
  START(sideband);
  auto forker = Child::SpawnReady({TestProgram("forker"), "/bin/true"});
  ASSERT_TRUE(forker.ok()) << forker.status();
  ASSERT_TRUE(forker->Write("x").ok());
  auto line = forker->ReadLine();
  ASSERT_TRUE(line.ok()) << line.status();
  Pid pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*line, &pid));

  struct stat st;
  ASSERT_EQ(::stat("/bin/true", &st), 0);
  std::vector<std::string> story;
  for (const Event& event : sideband.Collect()) {
    if (auto* fork = std::get_if<ForkEvent>(&event); fork != nullptr && fork->pid == pid) {
      EXPECT_EQ(fork->parent_pid, forker->pid());
      EXPECT_EQ(fork->parent_tid, forker->pid());
      EXPECT_EQ(fork->tid, pid);
      story.push_back("fork");
    } else if (auto* comm = std::get_if<CommEvent>(&event); comm != nullptr && comm->pid == pid) {
      story.push_back(comm->exec ? "exec " + comm->comm : "comm " + comm->comm);
    } else if (auto* map = std::get_if<MapEvent>(&event); map != nullptr && map->pid == pid) {
      if (map->file.inode == st.st_ino) story.push_back("map of the program");
    } else if (auto* exit = std::get_if<ExitEvent>(&event); exit != nullptr && exit->pid == pid) {
      story.push_back("exit");
    }
  }
  EXPECT_THAT(story, ::testing::ElementsAre("fork", "exec true", "map of the program", "exit"));
}

TEST(SidebandTest, ALaterThreadIsForkedAndNamed) {
  START(sideband);
  auto child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(child->Write("x").ok());
  ASSERT_EQ(*child->ReadLine(), "ready");
  ProcessTable table;
  for (const Event& event : sideband.Collect()) table.Apply(event);
  const Process* process = table.Find(child->pid());
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(process->comm, "threads");
  ASSERT_EQ(process->threads.size(), 2u);
  for (const auto& [tid, thread] : process->threads) {
    EXPECT_EQ(thread.comm, tid == child->pid() ? "threads" : "worker");
  }
}

// Seeding from /proc and following events must not contradict each other: the one is laid over the
// other when a recording starts.
TEST(SidebandTest, EventsAndProcDescribeTheSameMappings) {
  START(sideband);
  auto child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  ProcessTable from_events, from_proc;
  for (const Event& event : sideband.Collect()) from_events.Apply(event);
  auto synthesized = SynthesizeProcessEvents(child->pid(), 1);
  ASSERT_TRUE(synthesized.ok()) << synthesized.status();
  for (const Event& event : *synthesized) from_proc.Apply(event);
  ASSERT_NE(from_events.Find(child->pid()), nullptr);

  AddressSpace both = from_events.Find(child->pid())->maps;
  const uint64_t generation = both.generation();
  for (const Mapping& m : from_proc.Find(child->pid())->maps.Mappings()) {
    // The kernel maps it into every process and never tells.
    if (m.path == "[vsyscall]") continue;
    const Mapping* known = both.Find(m.range.begin);
    ASSERT_NE(known, nullptr) << m.path;
    EXPECT_EQ(known->path, m.path);
    EXPECT_EQ(known->file, m.file) << m.path;
    EXPECT_EQ(known->ToFileOffset(m.range.begin).value, m.offset.value) << m.path;
    both.Add(m);
  }
  EXPECT_EQ(both.generation(), generation) << "nothing was cut";
  EXPECT_EQ(from_events.Find(child->pid())->comm, from_proc.Find(child->pid())->comm);
}

TEST(SidebandTest, OneExecWakesNobodyButTheBytesAskedForDo) {
  for (const uint32_t wakeup_bytes : {1u << 16, 1u}) {
    START_WITH_WAKEUP(sideband, wakeup_bytes);
    auto child = Child::Spawn({"/bin/true"});
    ASSERT_TRUE(child.ok()) << child.status();
    child->Wait();
    const bool wakes = sideband.WakesNow();
    EXPECT_FALSE(sideband.Collect().empty());
    // What other processes do is written, too.
    EXPECT_TRUE(wakes ? sideband.most_bytes() > wakeup_bytes : wakeup_bytes > 1)
        << wakes << " " << sideband.most_bytes();
  }
}

}  // namespace
}  // namespace jprof
