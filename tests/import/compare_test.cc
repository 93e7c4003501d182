#include "import/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/import/read.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Profile Compared(absl::string_view before, absl::string_view after) {
  absl::StatusOr<Profile> compared = Compare(Read(before), Read(after));
  EXPECT_TRUE(compared.ok()) << compared.status();
  return *std::move(compared);
}

std::vector<std::string> Changes(const Profile& comparison) {
  std::vector<std::string> out;
  for (const FunctionChange& c : FunctionChanges(comparison)) {
    out.push_back(absl::StrFormat("%s %.0f>%.0f in all %.0f>%.0f", c.text, 100 * c.self_before,
                                  100 * c.self_after, 100 * c.total_before, 100 * c.total_after));
  }
  return out;
}

TEST(CompareTest, SharesAreComparedNotCounts) {
  // Twice as many samples, the same shares.
  EXPECT_THAT(Changes(Compared("p;a 10\np;b 30\n", "p;a 20\np;b 60\n")),
              ElementsAre("a 25>25 in all 25>25", "b 75>75 in all 75>75"));
}

TEST(CompareTest, WhatCameAndWhatVanishedIsThere) {
  EXPECT_THAT(
      Changes(Compared("p;a 10\np;a;gone 10\n", "p;a 10\np;a;came 10\n")),
      ElementsAre("came 0>50 in all 0>50", "a 50>50 in all 100>100", "gone 50>0 in all 50>0"));
}

// Samples of p;a and p;b, of a period each.
std::string Script(int64_t a, int64_t b) {
  return absl::StrFormat("p 1/1 [000] 1.0: %d cycles:\n\t7f21 a+0x3 (/x)\n\n"
                         "p 1/1 [000] 1.1: %d cycles:\n\t7f21 b+0x3 (/x)\n\n",
                         a, b);
}

TEST(CompareTest, SamplesThatWeighDifferentlyAreNotCounted) {
  const Profile p = Compared(Script(40, 60), Script(1, 99));
  EXPECT_THAT(Changes(p), ElementsAre("b 60>99 in all 60>99", "a 40>1 in all 40>1"));
  EXPECT_EQ(Write(p, "folded"), "p;a 40 1\np;b 60 99\n");
  EXPECT_EQ(Write(Read(Write(p, "pprof")), "folded"), Write(p, "folded"));
  // On one side is enough.
  EXPECT_THAT(Changes(Compared(Script(50, 50), Script(1, 99))),
              ElementsAre("b 50>99 in all 50>99", "a 50>1 in all 50>1"));
  EXPECT_THAT(Changes(Compared(Script(1, 99), Script(50, 50))),
              ElementsAre("a 1>50 in all 1>50", "b 99>50 in all 99>50"));
}

TEST(CompareTest, SamplesThatWeighAlikeAreCountedWhateverTheirPeriod) {
  const Profile p = Compared(Script(20, 20), Script(10, 10));
  EXPECT_EQ(Write(p, "folded"), "p;a 1 1\np;b 1 1\n");
}

TEST(CompareTest, AFunctionThatMovedIsTheSame) {
  EXPECT_THAT(Changes(Compared("p;render /srv/app.js:12_[j] 3\np;b 1\n",
                               "p;render /srv/app.js:13_[j] 3\np;b 1\n")),
              ElementsAre("b 25>25 in all 25>25", "render /srv/app.js:13 75>75 in all 75>75"));
  EXPECT_THAT(Changes(Compared("p;render /srv/a.js:12_[j] 1\n", "p;render /srv/b.js:12_[j] 1\n")),
              ElementsAre("render /srv/b.js:12 0>100 in all 0>100",
                          "render /srv/a.js:12 100>0 in all 100>0"));
}

TEST(CompareTest, WhereAFileHasSeveralOfOneNameTheLineTellsWhich) {
  const std::string one = "p;f /srv/app.js:12_[j] 1\n",
                    two = "p;f /srv/app.js:12_[j] 1\np;f /srv/app.js:20_[j] 1\n";
  EXPECT_THAT(Changes(Compared(one, two)), ElementsAre("f /srv/app.js:20 0>50 in all 0>50",
                                                       "f /srv/app.js:12 100>50 in all 100>50"));
  EXPECT_THAT(Changes(Compared("p;f /srv/app.js:11_[j] 1\n", two)),
              ElementsAre("f /srv/app.js:12 0>50 in all 0>50", "f /srv/app.js:20 0>50 in all 0>50",
                          "f /srv/app.js:11 100>0 in all 100>0"));
  EXPECT_THAT(
      Changes(Compared(two, "p;f /srv/app.js:11_[j] 1\n")),
      ElementsAre("f /srv/app.js:11 0>100 in all 0>100", "f /srv/app.js:12 50>0 in all 50>0",
                  "f /srv/app.js:20 50>0 in all 50>0"));
}

TEST(CompareTest, ByLineALineIsALine) {
  Profile before = Read("p;render /srv/app.js:12_[j] 1\n"),
          after = Read("p;render /srv/app.js:13_[j] 1\n");
  before.show_lines = after.show_lines = true;
  EXPECT_THAT(Changes(Compare(before, after).value()),
              ElementsAre("render /srv/app.js:13 0>100 in all 0>100",
                          "render /srv/app.js:12 100>0 in all 100>0"));
}

TEST(CompareTest, TheOneProcessOfEachSideIsTheSame) {
  const Profile p = Compared("node;a 1\n", "MainThread;a 3\n");
  EXPECT_EQ(Write(p, "folded"), "MainThread;a 3 3\n");
  EXPECT_THAT(p.comments, ElementsAre("before: process node is shown as MainThread"));
  EXPECT_EQ(Write(Compared("node;a 1\n", "[unknown];a 3\n"), "folded"), "[unknown];a 3 3\n");
  // Which of several it was cannot be told.
  EXPECT_EQ(Write(Compared("node;a 1\n", "MainThread;a 3\nsh;b 1\n"), "folded"),
            "MainThread;a 0 3\nnode;a 4 0\nsh;b 0 1\n");
}

TEST(CompareTest, AProcessWithoutANameHasThatOfTheOther) {
  const std::string unnamed = Write(Read("p;a /srv/a.js:1_[j] 1\n"), "cpuprofile");
  EXPECT_EQ(Write(Compared("node;a /srv/a.js:1_[j] 1\n", unnamed), "folded"),
            "node;a /srv/a.js:1_[j] 1 1\n");
}

TEST(CompareTest, GrowthThatIsEqualButForRoundingIsEqual) {
  // 0.07 - 0.05 > 0.02; 0.3 - 0.1 < 0.2
  const auto changes = FunctionChanges(
      Compared("p;a 10\np;b 5\np;c 85\n", "p;a 12\np;b 7\np;c 81\n"));
  ASSERT_EQ(changes.size(), 3u);
  for (size_t i : {0, 1}) {
    EXPECT_FALSE(changes[i].GrewMoreThan(2)) << changes[i].text;
    EXPECT_TRUE(changes[i].GrewMoreThan(1.999)) << changes[i].text;
  }
  EXPECT_EQ(changes[0].text, "a");
}

TEST(CompareTest, ARecursiveFunctionCountsOnceForEachStack) {
  EXPECT_THAT(Changes(Compared("p;a;b;a 1\n", "p;a;b;a 1\n")),
              ElementsAre("a 100>100 in all 100>100", "b 0>0 in all 100>100"));
}

TEST(CompareTest, FoldedStacksHaveTwoCounts) {
  const Profile p = Compared("p;a 10\np;gone 10\nq 20\n", "p;a 60\np;came 20\n");
  const std::string folded = Write(p, "folded");
  EXPECT_EQ(folded, "p;a 20 60\np;came 0 20\np;gone 20 0\nq 40 0\n");
  EXPECT_EQ(Write(Read(folded), "folded"), folded);
}

TEST(CompareTest, ThePictureShowsWhatVanished) {
  const std::string svg = Write(Compared("p;a 10\np;gone 10\n", "p;a 40\np;came 40\n"), "svg");
  EXPECT_THAT(svg, HasSubstr("<title>gone (0 samples, 0.00%; -50.00%)</title>"
                             "<rect x=\"895.00\" y=\""));
  EXPECT_THAT(svg, HasSubstr("width=\"295.00\" height=\"15\" fill=\"#3f86d9\""));
  EXPECT_THAT(svg, HasSubstr("<title>came (40 samples, 50.00%; +50.00%)</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>a (40 samples, 50.00%; +0.00%)</title>"));
}

TEST(CompareTest, PprofHasTheBaseAsPprofWritesIt) {
  const Profile p = Compared("p;a 10\np;gone 10\n", "p;a 30\np;came 10\n");
  const std::string pprof = Write(p, "pprof");
  const Profile back = Read(pprof);
  ASSERT_TRUE(BaseType(back).has_value());
  EXPECT_EQ(Write(back, "folded"), Write(p, "folded"));
  EXPECT_EQ(Write(back, "pprof"), pprof);
}

TEST(CompareTest, WhatMeasuresSomethingElseIsRefused) {
  const Profile samples = Read("p;a 1\n");
  Profile bytes = samples;
  bytes.sample_types[0] = {"space", "bytes"};
  auto complaint = [](const Profile& before, const Profile& after) {
    return std::string(Compare(before, after).status().message());
  };
  EXPECT_EQ(complaint(samples, bytes),
            "they measure nothing in common: samples/count and space/bytes");
  EXPECT_EQ(complaint(samples, Compared("p;a 1\n", "p;a 1\n")),
            "one of them is a comparison already");
}

}  // namespace
}  // namespace jprof
