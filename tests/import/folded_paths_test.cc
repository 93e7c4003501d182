#include "import/folded_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace jprof {
namespace {

constexpr size_t kAll = SIZE_MAX;

// Adds a stack, and tells its frames.
std::vector<std::string> Frames(FoldedPaths& paths, const std::string& stack) {
  EXPECT_TRUE(paths.Add(stack, kAll).ok());
  const size_t added = paths.size() - 1;
  std::vector<std::string> frames;
  for (size_t i = 0; i < paths.numbers(added).size(); ++i) {
    frames.emplace_back(paths.frame(added, i));
  }
  return frames;
}

// Of few frames, many of which end where a word or a block does.
std::string RandomStack(std::mt19937& random) {
  static constexpr size_t kSizes[] = {0, 1, 3, 6, 7, 8, 15, 63, 64, 200};
  std::string stack;
  for (size_t depth = random() % 8; depth > 0; --depth) {
    // Neighbours of the semicolon, and bytes that borrow and carry.
    stack.append(kSizes[random() % 10], ":<\xbb\x3a\x00\xff\x80"[random() % 7]).append(";");
  }
  return stack + "leaf";
}

TEST(FoldedPathsTest, FramesEndAtSemicolons) {
  FoldedPaths paths;
  EXPECT_THAT(Frames(paths, "app;main;run"), testing::ElementsAre("app", "main", "run"));
  EXPECT_THAT(Frames(paths, "app"), testing::ElementsAre("app"));
  EXPECT_THAT(Frames(paths, ";;a;"), testing::ElementsAre("", "", "a", ""));
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string stack = RandomStack(random);
    const std::vector<std::string> frames = absl::StrSplit(stack, ';');
    ASSERT_EQ(Frames(paths, stack), frames) << stack;
  }
}

TEST(FoldedPathsTest, NeighboursMayShareTheirBeginnings) {
  FoldedPaths paths;
  for (const char* stack :
       {"app;main;run;read", "app;main;run;readv", "app;main;run", "app;main;runs",
        "app;main;run;", "app;main;run;x;y", "app;main;run;x", "app;main;run;x", "ap;main"}) {
    const std::vector<std::string> frames = absl::StrSplit(stack, ';');
    EXPECT_EQ(Frames(paths, stack), frames);
  }
}

TEST(FoldedPathsTest, EqualPathsAndNoOthersHaveEqualNumbers) {
  FoldedPaths paths;
  std::map<std::string, uint64_t> number_of;
  std::map<uint64_t, std::string> path_of;
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    if (i % 100 == 0) paths.Clear();
    std::vector<std::string> path;
    for (std::string& frame : Frames(paths, RandomStack(random))) {
      path.push_back(std::move(frame));
      const std::string text = absl::StrJoin(path, ";");
      const uint64_t number = paths.numbers(paths.size() - 1)[path.size() - 1];
      ASSERT_EQ(number_of.try_emplace(text, number).first->second, number) << text;
      ASSERT_EQ(path_of.try_emplace(number, text).first->second, text);
    }
  }
}

TEST(FoldedPathsTest, EqualFramesAndNoOthersHaveEqualNumbers) {
  FoldedPaths paths;
  std::map<std::string, uint64_t> number_of;
  std::map<uint64_t, std::string> frame_of;
  std::mt19937 random(3);
  for (size_t i = 0; i < 2000; ++i) {
    const std::vector<std::string> frames = Frames(paths, RandomStack(random));
    for (size_t at = 0; at < frames.size(); ++at) {
      const uint64_t number = paths.FrameNumber(i, at);
      ASSERT_EQ(number_of.try_emplace(frames[at], number).first->second, number);
      ASSERT_EQ(frame_of.try_emplace(number, frames[at]).first->second, frames[at]);
    }
  }
}

TEST(FoldedPathsTest, ZerosAtTheEndCount) {
  FoldedPaths paths;
  Frames(paths, "a");
  Frames(paths, std::string("a\0", 2));
  EXPECT_NE(paths.numbers(0)[0], paths.numbers(1)[0]);
  EXPECT_NE(paths.FrameNumber(0, 0), paths.FrameNumber(1, 0));
}

TEST(FoldedPathsTest, NumbersAreOthersInTheNextFile) {
  FoldedPaths one, other;
  Frames(one, "app;main");
  Frames(other, "app;main");
  EXPECT_NE(one.numbers(0)[0], other.numbers(0)[0]);
  EXPECT_NE(one.numbers(0)[1], other.numbers(0)[1]);
  EXPECT_NE(one.FrameNumber(0, 1), other.FrameNumber(0, 1));
}

TEST(FoldedPathsTest, NoMoreFramesAreFoundThanAskedFor) {
  FoldedPaths paths;
  ASSERT_TRUE(paths.Add(std::string(100'000, ';'), 2001).ok());
  EXPECT_EQ(paths.numbers(0).size(), 2001u);
  ASSERT_TRUE(paths.Add("a;b;c;d", 3).ok());
  EXPECT_EQ(paths.numbers(1).size(), 3u);
  EXPECT_EQ(paths.frame(1, 2), "c");
  EXPECT_THAT(Frames(paths, "a;b;c;d;e"), testing::ElementsAre("a", "b", "c", "d", "e"));
}

TEST(FoldedPathsTest, ALongStackIsRefused) {
  FoldedPaths paths;
  EXPECT_TRUE(paths.Add(std::string(FoldedPaths::kMaxStackBytes, 'x'), kAll).ok());
  EXPECT_EQ(paths.Add(std::string(FoldedPaths::kMaxStackBytes + 1, 'x'), kAll).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace jprof
