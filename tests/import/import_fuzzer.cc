// Any bytes as a profile: the format that recognises them reads them, the first byte tells which one
// does if none. What is read is well formed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/strings/string_view.h"
#include "import/importer.h"
#include "profiler/core/profile_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto check = [](const absl::StatusOr<jprof::Imported>& imported) {
    if (!imported.ok() || jprof::ValidateProfile(imported->profile).ok()) return;
    if (imported->profile.strings.empty()) return;  // nothing was in it
    std::fprintf(stderr, "import_fuzzer: not a profile\n");
    std::abort();
  };
  {
    jprof::Input input(std::make_unique<jprof::MemorySource>(bytes));
    check(jprof::ReadProfile(input));
  }
  const auto formats = jprof::ImportFormats();
  jprof::Input input(std::make_unique<jprof::MemorySource>(bytes));
  check(formats[data[0] % formats.size()].read(input));
  return 0;
}
