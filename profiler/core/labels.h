// Labels of samples as a profile holds them, see Thread::labels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

struct Label {
  absl::string_view key;
  absl::string_view text;
  bool is_number = false;  // then instead of the text:
  int64_t number = 0;
  absl::string_view unit;
};

// Sorted; control characters become blanks.
std::string JoinLabels(const std::vector<Label>& labels);

// Their text is that of `labels`. What is no label is left out.
std::vector<Label> SplitLabels(absl::string_view labels);

// The text of a key, or its number and unit; "": there is no such label.
std::string LabelValue(absl::string_view labels, absl::string_view key);

}  // namespace jprof
