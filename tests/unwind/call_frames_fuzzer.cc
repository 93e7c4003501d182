// Any bytes as .eh_frame and .debug_frame, and as code: the tables that come out must be sound.
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

// The same bytes as code: described in part, and with a function at each 16th byte.
void RunCode(std::span<const uint8_t> bytes) {
  constexpr uint64_t kBase = 0x10000;
  if (bytes.empty()) return;
  const std::vector<CodeRange> described = {{kBase + bytes[0], kBase + 2 * uint64_t{bytes[0]}}};
  std::vector<CodeRange> functions;
  for (uint64_t at = 0; at < bytes.size(); at += 16) {
    functions.push_back({kBase + at, kBase + at + bytes[at]});
  }
  uint64_t end = kBase;
  for (const CodeFrame& frame : FramesOfCode(bytes, kBase, described, functions)) {
    Require(frame.begin >= end && frame.begin < frame.end);
    Require(frame.begin < described[0].begin || frame.begin >= described[0].end);
    end = frame.end;
  }
  Require(end <= kBase + bytes.size());
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jprof::Run({data, size});
  jprof::RunCode({data, size});
  return 0;
}
