#include <gtest/gtest.h>

#include <string>

#include "export/exporter.h"
#include "tests/export/sample_profiles.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

TEST(ExportersTest, TheExtensionChoosesTheFormat) {
  EXPECT_EQ(FindFormatByPath("out.svg")->name, "svg");
  EXPECT_EQ(FindFormatByPath("/tmp/OUT.SVG")->name, "svg");
  EXPECT_EQ(FindFormatByPath("out.html")->name, "html");
  EXPECT_EQ(FindFormatByPath("a.b.folded")->name, "folded");
  EXPECT_EQ(FindFormatByPath("a.txt")->name, "folded");
  EXPECT_EQ(FindFormatByPath("a.pb.gz")->name, "pprof");
  EXPECT_EQ(FindFormatByPath("a.gz"), nullptr);
  EXPECT_EQ(FindFormatByPath("svg"), nullptr);
}

TEST(ExportersTest, EachFormatIsFoundByItsName) {
  for (const ExportFormat& format : ExportFormats()) {
    EXPECT_EQ(FindFormatByName(format.name), &format);
    EXPECT_FALSE(format.help.empty());
  }
  EXPECT_EQ(FindFormatByName("foldde"), nullptr);
}

TEST(ExportersTest, OnlyPprofAndOtlpAreBinary) {
  for (const ExportFormat& format : ExportFormats()) {
    EXPECT_EQ(format.binary, format.name == "pprof" || format.name == "otlp")
        << std::string(format.name);
  }
}

TEST(ExportersTest, EqualProfilesGiveEqualBytes) {
  for (const ExportFormat& format : ExportFormats()) {
    StringSink first, second;
    ASSERT_TRUE(format.create()->Write(ParseProfile(kNodeProfile), first).ok());
    ASSERT_TRUE(format.create()->Write(ParseProfile(kNodeProfile), second).ok());
    EXPECT_FALSE(first.text().empty());
    EXPECT_EQ(first.text(), second.text()) << std::string(format.name);
  }
}

}  // namespace
}  // namespace jprof
