// Any bytes as a core file: opened, all its mappings read and its files looked for.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "profiler/corefile/core_file.h"
#include "profiler/corefile/mapped_files.h"
#include "tests/corefile/core_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto core = jprof::CoreFile::Open(
      jprof::FileOf(absl::string_view(reinterpret_cast<const char*>(data), size)), "core");
  if (!core.ok()) return 0;
  const jprof::MappedFiles files(*core, {.program = "", .sysroot = "/nonexistent"});
  const jprof::CoreMemory memory(*core, files);
  for (const jprof::ProcMapping& m : core->mappings()) {
    std::byte bytes[64];
    memory.Read(m.range.begin, bytes);
    jprof::MapEvent map;
    map.range = m.range;
    map.file = m.file;
    files.Open(map).IgnoreError();
  }
  files.Troubles();
  return 0;
}
