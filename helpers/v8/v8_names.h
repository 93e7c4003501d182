// From V8's symbol records to names and lines.
#pragma once

#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// `image` is one that V8's probe made. `memory` outlives the instance.
std::unique_ptr<RuntimeInstance> MakeV8Instance(const RuntimeImage& image,
                                                const MemoryReader& memory);

// "Builtins_ArrayMap" -> "ArrayMap". nullopt for the code that runs bytecode (trampolines, bytecode
// handlers) and for entry and exit code: the frame of the function that they run for says it all.
std::optional<FrameName> DescribeV8Builtin(absl::string_view symbol);

}  // namespace jprof::v8
