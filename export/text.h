// Names come from the target, so they are hostile: any bytes, any length. Here they become text
// that may be shown, once for all formats, and markup, by the only function that makes it.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

inline constexpr size_t kMaxNameBytes = 4096;

// Valid UTF-8 in which everything invisible is spelled out: control characters as \n or \x1b, bytes
// that are no UTF-8 as \xff, direction marks, odd blanks, zero-width and unassigned-for-ever
// characters as \u202e. Backslashes stay as they are. At most `max_bytes` long (8 or more); what
// was longer ends in an ellipsis.
std::string ShownText(absl::string_view raw, size_t max_bytes = kMaxNameBytes);

// The same bytes, as far as they are UTF-8; each byte that is not becomes U+FFFD. At most
// `max_bytes` long. For formats that can hold any character.
std::string ValidUtf8(absl::string_view raw, size_t max_bytes = kMaxNameBytes);

// The shown text of a function: FunctionText, never blank.
std::string ShownName(const Profile& profile, const Function& function, uint32_t line,
                      size_t max_bytes = kMaxNameBytes);

// What a script's function is called in what its compiler made of it, and where it is there, to be
// shown below its name: "a /srv/dist/app.js:1:4711". "": it is shown as it is.
std::string GeneratedName(const Profile& profile, const Function& function);

// Decodes the UTF-8 sequence at the start of `text`: its length in bytes and the code point, or
// length 0 where it is malformed (overlong, surrogate, cut, out of range). `text` is not empty.
struct Utf8Char {
  size_t length = 0;
  char32_t code = 0;
};
Utf8Char DecodeUtf8(absl::string_view text);

// XML character data that is fit for an element or an attribute. Made by Escape alone, so that no
// raw text reaches markup by accident.
class XmlText {
 public:
  // `raw` is made showable first.
  static XmlText Escape(absl::string_view raw, size_t max_bytes = kMaxNameBytes);
  // For text that ShownText returned, or a part of it.
  static XmlText EscapeShown(absl::string_view shown);

  const std::string& text() const { return text_; }

 private:
  explicit XmlText(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace jprof
