// The stack of one sample, walked natively over its copy of the stack and the live process.
#pragma once

#include <cstdint>

#include "helpers/native_runner.h"
#include "profiler/capture/record_parser.h"
#include "profiler/capture/sampled_memory.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// What is read later after a sample is not believed: a collector may have put another object where
// the sampled one was.
inline constexpr uint64_t kLateSampleNs = 4'000'000;

struct SampleWalk {
  NativeRunner::Result result;
  bool late = false;    // only those frames of a runtime have a name that are still in the stack
  bool beyond = false;  // the stack reaches beyond the copy,
  bool cut = false;     // and was changed there before it was read
};

// `runner` reads `memory`, and observes frames for it (SetFrameObserver, AtFrame). `process` and
// `live` are those of the sample.
SampleWalk WalkSample(NativeRunner& runner, SampledMemory& memory, const MemoryReader& live,
                      const jp_process& process, const TaskSample& sample);

}  // namespace jprof
