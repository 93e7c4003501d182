// Any bytes as a core file: opened, all its mappings read and its files looked for.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "profiler/corefile/core_file.h"
#include "tests/corefile/core_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto core = jprof::CoreFile::Open(
      jprof::FileOf(absl::string_view(reinterpret_cast<const char*>(data), size)), "core");
  if (!core.ok()) return 0;
  for (const jprof::ProcMapping& m : core->mappings()) {
    std::byte bytes[64];
    core->Read(m.range.begin, bytes);
  }
  return 0;
}
