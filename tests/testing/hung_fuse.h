// A FUSE file system with one file that can be made to hang (tests/programs/hung_fuse.c). Gone with
// its owner.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "tests/testing/spawn.h"

namespace jprof {

class HungFuse {
 public:
  // The content of its file is that of `content`.
  explicit HungFuse(const std::string& content) : server_(Start(directory_, content)) {}
  ~HungFuse() {
    server_.CloseStdin();
    server_.Wait();
    ::rmdir(directory_.c_str());
  }
  HungFuse(const HungFuse&) = delete;
  HungFuse& operator=(const HungFuse&) = delete;

  std::string file() const { return directory_ + "/file"; }
  void Hang() { Say("hang\n"); }
  void AnswerAgain() { Say("answer\n"); }

 private:
  static Child Start(std::string& directory, const std::string& content) {
    char path[] = "/tmp/jprof-fuse-XXXXXX";
    EXPECT_NE(::mkdtemp(path), nullptr);
    directory = path;
    absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("hung_fuse"), directory, content});
    if (!child.ok()) {
      ADD_FAILURE() << child.status();
      std::abort();
    }
    return *std::move(child);
  }
  void Say(const std::string& text) {
    EXPECT_TRUE(server_.Write(text).ok());
    EXPECT_EQ(server_.ReadLine().value_or(""), "ready");
  }

  std::string directory_;
  Child server_;
};

}  // namespace jprof
