#include "profiler/why/waits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// What is said of it in the end: it says "ready" just before it waits.
std::string WhatItDoes(Pid pid, const std::string& part) {
  std::string does;
  for (int i = 0; i < 10'000 && does.find(part) == does.npos; ++i) {
    does = WaitReader().WhatDoes(pid);
    ::usleep(1000);
  }
  return does;
}

TEST(WhatDoesTest, OfOneThreadItIsSaidAlone) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(WhatItDoes(child->pid(), "sleeps in read"),
              MatchesRegex("sleeps in read\\(.*\\)[^)]*"));
}

TEST(WhatDoesTest, AThreadThatRunsIsSaidBeforeTheMainOneThatSleeps) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("waits")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(WhatItDoes(child->pid(), "thread"), MatchesRegex("runs \\(thread [0-9]+\\)"));
}

}  // namespace
}  // namespace jprof
