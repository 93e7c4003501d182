// Text for the terminal: nothing that a target chose reaches it raw.
#include "profiler/cli/diagnostics.h"

#include <gtest/gtest.h>

#include "profiler/core/status.h"

namespace jprof {
namespace {

TEST(TerminalSafeTest, PlainAndForeignLettersStay) {
  EXPECT_EQ(TerminalSafe("node app.js (pid 7)"), "node app.js (pid 7)");
  EXPECT_EQ(TerminalSafe("größe Ω 名 🙂"), "größe Ω 名 🙂");
  EXPECT_EQ(TerminalSafe(""), "");
}

TEST(TerminalSafeTest, ControlCharactersAreSpelledOut) {
  EXPECT_EQ(TerminalSafe("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(TerminalSafe("a\r\nb\tc"), "a\\x0d\\x0ab\\x09c");
  EXPECT_EQ(TerminalSafe(absl::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(TerminalSafe("\x7f"), "\\x7f");
  EXPECT_EQ(TerminalSafe("\xc2\x9b" "2J"), "\\x9b2J");  // a C1 control as UTF-8
}

TEST(TerminalSafeTest, InvalidUtf8IsSpelledOutByteByByte) {
  EXPECT_EQ(TerminalSafe("\xff"), "\\xff");
  EXPECT_EQ(TerminalSafe("\x9b"), "\\x9b");
  EXPECT_EQ(TerminalSafe("\xc0\xaf"), "\\xc0\\xaf");          // longer than it need be
  EXPECT_EQ(TerminalSafe("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // half a surrogate pair
  EXPECT_EQ(TerminalSafe("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(TerminalSafe("\xe2\x82"), "\\xe2\\x82");           // cut
}

TEST(TerminalSafeTest, DirectionMarksAreSpelledOut) {
  EXPECT_EQ(TerminalSafe("a\u202eb"), "a\\u{202e}b");
  EXPECT_EQ(TerminalSafe("\u2066"), "\\u{2066}");
  EXPECT_EQ(TerminalSafe("\u200f\u061c"), "\\u{200f}\\u{61c}");
  EXPECT_EQ(TerminalSafe("\ufeff"), "\\u{feff}");
}

TEST(DiagnosticsTest, AnErrorIsOneLineAndItsHintAnother) {
  testing::internal::CaptureStderr();
  PrintError(WithHint(absl::NotFoundError("there is no process 7\n"), "look\x1b"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "jprof: error: there is no process 7\\x0a\n  hint: look\\x1b\n");
}

TEST(DiagnosticsTest, AnErrorWithoutHintIsOneLine) {
  testing::internal::CaptureStderr();
  PrintError(absl::NotFoundError("gone"));
  PrintWarning("odd");
  PrintNote("12 samples");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "jprof: error: gone\njprof: warning: odd\njprof: 12 samples\n");
}

TEST(DiagnosticsTest, ThereIsNoProgressWithoutATerminal) {
  testing::internal::CaptureStderr();  // a file
  {
    ProgressLine progress;
    progress.Show("recording");
    progress.Clear();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace jprof
