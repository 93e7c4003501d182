// Any bytes as a profile: the format that recognises them reads them, the first byte tells which
// one does if none. What is read is well formed, can be filtered, and can be written in every
// format.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "import/importer.h"
#include "import/transform.h"
#include "profiler/core/profile_builder.h"

namespace jprof {
namespace {

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "import_fuzzer: %s\n", what.c_str());
  std::abort();
}

// Few bytes may stand for a large profile; to write all of those would leave no time for others.
bool IsSmall(const Profile& profile) {
  return profile.stacks.size() < 3000 && profile.samples.size() < 300;
}

void WriteAll(const Profile& profile) {
  for (const ExportFormat& format : ExportFormats()) {
    StringSink sink;
    const absl::Status written = format.create()->Write(profile, sink);
    Require(!absl::IsInternal(written), std::string(written.message()));
  }
}

void Check(const absl::StatusOr<Imported>& imported) {
  Require(!absl::IsInternal(imported.status()), std::string(imported.status().message()));
  if (!imported.ok() || imported->profile.strings.empty()) return;  // nothing was in it
  const Profile& profile = imported->profile;
  Require(ValidateProfile(profile).ok(), "not a profile");
  if (!IsSmall(profile)) return;
  WriteAll(profile);
  for (const Transform& transform :
       {Transform{.focus = "a", .by = "thread", .merge = true},
        Transform{.hide = "a", .invert = true}, Transform{.by = "tid"}, Transform{.by = "cpu"},
        Transform{.ignore = "b", .by = "cgroup", .from_ns = 1}}) {
    const absl::StatusOr<Profile> part = Transformed(profile, transform);
    Require(!absl::IsInternal(part.status()), std::string(part.status().message()));
    if (part.ok()) Require(ValidateProfile(*part).ok(), "not a profile, filtered");
  }
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  {
    jprof::Input input(std::make_unique<jprof::MemorySource>(bytes));
    jprof::Check(jprof::ReadProfile(input));
  }
  const auto formats = jprof::ImportFormats();
  jprof::Input input(std::make_unique<jprof::MemorySource>(bytes));
  jprof::Check(formats[data[0] % formats.size()].read(input, nullptr));
  return 0;
}
