#include "export/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/testing/profile_text.h"
#include "web/assets.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Html(const Profile& profile) {
  StringSink sink;
  EXPECT_TRUE(MakeHtmlExporter()->Write(profile, sink).ok());
  return sink.text();
}
std::string Html(absl::string_view text) { return Html(ParseProfile(text)); }

size_t Count(absl::string_view text, absl::string_view what) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(what, at)) != absl::string_view::npos; ++at) ++count;
  return count;
}

TEST(HtmlTest, ThePolicyAllowsItsOwnScriptsAndStyleAlone) {
  const std::string html = Html(kNodeProfile);
  auto hash = [](absl::string_view bytes) {
    return absl::StrCat("'sha256-", absl::Base64Escape(bytes), "'");
  };
  EXPECT_THAT(html, HasSubstr(absl::StrCat("content=\"default-src 'none'; script-src ",
                                           hash(assets::report_js_sha256()), "; style-src ",
                                           hash(assets::report_css_sha256()),
                                           "; base-uri 'none'; form-action 'none'\"")));
  EXPECT_THAT(html, Not(HasSubstr("http:")));
  EXPECT_THAT(html, Not(HasSubstr("https:")));
}

TEST(HtmlTest, ScriptsAndStyleCannotEndTheirElement) {
  for (absl::string_view asset : {assets::report_js(), assets::report_css()}) {
    EXPECT_FALSE(absl::StrContains(asset, "</"));
    EXPECT_FALSE(absl::StrContains(asset, "<!--"));
  }
}

TEST(HtmlTest, EveryCommentIsInTheVerdict) {
  const std::string html = Html("# title: t\n# comment: first\n# comment: second\nnode;f 1");
  EXPECT_THAT(html, HasSubstr("<p>first</p>\n<p>second</p>"));
}

TEST(HtmlTest, MoreCommentsThanAHundredAreCounted) {
  std::string text;
  for (int i = 0; i < 101; ++i) absl::StrAppend(&text, "# comment: c", i, "\n");
  EXPECT_THAT(Html(text + "node;f 1"), HasSubstr("<p>c99</p>\n<p>1 more comment</p>\n</div>"));
}

TEST(HtmlTest, HostileNamesAddNoMarkup) {
  const std::string tame = Html("# title: t\n# comment: c\nnode;f 1");
  for (const char* name : {"</script><script>alert(1)</script>", "</title><img src=x onerror=x>",
                           "<!--", "\" onload=\"x", "\\xff\\x00\\xe2\\x80\\xae"}) {
    const std::string html = Html(absl::StrCat("# title: ", name, "\n# comment: ", name, "\n", name,
                                               ";", name, " /", name, ":1_[j] 3\n"));
    for (const char* markup : {"<script", "</script", "<img", "<!--", "<p>", "onload=\""}) {
      EXPECT_EQ(Count(html, markup), Count(tame, markup)) << name << " " << markup;
    }
  }
}

TEST(HtmlTest, AnEmptyProfileIsAReport) { EXPECT_THAT(Html(""), HasSubstr("id=\"profile\"")); }

// `count` samples, each of a function of its own with a name of `name_bytes` random digits.
Profile ManyFunctions(int count, size_t name_bytes) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1'000'000);
  const ThreadId thread = builder.AddThread(1, 1, "node", "node");
  const std::vector<int64_t> one = {1};
  uint64_t random = 1;
  for (int i = 0; i < count; ++i) {
    std::string name;
    while (name.size() < name_bytes) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      absl::StrAppend(&name, absl::Hex(random));
    }
    Line line{builder.AddFunction(name, name, "", 0, FrameKind::kNative), 0, 0};
    builder.AddSample(int64_t{i} * 1'000'000, thread, 0,
                      builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1})),
                      one);
  }
  builder.accounting().taken = builder.accounting().kept = static_cast<uint64_t>(count);
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  EXPECT_TRUE(profile.ok());
  return *std::move(profile);
}

TEST(HtmlTest, TenThousandStacksCostLessThanFifteenBytesEach) {
  const size_t few = Html(ManyFunctions(10, 16)).size();
  EXPECT_LT(Html(ManyFunctions(10'010, 16)).size() - few, 10'000u * (15 + 16));
}

TEST(HtmlTest, WhatIsTooLargeIsPrunedBelowTheLimit) {
  const Profile profile = ManyFunctions(2000, 1000);
  StringSink sink;
  ASSERT_TRUE(MakeHtmlExporter(300'000)->Write(profile, sink).ok());
  EXPECT_LT(sink.text().size(), 300'000u);
  EXPECT_GT(sink.text().size(), 150'000u);
}

}  // namespace
}  // namespace jprof
