#include "profiler/pipeline/verdict.h"

#include <gtest/gtest.h>

namespace jprof {
namespace {

Profile AnyProfile() {
  Profile profile;
  profile.duration_ns = 2'000'000'000;
  profile.accounting = {.taken = 210,
                        .kept = 200,
                        .dropped_no_stack = 3,
                        .dropped_queue_full = 7,
                        .rooted = 150,
                        .frames = 1000,
                        .frames_unnamed = 5,
                        .rate = {.asked_hz = 99, .granted_hz = 99}};
  return profile;
}

TEST(VerdictTest, OneLineSaysWhatTheProfileIsWorth) {
  EXPECT_EQ(VerdictText(AnyProfile(), "level kernel", {"node 20"}, 0.01),
            "200 samples in 2.0 s, 10 lost, 75.0 % rooted, 0.5 % of frames unnamed, 99 Hz, "
            "level kernel, node 20, own CPU 0.01 s (0.50 %)");
}

TEST(VerdictTest, OfScriptsItSaysWhatWasNotResolvedInTime) {
  Profile profile = AnyProfile();
  profile.accounting.script_frames = 400;
  profile.accounting.script_frames_unnamed = 2;
  EXPECT_EQ(VerdictText(profile, "level kernel", {}, 0),
            "200 samples in 2.0 s, 10 lost, 75.0 % rooted, 0.5 % of frames unnamed, "
            "0.5 % of script frames not resolved, 99 Hz, level kernel, own CPU 0.00 s (0.00 %)");
}

TEST(VerdictTest, TheBalanceOfSamplesHasEachReason) {
  EXPECT_EQ(SamplesText(AnyProfile().accounting),
            "samples: 210 taken = 200 kept + 0 without room in the ring + 3 without their stack + "
            "7 the reader was late for");
}

TEST(VerdictTest, TheRateIsWhatWasAskedGrantedAndAchieved) {
  Accounting a = AnyProfile().accounting;
  EXPECT_EQ(RateText(a), "rate: 99 Hz asked, 99 granted");
  a.rate.target_cpu_ns = 2'000'000'000;
  a.rate.throttled_times = 3;
  a.rate.throttled_ns = 10'000'000;
  EXPECT_EQ(RateText(a),
            "rate: 99 Hz asked, 99 granted, 105.0 achieved: 210 samples taken in 2.000 s of the "
            "targets' CPU time; throttled 3 times, for 0.010 s of all CPUs");
}

}  // namespace
}  // namespace jprof
