#include "export/text.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace jprof {
namespace {

constexpr absl::string_view kEllipsis = "\xe2\x80\xa6";

// Characters that leave no mark of their own, or that change how their neighbours are read. Sorted.
struct CodeRange {
  char32_t first;
  char32_t last;
};
constexpr CodeRange kInvisible[] = {
    {0x0000, 0x001f},    // C0 controls
    {0x007f, 0x00a0},    // delete, C1 controls, no-break space
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // combining grapheme joiner
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x1680, 0x1680},    // Ogham space
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180b, 0x180f},    // Mongolian selectors and separator
    {0x2000, 0x200f},    // blanks, zero width, direction marks
    {0x2028, 0x202f},    // line separators, embeddings and overrides, narrow space
    {0x205f, 0x206f},    // blanks, joiners, isolates
    {0x2800, 0x2800},    // blank Braille pattern
    {0x3000, 0x3000},    // ideographic space
    {0x3164, 0x3164},    // Hangul filler
    {0xfdd0, 0xfdef},    // noncharacters
    {0xfe00, 0xfe0f},    // variation selectors
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // half-width filler
    {0xfff0, 0xfffb},    // specials
    {0xfffe, 0xffff},    // noncharacters
    {0x1d173, 0x1d17a},  // musical formatting
    {0xe0000, 0xe0fff},  // tags, variation selectors
};

bool IsInvisible(char32_t code) {
  if (code >= 0x20 && code < 0x7f) return false;
  if ((code & 0xfffe) == 0xfffe) return true;  // the last two of each plane
  auto it = std::upper_bound(std::begin(kInvisible), std::end(kInvisible), code,
                             [](char32_t c, const CodeRange& r) { return c < r.first; });
  return it != std::begin(kInvisible) && code <= std::prev(it)->last;
}

void AppendSpelledOut(char32_t code, std::string& out) {
  switch (code) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (code < 0x80) {
    absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(code));
  } else if (code <= 0xffff) {
    absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(code));
  } else {
    absl::StrAppendFormat(&out, "\\u{%x}", static_cast<uint32_t>(code));
  }
}

// Text that ends in an ellipsis if it would become longer than it may.
class Bounded {
 public:
  explicit Bounded(size_t max_bytes) : max_bytes_(max_bytes) {}

  // False: the text is complete, with the ellipsis.
  bool Append(absl::string_view piece) {
    if (text_.size() + piece.size() > max_bytes_) {
      text_.resize(room_for_ellipsis_);
      absl::StrAppend(&text_, kEllipsis);
      return false;
    }
    absl::StrAppend(&text_, piece);
    if (text_.size() + kEllipsis.size() <= max_bytes_) room_for_ellipsis_ = text_.size();
    return true;
  }
  std::string Take() && { return std::move(text_); }

 private:
  size_t max_bytes_;
  size_t room_for_ellipsis_ = 0;  // end of the last piece after which one still fits
  std::string text_;
};

}  // namespace

Utf8Char DecodeUtf8(absl::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead};
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  char32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return {};
  if (length == 4 && (code < 0x10000 || code > 0x10ffff)) return {};
  return {length, code};
}

std::string ShownText(absl::string_view raw, size_t max_bytes) {
  Bounded out(max_bytes);
  std::string spelled;
  while (!raw.empty()) {
    Utf8Char c = DecodeUtf8(raw);
    absl::string_view piece = raw.substr(0, std::max<size_t>(c.length, 1));
    raw.remove_prefix(piece.size());
    if (c.length == 0) {
      spelled = absl::StrFormat("\\x%02x", static_cast<unsigned char>(piece[0]));
      piece = spelled;
    } else if (IsInvisible(c.code)) {
      spelled.clear();
      AppendSpelledOut(c.code, spelled);
      piece = spelled;
    }
    if (!out.Append(piece)) break;
  }
  return std::move(out).Take();
}

std::string ValidUtf8(absl::string_view raw, size_t max_bytes) {
  Bounded out(max_bytes);
  while (!raw.empty()) {
    Utf8Char c = DecodeUtf8(raw);
    absl::string_view piece = c.length == 0 ? "\xef\xbf\xbd" : raw.substr(0, c.length);
    raw.remove_prefix(std::max<size_t>(c.length, 1));
    if (!out.Append(piece)) break;
  }
  return std::move(out).Take();
}

std::string ShownName(const Profile& profile, const Function& function, uint32_t line,
                      size_t max_bytes) {
  std::string shown = ShownText(FunctionText(profile, function, line), max_bytes);
  if (shown.find_first_not_of(' ') == std::string::npos) return "[unknown]";
  return shown;
}

std::string GeneratedName(const Profile& profile, const Function& function) {
  const bool is_script = IsScript(function.kind) || function.kind == FrameKind::kAsync;
  if (!is_script || function.system_name == function.name) return "";
  return ShownText(profile.String(function.system_name));
}

XmlText XmlText::Escape(absl::string_view raw, size_t max_bytes) {
  return EscapeShown(ShownText(raw, max_bytes));
}

XmlText XmlText::EscapeShown(absl::string_view shown) {
  std::string out;
  out.reserve(shown.size());
  for (char c : shown) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return XmlText(std::move(out));
}

}  // namespace jprof
