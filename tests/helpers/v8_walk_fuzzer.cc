// The native walk with the V8 helper, over memory that the input makes up: it ends, reads no more
// than its bounds allow, and hands out records that can be read.
//
// The input is four bytes that choose pc, fp and the version, then memory (fuzzed_memory.h).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "helpers/native_runner.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_names.h"
#include "jprof_runtimes.h"
#include "tests/helpers/fuzzed_memory.h"
#include "tests/helpers/v8_heap.h"

namespace jprof {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;  // NOLINT: a fuzz target is C, its body is not
  if (size < 4) return 0;
  constexpr int kMajors[] = {18, 20, 22, 24};
  V8Heap heap(kMajors[data[0] % 4]);
  jp_process process = V8Stack::process();
  // Code everywhere, so that each frame asks the helper; which kind is the input's choice.
  process.ranges[data[0] / 4 % 2].begin = 0;
  process.ranges[data[0] / 4 % 2].end = uint64_t{1} << 47;
  if (data[0] / 8 % 2 != 0) process.flags = JP_PROCESS_ASYNC;
  RuntimeImage image = heap.Image();
  if (data[0] / 16 % 2 != 0) {
    // Every frame may be of the loop over the microtasks.
    jp_v8_layout layout = heap.layout();
    layout.builtins_bytes = layout.microtasks_end = FuzzedMemory::kWords * 8;
    layout.microtasks_begin = 0;
    std::memcpy(image.layout.data(), &layout, sizeof(layout));
    process.ranges[0] = {FuzzedMemory::kBase,
                         FuzzedMemory::kBase + FuzzedMemory::kWords * 8,
                         0,
                         1,
                         JP_RANGE_IMAGE,
                         0};
    process.range_count = 1;
    process.flags = JP_PROCESS_ASYNC;
  }
  const Registers registers = {.pc = FuzzedMemory::kBase + data[1],
                               .sp = FuzzedMemory::kBase + data[2] * 8u,
                               .fp = FuzzedMemory::kBase + data[2] * 8u + data[3] % 16u,
                               .r13 = FuzzedMemory::kBase + data[1] * 8u,
                               .stack_base = FuzzedMemory::kBase + data[3] * 128u};
  const FuzzedMemory memory(data + 4, size - 4);

  NativeRunner runner(BuiltinRuntimes(), memory, {image.layout});
  auto instance = v8::MakeV8Instance(image, memory);
  const NativeRunner::Result result = runner.Walk(process, 1, registers);
  Check(result.stack.frames.size() <= JP_MAX_FRAMES);
  Check(static_cast<int>(result.stack.end) < kWalkEndCount);
  // A frame costs its window, and at first sight its objects: three strings of 24 steps at the
  // most. Those who await, 48 at the most, cost more each, as they are not on the stack.
  Check(memory.reads() <= 2 * JP_MAX_FRAMES * uint64_t{400} + 48 * 200);
  for (const RawFrame& frame : result.stack.frames) {
    Check(frame.kind != RawFrame::Kind::kRuntime || frame.symbol != 0);
  }
  size_t described = 0;
  for (const SymbolEvent& symbol : result.symbols) {
    auto record = ParseSymbolRecord(symbol.record);
    Check(record.ok());
    Check(record->text.size() <= JP_TEXT_BYTES);
    if (++described > 8) continue;  // they are slow: each may read a source
    const uint64_t before = memory.bytes();
    auto name = instance->Describe(symbol.record);
    Check(name.ok() && !name->name.empty());
    Check(memory.bytes() - before < uint64_t{64} << 20);
  }
  return 0;
}
