// Turns a finished Profile into bytes. One format is one file and one row in exporters.cc.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

// Where an exporter writes to. Append may buffer; the owner flushes and closes.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // An error ends the export: full disk, closed pipe.
  virtual absl::Status Append(absl::string_view bytes) = 0;
};

class StringSink : public OutputSink {
 public:
  absl::Status Append(absl::string_view bytes) override {
    text_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class Exporter {
 public:
  virtual ~Exporter() = default;
  // Same profile, same bytes.
  virtual absl::Status Write(const Profile& profile, OutputSink& sink) const = 0;
};

struct ExportFormat {
  absl::string_view name;                        // "svg": the value of --format
  std::span<const absl::string_view> suffixes;   // ".svg": what -o's extension selects
  absl::string_view help;                        // one line
  bool binary;                                  // must not go to a terminal
  std::unique_ptr<Exporter> (*create)();
};

std::span<const ExportFormat> ExportFormats();

// nullptr when there is none of that name, or none whose suffix `path` ends with.
const ExportFormat* FindFormatByName(absl::string_view name);
const ExportFormat* FindFormatByPath(absl::string_view path);

}  // namespace jprof
