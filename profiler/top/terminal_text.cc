#include "profiler/top/terminal_text.h"

#include <langinfo.h>
#include <locale.h>
#include <wchar.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr int kMaxCombining = 2;  // behind one character

// Of one character; -1: not known. wcwidth() knows what the locale of its thread knows.
int CellsOf(char32_t code) {
  if (code < 0x7f) return code < 0x20 ? -1 : 1;
  static const locale_t kUtf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (kUtf8 == nullptr) return -1;
  const locale_t before = ::uselocale(kUtf8);
  const int cells = ::wcwidth(static_cast<wchar_t>(code));
  ::uselocale(before);
  return cells;
}

}  // namespace

bool LocaleIsUtf8() {
  const locale_t locale = ::newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool utf8 = absl::string_view(::nl_langinfo_l(CODESET, locale)) == "UTF-8";
  ::freelocale(locale);
  return utf8;
}

TerminalText::TerminalText(absl::string_view shown, bool utf8) : utf8_(utf8) {
  int combining = kMaxCombining;  // nothing to combine with yet
  while (!shown.empty()) {
    const Utf8Char c = DecodeUtf8(shown);
    const absl::string_view piece = shown.substr(0, std::max<size_t>(c.length, 1));
    shown.remove_prefix(piece.size());
    const int cells = c.length == 0 ? -1 : CellsOf(c.code);
    combining = cells == 0 ? combining + 1 : 0;
    if (c.length == 1 && cells == 1) {
      absl::StrAppend(&text_, piece);
    } else if (c.length == 0) {
      absl::StrAppendFormat(&text_, "\\x%02x", static_cast<unsigned char>(piece[0]));
    } else if (!utf8 || cells < 0 || combining > kMaxCombining) {
      absl::StrAppendFormat(&text_, "\\u{%x}", static_cast<uint32_t>(c.code));
    } else {
      absl::StrAppend(&text_, piece);
    }
  }
}

size_t TerminalText::cells() const {
  size_t cells = 0;
  for (absl::string_view rest = text_; !rest.empty();) {
    const Utf8Char c = DecodeUtf8(rest);
    cells += static_cast<size_t>(std::max(CellsOf(c.code), 0));
    rest.remove_prefix(std::max<size_t>(c.length, 1));
  }
  return cells;
}

std::string TerminalText::CutMiddle(size_t cells) const { return Cut(cells, 1, 3); }
std::string TerminalText::CutStart(size_t cells) const { return Cut(cells, 0, 1); }
std::string TerminalText::CutEnd(size_t cells) const { return Cut(cells, 1, 1); }

// What is left stands to `parts_before` of `parts` before the ellipsis.
std::string TerminalText::Cut(size_t cells, size_t parts_before, size_t parts) const {
  if (this->cells() <= cells) return text_;
  const absl::string_view ellipsis = utf8_ ? "\xe2\x80\xa6" : "~";
  if (cells == 0) return "";
  struct Piece {
    absl::string_view text;
    size_t cells = 0;
  };
  std::vector<Piece> pieces;  // a character and what combines with it
  for (absl::string_view rest = text_; !rest.empty();) {
    const Utf8Char c = DecodeUtf8(rest);
    const size_t length = std::max<size_t>(c.length, 1);
    const size_t width = static_cast<size_t>(std::max(CellsOf(c.code), 0));
    if (width == 0 && !pieces.empty()) {
      absl::string_view& last = pieces.back().text;
      last = absl::string_view(last.data(), last.size() + length);
    } else {
      pieces.push_back({rest.substr(0, length), width});
    }
    rest.remove_prefix(length);
  }
  const size_t before = (cells - 1) * parts_before / parts;
  size_t used = 0;
  std::string start, end;
  size_t i = 0;
  for (; i < pieces.size() && used + pieces[i].cells <= before; ++i) {
    used += pieces[i].cells;
    absl::StrAppend(&start, pieces[i].text);
  }
  size_t from = pieces.size();
  while (from > i && used + pieces[from - 1].cells <= cells - 1 && parts_before < parts) {
    used += pieces[--from].cells;
  }
  for (; from < pieces.size(); ++from) absl::StrAppend(&end, pieces[from].text);
  return absl::StrCat(start, ellipsis, end);
}

std::string Padded(absl::string_view text, size_t text_cells, size_t cells) {
  return absl::StrCat(text, std::string(cells - std::min(cells, text_cells), ' '));
}

}  // namespace jprof
