// The values of the parameters of runtimes' functions, read while the stack is as it was walked.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/native_runner.h"
#include "helpers/runtime.h"
#include "profiler/core/frame.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// By the index of a frame in the walk's stack.
using StackArguments = absl::flat_hash_map<uint32_t, std::vector<FrameArgument>>;

// Of one process.
class ArgumentReader {
 public:
  // The process's instance of a runtime, by its number; nullptr: none.
  using FindRuntime = std::function<RuntimeInstance*(uint8_t)>;
  explicit ArgumentReader(FindRuntime find_runtime) : find_runtime_(std::move(find_runtime)) {}

  // All walks of the process are to be shown to it: each symbol is in one of them only.
  void Learn(const NativeRunner::Result& walk);
  // Reads a bounded number of pieces of memory, for some milliseconds of CPU time at most, and,
  // where the thread `stands` meanwhile, a tenth of a second of any. `walk` has places.
  StackArguments Read(const NativeRunner::Result& walk, const MemoryReader& memory, bool stands);

 private:
  const FindRuntime find_runtime_;
  absl::flat_hash_map<uint32_t, uint64_t> identities_;  // by the symbol's number
};

}  // namespace jprof
