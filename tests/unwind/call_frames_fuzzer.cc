// Any bytes as .eh_frame and .debug_frame: the table that comes out must be sound.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "profiler/unwind/call_frames.h"

namespace jprof {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// The first byte says how many of the others, in 256ths, are .eh_frame.
void Run(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return;
  const size_t cut = (bytes.size() - 1) * (bytes[0] + size_t{1}) / 256;
  const CallFrameSection sections[] = {{bytes.subspan(1, cut), 0x10000, true},
                                       {bytes.subspan(1 + cut), 0, false}};
  absl::StatusOr<UnwindTable> table = BuildUnwindTable(sections);
  if (!table.ok() || table->empty()) return;
  // FromWords() checks all that the walk relies on.
  Require(UnwindTable::FromWords(table->begin(), table->size(), table->row_count(),
                                 table->rule_count(), table->words())
              .has_value());
  for (uint64_t step = 0; step <= 64; ++step) {
    const uint64_t offset = table->size() * step / 64;
    const auto rule = table->Find({table->begin().value + offset});
    Require(rule.has_value() == (offset < table->size()));
    Require(!rule || (rule->kind <= JP_RULE_OTHER && rule->base < JP_REGISTERS &&
                      rule->fp <= JP_FP_AT_FP));
  }
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jprof::Run({data, size});
  return 0;
}
