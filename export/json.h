// JSON text, piece by piece, into a sink. Strings pass ShownText, so that nothing in them is
// invisible, and are then quoted: the only way for a name into the file.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "export/exporter.h"

namespace jprof {

class JsonWriter {
 public:
  explicit JsonWriter(OutputSink& sink) : sink_(sink) {}

  // Structure: a constant of the program.
  template <size_t N>
  JsonWriter& Raw(const char (&literal)[N]) {
    buffer_.append(literal, N - 1);
    return *this;
  }
  JsonWriter& Number(int64_t n) {
    absl::StrAppend(&buffer_, n);
    return *this;
  }
  // n / 10^6, exactly: milliseconds of nanoseconds.
  JsonWriter& Millionths(int64_t n);
  JsonWriter& String(absl::string_view text);

  // "[a,b]": `each(i)` writes the element `i`.
  template <typename Each>
  JsonWriter& List(size_t count, const Each& each) {
    Raw("[");
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) Raw(",");
      each(i);
      if (buffer_.size() >= kFlushBytes) Flush();
    }
    return Raw("]");
  }

  // What the sink said. Nothing is written behind an error.
  absl::Status Finish() {
    Flush();
    return status_;
  }

 private:
  static constexpr size_t kFlushBytes = 256 * 1024;
  void Flush();

  OutputSink& sink_;
  std::string buffer_;
  absl::Status status_;
};

}  // namespace jprof
