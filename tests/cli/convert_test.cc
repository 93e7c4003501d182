#include "profiler/cli/convert_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_split.h"

namespace jprof {
namespace {

absl::StatusOr<ConvertOptions> Parse(const std::string& words) {
  std::vector<std::string> arguments = absl::StrSplit(words, ' ', absl::SkipEmpty());
  return ParseCommand(ConvertSyntax(), arguments);
}
std::string Complaint(const std::string& words) {
  return std::string(Parse(words).status().message());
}

TEST(ConvertOptionsTest, InputAndOutputInAnyOrder) {
  for (const char* words :
       {"in.pb.gz -o out.svg", "-o out.svg in.pb.gz", "--output=out.svg in.pb.gz"}) {
    const auto options = Parse(words);
    ASSERT_TRUE(options.ok()) << words;
    EXPECT_THAT(options->inputs, testing::ElementsAre("in.pb.gz"));
    EXPECT_EQ(options->output, "out.svg");
  }
}

TEST(ConvertOptionsTest, ADashIsStandardInputAndOutput) {
  const auto options = Parse("- -o - --format folded");
  ASSERT_TRUE(options.ok());
  EXPECT_THAT(options->inputs, testing::ElementsAre("-"));
  EXPECT_EQ(options->output, "");
  EXPECT_EQ(options->format, "folded");
}

TEST(ConvertOptionsTest, MistakesAreNamed) {
  EXPECT_EQ(Complaint("-o a.svg"),
            "convert takes one profile, not 0; use: jprof convert IN -o OUT");
  EXPECT_EQ(Complaint("a b"), "convert takes one profile, not 2; use: jprof convert IN -o OUT");
  EXPECT_EQ(Complaint("a --outptu x"), "unknown option '--outptu', did you mean '--output'?");
  EXPECT_EQ(Complaint("a -o"), "option '-o' needs a value: FILE");
  EXPECT_EQ(Complaint("a --help=1"), "option '--help' takes no value");
  EXPECT_EQ(Complaint("a -o x.svg -o y.svg"),
            "option '-o' is given twice (x.svg, y.svg), keep one of them");
  EXPECT_EQ(Complaint("a --format foldde"), "unknown format 'foldde', did you mean 'folded'?");
  EXPECT_THAT(Complaint("a -o out.xyz"), testing::HasSubstr("has no suffix that names a format"));
}

TEST(DiffOptionsTest, TwoProfilesAndALimit) {
  auto parse = [](const std::vector<std::string>& words) {
    return ParseCommand(DiffSyntax(), words);
  };
  const auto options = parse({"a", "b", "--fail-above", "2.5%"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->fail_above, 2.5);
  EXPECT_EQ(parse({"a"}).status().message(),
            "diff takes two profiles, not 1; use: jprof diff A B -o OUT");
  EXPECT_EQ(parse({"a", "b", "--fail-above", "x"}).status().message(),
            "--fail-above takes a percentage from 0 to 100, not 'x'");
  EXPECT_FALSE(Parse("a --fail-above 1").ok());
}

TEST(DiffOptionsTest, WritesOnlyWhereItIsTold) {
  auto writes = [](const std::vector<std::string>& words) {
    const auto options = ParseCommand(DiffSyntax(), words);
    return options.ok() && options->writes;
  };
  EXPECT_FALSE(writes({"a", "b"}));
  EXPECT_TRUE(writes({"a", "b", "-o", "-"}));
  EXPECT_TRUE(writes({"a", "b", "--format", "svg"}));
  EXPECT_TRUE(Parse("a")->writes);
}

TEST(DiffOptionsTest, AFormatWithRoomForOneSideIsRefused) {
  for (const char* output : {"x.speedscope.json", "x.firefox.json", "x.cpuprofile", "x.otlp"}) {
    EXPECT_THAT(ParseCommand(DiffSyntax(), {"a", "b", "-o", output}).status().message(),
                testing::HasSubstr("diff writes svg, html, folded, pprof, not ")) << output;
    EXPECT_TRUE(Parse(std::string("a -o ") + output).ok());
  }
  EXPECT_THAT(HelpOf(TextOf(DiffSyntax())), testing::Not(testing::HasSubstr("cpuprofile  (")));
  EXPECT_THAT(HelpOf(TextOf(ConvertSyntax())), testing::HasSubstr("cpuprofile  ("));
}

}  // namespace
}  // namespace jprof
