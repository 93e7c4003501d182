// Whether a live process looks as the layout says: objects of V8's heap that its main thread's
// stack points to, or pointed to, are read by the very helper that reads them in samples.
#pragma once

#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// `stack`: all memory of the stack, whether in use or not. The process may run meanwhile. Bounded,
// a few milliseconds.
Fit CheckHeap(const RuntimeImage& image, const jp_v8_layout& layout, const MemoryReader& memory,
              AddressRange stack);

}  // namespace jprof::v8
