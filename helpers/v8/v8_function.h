// Reads a function's name outside a sample, with the very code that reads it within one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// The symbol record of a function, given its tagged SharedFunctionInfo: runs the helper natively on
// a made-up frame of it, laid over `memory`. nullopt: it is no SharedFunctionInfo, or not readable.
std::optional<std::vector<uint8_t>> ReadFunction(const RuntimeImage& image,
                                                 const jp_v8_layout& layout,
                                                 const MemoryReader& memory, uint64_t shared);

}  // namespace jprof::v8
