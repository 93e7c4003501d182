#include "tests/testing/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/paths.h"

namespace jprof {

void ExpectGolden(absl::string_view actual, absl::string_view path) {
  std::string file = absl::StrCat(JPROF_SOURCE_DIR, "/tests/", path);
  const char* bless = std::getenv("JPROF_BLESS");
  if (bless != nullptr && std::string(bless) == "1") {
    std::ofstream out(file, std::ios::binary);
    out.write(actual.data(), static_cast<std::streamsize>(actual.size()));
    out.close();
    ASSERT_TRUE(out) << "cannot write " << file;
    return;
  }
  std::ifstream in(file, std::ios::binary);
  ASSERT_TRUE(in) << "no golden file " << file << "; JPROF_BLESS=1 writes it";
  std::string expected((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_EQ(expected, actual) << "differs from " << file << "; JPROF_BLESS=1 accepts it";
}

}  // namespace jprof
