#include "profiler/capture/sample_walk.h"

#include <iterator>
#include <span>
#include <utility>

#include "helpers/abi/records.h"
#include "profiler/capture/monotonic_clock.h"

namespace jprof {
namespace {

constexpr int kAttempts = 3;

// What a helper could not read, or took for native code since it could not.
void MarkLate(const jp_process& process, StackEvent& stack) {
  for (RawFrame& frame : stack.frames) {
    if (frame.kind == RawFrame::Kind::kUnresolved && frame.detail == JP_UNREADABLE) {
      frame.detail = JP_LATE;
    }
    if (frame.kind != RawFrame::Kind::kNative) continue;
    for (const jp_range& range : std::span(process.ranges).first(process.range_count)) {
      const uint64_t at = frame.address - (frame.is_return_address ? 1 : 0);
      if (range.kind != JP_RANGE_JIT || at < range.begin || at >= range.end) continue;
      frame.kind = RawFrame::Kind::kUnresolved;
      frame.detail = JP_LATE;
      frame.runtime = range.runtime;
    }
  }
}

}  // namespace

SampleWalk WalkSample(NativeRunner& runner, SampledMemory& memory, const MemoryReader& live,
                      const jp_process& process, const TaskSample& sample) {
  SampleWalk done;
  Registers registers = sample.registers;
  registers.tid = sample.tid;
  std::vector<SymbolEvent> symbols;  // of all attempts
  auto walk = [&] {
    done.result = runner.Walk(process, sample.pid, registers);
    std::move(done.result.symbols.begin(), done.result.symbols.end(), std::back_inserter(symbols));
  };
  memory.Begin(live, sample.registers.sp, sample.stack, sample.whole_stack);
  uint64_t as_of_ns = sample.time_ns;
  auto is_late = [&] {
    return process.range_count > 0 && MonotonicNow() > as_of_ns + kLateSampleNs;
  };
  done.late = is_late();
  for (int attempt = 0;; ++attempt) {
    if (attempt == kAttempts) {
      memory.BelieveNoFrame();
    } else if (done.late) {
      as_of_ns = MonotonicNow();
      memory.BelieveUnchangedFrames();
    }
    walk();
    if (memory.went_beyond() && !memory.IsUnchangedBeyond()) {
      memory.CloseBeyond();
      walk();
    }
    if (attempt == kAttempts || !is_late()) break;
    done.late = true;
  }
  done.result.symbols = std::move(symbols);
  done.beyond = memory.went_beyond();
  done.cut = memory.beyond_is_closed();
  if (done.late) MarkLate(process, done.result.stack);
  return done;
}

}  // namespace jprof
