// Runs the walk and the helpers natively, over any memory: a stopped process, a core file, a test's
// fake. Gives the same events as the kernel half.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/runtime.h"
#include "profiler/core/event.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

struct Registers {
  uint64_t pc = 0;
  uint64_t sp = 0;
  uint64_t fp = 0;
  uint64_t rdi = 0;
  uint64_t r13 = 0;
  std::array<uint64_t, JP_REGISTERS> others = {};  // the rest, by DWARF's numbers
  Tid tid = 0;
  uint64_t stack_base = 0;  // where the stack begins, or a little above; 0: not known
};

class NativeRunner {
 public:
  // `set` and `memory` outlive the runner. Layouts are indexed by jp_range::layout.
  NativeRunner(const RuntimeSet& set, const MemoryReader& memory,
               std::vector<std::vector<std::byte>> layouts);

  // Call-frame tables and the process's mappings of files that have one; not copied. Without them
  // native code is walked by frame pointers.
  void SetTables(std::span<const uint64_t> pool, std::span<const jp_mapping> mappings) {
    pool_ = pool;
    mappings_ = mappings;
  }

  struct Result {
    StackEvent stack;                  // number 0
    std::vector<SymbolEvent> symbols;  // seen for the first time by this runner
    uint64_t unreadable = 0;           // frames of a runtime that could not be read
    uint64_t corrupt = 0;              // frames of a runtime that made no sense
    uint64_t no_rule = 0;              // jp_counters::no_rule
  };
  Result Walk(const jp_process& process, Pid pid, const Registers& registers);

 private:
  struct Callbacks;

  const RuntimeSet& set_;
  const MemoryReader& memory_;
  std::vector<std::vector<std::byte>> layouts_;  // each JP_LAYOUT_BYTES long
  absl::flat_hash_map<std::pair<uint64_t, uint8_t>, std::pair<uint64_t, uint32_t>> symbols_;
  std::span<const uint64_t> pool_;
  std::span<const jp_mapping> mappings_;
  uint32_t next_number_ = 1;
  absl::flat_hash_map<uint32_t, uint64_t> thread_words_;
};

// A frame of the walk as core values.
RawFrame ToRawFrame(const jp_frame& frame);

}  // namespace jprof
