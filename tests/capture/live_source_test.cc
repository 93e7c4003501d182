// The level kernel on a busy thread of our own: CPUs that come and go, and the rate. Needs root.
#include "profiler/capture/live_source.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "jprof_runtimes.h"
#include "tests/testing/require.h"

namespace jprof {
namespace {

// A thread that is busy on one CPU.
class BusyThread {
 public:
  explicit BusyThread(int cpu) : thread_([this, cpu] { Run(cpu); }) {}
  ~BusyThread() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    EXPECT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    while (!stop_) {
    }
  }

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

uint64_t MonotonicNs() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

class LiveSourceTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
  void Open(uint64_t frequency_hz, CaptureLevel level = CaptureLevel::kKernel) {
    auto source = LiveSource::Open(
        {.level = level,
         .pid = ::getpid(),
         .frequency_hz = frequency_hz,
         .online_cpus = [this]() -> absl::StatusOr<std::vector<int>> { return online_; },
         .event_fires =
             [this](SamplingSource kind, bool hardware) {
               return !silent_(kind, hardware) && EventFires(kind, hardware);
             }},
        BuiltinRuntimes());
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
    ASSERT_TRUE(source_->Start().ok());
  }
  // Drains until it is so, a minute at most.
  bool Until(const std::function<bool()>& so) {
    for (const absl::Time end = absl::Now() + absl::Minutes(1); !so();) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(20));
      std::vector<Event> events;
      EXPECT_TRUE(source_->Drain(events, false).ok());
      for (const Event& event : events) {
        if (auto* sample = std::get_if<SampleEvent>(&event)) samples_.push_back(*sample);
      }
    }
    return true;
  }
  size_t On(int cpu) const {
    return static_cast<size_t>(
        std::count_if(samples_.begin(), samples_.end(), [cpu](const SampleEvent& s) {
          return s.cpu == static_cast<uint32_t>(cpu);
        }));
  }
  // When the last sample on the CPU was taken.
  uint64_t LastOn(int cpu) const {
    uint64_t last = 0;
    for (const SampleEvent& s : samples_) {
      if (s.cpu == static_cast<uint32_t>(cpu)) last = std::max(last, s.time_ns);
    }
    return last;
  }
  // The time between two samples on the CPU that half of them exceed.
  uint64_t MedianGapNs(int cpu) const {
    std::vector<uint64_t> gaps;
    uint64_t last = 0;
    for (const SampleEvent& s : samples_) {
      if (s.cpu != static_cast<uint32_t>(cpu)) continue;
      if (last != 0) gaps.push_back(s.time_ns - last);
      last = s.time_ns;
    }
    std::sort(gaps.begin(), gaps.end());
    return gaps.empty() ? 0 : gaps[gaps.size() / 2];
  }

  std::vector<int> online_ = {0};
  std::function<bool(SamplingSource, bool)> silent_ = [](SamplingSource, bool) { return false; };
  std::unique_ptr<LiveSource> source_;
  std::vector<SampleEvent> samples_;
};

TEST_F(LiveSourceTest, CpusThatComeOnlineAreSampledAndThoseThatGoAreLeft) {
  ASSERT_GE(std::thread::hardware_concurrency(), 2u) << "needs two CPUs";
  BusyThread first(0), second(1);
  Open(997);
  ASSERT_TRUE(Until([this] { return On(0) >= 20; }));
  EXPECT_EQ(On(1), 0u);
  online_ = {0, 1};
  ASSERT_TRUE(Until([this] { return On(1) >= 20; }));
  online_ = {0};
  ASSERT_TRUE(Until([this] { return source_->cpu_changes().size() == 2; }));
  // What was on its way may come yet.
  const uint64_t left_ns = MonotonicNs();
  const size_t before = On(0);
  ASSERT_TRUE(Until([&] { return On(0) >= before + 100; }));
  EXPECT_GT(LastOn(0), left_ns);
  EXPECT_LT(LastOn(1), left_ns);

  const std::vector<CpuEvents::Change> changes = source_->cpu_changes();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].cpu, 1);
  EXPECT_TRUE(changes[0].online);
  EXPECT_EQ(changes[0].trouble, "");
  EXPECT_FALSE(changes[1].online);
  EXPECT_TRUE(source_->Stop().ok());
}

TEST_F(LiveSourceTest, AnEventThatDoesNotFireIsReplaced) {
  BusyThread busy(0);
  silent_ = [](SamplingSource source, bool) { return source != SamplingSource::kTaskClock; };
  Open(997);
  EXPECT_EQ(source_->event_name(), "task-clock");
  ASSERT_FALSE(source_->silent_events().empty());
  EXPECT_EQ(source_->silent_events().back(), "cpu-clock");
  EXPECT_TRUE(Until([this] { return On(0) >= 20; }));
}

TEST_F(LiveSourceTest, AtTheLevelRingCpusThatComeOnlineAreSampledToo) {
  ASSERT_GE(std::thread::hardware_concurrency(), 2u) << "needs two CPUs";
  BusyThread first(0), second(1);
  Open(997, CaptureLevel::kRing);
  // Has inherited what there is, and gets more.
  BusyThread later(1);
  ASSERT_TRUE(Until([this] { return On(0) >= 20; }));
  EXPECT_EQ(On(1), 0u);
  online_ = {0, 1};
  auto busy_on_1 = [this] {
    std::map<Tid, int> samples;
    for (const SampleEvent& s : samples_) samples[s.tid] += s.cpu == 1;
    return std::count_if(samples.begin(), samples.end(),
                         [](const auto& thread) { return thread.second >= 20; });
  };
  ASSERT_TRUE(Until([&] { return busy_on_1() >= 2; }));
  const std::vector<CpuEvents::Change> changes = source_->cpu_changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].cpu, 1);
  EXPECT_EQ(changes[0].trouble, "");
  EXPECT_TRUE(source_->Stop().ok());
}

TEST_F(LiveSourceTest, AtTheLevelRingAnEventThatDoesNotFireIsReplacedToo) {
  BusyThread busy(0);
  silent_ = [](SamplingSource source, bool) { return source != SamplingSource::kTaskClock; };
  Open(997, CaptureLevel::kRing);
  EXPECT_EQ(source_->event_name(), "task-clock");
  EXPECT_EQ(source_->silent_events(), std::vector<std::string>{"cpu-clock"});
  EXPECT_TRUE(Until([this] { return On(0) >= 20; }));
}

TEST_F(LiveSourceTest, WithoutAnEventThatFiresThereIsNoRecording) {
  for (CaptureLevel level : {CaptureLevel::kKernel, CaptureLevel::kRing}) {
    auto source = LiveSource::Open({.level = level,
                                    .pid = ::getpid(),
                                    .event_fires = [](SamplingSource, bool) { return false; }},
                                   BuiltinRuntimes());
    EXPECT_EQ(source.status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

TEST_F(LiveSourceTest, SamplesAreRarerAndHeavierWhenTheRateIsHalved) {
  BusyThread busy(0);
  Open(2000);
  ASSERT_TRUE(Until([this] { return On(0) >= 50; }));
  EXPECT_EQ(source_->PeriodNs(samples_.front().time_ns), 500'000u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(*source_->HalveRate());
  const uint64_t since_ns = source_->rates().back().since_ns;
  ASSERT_TRUE(Until([&] { return samples_.back().time_ns > since_ns; }));
  samples_.clear();
  ASSERT_TRUE(Until([this] { return On(0) >= 50; }));
  EXPECT_GT(MedianGapNs(0), 3'000'000u);  // of 4 ms
  EXPECT_EQ(source_->PeriodNs(samples_.back().time_ns), 4'000'000u);
  while (*source_->HalveRate()) {
  }
  EXPECT_EQ(source_->rates().back().period_ns, 1'000'000'000u);
}

}  // namespace
}  // namespace jprof
