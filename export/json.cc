#include "export/json.h"

#include <cstdlib>

#include "absl/strings/str_format.h"
#include "export/text.h"

namespace jprof {

JsonWriter& JsonWriter::Millionths(int64_t n) {
  absl::StrAppendFormat(&buffer_, "%s%d.%06d", n < 0 ? "-" : "", std::abs(n / 1'000'000),
                        std::abs(n % 1'000'000));
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view text) {
  // Control characters are spelled out already.
  buffer_ += '"';
  for (char c : ShownText(text)) {
    if (c == '"' || c == '\\') buffer_ += '\\';
    buffer_ += c;
  }
  buffer_ += '"';
  return *this;
}

void JsonWriter::Flush() {
  if (status_.ok() && !buffer_.empty()) status_ = sink_.Append(buffer_);
  buffer_.clear();
}

}  // namespace jprof
