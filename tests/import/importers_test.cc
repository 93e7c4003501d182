#include "import/importer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/export/sample_profiles.h"
#include "tests/import/read.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

std::string Complaint(absl::string_view bytes) {
  return std::string(Import(bytes).status().message());
}

TEST(ImportersTest, WhatIsNoProfileIsRefused) {
  EXPECT_EQ(Complaint(""), "it is empty");
  EXPECT_THAT(Complaint("\x7f" "ELF\x02\x01"), testing::HasSubstr("none of the formats"));
  EXPECT_THAT(Complaint("hello, world\n"), testing::HasSubstr("none of the formats"));
  EXPECT_THAT(Complaint(absl::string_view("\0\0\0\0", 4)),
              testing::HasSubstr("none of the formats"));
}

TEST(ImportersTest, EachFormatIsRecognisedByItsContent) {
  for (absl::string_view format : {"folded", "pprof"}) {
    const std::string bytes = Write(ParseProfile(kNodeProfile), format);
    Input input(std::make_unique<MemorySource>(bytes));
    const absl::string_view head = *input.Head();
    const auto formats = ImportFormats();
    const auto found = std::find_if(formats.begin(), formats.end(),
                                    [&](const ImportFormat& f) { return f.recognises(head); });
    ASSERT_NE(found, formats.end()) << format;
    EXPECT_EQ(found->name, format);
  }
}

}  // namespace
}  // namespace jprof
