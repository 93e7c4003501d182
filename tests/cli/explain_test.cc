#include "profiler/cli/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Profile WithCounts(uint64_t samples, uint64_t frames) {
  Profile profile;
  profile.accounting.kept = samples;
  profile.accounting.frames = frames;
  return profile;
}

TEST(ExplainTest, EachKindIsALineWithItsShares) {
  Profile profile = WithCounts(200, 1000);
  profile.unnamed = {{"[unknown] libx.so", "stripped", 100, 250},
                     {"[truncated]", "too deep", 1, 0}};
  EXPECT_THAT(ExplainUnnamed(profile),
              ElementsAre("samples   frames  without a name, and why",  //
                          " 50.0 %   25.0 %  [unknown] libx.so  stripped",
                          "  0.5 %           [truncated]        too deep"));
}

TEST(ExplainTest, ProfileWithAllNamesSaysSo) {
  EXPECT_THAT(ExplainUnnamed(WithCounts(200, 1000)),
              ElementsAre("every frame has a name, and every stack is whole"));
}

TEST(ExplainTest, MoreThanFitAreCounted) {
  Profile profile = WithCounts(200, 1000);
  for (int i = 0; i < 40; ++i) profile.unnamed.push_back({absl::StrCat("[", i, "]"), "why", 1, 1});
  const std::vector<std::string> lines = ExplainUnnamed(profile);
  ASSERT_THAT(lines, SizeIs(17));
  EXPECT_THAT(lines[15], HasSubstr("[14]"));
  EXPECT_EQ(lines[16], "and 25 more");
}

TEST(ExplainTest, NamesOfTheTargetAreShownAndCut) {
  Profile profile = WithCounts(1, 1);
  profile.unnamed = {{absl::StrCat("[unknown] \x1b[2J", std::string(5000, 'x')),
                      std::string(5000, '\n'), 1, 1}};
  const std::vector<std::string> lines = ExplainUnnamed(profile);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[1], HasSubstr("[unknown] \\x1b[2Jxxx"));
  EXPECT_LT(lines[1].size(), 400u);
}

}  // namespace
}  // namespace jprof
