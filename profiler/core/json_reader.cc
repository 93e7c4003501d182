#include "profiler/core/json_reader.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

constexpr size_t kMaxDepth = 1000;
constexpr uint32_t kReplacement = 0xfffd;  // for half of a surrogate pair

void AppendUtf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

bool TakeHex4(absl::string_view& rest, uint32_t& code) {
  if (rest.size() < 4 ||
      rest.substr(0, 4).find_first_not_of("0123456789abcdefABCDEF") != absl::string_view::npos ||
      !absl::SimpleHexAtoi(rest.substr(0, 4), &code)) {
    return false;
  }
  rest.remove_prefix(4);
  return true;
}

}  // namespace

void JsonReader::SkipBlanks() {
  size_t n = 0;
  while (n < rest_.size() &&
         (rest_[n] == ' ' || rest_[n] == '\n' || rest_[n] == '\r' || rest_[n] == '\t'))
    ++n;
  rest_.remove_prefix(n);
}

bool JsonReader::Take(char c) {
  SkipBlanks();
  if (rest_.empty() || rest_[0] != c) return false;
  rest_.remove_prefix(1);
  return true;
}

bool JsonReader::Open(char bracket) {
  if (Take(bracket)) return true;
  Skip();
  return false;
}

bool JsonReader::More(char end, bool first) {
  if (!ok_ || Take(end)) return false;
  if (!first && !Take(',')) {
    Fail();
    return false;
  }
  SkipBlanks();
  if (rest_.empty()) Fail();
  return ok_;
}

bool JsonReader::TakeString(std::string& out) {
  out.clear();
  if (!Take('"')) return false;
  for (;;) {
    const size_t n = rest_.find_first_of("\"\\");
    if (n == absl::string_view::npos) return false;
    out.append(rest_.data(), n);
    const char c = rest_[n];
    rest_.remove_prefix(n + 1);
    if (c == '"') return true;
    if (rest_.empty()) return false;
    const char escaped = rest_[0];
    rest_.remove_prefix(1);
    constexpr absl::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (const size_t at = kEscapes.find(escaped); at != absl::string_view::npos) {
      out += kMeanings[at];
      continue;
    }
    uint32_t code = 0, low = 0;
    if (escaped != 'u' || !TakeHex4(rest_, code)) return false;
    if (code >= 0xd800 && code < 0xe000) {
      absl::string_view next = rest_;
      const bool is_pair = code < 0xdc00 && absl::ConsumePrefix(&next, "\\u") &&
                           TakeHex4(next, low) && low >= 0xdc00 && low < 0xe000;
      if (is_pair) rest_ = next;
      code = is_pair ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : kReplacement;
    }
    AppendUtf8(out, code);
  }
}

std::string JsonReader::String() {
  SkipBlanks();
  std::string out;
  if (rest_.empty() || rest_[0] != '"') {
    Skip();
  } else if (!TakeString(out)) {
    Fail();
  }
  return out;
}

double JsonReader::Number() {
  SkipBlanks();
  const size_t end = rest_.find_first_not_of("+-.0123456789eE");
  const absl::string_view text = rest_.substr(0, end);
  double number = 0;
  if (text.empty()) {
    Skip();
    return 0;
  }
  if (!absl::SimpleAtod(text, &number)) {
    Fail();
    return 0;
  }
  rest_.remove_prefix(text.size());
  return std::isfinite(number) ? number : 0;
}

int64_t JsonReader::Integer() {
  SkipBlanks();
  const size_t end = std::min(rest_.find_first_not_of("-0123456789"), rest_.size());
  int64_t integer = 0;
  const bool is_whole =
      end == rest_.size() || (rest_[end] != '.' && rest_[end] != 'e' && rest_[end] != 'E');
  if (end > 0 && is_whole && absl::SimpleAtoi(rest_.substr(0, end), &integer)) {
    rest_.remove_prefix(end);
    return integer;
  }
  const double number = Number();
  return std::abs(number) < 9e18 ? static_cast<int64_t>(number) : 0;
}

int64_t JsonReader::Index() {
  constexpr double kExact = 9e15;
  SkipBlanks();
  if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') {
    Skip();
    return -1;
  }
  const absl::string_view text = rest_.substr(0, rest_.find_first_not_of("+-.0123456789eE"));
  double number = 0;
  if (!absl::SimpleAtod(text, &number)) {
    Fail();
    return -1;
  }
  rest_.remove_prefix(text.size());
  return number <= kExact && number == std::floor(number) ? static_cast<int64_t>(number) : -1;
}

absl::string_view JsonReader::Text() {
  SkipBlanks();
  const absl::string_view before = rest_;
  if (!SkipValue()) {
    Fail();
    return "";
  }
  return before.substr(0, before.size() - rest_.size());
}

bool JsonReader::SkipString() {
  for (size_t at = 1;;) {
    at = rest_.find_first_of("\"\\", at);
    if (at == absl::string_view::npos) return false;
    if (rest_[at] == '"') {
      rest_.remove_prefix(at + 1);
      return true;
    }
    constexpr absl::string_view kEscapes = "\"\\/bfnrtu";
    if (at + 1 >= rest_.size() || kEscapes.find(rest_[at + 1]) == absl::string_view::npos)
      return false;
    at += 2;
  }
}

bool JsonReader::SkipValue() {
  size_t depth = 0;
  do {
    SkipBlanks();
    if (rest_.empty()) return false;
    const char c = rest_[0];
    if (c == '"') {
      if (!SkipString()) return false;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return false;
      rest_.remove_prefix(1);
    } else if (c == '}' || c == ']') {
      if (depth == 0) return false;
      --depth;
      rest_.remove_prefix(1);
    } else if ((c == ',' || c == ':') && depth > 0) {
      rest_.remove_prefix(1);
      continue;
    } else {
      const size_t n = rest_.find_first_not_of("+-.0123456789abcdefghijklmnopqrstuvwxyzE");
      if (n == 0) return false;
      rest_.remove_prefix(std::min(n, rest_.size()));
    }
  } while (depth > 0);
  return true;
}

}  // namespace jprof
