// Text in cells of a terminal. What comes in was made showable (export/text.h); here it gets its
// width, and what a terminal may not be trusted with is spelled out: characters whose width is not
// known, heaps of combining ones, and where the terminal does not speak UTF-8 all but ASCII.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

// Whether the locale that the environment asks for is one of UTF-8.
bool LocaleIsUtf8();

class TerminalText {
 public:
  // Of text that ShownText() returned.
  TerminalText(absl::string_view shown, bool utf8);

  size_t cells() const;
  const std::string& text() const { return text_; }

  // At most so many cells; an ellipsis stands for what was cut: in the middle, more of the end
  // being left, at the start or at the end.
  std::string CutMiddle(size_t cells) const;
  std::string CutStart(size_t cells) const;
  std::string CutEnd(size_t cells) const;

 private:
  std::string Cut(size_t cells, size_t parts_before, size_t parts) const;

  bool utf8_;
  std::string text_;
};

// Filled up with blanks to so many cells, to the right of the text.
std::string Padded(absl::string_view text, size_t text_cells, size_t cells);

}  // namespace jprof
