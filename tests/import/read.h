// Profiles read from and written to strings.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "import/importer.h"

namespace jprof {

inline absl::StatusOr<Imported> Import(absl::string_view bytes) {
  Input input(std::make_unique<MemorySource>(bytes));
  return ReadProfile(input);
}

inline Profile Read(absl::string_view bytes) {
  absl::StatusOr<Imported> imported = Import(bytes);
  EXPECT_TRUE(imported.ok()) << imported.status();
  return imported.ok() ? std::move(imported->profile) : Profile();
}

inline std::string Write(const Profile& profile, absl::string_view format) {
  StringSink sink;
  const ExportFormat* found = FindFormatByName(format);
  EXPECT_NE(found, nullptr) << format;
  if (found == nullptr) return "";
  EXPECT_TRUE(found->create()->Write(profile, sink).ok());
  return sink.text();
}

}  // namespace jprof
