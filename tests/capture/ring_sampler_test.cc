// The level ring on live programs: events of threads, samples, walk.
#include "profiler/capture/ring_sampler.h"

#include <gtest/gtest.h>
#include <sys/types.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "jprof_runtimes.h"
#include "profiler/process/proc_status.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr uint64_t kHz = 997;
constexpr uint32_t kMappings = 64;

class RingSamplerTest : public testing::Test {
 protected:
  void Open(bool children = false) {
    auto events = TaskEvents::Open({.frequency_hz = kHz, .children = children});
    ASSERT_TRUE(events.ok()) << events.status();
    sampler_ = std::make_unique<RingSampler>(BuiltinRuntimes(), *std::move(events), kMappings);
  }
  // Drains until it is so, a minute at most.
  bool Until(const std::function<bool()>& so) {
    for (const absl::Time end = absl::Now() + absl::Minutes(1); !so();) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
      EXPECT_TRUE(sampler_
                      ->Drain([this](Event event) {
                        if (auto* sample = std::get_if<SampleEvent>(&event)) {
                          samples_.push_back(*sample);
                        } else if (auto* stack = std::get_if<StackEvent>(&event)) {
                          stacks_.push_back(std::move(*stack));
                        }
                      })
                      .ok());
    }
    return true;
  }
  std::vector<SampleEvent> Of(Tid tid) const {
    std::vector<SampleEvent> of;
    std::copy_if(samples_.begin(), samples_.end(), std::back_inserter(of),
                 [tid](const SampleEvent& s) { return s.tid == tid; });
    return of;
  }

  std::unique_ptr<RingSampler> sampler_;
  std::vector<SampleEvent> samples_;
  std::vector<StackEvent> stacks_;
};

TEST_F(RingSamplerTest, ASampleHasAStackThatCameBefore) {
  auto deep = Child::SpawnReady({TestProgram("deep"), "40"});
  ASSERT_TRUE(deep.ok());
  Open();
  ASSERT_TRUE(sampler_->events().AddProcess(deep->pid()).ok());
  ASSERT_TRUE(sampler_->events().Start().ok());
  ASSERT_TRUE(Until([this] { return samples_.size() >= 20; }));
  const SampleEvent& last = samples_.back();
  EXPECT_EQ(last.pid, deep->pid());
  auto stack = std::find_if(stacks_.begin(), stacks_.end(), [&last](const StackEvent& s) {
    return s.number == last.user_stack;
  });
  ASSERT_NE(stack, stacks_.end());
  EXPECT_GE(stack->frames.size(), 40u);
  EXPECT_FALSE(stack->frames[0].is_return_address);
  auto counters = sampler_->ReadCounters();
  ASSERT_TRUE(counters.ok());
  EXPECT_EQ(counters->samples - counters->samples_lost, samples_.size());
}

TEST_F(RingSamplerTest, AThreadThatStartsLaterIsSampledOnceWhoeverAsksForIt) {
  auto threads = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(threads.ok());
  Open();
  ASSERT_TRUE(sampler_->events().AddProcess(threads->pid()).ok());
  ASSERT_TRUE(threads->Write("x").ok());
  ASSERT_EQ(threads->ReadLine().value_or(""), "ready");
  auto tids = ListThreads(threads->pid());
  ASSERT_TRUE(tids.ok() && tids->size() == 2);
  const Tid worker = (*tids)[0] == threads->pid() ? (*tids)[1] : (*tids)[0];
  // It has inherited events, and gets its own.
  ASSERT_TRUE(sampler_->events().AddThread(worker).ok());
  ASSERT_TRUE(sampler_->events().Start().ok());
  ASSERT_TRUE(Until([&] { return Of(worker).size() >= 100; }));
  const std::vector<SampleEvent> of = Of(worker);
  const auto [first, last] = std::minmax_element(
      of.begin(), of.end(),
      [](const SampleEvent& a, const SampleEvent& b) { return a.time_ns < b.time_ns; });
  // Of CPU time there is not more than of time.
  EXPECT_LT((of.size() - 1) * (1'000'000'000 / kHz), (last->time_ns - first->time_ns) * 5 / 4);
}

TEST_F(RingSamplerTest, ProcessesOfASampledOneAreSampledWhenAskedFor) {
  for (bool children : {false, true}) {
    samples_.clear();
    // What the shell starts ends with it.
    auto shell = Child::SpawnReady({"/bin/sh", "-c", "echo ready; read x; "
                                                     "while kill -0 $$; do :; done & "
                                                     "while :; do :; done"});
    ASSERT_TRUE(shell.ok());
    Open(children);
    ASSERT_TRUE(sampler_->events().AddProcess(shell->pid()).ok());
    ASSERT_TRUE(sampler_->events().Start().ok());
    ASSERT_TRUE(shell->Write("\n").ok());
    auto of_children = [&] {
      return std::any_of(samples_.begin(), samples_.end(),
                         [&](const SampleEvent& s) { return s.pid != shell->pid(); });
    };
    ASSERT_TRUE(Until([&] {
      return Of(shell->pid()).size() >= 50 && (!children || of_children());
    }));
    EXPECT_EQ(of_children(), children);
  }
}

TEST_F(RingSamplerTest, AThreadThatIsGoneIsNotFound) {
  auto gone = Child::Spawn({"/bin/true"});
  ASSERT_TRUE(gone.ok());
  const Pid pid = gone->pid();
  gone->Wait();
  Open();
  EXPECT_TRUE(absl::IsNotFound(sampler_->events().AddThread(pid)));
  EXPECT_TRUE(absl::IsNotFound(sampler_->events().AddProcess(pid)));
}

}  // namespace
}  // namespace jprof
