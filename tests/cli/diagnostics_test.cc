// Text for the terminal: nothing that a target chose reaches it raw.
#include "profiler/cli/diagnostics.h"

#include <gtest/gtest.h>

#include "profiler/core/status.h"

namespace jprof {
namespace {

TEST(DiagnosticsTest, AnErrorAndItsHintAreOneLine) {
  testing::internal::CaptureStderr();
  PrintError(WithHint(absl::NotFoundError("there is no process 7"), "pgrep -a NAME finds one"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "jprof: error: there is no process 7; pgrep -a NAME finds one\n");
}

TEST(DiagnosticsTest, NothingReachesTheTerminalRaw) {
  testing::internal::CaptureStderr();
  PrintError(WithHint(absl::NotFoundError("\x1b[31mred\n\xff \xc2\x9b"), "a\u202eb \ufeff"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "jprof: error: \\x1b[31mred\\n\\xff \\u009b; a\\u202eb \\ufeff\n");
}

TEST(DiagnosticsTest, ForeignLettersStay) {
  testing::internal::CaptureStderr();
  PrintNote("größe Ω 名 🙂");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "jprof: größe Ω 名 🙂\n");
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
