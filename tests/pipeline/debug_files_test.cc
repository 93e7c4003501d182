#include "profiler/pipeline/debug_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A directory that stands for the root of a container.
class DebugFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = absl::StrCat(testing::TempDir(), "root-XXXXXX");
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    root_ = UniqueFd(::open(directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    EXPECT_EQ(std::system(absl::StrCat("rm -r '", directory_, "'").c_str()), 0);
  }

  std::string At(const std::string& path) {
    const std::string whole = directory_ + path;
    EXPECT_EQ(std::system(absl::StrCat("mkdir -p $(dirname '", whole, "')").c_str()), 0);
    return whole;
  }
  void Write(const std::string& path) { std::ofstream(At(path)) << path; }

  // What is in the files that are found for /srv/app/prog in that root.
  std::vector<std::string> Find(const DebugFileFinder::Request& request) {
    DebugFiles files({{.path = "/srv/app/prog", .root = &root_}}, nullptr);
    std::vector<std::string> contents;
    for (const UniqueFd& fd : files.Find(0, request)) {
      std::string content(256, '\0');
      content.resize(static_cast<size_t>(::pread(fd.get(), content.data(), content.size(), 0)));
      contents.push_back(content);
    }
    return contents;
  }

  std::string directory_;
  UniqueFd root_;
};

TEST_F(DebugFilesTest, LiesByItsBuildIdInTheRootOfTheProcess) {
  Write("/usr/lib/debug/.build-id/ab/cdef.debug");
  EXPECT_THAT(Find({.build_id = "abcdef"}), ElementsAre("/usr/lib/debug/.build-id/ab/cdef.debug"));
  EXPECT_THAT(Find({.build_id = "abcdee"}), IsEmpty());
  EXPECT_THAT(Find({.build_id = "ab"}), IsEmpty());
}

TEST_F(DebugFilesTest, LiesByItsLinkBesideTheFileAndBelowTheDebugDirectory) {
  Write("/srv/app/prog.debug");
  Write("/srv/app/.debug/prog.debug");
  Write("/usr/lib/debug/srv/app/prog.debug");
  EXPECT_THAT(Find({.link = DebugLink{"prog.debug", 0}}),
              ElementsAre("/srv/app/prog.debug", "/srv/app/.debug/prog.debug",
                          "/usr/lib/debug/srv/app/prog.debug"));
}

TEST_F(DebugFilesTest, WhatSeveralShareLiesInItsOwnDirectory) {
  Write("/usr/lib/debug/.dwz/x/common.debug");
  EXPECT_THAT(Find({.common = "x/common.debug"}),
              ElementsAre("/usr/lib/debug/.dwz/x/common.debug"));
}

TEST_F(DebugFilesTest, LinksOfATargetStayInItsRoot) {
  ASSERT_EQ(::symlink("/etc/passwd", At("/srv/app/prog.debug").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../../etc/passwd", At("/srv/app/.debug/prog.debug").c_str()), 0);
  EXPECT_THAT(Find({.link = DebugLink{"prog.debug", 0}}), IsEmpty());
  Write("/etc/passwd");
  EXPECT_THAT(Find({.link = DebugLink{"prog.debug", 0}}),
              ElementsAre("/etc/passwd", "/etc/passwd"));
}

TEST_F(DebugFilesTest, OnlyRegularFilesAreOpened) {
  ASSERT_EQ(::mkfifo(At("/srv/app/prog.debug").c_str(), 0600), 0);
  ASSERT_EQ(::mkdir(At("/srv/app/.debug/prog.debug").c_str(), 0700), 0);
  EXPECT_THAT(Find({.link = DebugLink{"prog.debug", 0}}), IsEmpty());
}

}  // namespace
}  // namespace jprof
