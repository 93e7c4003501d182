#include "profiler/core/labels.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace jprof {
namespace {

std::string Cleaned(absl::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  return out;
}

}  // namespace

std::string JoinLabels(const std::vector<Label>& labels) {
  std::vector<std::string> lines;
  for (const Label& l : labels) {
    lines.push_back(l.is_number
                        ? absl::StrCat(Cleaned(l.key), "\t\t", l.number, "\t", Cleaned(l.unit))
                        : absl::StrCat(Cleaned(l.key), "\t", Cleaned(l.text)));
  }
  std::sort(lines.begin(), lines.end());
  return absl::StrJoin(lines, "\n");
}

std::vector<Label> SplitLabels(absl::string_view labels) {
  std::vector<Label> out;
  for (absl::string_view line : absl::StrSplit(labels, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, '\t');
    Label label{.key = parts[0]};
    if (parts.size() == 4 && absl::SimpleAtoi(parts[2], &label.number)) {
      label.is_number = true;
      label.unit = parts[3];
    } else if (parts.size() == 2) {
      label.text = parts[1];
    } else {
      continue;
    }
    out.push_back(label);
  }
  return out;
}

std::string LabelValue(absl::string_view labels, absl::string_view key) {
  for (const Label& l : SplitLabels(labels)) {
    if (l.key != key) continue;
    if (!l.is_number) return std::string(l.text);
    return absl::StrCat(l.number, l.unit.empty() ? "" : " ", l.unit);
  }
  return "";
}

}  // namespace jprof
