#include "export/call_tree.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

CallTree Build(absl::string_view text, size_t max_path_bytes = 0) {
  Profile profile = ParseProfile(text);
  auto frame_label = [&](const Function& f, uint32_t, bool inlined) {
    return FrameLabel{absl::StrCat(profile.String(f.name), inlined ? " inlined" : ""),
                      static_cast<uint8_t>(f.kind)};
  };
  auto process_label = [](absl::string_view name) { return FrameLabel{std::string(name)}; };
  CallTree::Options options{.frame_label = frame_label, .process_label = process_label};
  options.max_path_bytes = max_path_bytes;
  options.cut_label = {"..."};
  return CallTree::Build(profile, options);
}

// "name self/total" of each node, indented by depth.
std::string Print(absl::string_view text, size_t max_path_bytes = 0) {
  CallTree tree = Build(text, max_path_bytes);
  std::string out;
  for (size_t i = 0; i < tree.nodes().size(); ++i) {
    const CallTree::Node& node = tree.nodes()[i];
    EXPECT_TRUE(i == 0 || tree.nodes()[node.parent].depth + 1 == node.depth);
    EXPECT_TRUE(i < node.end && node.end <= tree.nodes()[node.parent].end);
    absl::StrAppend(&out, std::string(node.depth, ' '), i == 0 ? "all" : tree.label(node).text, " ",
                    node.self, "/", node.total, "\n");
  }
  return out;
}

TEST(CallTreeTest, TotalsHoldTheCalleesAndChildrenAreSorted) {
  EXPECT_EQ(Print("p;b;z 1\np;b;a 2\np;a 4\np;b 8\no@2;a 16"),
            "all 0/31\n o 0/16\n  a 16/16\n p 0/15\n  a 4/4\n  b 8/11\n   a 2/2\n   z 1/1\n");
}

TEST(CallTreeTest, ProcessesOfOneNameAreOneNode) {
  EXPECT_EQ(Print("p@1;a 1\np@2;a 2"), "all 0/3\n p 0/3\n  a 3/3\n");
}

TEST(CallTreeTest, EqualNamesOfDifferentCategoriesStayApart) {
  EXPECT_EQ(Print("p;a 1\np;a_[k] 2"), "all 0/3\n p 0/3\n  a 1/1\n  a 2/2\n");
}

TEST(CallTreeTest, OneLocationGivesANodeForEachInlinedFunction) {
  EXPECT_EQ(Print("p;outer;mid_[i];inner_[i] 1"),
            "all 0/1\n p 0/1\n  outer 0/1\n   mid inlined 0/1\n    inner inlined 1/1\n");
}

TEST(CallTreeTest, AnEmptyProfileIsARoot) { EXPECT_EQ(Print(""), "all 0/0\n"); }

TEST(CallTreeTest, ALongPathKeepsBothEnds) {
  // Paths: "p;" + 9 frames of 3 bytes; 20 bytes leave room for 8 at each end.
  EXPECT_EQ(Print("p;f1;f2;f3;f4;f5;f6;f7;f8;f9 5\np;f1 1", 20),
            "all 0/6\n p 0/6\n  f1 1/6\n   f2 0/5\n    ... 0/5\n     f8 0/5\n      f9 5/5\n");
}

TEST(CallTreeTest, ADepthOfAHundredThousandIsNoRecursion) {
  std::string text = "p";
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&text, ";f");
  CallTree tree = Build(absl::StrCat(text, " 7"));
  ASSERT_EQ(tree.nodes().size(), 100'002u);
  EXPECT_EQ(tree.nodes().back().depth, 100'001u);
  EXPECT_EQ(tree.nodes().back().self, 7);
}

TEST(CallTreeTest, SumsSaturate) {
  EXPECT_EQ(SaturatingAdd(INT64_MAX - 1, 1), INT64_MAX);
  EXPECT_EQ(SaturatingAdd(INT64_MAX, INT64_MAX), INT64_MAX);
  EXPECT_EQ(SaturatingAdd(1, 2), 3);
}

}  // namespace
}  // namespace jprof
