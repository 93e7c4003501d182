#include "profiler/pipeline/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "profiler/core/status.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(VerdictTest, OfScriptsItSaysWhyTheyWereNotResolved) {
  Profile profile = AnyProfile();
  profile.accounting.script_frames = 400;
  profile.accounting.script_frames_unnamed = 8;
  profile.accounting.script_frames_unreadable = 4;
  profile.accounting.script_frames_corrupt = 2;
  profile.accounting.script_frames_stale = 1;
  EXPECT_THAT(VerdictText(profile, "level ring", {}, 0),
              HasSubstr(", 2.0 % of script frames not resolved (1.0 % unreadable, 0.5 % not "
                        "understood, 0.2 % stale), "));
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

TEST(WarningTest, WhereNothingIsMissingThereIsNone) {
  EXPECT_THAT(WarningTexts({.accounting = {.taken = 100, .kept = 100}}), IsEmpty());
}

// Each shortcoming by itself has one line.
TEST(WarningTest, EachShortcomingIsToldWithWhatItCosts) {
  const Accounting whole = {.taken = 1000, .kept = 1000,
                            .rate = {.asked_hz = 99, .granted_hz = 99}};
  auto with = [&whole](auto change) {
    Shortcomings s = {.accounting = whole};
    change(s);
    return s;
  };
  const struct {
    Shortcomings shortcomings;
    std::string text;
  } kCases[] = {
      {with([](Shortcomings& s) {
         s.kernel_level = WithHint(absl::PermissionDeniedError("bpf is not permitted"), "be root");
       }),
       "level ring, without the kernel's part, since bpf is not permitted; be root"},
      {with([](Shortcomings& s) {
         s.kernel_level = absl::PermissionDeniedError("bpf is not permitted");
         s.ring_has_kernel = true;
       }),
       "level ring, since bpf is not permitted"},
      {with([](Shortcomings& s) {
         s.silent_events = {"cycles"};
         s.event_name = "cpu-clock";
       }),
       "the kernel's event cycles takes no samples; sampled by cpu-clock"},
      {with([](Shortcomings& s) { s.refused_runtimes = {"V8 99"}; }),
       "V8 99: its functions are named by a jitdump or perf map alone, if there is one"},
      {with([](Shortcomings& s) { s.jvms_without_map = {4711}; }),
       "process 4711 is a JVM without a perf map: Java functions have no names; jcmd 4711 "
       "Compiler.perfmap (JDK 17 or newer) writes one of what is compiled by then"},
      {with([](Shortcomings& s) {
         s.jvms_without_map = {4711, 4712, 4713};
       }),
       "3 processes, such as 4711, are JVMs without a perf map: Java functions have no names; jcmd "
       "4711 Compiler.perfmap (JDK 17 or newer) writes one of what is compiled by then"},
      {with([](Shortcomings& s) { s.perf_maps = {"process 1: /tmp/perf-1.map: older"}; }),
       "perf map of process 1: /tmp/perf-1.map: older"},
      {with([](Shortcomings& s) { s.jit_dumps = {"process 1: jit-1.dump: damaged"}; }),
       "jitdump of process 1: jit-1.dump: damaged"},
      {with([](Shortcomings& s) {
         s.accounting.kept = 900;
         s.accounting.dropped_ring_full = 70;
         s.accounting.dropped_queue_full = 20;
         s.accounting.dropped_no_stack = 10;
       }),
       "100 of 1000 samples lost: 70 found no room in the ring, 20 came faster than they could be "
       "named, 10 came without their stack; a lower -F loses none"},
      {with([](Shortcomings& s) {
         s.accounting.kept = 999;
         s.accounting.dropped_no_stack = 1;
         s.has_rate = false;
       }),
       "1 of 1000 samples lost: 1 came without their stack"},
      {with([](Shortcomings& s) { s.accounting.rate.asked_hz = 5000; }),
       "5000 Hz asked; sampled at 99 Hz, which kernel.perf_event_max_sample_rate allows"},
      {with([](Shortcomings& s) { s.accounting.rate.lowered_to_hz = 50; }),
       "the kernel lowered kernel.perf_event_max_sample_rate to 50 while it was sampled at 99 Hz: "
       "samples are missing; a lower -F takes them all"},
      {with([](Shortcomings& s) {
         s.accounting.rate.throttled_times = 3;
         s.accounting.rate.throttled_ns = 10'000'000;
       }),
       "the kernel stopped the sampling 3 times, for 0.010 s of all CPUs together"},
      {with([](Shortcomings& s) { s.accounting.rate.counted_share = 0.5; }),
       "others use the CPU's counters too, so that cycles were counted 50 % of the time: the CPU "
       "times of samples are scaled by that"},
      {with([](Shortcomings& s) { s.accounting.rate.target_cpu_ns = 20'000'000'000; }),
       "1000 samples where the targets' CPU time of 20.0 s at 99 Hz makes 1980: the others did not "
       "happen (the sampling was throttled, the virtual machine stood still, or another BPF "
       "program ran)"},
      {with([](Shortcomings& s) { s.changes = {"CPU 3 went offline at 2 s"}; }),
       "CPU 3 went offline at 2 s"},
      {with([](Shortcomings& s) { s.accounting.sideband_lost = 5; }),
       "5 records of mappings, execs, exits and functions lost: stacks below [mapping records "
       "lost] are of meanwhile, and named by what was mapped later"},
      {with([](Shortcomings& s) { s.damaged_records = 5; }),
       "5 records of mappings, execs and exits damaged"},
      {with([](Shortcomings& s) { s.unopened_images = 5; }),
       "5 mapped files could not be opened: their frames are unnamed, and without call-frame tables "
       "(files that their owner alone may read take CAP_DAC_READ_SEARCH; --explain says why)"},
      {with([](Shortcomings& s) { s.images_over_limit = 5; }),
       "5 mapped files are more than may be kept open (ulimit -n): their frames are unnamed"},
      {with([](Shortcomings& s) { s.symbols = {"libx.so: its names could not be read"}; }),
       "libx.so: its names could not be read"},
      {with([](Shortcomings& s) { s.names_dropped = 5; }), "5 function names could not be read"},
      {with([](Shortcomings& s) { s.processes_without_room = 5; }),
       "5 processes found no room in the kernel: their functions have no names"},
      {with([](Shortcomings& s) { s.ranges_without_room = 5; }),
       "5 small ranges of code found no room in the kernel: their functions have no names"},
      {with([](Shortcomings& s) { s.tables_without_room = 5; }),
       "5 call-frame tables are too large or found no room: that code is walked by frame pointers"},
      {with([](Shortcomings& s) { s.walks_without_room = 5; }),
       "5 processes have more mappings than there was room for: walked by frame pointers"},
      {with([](Shortcomings& s) { s.time_step_ns = 500'000'000; }),
       "more samples than are kept one by one: times are exact to 0.5 s"},
      {with([](Shortcomings& s) {
         s.time_step_ns = 1'000'000'000;
         s.threads_by_name = true;
       }),
       "more samples than are kept one by one: times are exact to 1 s, threads of a process by "
       "name alone"},
      {with([](Shortcomings& s) {
         s.time_step_ns = 1'000'000'000;
         s.threads_by_name = s.processes_by_name = true;
       }),
       "more samples than are kept one by one: times are exact to 1 s, threads and processes are "
       "told apart by name alone"},
      {with([](Shortcomings& s) { s.accounting.left_out = 5; }),
       "5 samples are of more functions and stacks than are kept: shown as [left out]"},
      {with([](Shortcomings& s) { s.names_lost = 5; }),
       "5 function names found no room in the ring"},
      {with([](Shortcomings& s) { s.no_rule = 51; }),
       "51 stacks are cut where call-frame information says what the walk cannot follow"},
  };
  for (const auto& c : kCases) EXPECT_THAT(WarningTexts(c.shortcomings), ElementsAre(c.text));
}

TEST(WarningTest, WhatIsLittleIsNotWorthALine) {
  Accounting a = {.taken = 1000, .kept = 1000};
  a.rate = {.asked_hz = 99, .granted_hz = 99, .counted_share = 0.995,
            .target_cpu_ns = 11'000'000'000};
  EXPECT_THAT(WarningTexts({.accounting = a, .no_rule = 50}), IsEmpty());
  // Of a rate that was not the same all the time, and of few samples, nothing is expected.
  a.rate.target_cpu_ns = 20'000'000'000;
  EXPECT_THAT(WarningTexts({.accounting = a, .is_steady = false}), IsEmpty());
  a = {.taken = 10,
       .kept = 10,
       .rate = {.asked_hz = 99, .granted_hz = 99, .target_cpu_ns = 2'000'000'000}};
  EXPECT_THAT(WarningTexts({.accounting = a}), IsEmpty());
}

TEST(WarningTest, OfManyFilesSomeAreNamed) {
  const std::vector<std::string> five = {"a", "b", "c", "d", "e"};
  EXPECT_THAT(WarningTexts({.perf_maps = five}),
              ElementsAre("perf map of a", "perf map of b", "perf map of c",
                          "2 more perf maps are not used, or not in full"));
  EXPECT_THAT(WarningTexts({.jit_dumps = five}),
              ElementsAre("jitdump of a", "jitdump of b", "jitdump of c",
                          "2 more jitdumps are not used, or not in full"));
}

}  // namespace
}  // namespace jprof
