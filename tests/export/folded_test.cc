#include "export/folded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "export/text.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/testing/golden.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Folded(const Profile& profile) {
  StringSink sink;
  EXPECT_TRUE(MakeFoldedExporter()->Write(profile, sink).ok());
  return sink.text();
}
std::string Folded(absl::string_view text) { return Folded(ParseProfile(text)); }

TEST(FoldedTest, NodeProfileIsGolden) {
  ExpectGolden(Folded(kNodeProfile), "export/golden/node.folded");
}

TEST(FoldedTest, SeparatorBeforeThoseWhoAwaitIsBare) {
  EXPECT_EQ(Folded("node;main;async load /srv/app.js:7_[a];--_[m];render /srv/app.js:12_[j] 2"),
            "node;main;async load /srv/app.js:7_[j];--;render /srv/app.js:12_[j] 2\n");
  EXPECT_EQ(Folded("node;-- 1"), "node;\\-- 1\n") << "a function of this name";
}

TEST(FoldedTest, EachKindHasItsSuffix) {
  EXPECT_EQ(Folded("node;native;kernel_[k] 1"), "node;native;kernel_[k] 1\n");
  EXPECT_EQ(Folded("node;render /srv/app.js:12_[j];ArrayMap_[b];JS:*f_[p] 3"),
            "node;render /srv/app.js:12_[j];ArrayMap_[j];JS:*f_[j] 3\n");
  EXPECT_EQ(Folded("node;[truncated]_[m];[unknown] x+0x1_[u] 1"),
            "node;[truncated];[unknown] x+0x1 1\n");
}

TEST(FoldedTest, InlinedFunctionsFollowThePhysicalOne) {
  EXPECT_EQ(Folded("a;outer;middle_[i];inner_[i] 2"), "a;outer;middle_[i];inner_[i] 2\n");
}

TEST(FoldedTest, EqualStacksAreMerged) {
  EXPECT_EQ(Folded("a@1/1;f;g 2\na@1/2:other;f;g 3\na@9;f;g 5"), "a;f;g 10\n");
}

TEST(FoldedTest, NamesThatOnlyDifferInASeparatorAreMerged) {
  EXPECT_EQ(Folded("a;f\\x3bg 2\na;f:g 3"), "a;f:g 5\n");
}

TEST(FoldedTest, LinesAreSortedByteByByte) {
  std::string folded = Folded("a;f;z 1\na;f 1\na;f(int) 1\na;f x;y 1\na;f!;q 1\nB@2;f 1\na;f1 1\n");
  std::vector<std::string> lines = absl::StrSplit(folded, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 7u);
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end())) << folded;
}

TEST(FoldedTest, ProcessNamesHaveNoBlanksAndAreNeverEmpty) {
  EXPECT_EQ(Folded("my app v2;f 1"), "my_app_v2;f 1\n");
  EXPECT_EQ(Folded("@4;f 1"), "[unknown];f 1\n");
}

TEST(FoldedTest, ASampleWithoutAStackIsTheProcess) {
  EXPECT_EQ(Folded("node 3\nnode;f 1"), "node 3\nnode;f 1\n");
}

TEST(FoldedTest, AnEmptyProfileIsAnEmptyFile) { EXPECT_EQ(Folded(""), ""); }

TEST(FoldedTest, HostileNamesForgeNothing) {
  EXPECT_EQ(Folded("a;x\\ny 1"), "a;x\\ny 1\n");
  EXPECT_EQ(Folded("a;x\\x3by 1"), "a;x:y 1\n");
  EXPECT_EQ(Folded("a;x\\x00\\x1b[31m\\x7f 1"), "a;x\\x00\\x1b[31m\\x7f 1\n");
  EXPECT_EQ(Folded("a;x\\xff\\xc0\\xaf 1"), "a;x\\xff\\xc0\\xaf 1\n");
  // U+202E, U+2028, U+0085, an unpaired surrogate.
  EXPECT_EQ(Folded("a;\\xe2\\x80\\xae\\xe2\\x80\\xa8\\xc2\\x85\\xed\\xa0\\x80 1"),
            "a;\\u202e\\u2028\\u0085\\xed\\xa0\\x80 1\n");
  // A second weight, a separator, another frame's suffix.
  EXPECT_EQ(Folded("a;f 12 1"), "a;f_12 1\n");
  EXPECT_EQ(Folded("a;f 1.5 1"), "a;f_1.5 1\n");
  EXPECT_EQ(Folded("a;f 12px 1"), "a;f 12px 1\n");
  EXPECT_EQ(Folded("a;--;f 1"), "a;\\--;f 1\n");
  EXPECT_EQ(Folded("a;evil_[k]_[j 1\n"), "a;evil_[k]_[j 1\n");
  EXPECT_EQ(Folded("a;evil_\\x5bk] 1"), "a;evil_\\[k] 1\n");
  EXPECT_EQ(Folded("a;\\x20\\x20 1"), "a;[unknown] 1\n");
}

TEST(FoldedTest, LongNamesAreCutAtACharacter) {
  std::string folded = Folded(absl::StrCat("a;f", std::string(99'999, 'x'), " 1"));
  EXPECT_LE(folded.size(), kMaxNameBytes + 5);
  EXPECT_GE(folded.size(), kMaxNameBytes - 20);
  std::string wide;
  for (int i = 0; i < 3000; ++i) wide += "\xe4\xb8\xad";
  folded = Folded(absl::StrCat("a;", wide, " 1"));
  EXPECT_LE(folded.size(), kMaxNameBytes + 5);
  EXPECT_TRUE(ValidUtf8(folded, folded.size()) == folded);
}

TEST(FoldedTest, LinesStayBelow64KiBAndKeepBothEnds) {
  std::string stack = "a";
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&stack, ";function_number_", i);
  std::string folded = Folded(absl::StrCat(stack, " 2\n", stack, ";another_leaf 3\na;b 1\n"));
  std::vector<std::string> lines = absl::StrSplit(folded, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u);
  for (const std::string& line : lines) EXPECT_LT(line.size(), 65'536u);
  std::sort(lines.begin(), lines.end());
  EXPECT_THAT(folded, HasSubstr("a;function_number_0;function_number_1;"));
  EXPECT_THAT(folded, HasSubstr(";[frames left out];"));
  EXPECT_THAT(folded, HasSubstr(";function_number_9998;function_number_9999 2\n"));
  EXPECT_THAT(folded, HasSubstr(";function_number_9999;another_leaf 3\n"));
  EXPECT_THAT(folded, Not(HasSubstr("function_number_5000")));
}

TEST(FoldedTest, WeightsSaturate) {
  ProfileBuilder builder({{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"}, 1);
  FunctionId f = builder.AddFunction("f", "f", "", 0, FrameKind::kNative);
  Line line{f, 0, 0};
  StackId stack = builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1}));
  ThreadId thread = builder.AddThread(1, 1, "a", "a");
  std::vector<int64_t> huge = {INT64_MAX, 1};
  builder.AddSample(0, thread, 0, stack, huge);
  builder.AddSample(0, thread, 0, stack, huge);
  builder.accounting().taken = builder.accounting().kept = 2;
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(Folded(*profile), "a;f 9223372036854775807\n");
}

TEST(FoldedTest, AFailingSinkEndsTheExport) {
  class FullDisk : public OutputSink {
    absl::Status Append(absl::string_view) override {
      return absl::ResourceExhaustedError("disk full");
    }
  } sink;
  EXPECT_EQ(MakeFoldedExporter()->Write(ParseProfile("a;f 1"), sink).message(), "disk full");
}

}  // namespace
}  // namespace jprof
