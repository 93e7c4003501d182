#include "import/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/core/profile_builder.h"
#include "tests/import/read.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

constexpr char kText[] = R"(
# time: 1700000000000000000 60606060
node@1;main;render /srv/app.js:12_[j];write ([kernel]+0x20)_[k] 1
node@1;main;render /srv/app.js:12_[j] 2
node@1/2:worker;main;gc;mark_[i] 3
)";

std::string Folded(const Transform& transform) {
  absl::StatusOr<Profile> p = Transformed(ParseProfile(kText), transform);
  return p.ok() ? Write(*p, "folded") : std::string(p.status().message());
}

TEST(TransformTest, FocusKeepsStacksIgnoreDropsThemHideDropsFrames) {
  EXPECT_EQ(
      Folded({.focus = "app\\.js:12$"}),
      "node;main;render /srv/app.js:12_[j] 2\nnode;main;render /srv/app.js:12_[j];write_[k] 1\n");
  EXPECT_EQ(Folded({.ignore = "write|mark"}), "node;main;render /srv/app.js:12_[j] 2\n");
  EXPECT_EQ(
      Folded({.hide = "^(main|gc)$"}),
      "node;mark 3\nnode;render /srv/app.js:12_[j] 2\nnode;render /srv/app.js:12_[j];write_[k] 1\n");
  EXPECT_EQ(Folded({.focus = "nowhere"}), "no sample is left of it");
}

TEST(TransformTest, TheRootIsWhatWasAskedFor) {
  EXPECT_EQ(Folded({.focus = "gc", .by = "tid"}), "node_1/2_worker;main;gc;mark_[i] 3\n");
  EXPECT_EQ(Folded({.focus = "gc", .by = "pid"}), "node_1;main;gc;mark_[i] 3\n");
  EXPECT_EQ(Folded({.focus = "gc", .by = "cpu"}), "cpu_0;main;gc;mark_[i] 3\n");
  EXPECT_EQ(Folded({.focus = "gc", .by = "cgroup"}), "[no_cgroup];main;gc;mark_[i] 3\n");
  EXPECT_EQ(
      Folded({.by = "colour"}),
      "--by takes comm, pid, tid, thread, cgroup, container, cpu or a label that its samples have, "
      "not 'colour'");
}

// A sample of each thread.
std::string ByOf(const std::string& by, const std::vector<std::pair<Thread, uint32_t>>& cpus,
                 const std::string& labels) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  for (const auto& [t, cpu] : cpus) {
    const bool is_told = t.pid == 0 && cpu == kUnknownCpu;
    const ThreadId thread =
        builder.AddThread(t.pid, t.tid, "app", "app", "", is_told ? labels : "");
    builder.AddSample(0, thread, cpu, StackId{}, std::vector<int64_t>{1});
  }
  builder.accounting().taken = builder.accounting().kept = cpus.size();
  const absl::StatusOr<Profile> p = Transformed(std::move(builder).Build().value(), {.by = by});
  return p.ok() ? Write(*p, "folded") : std::string(p.status().message());
}

TEST(TransformTest, TheRootIsNoNumberThatIsNotKnown) {
  const std::vector<std::pair<Thread, uint32_t>> samples = {
      {{.pid = 7, .tid = 8}, 3}, {{.pid = 9}, kSeveralCpus}, {{}, kUnknownCpu}};
  EXPECT_EQ(ByOf("cpu", samples, ""), "[no_cpu] 1\n[several_CPUs] 1\ncpu_3 1\n");
  EXPECT_EQ(ByOf("pid", samples, ""), "app 1\napp_7 1\napp_9 1\n");
  EXPECT_EQ(ByOf("tid", samples, ""), "app 1\napp_7/8 1\napp_9 1\n");
}

TEST(TransformTest, WhatIsNoNumberOfAThreadMayBeALabel) {
  const std::string labels = "cpu\t\t5\t\npid\tw1\ntid\tw2";
  EXPECT_EQ(ByOf("cpu", {{{}, kUnknownCpu}}, labels), "cpu_5 1\n");
  EXPECT_EQ(ByOf("pid", {{{}, kUnknownCpu}}, labels), "app_w1 1\n");
  EXPECT_EQ(ByOf("tid", {{{}, kUnknownCpu}}, labels), "app_w1/w2 1\n");
}

TEST(TransformTest, WhatNothingIsKnownOfIsNoRoot) {
  const Profile p = Read("p;a 1\np;b 2\n");
  for (const char* by : {"pid", "tid", "cpu"}) {
    EXPECT_EQ(Transformed(p, {.by = by}).status().message(),
              absl::StrCat("its samples have no ", by, " for --by"));
  }
  EXPECT_TRUE(Transformed(p, {.by = "cgroup"}).ok());
}

TEST(TransformTest, TheRootMayBeALabel) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  const std::vector<int64_t> one = {1};
  builder.AddSample(0, builder.AddThread(1, 1, "a", "a", "", "bytes\t\t64\tB\nroute\t/x"), 0,
                    StackId{}, one);
  builder.AddSample(0, builder.AddThread(1, 1, "a", "a"), 0, StackId{}, one);
  builder.accounting().taken = builder.accounting().kept = 2;
  const Profile profile = std::move(builder).Build().value();
  EXPECT_EQ(Write(Transformed(profile, {.by = "route"}).value(), "folded"), "/x 1\n[no_route] 1\n");
  EXPECT_EQ(Write(Transformed(profile, {.by = "bytes"}).value(), "folded"),
            "64_B 1\n[no_bytes] 1\n");
}

TEST(TransformTest, ARangeOfTimeBeginsAtZero) {
  const Transform range{.from_ns = 10'101'010, .to_ns = 30'303'030};
  EXPECT_EQ(Folded(range), "node;main;render /srv/app.js:12_[j] 2\n");
  const Profile p = *Transformed(ParseProfile(kText), range);
  EXPECT_EQ(p.samples[0].time_ns, 0);
  EXPECT_EQ(p.start_time_ns, 1'700'000'000'010'101'010);
  EXPECT_EQ(p.duration_ns, 20'202'020);
}

TEST(TransformTest, InvertedTheLeafIsOutermost) {
  EXPECT_EQ(Folded({.invert = true}),
            "node;mark;gc;main 3\nnode;render /srv/app.js:12_[j];main 2\n"
            "node;write_[k];render /srv/app.js:12_[j];main 1\n");
}

TEST(TransformTest, MergedAFunctionIsOnAStackOnce) {
  const Profile p = ParseProfile("p;a;b;a;b;c 1\np;a;b 2\np;b;b_[i];c 4");
  EXPECT_EQ(Write(*Transformed(p, {.merge = true}), "folded"), "p;a;b 2\np;a;b;c 1\np;b;c 4\n");
}

TEST(TransformTest, APartOfWhatHasNoTimesIsRefused) {
  const Profile p = Read("p;a 1\np;b 2\n");
  for (const Transform& transform : {Transform{.from_ns = 1}, Transform{.to_ns = 5}}) {
    EXPECT_EQ(Transformed(p, transform).status().message(), "it has no times for --from and --to");
  }
  EXPECT_TRUE(Transformed(p, {.merge = true}).ok());
}

TEST(TransformTest, WhatIsNoExpressionIsRefused) {
  EXPECT_EQ(Folded({.hide = "a(b"}),
            "--hide takes a regular expression, not 'a(b': missing ): a(b");
}

TEST(TransformTest, AnExpressionThatBacktrackersChokeOnIsMatchedAtOnce) {
  const std::string name(50'000, 'a');
  const Profile p = ParseProfile("p;" + name + " 1");
  EXPECT_EQ(Transformed(p, {.focus = "(a*)*b"}).status().message(), "no sample is left of it");
}

}  // namespace
}  // namespace jprof
