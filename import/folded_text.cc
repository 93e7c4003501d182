#include "import/folded_text.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "import/frame_text.h"

namespace jprof {

bool TakeFoldedWeight(absl::string_view& line, int64_t& weight) {
  size_t begin = line.size();
  while (begin > 0 && line[begin - 1] != ' ' && line[begin - 1] != '\t') --begin;
  if (begin < 2) return false;
  const size_t blank = begin - 1;
  const absl::string_view text = line.substr(begin);
  if (text.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) return false;
  weight = 0;
  constexpr size_t kSurelyFits = 18;
  bool is_short = text.size() <= kSurelyFits;
  for (size_t i = 0; i < text.size() && is_short; ++i) {
    is_short = absl::ascii_isdigit(static_cast<unsigned char>(text[i]));
    weight = weight * 10 + (text[i] - '0');
  }
  if (!is_short && !absl::SimpleAtoi(text, &weight)) {
    double decimal = 0;
    if (text.find_first_not_of("0123456789.") != absl::string_view::npos ||
        !absl::SimpleAtod(text, &decimal) || !(decimal < 9e18)) {
      return false;
    }
    weight = std::llround(decimal);
  }
  line = absl::StripTrailingAsciiWhitespace(line.substr(0, blank));
  return !line.empty();
}

// "_\[k]" at the end and "\--" were no structure.
std::string UnescapedFolded(absl::string_view name) {
  std::string out(name);
  const size_t n = out.size();
  if (n >= 5 && absl::EndsWith(out, "]") && out.compare(n - 5, 3, "_\\[") == 0) {
    out.erase(n - 4, 1);
  } else if (n >= 2 && out[0] == '\\' && out.find_first_not_of('-', 1) == std::string::npos) {
    out.erase(0, 1);
  }
  return out;
}

size_t CommonBytes(absl::string_view a, absl::string_view b) {
  const size_t size = std::min(a.size(), b.size());
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
    uint64_t x, y;
    std::memcpy(&x, a.data() + at, sizeof(x));
    std::memcpy(&y, b.data() + at, sizeof(y));
    if (x != y) return at + static_cast<size_t>(std::countr_zero(x ^ y)) / 8;
  }
  while (at < size && a[at] == b[at]) ++at;
  return at;
}

absl::string_view FoldedFrame(absl::string_view line, size_t begin) {
  const absl::string_view rest = line.substr(std::min(begin, line.size()));
  const void* end = std::memchr(rest.data(), ';', rest.size());
  return end == nullptr
             ? rest
             : rest.substr(0, static_cast<size_t>(static_cast<const char*>(end) - rest.data()));
}

bool HasTwoWeights(absl::string_view head) {
  const size_t last = head.rfind('\n');
  if (last != absl::string_view::npos) head = head.substr(0, last);
  bool any = false;
  for (absl::string_view line : absl::StrSplit(head, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    int64_t weight = 0;
    if (line.empty() || line[0] == '#' || !TakeFoldedWeight(line, weight)) continue;
    if (!TakeFoldedWeight(line, weight)) return false;
    any = true;
  }
  return any;
}

std::vector<ValueType> FoldedTypes(bool is_comparison) {
  std::vector<ValueType> types = {{"samples", "count"}};
  if (is_comparison) types.push_back({kBaseType, "count"});
  return types;
}

void NoteSkippedFolded(uint64_t lines, std::vector<std::string>& notes) {
  if (lines == 0) return;
  notes.push_back(absl::StrCat("folded: ", lines, " lines without a stack or a weight"));
}

FunctionId AddFoldedFunction(ProfileBuilder& builder, absl::string_view text) {
  FrameText frame = SplitPlace(text);
  if (absl::EndsWith(text, "_[k]")) {
    frame = {.name = absl::StripSuffix(text, "_[k]"), .kind = FrameKind::kKernel};
  } else if (absl::EndsWith(text, "_[j]")) {
    frame = SplitPlace(absl::StripSuffix(text, "_[j]"));
    if (frame.kind == FrameKind::kNative) frame.kind = FrameKind::kBuiltin;
  } else if (frame.kind != FrameKind::kScript || !IsScriptFile(frame.file)) {
    frame = {.name = text, .kind = KindOfName(text)};
  }
  const std::string name = UnescapedFolded(frame.name);
  return builder.AddFunction(name, name, frame.file, frame.start_line, frame.kind);
}

}  // namespace jprof
