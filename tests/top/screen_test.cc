#include "profiler/top/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "profiler/top/terminal_text.h"
#include "tests/testing/golden.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProfile[] =
    "# time: 1700000000000000000 1000000000\n"
    "node;main (/usr/bin/node+0x10);render /srv/app/lib/views/render.js:12_[j];sys_read_[k];copy_[k] 40\n"
    "node;main (/usr/bin/node+0x10);parse /srv/app/node_modules/parser/index.js:7_[j] 30\n"
    "node;main (/usr/bin/node+0x10);v8::internal::(anonymous namespace)::Invoke(v8::internal::Isolate*, "
    "int) (/usr/bin/node+0x20) 20\n"
    "node;[truncated]_[m];[unknown] libx.so+0x12_[u] 9\n";

TopStatus Status() {
  return {.target = "node (pid 4711)",
          .notes = {"level kernel (cpu-clock)", "V8 12.4"},
          .asked_hz = 99,
          .granted_hz = 99,
          .own_cpu_percent = 0.5};
}

class ScreenTest : public testing::Test {
 protected:
  ScreenTest() { Add(kProfile); }
  void Add(const std::string& text) {
    table_.Add(ParseProfile(text));
    view_.Update(table_);
  }
  void Press(const Key& key) { view_.OnKey(key, table_, 10); }
  std::vector<std::string> Draw(const ScreenSize& size, const ScreenStyle& style) {
    return DrawScreen(table_, view_, Status(), size, style);
  }
  std::string Plain(const ScreenSize& size) {
    return absl::StrJoin(Draw(size, {.attributes = false}), "\n");
  }

  HotTable table_{10};
  TopView view_;
};

TEST_F(ScreenTest, Functions) { ExpectGolden(Plain({16, 110}), "top/golden/functions.txt"); }

TEST_F(ScreenTest, ShortTimesHaveTenths) {
  table_.Clear();
  Add("# time: 1700000000000000000 200000000\nnode;main 1\n");
  EXPECT_THAT(Plain({16, 110}), HasSubstr("the last 0.2 s: 1 samples"));
  Add("# time: 1700000000200000000 9800000000\nnode;main 1\n");
  EXPECT_THAT(Plain({16, 110}), HasSubstr("the last 10 s: 2 samples"));
}

TEST_F(ScreenTest, FunctionsInColour) {
  std::string text = absl::StrJoin(Draw({12, 100}, {}), "\n");
  for (size_t at; (at = text.find('\x1b')) != std::string::npos;) text.replace(at, 1, "ESC");
  ExpectGolden(text, "top/golden/colours.txt");
}

TEST_F(ScreenTest, Narrow) { ExpectGolden(Plain({12, 40}), "top/golden/narrow.txt"); }

TEST_F(ScreenTest, StacksOfTheChosenFunction) {
  Press({Key::Kind::kEnter});
  ExpectGolden(Plain({16, 80}), "top/golden/stacks.txt");
}

TEST_F(ScreenTest, Help) {
  Press({Key::Kind::kText, "?"});
  ExpectGolden(Plain({16, 80}), "top/golden/help.txt");
}

TEST_F(ScreenTest, PlainText) {
  ExpectGolden(DrawText(table_, view_, Status(), 3, 100, true), "top/golden/text.txt");
}

TEST_F(ScreenTest, WithoutColoursThereIsReverseAlone) {
  const std::string text = absl::StrJoin(Draw({12, 100}, {.colours = false}), "\n");
  EXPECT_THAT(text, HasSubstr("\x1b[7m"));
  EXPECT_THAT(text, Not(HasSubstr("48;5")));
}

// Of any size, on every page, whatever the names are.
TEST_F(ScreenTest, NoLineIsWiderThanTheScreenAndNoneTooMany) {
  Add("node;\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2 "
      "/tmp/\xe6\xbc\xa2\\x1b[2J.js:1_[j];e\xcc\x81\xcc\x81\xcc\x81\xcc\x81 3\n");
  const Key kPages[] = {{Key::Kind::kOther}, {Key::Kind::kEnter}, {Key::Kind::kText, "?"}};
  for (const Key& page : kPages) {
    Press(page);
    for (size_t columns = 1; columns < 130; ++columns) {
      for (size_t rows : {1, 2, 4, 5, 6, 24}) {
        const std::vector<std::string> lines = Draw({rows, columns}, {.attributes = false});
        EXPECT_LE(lines.size(), rows);
        for (const std::string& line : lines) {
          EXPECT_LE(TerminalText(line, true).cells(), columns) << line;
          EXPECT_EQ(line.find('\x1b'), std::string::npos);
        }
      }
    }
  }
}

TEST_F(ScreenTest, TheChosenLineIsOnTheScreen) {
  std::string many = "# time: 0 1000000000\n";
  for (int i = 0; i < 50; ++i) absl::StrAppend(&many, "app;f", 100 + i, " 1\n");
  Add(many);
  for (int i = 0; i < 40; ++i) Press({Key::Kind::kDown});
  const std::string chosen = table_.function(view_.rows()[view_.chosen()].function).name;
  EXPECT_THAT(Plain({12, 80}), HasSubstr(chosen));
}

TEST(EmptyScreenTest, SaysWhyThereIsNothing) {
  HotTable table(10);
  TopView view;
  auto draw = [&] {
    return absl::StrJoin(DrawScreen(table, view, Status(), {12, 80}, {.attributes = false}), "\n");
  };
  EXPECT_THAT(draw(), HasSubstr("the first samples are on their way"));
  table.Add(ParseProfile("# time: 0 1000000000\n"));
  EXPECT_THAT(draw(), HasSubstr("no samples: it sleeps, or is stopped"));
  table.Add(ParseProfile("app;work 1\n"));
  ASSERT_TRUE(view.SetFilter("nothing").ok());
  view.Update(table);
  EXPECT_THAT(draw(), HasSubstr("no function matches the filter"));
}

}  // namespace
}  // namespace jprof
