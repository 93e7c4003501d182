// Text that fits: names cut to the width of their frame, comments broken into lines, measured
// without a font.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

// Widths of shown text. East Asian wide characters count as wide as the font is high.
class Ruler {
 public:
  explicit Ruler(double font_size) : font_size_(font_size) {}

  double narrow() const { return font_size_ * kCharWidth; }
  double Width(absl::string_view shown) const;
  // The longest beginning, and the longest end, that is no wider than `room`.
  absl::string_view Prefix(absl::string_view shown, double room) const;
  absl::string_view Suffix(absl::string_view shown, double room) const;

 private:
  static constexpr double kCharWidth = 0.59;  // of the font size
  double Step(absl::string_view shown, size_t& i) const;

  double font_size_;
};

// "render /srv/app.js:12" -> "render app.js:12"; other names as they are. The same as labelOf in
// web/tree.js.
std::string LabelOf(absl::string_view name);

// A label cut to its frame: the function whole if it fits, then as much of the rest as does. The
// same as fit in web/tree.js.
std::string FitText(absl::string_view label, double room, const Ruler& ruler);

// The longest beginning that fits, with ".." where it is cut; "" below three characters.
std::string CutText(absl::string_view shown, double room, const Ruler& ruler);

// Shown text in at most `max_lines` lines, broken at blanks where there are some.
std::vector<std::string> WrapText(absl::string_view shown, double room, size_t max_lines,
                                  const Ruler& ruler);

}  // namespace jprof
