// Runs the walk and the helpers natively, over any memory: a stopped process, a core file, a test's
// fake. Gives the same events as the kernel half.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/runtime.h"
#include "profiler/core/event.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// In place of a register's value. No multiple of 8 and in no mapping: whoever follows it ends at
// once.
inline constexpr uint64_t kUnknownRegister = 1;

struct Registers {
  uint64_t pc = 0;
  uint64_t sp = 0;
  uint64_t fp = 0;
  uint64_t rdi = 0;
  uint64_t r13 = 0;
  std::array<uint64_t, JP_REGISTERS> others = {};  // the rest, by DWARF's numbers
  Tid tid = 0;
  uint64_t stack_base = 0;  // where the stack begins, or a little above; 0: not known
  bool all_known = true;    // else pc and sp alone are; the others are kUnknownRegister
};

// Where a frame is: its registers, and the first of the RawFrames that it gave, which may be
// several or none.
struct FramePlace {
  uint32_t first = 0;
  uint64_t pc = 0;
  uint64_t sp = 0;
  uint64_t fp = 0;
};

// Where a frame was called from.
struct FrameCaller {
  Registers registers;          // kUnknownRegister where one is not known; pc and sp are
  bool is_interrupted = false;  // by a signal: the pc is no return address, and all are known
};

// A walk that has come to a frame of which call-frame information says more than a table holds: the
// last of `frames`.
struct WalkSoFar {
  Pid pid = 0;
  const Registers& start;
  std::span<const FramePlace> frames;  // from `start` on
  bool is_first = true;                // such frame of this walk
};

class NativeRunner {
 public:
  // Beyond these many names, or threads, what is known of them is forgotten.
  static constexpr size_t kMaxKnown = 1 << 15;

  // `set` and `memory` outlive the runner. Layouts are indexed by jp_range::layout.
  NativeRunner(const RuntimeSet& set, const MemoryReader& memory,
               std::vector<std::vector<std::byte>> layouts);

  void SetLayout(uint32_t index, std::span<const std::byte> layout);

  // Call-frame tables and the process's mappings of files that have one; not copied. Without them
  // native code is walked by frame pointers.
  void SetTables(std::span<const uint64_t> pool, std::span<const jp_mapping> mappings) {
    pool_ = pool;
    mappings_ = mappings;
  }

  // Is told before the runtime's part of a frame is read: what that tells comes from the stack from
  // `stack_from` on.
  void SetFrameObserver(std::function<void(uint64_t stack_from)> observer) {
    on_frame_ = std::move(observer);
  }

  // Is asked for the caller of that frame; nullopt: the walk ends there, as it does without a
  // stepper.
  using Stepper = std::function<std::optional<FrameCaller>(const WalkSoFar&)>;
  void SetStepper(Stepper stepper) { stepper_ = std::move(stepper); }

  // Results have `places` from now on.
  void KeepPlaces() { keeps_places_ = true; }

  struct Result {
    StackEvent stack;                  // number 0
    std::vector<FramePlace> places;    // leaf first
    std::vector<SymbolEvent> symbols;  // seen for the first time by this runner
    uint64_t unreadable = 0;           // frames of a runtime that could not be read
    uint64_t corrupt = 0;              // frames of a runtime that made no sense
    uint64_t no_rule = 0;              // jp_counters::no_rule
  };
  // `process` and the memory are those of `pid`.
  Result Walk(const jp_process& process, Pid pid, const Registers& registers);

  // The next symbols get new numbers.
  void ForgetSymbols() { symbols_.clear(); }
  // For whoever numbers other things in the same row.
  uint32_t TakeNumber() { return next_number_++; }

 private:
  struct Callbacks;
  struct SymbolKey {
    uint64_t identity;
    Pid pid;
    uint32_t life;
    uint8_t runtime;

    friend bool operator==(const SymbolKey&, const SymbolKey&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const SymbolKey& key) {
      return H::combine(std::move(h), key.identity, key.pid, key.life, key.runtime);
    }
  };
  struct KnownSymbol {
    uint64_t content;
    uint32_t number;
  };

  const RuntimeSet& set_;
  const MemoryReader& memory_;
  std::vector<std::vector<std::byte>> layouts_;  // each JP_LAYOUT_BYTES long
  absl::flat_hash_map<SymbolKey, KnownSymbol> symbols_;
  std::function<void(uint64_t)> on_frame_;
  Stepper stepper_;
  std::span<const uint64_t> pool_;
  std::span<const jp_mapping> mappings_;
  bool keeps_places_ = false;
  uint32_t next_number_ = 1;
  absl::flat_hash_map<uint32_t, uint64_t> thread_words_;
};

// A frame of the walk as core values.
RawFrame ToRawFrame(const jp_frame& frame);

}  // namespace jprof
