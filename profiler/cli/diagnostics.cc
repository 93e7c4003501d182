#include "profiler/cli/diagnostics.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

void WriteLine(absl::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

// Length of the valid UTF-8 sequence at the start of `text`, 0 when there is none; its code point.
size_t DecodeUtf8(absl::string_view text, uint32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80       ? 1
                        : lead >> 5 == 6  ? 2
                        : lead >> 4 == 14 ? 3
                        : lead >> 3 == 30 ? 4
                                          : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? lead : lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  return length;
}

bool IsInvisible(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

}  // namespace

std::string TerminalSafe(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(text, code);
    if (length == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint8_t>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (IsInvisible(code)) {
      if (code < 0x100) {
        absl::StrAppendFormat(&out, "\\x%02x", code);
      } else {
        absl::StrAppendFormat(&out, "\\u{%x}", code);
      }
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

void PrintError(const absl::Status& status) {
  WriteLine(absl::StrCat("jprof: error: ", TerminalSafe(status.message())));
  std::string hint = HintOf(status);
  if (!hint.empty()) WriteLine(absl::StrCat("  hint: ", TerminalSafe(hint)));
}

void PrintWarning(absl::string_view message) {
  WriteLine(absl::StrCat("jprof: warning: ", TerminalSafe(message)));
}

void PrintNote(absl::string_view message) {
  WriteLine(absl::StrCat("jprof: ", TerminalSafe(message)));
}

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::Show(absl::string_view text) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", TerminalSafe(text).c_str());
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
