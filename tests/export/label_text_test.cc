#include "export/label_text.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/testing/paths.h"

namespace jprof {
namespace {

TEST(FitTextTest, ALabelKeepsItsFunction) {
  std::ifstream file(absl::StrCat(JPROF_SOURCE_DIR, "/tests/export/labels.txt"));
  const Ruler ruler(12);
  int cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "#")) continue;
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    ASSERT_EQ(fields.size(), 3u) << line;
    int characters = 0;
    ASSERT_TRUE(absl::SimpleAtoi(fields[0], &characters)) << line;
    EXPECT_EQ(FitText(fields[1], (characters + 0.01) * ruler.narrow(), ruler), fields[2]) << line;
    ++cases;
  }
  EXPECT_GT(cases, 30);
}

}  // namespace
}  // namespace jprof
