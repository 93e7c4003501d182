#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "profiler/core/profile_builder.h"
#include "tests/import/read.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kText[] = R"(# ========
# captured on: Sat Nov 21 2026
# cmdline : /usr/bin/perf record -g -- node app.js
# ========
#
node 4711/4711 [001] 8423.100000:   10101010 cpu-clock:uhH: 
	          7f21 inner (inlined)
	          7f21 middle (inlined)
	          7f21 std::function<void (int)>::operator()+0x3e (/usr/bin/node)
	    3e0c1a2b4c JS:*render /srv/app.js:12:3+0x1b (/tmp/perf-4711.map)
	          7f00 [unknown] (/usr/lib/libc.so.6)

DOM Worker 2 4711/4712 [000] 8423.110101010:   10101010 cpu-clock:uhH: 
	ffffffff81000010 do_syscall_64+0x10 ([kernel.kallsyms])
	          7f00 main+0x1 (/opt/a b/x (deleted))

node 4711/4711 [001] 8423.120000:    5 cycles: 
	          7f21 other+0x3e (/usr/bin/node)

what is this
node 4711/4711 [001] 8423.130000:   10101010 cpu-clock:uhH: 
)";

TEST(PerfScriptReaderTest, StacksOfAllKinds) {
  const auto imported = Import(kText);
  ASSERT_TRUE(imported.ok()) << imported.status();
  const Profile& p = imported->profile;
  EXPECT_EQ(
      Write(p, "folded"),
      "DOM_Worker_2;main;do_syscall_64_[k] 1\n"
      "node 1\n"
      "node;[unknown] libc.so.6;render /srv/app.js:12_[j];std::function<void (int)>::operator();"
      "middle_[i];inner_[i] 1\n");
  EXPECT_THAT(imported->notes,
              ElementsAre("perf script: 1 lines that are no event",
                          "perf script: 1 samples of other events than cpu-clock"));
  EXPECT_EQ(p.sample_types[1].type, "cpu");
  EXPECT_EQ(p.sample_types[1].unit, "nanoseconds");
  EXPECT_EQ(p.Value(0, 1), 10'101'010);
  EXPECT_EQ(p.samples[1].time_ns, 10'101'010);
  EXPECT_EQ(p.duration_ns, 30'000'000);
  EXPECT_EQ(p.samples[0].cpu, 1u);
  EXPECT_EQ(p.threads[p.samples[1].thread.value].tid, 4712);
  EXPECT_EQ(std::string(p.String(p.images[4].path)), "/opt/a b/x (deleted)");
}

TEST(PerfScriptReaderTest, AShareIsThatOfThePeriods) {
  const Profile p = Read("p 1/1 [000] 1.0: 1000000 cycles:\n\t7f21 a+0x3 (/x)\n\n"
                         "p 1/1 [000] 1.1: 99000000 cycles:\n\t7f21 b+0x3 (/x)\n\n");
  EXPECT_EQ(Write(p, "folded"), "p;a 1000000\np;b 99000000\n");
  EXPECT_THAT(Write(p, "svg"), HasSubstr("<title>b (99,000,000 cycles, 99.00%)</title>"));
}

TEST(PerfScriptReaderTest, WithoutCallChainsAFrameIsOnTheLine) {
  EXPECT_EQ(
      Write(
          Read(
              "     swapper     0 [000]   12.345678:     250000 cycles:  ffffffff81000010 "
              "native_write_msr+0x6 ([kernel.kallsyms])\n"
              "         foo 12345 [001]   12.345699:     250000 cycles:      7f00 main+0x6 (/bin/foo)\n"),
          "folded"),
      "foo;main 1\nswapper;native_write_msr_[k] 1\n");
}

TEST(PerfScriptReaderTest, ATracepointHasItsFieldsThenItsStack) {
  const auto imported = Import(
      "node 4711 [001] 1.5: sched:sched_switch: prev_comm=node prev_pid=4711 ==> next_comm=(x)\n"
      "\t7f21 schedule+0x3e ([kernel.kallsyms])\n\t7f00 main+0x1 (/bin/node)\n\n"
      "node 4711 [001] 1.6: sched:sched_wakeup: comm=node\n\t7f00 main+0x1 (/bin/node)\n\n");
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(Write(imported->profile, "folded"), "node;main;schedule 1\n");
  EXPECT_THAT(imported->notes,
              ElementsAre("perf script: 1 samples of other events than sched:sched_switch"));
  // Without call chains the next event is indented.
  EXPECT_EQ(Write(Read("  node 4711 [001] 1.5: raw_syscalls:sys_enter: NR 0 (3, 7f)\n"
                       "  node 4711 [001] 1.6: raw_syscalls:sys_enter: NR 1 (3, 7f)\n"),
                  "folded"),
            "node 2\n");
}

TEST(PerfScriptReaderTest, FieldsThatAreNotToldAreNotNeeded) {
  const Profile p = Read(
      "foo 12345 12.345678: \n\t7f00 main (/bin/foo)\n\nfoo 1 2 12.5: cycles: \n\t7f00 f (/bin/foo)\n");
  EXPECT_EQ(Write(p, "folded"), "foo;main 1\n");
  EXPECT_EQ(p.sample_types.size(), 1u);
}

TEST(PerfScriptReaderTest, CutAtAnyByteItIsReadOrRefused) {
  const std::string whole = kText;
  for (size_t n = 0; n < whole.size(); ++n) {
    absl::StatusOr<Imported> imported = Import(absl::string_view(whole).substr(0, n));
    if (imported.ok()) {
      EXPECT_TRUE(ValidateProfile(imported->profile).ok()) << n;
    }
  }
}

}  // namespace
}  // namespace jprof
