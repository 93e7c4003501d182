#include "profiler/pipeline/governor.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace jprof {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

class GovernorTest : public testing::Test {
 protected:
  // Seconds of that share of one CPU; how often the rate is to be halved in them.
  int Pass(int seconds, uint64_t percent) {
    int halved = 0;
    for (int i = 0; i < 10 * seconds; ++i) {
      now_ns_ += kSecondNs / 10;
      cpu_ns_ += percent * (kSecondNs / 1000);
      halved += governor_.TakesTooMuch(now_ns_, [this] { return cpu_ns_; });
    }
    return halved;
  }

  Governor governor_{2};
  uint64_t now_ns_ = kSecondNs;
  uint64_t cpu_ns_ = 0;
};

TEST_F(GovernorTest, TenSecondsAboveHalve) {
  EXPECT_EQ(Pass(10, 3), 0);
  EXPECT_EQ(Pass(1, 3), 1);
}

TEST_F(GovernorTest, WhatIsAllowedDoesNot) { EXPECT_EQ(Pass(60, 2), 0); }

TEST_F(GovernorTest, ABurstDoesNot) {
  EXPECT_EQ(Pass(9, 90), 0);
  EXPECT_EQ(Pass(2, 1), 0);
  EXPECT_EQ(Pass(9, 90), 0);
}

TEST_F(GovernorTest, TimeThatGoesWithAProcessIsNotMuch) {
  EXPECT_EQ(Pass(9, 50), 0);
  cpu_ns_ -= kSecondNs;
  EXPECT_EQ(Pass(9, 50), 0);
}

TEST_F(GovernorTest, TenMoreHalveAgain) { EXPECT_EQ(Pass(41, 50), 4); }

TEST_F(GovernorTest, WithoutALimitNothingDoes) {
  Governor none(0);
  for (uint64_t i = 1; i < 100; ++i) {
    EXPECT_FALSE(none.TakesTooMuch(i * kSecondNs, [i] { return i * kSecondNs; }));
  }
}

}  // namespace
}  // namespace jprof
