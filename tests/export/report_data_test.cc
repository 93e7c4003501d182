#include "export/report_data.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

std::string Head(absl::string_view text) {
  const Profile profile = ParseProfile(text);
  const PictureTree picture(profile, /*by_line=*/true);
  return ReportData(profile, picture).Head();
}

// `functions` functions of one sample each, called by one that has a name of `bytes` bytes.
std::string Wide(int functions, size_t bytes) {
  std::string text = "node;main 1\n";
  const std::string caller(bytes, 'n');
  for (int i = 0; i < functions; ++i) absl::StrAppend(&text, "node;", caller, ";f", i, " 1\n");
  return text;
}

TEST(ReportDataTest, ThreadsThatDifferInTheirLabelsAloneAreOne) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  for (int i = 0; i < 20; ++i) {
    const ThreadId thread =
        builder.AddThread(7, 8 + i % 2, "server", "worker", "", absl::StrCat("trace\t", i));
    builder.AddSample(0, thread, 0, StackId{}, std::vector<int64_t>{1});
  }
  builder.accounting().taken = builder.accounting().kept = 20;
  const Profile profile = std::move(builder).Build().value();
  const PictureTree picture(profile, /*by_line=*/true);
  const std::string bytes = ReportData(profile, picture).Whole({});
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(bytes, "worker")).size() - 1, 2u);
}

TEST(ReportDataTest, ASmallReportHasNoHead) { EXPECT_EQ(Head(kNodeProfile), ""); }

TEST(ReportDataTest, TheHeadHasTheWidestFramesAlone) {
  const std::string head = Head(Wide(12'000, 20));
  EXPECT_NE(head.find(std::string(20, 'n')), std::string::npos);
  EXPECT_EQ(head.find("f12"), std::string::npos);
  EXPECT_EQ(head.find("main"), std::string::npos);
  EXPECT_LT(head.size(), 1000u);
}

TEST(ReportDataTest, TheHeadIsBoundedWhateverIsWide) {
  std::string text;
  for (int i = 0; i < 12'000; ++i) absl::StrAppend(&text, "node;deep", i % 3000, ";f", i, " 1\n");
  EXPECT_LT(Head(text).size(), 300'000u);
  EXPECT_NE(Head(text), "");
}

}  // namespace
}  // namespace jprof
