#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "import/frame_text.h"
#include "tests/export/sample_profiles.h"
#include "tests/import/read.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

const Function& LeafFunction(const Profile& p, size_t sample = 0) {
  const Location& l = p.locations[p.stacks[p.samples[sample].stack.value].location.value];
  return p.functions[p.Lines(l)[0].function.value];
}

TEST(FoldedReaderTest, WhatWasWrittenComesBack) {
  const std::string folded = Write(ParseProfile(kNodeProfile), "folded");
  EXPECT_EQ(Write(Read(folded), "folded"), folded);
}

TEST(FoldedReaderTest, HostileNamesComeBackAsTheyWereShown) {
  const std::string folded = Write(
      ParseProfile(
          "a\\xff;x\\n\\x1b[2J;\\xff\\xfe;--;\\\\--;a 12;b_[k];b_\\\\[k];[unknown] z_[u];--_[m] 7\n"
          "a;outer;in_[i];in2_[i];x 1\na;outer;in_[i] 2\na;outer 4\na;outer;in 8"),
      "folded");
  EXPECT_EQ(Write(Read(folded), "folded"), folded);
}

TEST(FoldedReaderTest, LinesInAnyOrderAreTheSameStacks) {
  const std::string sorted =
      "p;a 1\np;a;b 2\np;a;b;c 4\np;a;b;c_[i] 8\np;a;b;d 16\np;a;e;c 32\nq;a;b 64\n";
  const std::string mixed =
      "p;a;e;c 32\np;a;b;c_[i] 8\np;a;b;c 4\nq;a;b 64\np;a;b;d 16\np;a 1\np;a;b 2\n";
  EXPECT_EQ(Write(Read(mixed), "folded"), sorted);
  EXPECT_EQ(Write(Read(sorted), "folded"), sorted);
}

TEST(FoldedReaderTest, SuffixesAreKinds) {
  const Profile p = Read(
      "p;a 1\np;k_[k] 1\np;f /srv/x.js:12_[j] 1\np;f node:fs:3_[j] 1\np;Array.map_[j] 1\n"
      "p;[unknown] libz.so+0x12 1\np;-- 1\np;f /srv/x y.js:7 1\np;f /src/a.c:7 1\n");
  std::vector<std::string> kinds;
  for (size_t i = 0; i < p.samples.size(); ++i) {
    const Function& f = LeafFunction(p, i);
    kinds.push_back(absl::StrCat(p.String(f.name), "|", p.String(f.file), "|", f.start_line, "|",
                                 static_cast<int>(f.kind)));
  }
  auto kind = [](FrameKind k) { return absl::StrCat(static_cast<int>(k)); };
  EXPECT_THAT(kinds, testing::ElementsAre(
                         "a||0|" + kind(FrameKind::kNative), "k||0|" + kind(FrameKind::kKernel),
                         "f|/srv/x.js|12|" + kind(FrameKind::kScript),
                         "f|node:fs|3|" + kind(FrameKind::kScript),
                         "Array.map||0|" + kind(FrameKind::kBuiltin),
                         "[unknown] libz.so+0x12||0|" + kind(FrameKind::kUnknown),
                         "--||0|" + kind(FrameKind::kMarker),
                         "f|/srv/x y.js|7|" + kind(FrameKind::kScript),
                         "f /src/a.c:7||0|" + kind(FrameKind::kNative)));
}

TEST(FoldedReaderTest, WeightsMayHaveDecimals) {
  EXPECT_EQ(Write(Read("p;a 1.6\np;b 3\n"), "folded"), "p;a 2\np;b 3\n");
}

TEST(FoldedReaderTest, LinesThatAreNoStacksAreCounted) {
  const auto imported = Import("# comment\n\np;a 1\nnothing\np;b x\n 5\np;c 2\n");
  ASSERT_TRUE(imported.ok());
  EXPECT_EQ(Write(imported->profile, "folded"), "p;a 1\np;c 2\n");
  EXPECT_THAT(imported->notes,
              testing::ElementsAre("folded: 3 lines without a stack or a weight"));
}

TEST(FoldedReaderTest, TwoWeightsAreInEachLineOrTheyAreNames) {
  EXPECT_FALSE(BaseType(Read("p;a 7 1\np;b 2\n")).has_value());
  EXPECT_TRUE(BaseType(Read("p;a 7 1\np;b 2 3\n")).has_value());
}

TEST(FoldedReaderTest, TheFirstLineMayBeLong) {
  std::string line = "p";
  for (int i = 0; i < 30'000; ++i) line += ";abc";
  EXPECT_EQ(Read(line + " 1\np;b 2\n").samples.size(), 2u);
}

TEST(FoldedReaderTest, WhatIsInlinedIntoOneFrameIsBounded) {
  std::string line = "p;a";
  for (int i = 0; i < 200'000; ++i) line += ";b_[i]";
  const Profile p = Read("p;x 1\n" + line + " 1\n");
  ASSERT_EQ(p.locations.size(), 2u);
  const auto lines = p.Lines(p.locations[1]);
  ASSERT_EQ(lines.size(), 10'000u);
  EXPECT_EQ(p.String(p.functions[lines.back().function.value].name), "a");
}

TEST(FoldedReaderTest, OfADeepStackTheLeafIsKept) {
  std::string deep;
  for (size_t i = 2; i < kMaxStackDepth; ++i) absl::StrAppend(&deep, ";f", i);
  const std::string whole = absl::StrCat("p;f0;f1", deep);
  const auto imported = Import(absl::StrCat(whole, " 1\n", whole, ";g 1\n", whole, ";g;h 2\n"));
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(Write(imported->profile, "folded"),
            absl::StrCat("p;[truncated];f1", deep, ";g 1\np;[truncated]", deep, ";g;h 2\n", whole,
                         " 1\n"));
  EXPECT_THAT(imported->notes,
              testing::ElementsAre("folded: 2 samples of stacks deeper than 2000 frames, the rest "
                                   "is [truncated]"));
}

// folded -> SVG -> numbers.
TEST(FoldedReaderTest, ThePictureHasTheNumbersOfTheLines) {
  const std::string svg = Write(Read("p;a 10\np;a;b 20\np;a;c_[k] 970\nq 1000\n"), "svg");
  for (absl::string_view title :
       {"all (2,000 samples, 100%)", "p (1,000 samples, 50.00%)", "a (1,000 samples, 50.00%)",
        "b (20 samples, 1.00%)", "c (970 samples, 48.50%)", "q (1,000 samples, 50.00%)"}) {
    EXPECT_THAT(svg, testing::HasSubstr(absl::StrCat("<title>", title, "</title>")));
  }
}

}  // namespace
}  // namespace jprof
