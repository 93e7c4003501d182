#include "export/label_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr absl::string_view kOperator = "operator";

// Of "operator()", "operator[]", "operator<<": its own brackets are part of its name. "operator"
// alone where another word follows.
size_t OperatorBytes(absl::string_view label) {
  const absl::string_view behind = label.substr(kOperator.size());
  if (absl::StartsWith(behind, "()") || absl::StartsWith(behind, "[]")) return kOperator.size() + 2;
  size_t symbols = 0;
  while (symbols < std::min<size_t>(behind.size(), 4) &&
         absl::string_view("<>=!+-*/%&|^~,").find(behind[symbols]) != absl::string_view::npos) {
    ++symbols;
  }
  return kOperator.size() + symbols;
}

bool IsOfWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' ||
         (c & 0x80) != 0;
}

// Whether what is behind a dot or a slash is a name: not a number, what a compiler made of the
// function before it, or the ending of a file.
bool BeginsName(absl::string_view rest) {
  if (rest.empty() || absl::ascii_isdigit(static_cast<unsigned char>(rest[0]))) return false;
  if (rest[0] == '(' || rest[0] == '<') return true;
  size_t size = 0;
  while (size < rest.size() && IsOfWord(rest[size])) ++size;
  const absl::string_view word = rest.substr(0, size);
  if (word.empty()) return false;
  for (absl::string_view ending :
       {"cold", "constprop", "isra", "llvm", "localalias", "lto_priv", "part", "cjs", "dll", "exe",
        "js", "jsx", "mjs", "py", "rb", "so", "ts", "tsx"}) {
    if (word == ending) return false;
  }
  const absl::string_view stem = word.substr(0, word.find_last_not_of("0123456789") + 1);
  return stem == word || (stem != "func" && stem != "gowrap" && stem != "deferwrap");
}

// Where a label may be cut. What says which function it is lies between the last of `begins` and
// `end`; the others are where its qualifiers begin. Of "net/http.(*Transport).dial(x)" it is
// "dial". The same as partsOf in web/tree.js.
struct LabelParts {
  std::vector<size_t> begins = {0};
  size_t end = 0;
};
LabelParts PartsOf(absl::string_view label) {
  LabelParts parts;
  const size_t digits = label.find_last_not_of("0123456789");
  const size_t blank = label.rfind(' ');
  if (digits != absl::string_view::npos && digits + 1 < label.size() && label[digits] == ':' &&
      blank != absl::string_view::npos && blank > 0 && blank + 1 < digits) {
    parts.end = blank;
    return parts;
  }
  parts.end = label.size();
  int nested = 0;
  bool is_name = true;  // no longer behind a blank or a colon: a place or whatever
  for (size_t i = 0; i < label.size() && nested >= 0; ++i) {
    const char c = label[i];
    if (nested == 0 && absl::StartsWith(label.substr(i), kOperator)) {
      i += OperatorBytes(label.substr(i)) - 1;
    } else if (c == '<' || c == '[' || c == '{' ||
               (c == '(' && (nested > 0 || i == parts.begins.back()))) {
      ++nested;
    } else if (c == '>' || (nested > 0 && (c == ']' || c == '}' || c == ')'))) {
      --nested;
    } else if (nested > 0) {
      continue;
    } else if (absl::StartsWith(label.substr(i), "::") && i + 2 < label.size()) {
      parts.begins.push_back(i + 2);
      ++i;
    } else if (c == '(') {
      parts.end = i;
      return parts;
    } else if (c == ' ' || c == ':') {
      is_name = false;
    } else if ((c == '.' || c == '/') && is_name && BeginsName(label.substr(i + 1))) {
      parts.begins.push_back(i + 1);
    }
  }
  if (nested != 0) parts.begins = {0};
  return parts;
}

}  // namespace

double Ruler::Width(absl::string_view shown) const {
  double width = 0;
  for (size_t i = 0; i < shown.size();) width += Step(shown, i);
  return width;
}

absl::string_view Ruler::Prefix(absl::string_view shown, double room) const {
  size_t end = 0;
  double used = 0;
  for (size_t i = 0; i < shown.size(); end = i) {
    used += Step(shown, i);
    if (used > room) break;
  }
  return shown.substr(0, end);
}

absl::string_view Ruler::Suffix(absl::string_view shown, double room) const {
  double width = Width(shown);
  size_t i = 0;
  while (i < shown.size() && width > room) width -= Step(shown, i);
  return shown.substr(i);
}

// Of the character at `i`, which moves behind it.
double Ruler::Step(absl::string_view shown, size_t& i) const {
  Utf8Char c = DecodeUtf8(shown.substr(i));
  i += std::max<size_t>(c.length, 1);
  return c.code >= 0x1100 ? font_size_ : narrow();
}

std::string LabelOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash == absl::string_view::npos) return std::string(name);
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits < slash + 2 || name[digits] != ':' || digits + 1 == name.size()) {
    return std::string(name);
  }
  // The path begins with a slash or a scheme ("file:", "node:") behind a blank.
  for (size_t blank = 0; (blank = name.find(' ', blank)) < slash; ++blank) {
    const size_t begin = blank + 1;
    size_t end = begin;
    while (name[end] >= 'a' && name[end] <= 'z') ++end;
    if (name[begin] == '/' || (end > begin && name[end] == ':')) {
      return absl::StrCat(name.substr(0, begin), name.substr(slash + 1));
    }
  }
  return std::string(name);
}

std::string CutText(absl::string_view shown, double room, const Ruler& ruler) {
  if (ruler.Prefix(shown, room).size() == shown.size()) {
    return room < 3 * ruler.narrow() ? "" : std::string(shown);
  }
  absl::string_view cut = ruler.Prefix(shown, room - 2 * ruler.narrow());
  return cut.empty() ? "" : absl::StrCat(cut, "..");
}

std::string FitText(absl::string_view label, double room, const Ruler& ruler) {
  if (room < 3 * ruler.narrow()) return "";
  if (ruler.Prefix(label, room).size() == label.size()) return std::string(label);
  room -= 2 * ruler.narrow();
  const LabelParts parts = PartsOf(label);
  auto part = [&](size_t begin) { return label.substr(begin, parts.end - begin); };
  absl::string_view core = part(parts.begins.back());
  if (ruler.Prefix(core, room).size() < core.size()) {
    absl::string_view cut = ruler.Prefix(core, room);
    return cut.size() < 2 ? "" : absl::StrCat(cut, "..");
  }
  if (parts.begins.size() > 1) {
    // Without its arguments it fits.
    if (parts.end < label.size() && ruler.Width(part(0)) <= room)
      return absl::StrCat(part(0), "..");
    // The longest part that fits; each is shorter than the one before it.
    const size_t begin = *std::partition_point(
        parts.begins.begin() + 1, parts.begins.end() - 1, [&](size_t i) {
          return ruler.Prefix(part(i), room).size() < part(i).size();
        });
    absl::string_view head =
        ruler.Prefix(label.substr(0, begin), room - ruler.Width(part(begin)));
    return absl::StrCat(head, "..", part(begin));
  }
  const size_t colon = label.rfind(':');
  if (colon == absl::string_view::npos || colon < parts.end) return absl::StrCat(core, "..");
  absl::string_view line = label.substr(colon);
  room -= ruler.Width(core) + ruler.Width(line);
  if (room < 0) return absl::StrCat(core, "..");
  return absl::StrCat(core, "..",
                      ruler.Suffix(label.substr(parts.end, colon - parts.end), room), line);
}

std::vector<std::string> WrapText(absl::string_view shown, double room, size_t max_lines,
                                  const Ruler& ruler) {
  std::vector<std::string> lines;
  while (!shown.empty()) {
    absl::string_view line = ruler.Prefix(shown, room);
    if (line.size() == shown.size() || lines.size() + 1 == max_lines) {
      lines.push_back(CutText(shown, room, ruler));
      break;
    }
    const size_t blank = line.rfind(' ');
    if (blank != absl::string_view::npos && blank > line.size() / 2) line = line.substr(0, blank);
    lines.emplace_back(line);
    shown.remove_prefix(line.size());
    while (!shown.empty() && shown.front() == ' ') shown.remove_prefix(1);
  }
  return lines;
}

}  // namespace jprof
