// The present values of native functions' parameters, from DWARF's word of where they are and a
// copy of the stack. Of the frame where a thread stands all general registers are known, if it was
// stopped; of its callers those that the functions they called have saved.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "profiler/core/frame.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/stop/thread_capture.h"

namespace jprof {

// By the index of a frame in the walk's stack, and by how deep a function is inlined in it: 0 is
// the function that the code belongs to.
using NativeArguments =
    absl::flat_hash_map<std::pair<uint32_t, uint32_t>, std::vector<FrameArgument>>;

// `walk` has places and memory; `values` are Pipeline::ValuesOf() its stack.
NativeArguments ReadNativeArguments(const CapturedWalk& walk,
                                    const std::vector<Pipeline::NativeValues>& values);

}  // namespace jprof
