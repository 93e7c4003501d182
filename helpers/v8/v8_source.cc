#include "helpers/v8/v8_source.h"

#include <algorithm>
#include <utility>

namespace jprof::v8 {
namespace {

constexpr size_t kMaxUrlUnits = size_t{16} << 20;
constexpr std::u16string_view kPrefix = u"//# sourceMappingURL=";
constexpr std::u16string_view kOldPrefix = u"//@ sourceMappingURL=";

bool IsTerminator(char16_t c) { return c == u'\n' || c == u'\r' || c == 0x2028 || c == 0x2029; }
bool IsBlank(char16_t c) {
  return c == u' ' || c == u'\t' || c == 0xa0 || c == 0xfeff || IsTerminator(c);
}
// All that is not ASCII may be part of an identifier.
bool IsIdentifierPart(char16_t c) {
  return (c >= u'0' && c <= u'9') || (c >= u'a' && c <= u'z') || (c >= u'A' && c <= u'Z') ||
         c == u'_' || c == u'$' || (c >= 0x80 && !IsBlank(c));
}

// Of UTF-8 made by SymbolRecord::Text().
std::u16string ToUtf16(absl::string_view text) {
  std::u16string out;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) -> uint32_t {
      return at < text.size() ? static_cast<uint8_t>(text[at]) & 0x3f : 0;
    };
    const uint8_t first = static_cast<uint8_t>(text[i]);
    uint32_t code = first;
    size_t size = 1;
    if (first >= 0xf0) {
      code = (first & 7u) << 18 | byte(i + 1) << 12 | byte(i + 2) << 6 | byte(i + 3);
      size = 4;
    } else if (first >= 0xe0) {
      code = (first & 15u) << 12 | byte(i + 1) << 6 | byte(i + 2);
      size = 3;
    } else if (first >= 0xc0) {
      code = (first & 31u) << 6 | byte(i + 1);
      size = 2;
    }
    i += size;
    if (code < 0x10000) {
      out += static_cast<char16_t>(code);
    } else {
      out += static_cast<char16_t>(0xd7c0 + (code >> 10));
      out += static_cast<char16_t>(0xdc00 | (code & 0x3ff));
    }
  }
  return out;
}

// Takes words and punctuation from the end of a text.
class Backwards {
 public:
  explicit Backwards(std::u16string_view text) : text_(text) { SkipBlanks(); }

  size_t size() const { return text_.size(); }
  bool EndsWith(char16_t c) const { return !text_.empty() && text_.back() == c; }

  bool Take(char16_t c) {
    if (!EndsWith(c)) return false;
    Remove(1);
    return true;
  }
  std::u16string_view Word() const {
    size_t begin = text_.size();
    while (begin > 0 && IsIdentifierPart(text_[begin - 1])) --begin;
    return text_.substr(begin);
  }
  bool Take(std::u16string_view word) {
    if (Word() != word) return false;
    Remove(word.size());
    return true;
  }

 private:
  void Remove(size_t size) {
    text_.remove_suffix(size);
    SkipBlanks();
  }
  void SkipBlanks() {
    while (!text_.empty() && IsBlank(text_.back())) text_.remove_suffix(1);
  }
  std::u16string_view text_;
};

// "class name {" or "class name extends ..." in front of the constructor: the last one.
std::optional<size_t> FindClass(std::u16string_view before, std::u16string_view name) {
  constexpr std::u16string_view kClass = u"class";
  for (size_t at = before.rfind(name); at != before.npos && at > 0;
       at = at == 0 ? before.npos : before.rfind(name, at - 1)) {
    const size_t end = at + name.size();
    if (end < before.size() && IsIdentifierPart(before[end])) continue;
    if (IsIdentifierPart(before[at - 1])) continue;
    if (Backwards(before.substr(0, at)).Word() == kClass) return at;
    // "name = class {"
    std::u16string_view rest = before.substr(end);
    const auto skip_blanks = [&rest] {
      while (!rest.empty() && IsBlank(rest[0])) rest.remove_prefix(1);
    };
    skip_blanks();
    if (rest.empty() || (rest[0] != u'=' && rest[0] != u':')) continue;
    rest.remove_prefix(1);
    skip_blanks();
    if (rest.starts_with(kClass) && rest.size() > kClass.size() &&
        !IsIdentifierPart(rest[kClass.size()])) {
      return at;
    }
  }
  return std::nullopt;
}

}  // namespace

void LineTable::Append(std::u16string_view units) {
  for (char16_t c : units) {
    ++length_;
    if (c == u'\n' && after_return_) {
      starts_.back() = length_;  // \r\n is one terminator
      after_return_ = false;
      continue;
    }
    after_return_ = c == u'\r';
    if (c == u'\n' || c == u'\r' || c == 0x2028 || c == 0x2029) starts_.push_back(length_);
  }
}

uint32_t LineTable::ColumnOf(uint32_t position) const {
  const uint32_t line = LineOf(position);
  return line == 0 ? 0 : position - starts_[line - 1] + 1;
}

uint32_t LineTable::LineOf(uint32_t position) const {
  if (position > length_) return 0;
  auto next = std::upper_bound(starts_.begin(), starts_.end(), position);
  return static_cast<uint32_t>(next - starts_.begin());
}

void SourceMapComment::Append(std::u16string_view units) {
  while (!units.empty()) {
    const auto end = std::find_if(units.begin(), units.end(), IsTerminator);
    std::u16string_view part = units.substr(0, static_cast<size_t>(end - units.begin()));
    const bool ends = part.size() < units.size();
    units.remove_prefix(part.size() + ends);
    while (line_.empty() && !part.empty() && IsBlank(part[0])) part.remove_prefix(1);
    // Of code no more is kept than tells that it is code.
    const size_t limit = is_comment_ ? kMaxUrlUnits : kPrefix.size();
    size_t taken = std::min(part.size(), limit - std::min(line_.size(), limit));
    line_.append(part.substr(0, taken));
    if (!is_comment_ && (line_ == kPrefix || line_ == kOldPrefix)) {
      is_comment_ = true;
      part.remove_prefix(taken);
      taken = std::min(part.size(), kMaxUrlUnits);
      line_.append(part.substr(0, taken));
    }
    if (ends) EndLine();
  }
}

void SourceMapComment::EndLine() {
  if (is_comment_) {
    url_.clear();
    const bool fits = line_.size() < kMaxUrlUnits;
    for (char16_t c : std::u16string_view(line_).substr(kPrefix.size())) {
      if (!fits || c >= 0x80) {
        url_.clear();
        break;
      }
      if (IsBlank(c)) break;
      url_ += static_cast<char>(c);
    }
  } else if (!line_.empty() && !line_.starts_with(u"//")) {
    url_.clear();
  }
  line_.clear();
  is_comment_ = false;
}

std::string SourceMapComment::Url() {
  EndLine();
  return std::move(url_);
}

std::optional<size_t> FindName(std::u16string_view before, absl::string_view utf8_name) {
  const std::u16string whole = ToUtf16(utf8_name);
  std::u16string_view name = whole;
  name.remove_prefix(name.rfind(u'.') + 1);  // of npos: nothing
  if (name.starts_with(u"#")) name.remove_prefix(1);
  if (name.empty() || !std::all_of(name.begin(), name.end(), IsIdentifierPart)) return std::nullopt;
  Backwards text(before);
  if (text.Word() == u"constructor" && name != u"constructor") {
    return FindClass(before.substr(0, text.size() - text.Word().size()), name);
  }
  const auto found = [&] { return text.size() - name.size(); };
  if (text.Word() == name) return found();  // a declaration or method
  text.Take(u'*');
  text.Take(u"function");
  text.Take(u"async");
  while (text.Take(u'(')) {
  }
  const bool assigned = text.Take(u'=') || text.Take(u':');
  if (!assigned || text.Word() != name) return std::nullopt;
  return found();
}

}  // namespace jprof::v8
