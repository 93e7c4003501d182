// Where V8's code executes: from a pc or a bytecode offset to positions in the source, and to the
// functions that the optimizers inlined there.
//
//   interpreted   bytecode offset -------------------------------> BytecodeArray's position table
//   baseline      pc -> offset table: native bytes per bytecode -> BytecodeArray's position table
//   optimized     return address -> deoptimization data (v8_deopt.h) -> functions, bytecode offsets
//                        -> each BytecodeArray's position table; for other pcs, and calls without
//                 pc -> Code's position table -> (position, inlining id)
//                        inlining positions[id] -> (call site, its id), function in literals
//
// Positions are UTF-16 units from the start of the script, as V8 counts them. Functions are tagged
// addresses of SharedFunctionInfos. Both are of the instant of the call.
//
// Tables are the target's memory: sizes, steps and what is kept are bounded; a table that does not
// fit says nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_deopt.h"
#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

inline constexpr int32_t kNoPosition = -1;

// What a position table says of one place in the code.
struct CodePosition {
  int32_t position = kNoPosition;
  uint32_t inlining_id = 0;  // 0: not inlined, else index in the inlining positions + 1
  friend bool operator==(const CodePosition&, const CodePosition&) = default;
};

// The entry for `code_offset`: the last one at or before it. nullopt: there is none, or the table
// is damaged before it. `flag_bits`: CodeLayout::position_flag_bits.
std::optional<CodePosition> FindPosition(std::span<const std::byte> table, uint32_t code_offset,
                                         uint32_t flag_bits);

// Index of the bytecode whose baseline code holds `code_offset`. `table` holds the native size of
// the prologue, then of each bytecode. nullopt: in the prologue, behind the end, damaged.
std::optional<uint32_t> FindBytecode(std::span<const std::byte> table,
                                     std::span<const std::byte> bytecodes, const CodeLayout& layout,
                                     uint32_t code_offset);

// The bytecodes that may run while the handler of `handler` does and the interpreter's register is
// at `index`: the one there, or, since a handler advances the register before it is through, the
// one before it, or the one before that if the last is a short star, which some handlers execute
// with their own. By their first byte, prefix included; 0 to 3 of them.
std::vector<uint32_t> FindInHandler(std::span<const std::byte> bytecodes, const CodeLayout& layout,
                                    HandlerBytecodes handler, uint32_t index);

// One function that a frame stands for.
struct ScriptPosition {
  uint64_t shared = 0;  // tagged SharedFunctionInfo
  int32_t position = kNoPosition;
  friend bool operator==(const ScriptPosition&, const ScriptPosition&) = default;
};

enum class PcKind {
  kExact,          // the instruction that runs
  kReturnAddress,  // the one behind a call
};

// Positions in one process. As with CodeFinder, answers hold for the instant up to Advance(); what
// was read is kept beyond it and believed again if memory still holds the same bytes.
class CodePositions {
 public:
  // Both outlive this.
  CodePositions(const CodeLayout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory), types_(layout, memory) {}

  // The functions at `pc` in optimized code, innermost first; the last is the function that was
  // compiled. A single function without position: the code has no position table. Empty: something
  // on the way did not verify.
  std::vector<ScriptPosition> Optimized(const CodeObject& code, Address pc, PcKind kind);

  // `bytecode_array` is tagged: from the frame, or what Owner() says.
  std::optional<int32_t> Baseline(const CodeObject& code, uint64_t bytecode_array, Address pc,
                                  PcKind kind);

  // `offset`: the word in the frame's slot for the bytecode offset.
  std::optional<int32_t> Interpreted(uint64_t bytecode_array, uint64_t offset);

  // `address`: that of a JP_V8_HANDLER frame.
  std::optional<int32_t> InHandler(uint64_t bytecode_array, uint64_t address);

  // Whose code it is: of optimized code the tagged SharedFunctionInfo, of baseline code the tagged
  // BytecodeArray. nullopt: not known, as for baseline code before V8 9.6.
  std::optional<uint64_t> Owner(const CodeObject& code);

  void Advance();

  static constexpr size_t kMaxObjectBytes = size_t{2} << 20;
  static constexpr size_t kMaxBytes = size_t{32} << 20;  // of all that is kept between calls
  static constexpr size_t kMaxInlined = 64;              // functions in one place

 private:
  enum class Shape { kBytes, kWords, kBytecode };

  // A copy of an object on the heap.
  struct Copy {
    std::vector<std::byte> bytes;  // from its first word on
    uint64_t instant = 0;
    // Answers from these bytes and, for offset tables, those of the bytecode; by code offset.
    absl::flat_hash_map<uint32_t, std::optional<CodePosition>> positions;
    absl::flat_hash_map<uint32_t, std::optional<uint32_t>> bytecodes;
    uint64_t bytecodes_of = 0;       // tagged BytecodeArray of `bytecodes`
    uint64_t bytecodes_version = 0;  // its Copy::version
    uint64_t version = 0;            // another one for other bytes

    std::span<const std::byte> Contents(size_t first) const {
      return std::span(bytes).subspan(first);
    }
    std::optional<uint64_t> Word(size_t offset) const;
  };

  void Trim();
  std::optional<uint64_t> OwnerOf(const CodeObject& code);
  // The object as it is now; nullptr: it is not of that shape, too large, or unreadable. Valid
  // until Trim().
  Copy* Read(uint64_t tagged, Shape shape);
  bool Fits(uint16_t type, Shape shape) const;
  std::optional<CodePosition> Lookup(uint64_t table, uint32_t code_offset);
  // From what a slot holds to the table itself.
  uint64_t TableIn(uint64_t slot);
  // The SharedFunctionInfo that a word of the deoptimization data leads to.
  std::optional<uint64_t> SharedIn(uint64_t word);
  std::optional<uint64_t> ReadShared(uint64_t word);
  std::optional<int32_t> AtBytecode(uint64_t bytecode_array, uint32_t index);
  // The BytecodeArray of a SharedFunctionInfo.
  std::optional<uint64_t> BytecodeOf(uint64_t shared);
  // The calls of optimized code that have an entry in its deoptimization data.
  std::vector<DeoptCall> DeoptCalls(const CodeObject& code, const DeoptCoding& coding);
  // The functions of such an entry, innermost first. Empty: it does not verify.
  std::vector<ScriptPosition> AtDeoptEntry(const CodeObject& code, const DeoptCoding& coding,
                                           uint32_t entry);
  // A place in optimized code, a call or a check, where it may be given up.
  struct DeoptPoint {
    uint32_t code_offset = 0;
    uint32_t entry = 0;  // of the deoptimization data
  };
  // In the order of the code. Valid until the next call of this.
  const std::vector<DeoptPoint>& DeoptPoints(const CodeObject& code, const DeoptCoding& coding);
  struct TablePosition {
    ScriptPosition at;
    uint32_t inlining_id = 0;
  };
  // The functions at a position of optimized code, innermost first. Empty: it does not verify.
  std::vector<TablePosition> Inlined(const CodeObject& code, CodePosition at);
  // Where Maglev peels a loop, its call sites of what it inlined there are wrong: they have the
  // loop's position. A place in the same inlined function where the code may be given up knows
  // better.
  void CorrectCallSites(const CodeObject& code, const DeoptCoding& coding,
                        std::vector<TablePosition>& chain);

  const CodeLayout& layout_;
  const MemoryReader& memory_;
  HeapTypes types_;
  uint64_t instant_ = 1;
  uint64_t next_version_ = 1;
  size_t bytes_ = 0;
  absl::flat_hash_map<uint64_t, std::optional<uint64_t>> shared_;  // of this instant, by word
  absl::flat_hash_map<uint64_t, std::unique_ptr<Copy>> copies_;    // by tagged address
  absl::flat_hash_map<uint64_t, std::vector<DeoptPoint>>
      points_;  // of this instant, by tagged Code
};

}  // namespace jprof::v8
