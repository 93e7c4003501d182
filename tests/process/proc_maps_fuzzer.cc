// Any text: a parse, or an error. What parses has ranges that are not empty.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  auto maps = jprof::ParseProcMaps(text);
  if (maps.ok()) {
    for (const jprof::ProcMapping& m : *maps) {
      if (m.range.empty()) std::abort();
    }
  }
  (void)jprof::ParseProcStat(text).ok();
  (void)jprof::ParseProcStatus(text).ok();
  return 0;
}
