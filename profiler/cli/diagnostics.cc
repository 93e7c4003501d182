#include "profiler/cli/diagnostics.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "export/text.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxLineBytes = 16 << 10;  // paths are 4 KiB at most, and there may be two

void WriteLine(absl::string_view prefix, absl::string_view text) {
  const std::string line = absl::StrCat(prefix, ShownText(text, kMaxLineBytes), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void PrintError(const absl::Status& status) {
  const std::string hint = HintOf(status);
  WriteLine("jprof: error: ", absl::StrCat(status.message(), hint.empty() ? "" : "; ", hint));
}

void PrintWarning(absl::string_view message) { WriteLine("jprof: warning: ", message); }

void PrintNote(absl::string_view message) { WriteLine("jprof: ", message); }

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::Show(absl::string_view text) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", ShownText(text).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::Clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace jprof
