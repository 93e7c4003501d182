// Events of real CPUs, whose coming and going is staged. Needs root.
#include "profiler/capture/cpu_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/testing/require.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kSecondNs = 1'000'000'000;

class CpuEventsTest : public testing::Test {
 protected:
  void SetUp() override {
    JPROF_REQUIRE_ROOT();
    ASSERT_TRUE(events_.Open().ok());
    ASSERT_TRUE(events_.Begin([this](int) { return attached_; }).ok());
  }
  void Look() {
    now_ns_ += kSecondNs;
    events_.Update(now_ns_, [](CpuEvents::Ring&) {});
  }
  // "0-": CPU 0 went; "0+": it came; with what kept it from being sampled.
  std::vector<std::string> Changes() const {
    std::vector<std::string> texts;
    for (const CpuEvents::Change& change : events_.changes()) {
      texts.push_back(std::to_string(change.cpu) + (change.online ? "+" : "-") + change.trouble);
    }
    return texts;
  }

  std::vector<int> online_ = {0};
  absl::Status attached_;
  uint64_t now_ns_ = kSecondNs;
  CpuEvents events_{{.source = SamplingSource::kCpuClock,
                     .online = [this]() -> absl::StatusOr<std::vector<int>> { return online_; }}};
};

TEST_F(CpuEventsTest, ACpuThatCameBackBetweenTwoLooksHasNewEvents) {
  for (int i = 0; i < 3; ++i) Look();
  EXPECT_THAT(Changes(), ElementsAre());
  // So the kernel leaves the events of a CPU that went.
  ASSERT_TRUE(DisableEvent(events_.rings()[0].sideband).ok());
  Look();
  Look();
  EXPECT_THAT(Changes(), ElementsAre("0-", "0+"));
  ASSERT_EQ(events_.rings().size(), 1u);
  for (int i = 0; i < 3; ++i) Look();
  EXPECT_EQ(Changes().size(), 2u) << "the new ones are enabled";
}

TEST_F(CpuEventsTest, ACpuThatCannotBeHadBackIsTriedAgainAndSaidOnce) {
  online_ = {};
  Look();
  online_ = {0};
  attached_ = absl::ResourceExhaustedError("too many files");
  for (int i = 0; i < 3; ++i) Look();
  EXPECT_THAT(Changes(), ElementsAre("0-", "0+too many files"));
  EXPECT_TRUE(events_.rings().empty());
  attached_ = absl::OkStatus();
  Look();
  EXPECT_THAT(Changes(), ElementsAre("0-", "0+too many files", "0+"));
  EXPECT_EQ(events_.rings().size(), 1u);
}

}  // namespace
}  // namespace jprof
