#include "profiler/top/view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Key::Kind;

constexpr size_t kPage = 10;

class TopViewTest : public testing::Test {
 protected:
  TopViewTest() {
    Add("app;main;render /srv/a.js:3_[j];sys_read_[k] 5\napp;main;parse /srv/b.js:1_[j] 3\n");
  }

  void Add(const std::string& text) {
    table_.Add(ParseProfile(text));
    view_.Update(table_);
  }
  TopView::Wish Press(const Key& key) { return view_.OnKey(key, table_, kPage); }
  TopView::Wish Type(const std::string& text) {
    TopView::Wish wish = TopView::Wish::kNothing;
    for (char c : text) wish = Press({Kind::kText, std::string(1, c)});
    return wish;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const HotTable::Row& row : view_.rows())
      names.push_back(table_.function(row.function).name);
    return names;
  }
  std::string Chosen() const { return Names()[view_.chosen()]; }

  HotTable table_{2};
  TopView view_;
};

TEST_F(TopViewTest, SortsBySelfOrTotal) {
  EXPECT_THAT(Names(), ElementsAre("sys_read", "parse", "main", "render"));
  Type("t");
  EXPECT_THAT(Names(), ElementsAre("main", "sys_read", "render", "parse"));
  Type("s");
  EXPECT_THAT(Names(), ElementsAre("sys_read", "parse", "main", "render"));
}

TEST_F(TopViewTest, TheKernelGoesAndComes) {
  Type("k");
  EXPECT_THAT(Names(), ElementsAre("render", "parse", "main"));
  Type("k");
  EXPECT_EQ(Names().size(), 4u);
}

TEST_F(TopViewTest, AFilterMatchesNameOrFile) {
  Type("/b.js");
  EXPECT_EQ(view_.typed(), "b.js");
  EXPECT_EQ(Names().size(), 4u);
  Press({Kind::kEnter});
  EXPECT_THAT(Names(), ElementsAre("parse"));
  Press({Kind::kEscape});
  EXPECT_EQ(Names().size(), 4u);
}

TEST_F(TopViewTest, WhatIsTypedIsNoCommand) {
  EXPECT_EQ(Type("/q"), TopView::Wish::kNothing);
  Press({Kind::kBackspace});
  EXPECT_EQ(view_.typed(), "");
  Press({Kind::kEscape});
  EXPECT_EQ(view_.typed(), std::nullopt);
  EXPECT_EQ(Type("q"), TopView::Wish::kQuit);
}

TEST_F(TopViewTest, AFilterThatIsNoRegularExpressionIsRefused) {
  Type("/((");
  Press({Kind::kEnter});
  EXPECT_THAT(view_.message(), HasSubstr("'((' is no regular expression"));
  EXPECT_EQ(Names().size(), 4u);
  EXPECT_FALSE(view_.SetFilter("a**").ok());
}

TEST_F(TopViewTest, TheChosenFunctionStaysChosenWhenTheOrderChanges) {
  Press({Kind::kDown});
  EXPECT_EQ(Chosen(), "parse");
  Add("app;main;parse /srv/b.js:1_[j] 90\n");
  EXPECT_EQ(view_.chosen(), 0u);
  EXPECT_EQ(Chosen(), "parse");
}

TEST_F(TopViewTest, NobodyMovesBeyondTheEnds) {
  Press({Kind::kUp});
  EXPECT_EQ(view_.chosen(), 0u);
  Press({Kind::kEnd});
  Press({Kind::kDown});
  Press({Kind::kPageDown});
  EXPECT_EQ(view_.chosen(), 3u);
  Press({Kind::kHome});
  EXPECT_EQ(view_.chosen(), 0u);
}

TEST_F(TopViewTest, EnterShowsStacksAndEscapeLeadsBack) {
  Press({Kind::kDown});
  Press({Kind::kEnter});
  EXPECT_EQ(view_.page(), TopView::Page::kStacks);
  EXPECT_EQ(view_.function()->name, "parse");
  ASSERT_EQ(view_.stacks().size(), 1u);
  EXPECT_EQ(view_.stacks()[0].samples, 3u);
  Press({Kind::kEnd});
  EXPECT_EQ(view_.scrolled(), 0u);  // all fits
  Press({Kind::kEscape});
  EXPECT_EQ(view_.page(), TopView::Page::kFunctions);
}

TEST_F(TopViewTest, WithoutFunctionsThereAreNoStacks) {
  Type("/nothing");
  Press({Kind::kEnter});
  EXPECT_THAT(Names(), IsEmpty());
  Press({Kind::kEnter});
  EXPECT_EQ(view_.page(), TopView::Page::kFunctions);
}

TEST_F(TopViewTest, TheWindowOrTheWhole) {
  Add("app;other 1\n");
  Add("app;other 1\n");
  EXPECT_THAT(Names(), ElementsAre("other"));
  Type("w");
  EXPECT_EQ(Names().size(), 5u);
}

TEST_F(TopViewTest, ClearIsTheCallersToDo) { EXPECT_EQ(Type("c"), TopView::Wish::kClear); }

}  // namespace
}  // namespace jprof
