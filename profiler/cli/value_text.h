// A value of a native type for people: short, one level deep, and never more than is known. `?` is
// what could not be read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiler/unwind/location.h"
#include "profiler/process/memory_reader.h"
#include "symbolize/frame_values.h"

namespace jprof {

// `type`: into `types`, or kNoType. Reads little memory, whatever the types say.
std::string ValueText(const std::vector<NativeType>& types, uint32_t type,
                      const ValuePlace& location, const MemoryReader& memory);

}  // namespace jprof
