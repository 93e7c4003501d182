// What V8 keeps beside optimized code to give it up during a call: for the call's return address,
// the functions that the one frame stands for, and at which bytecode each of them is.
//
//   return address -> safepoint table, behind the instructions -> number of an entry
//                     deoptimization data: entry -> index in the translations
//                     translations: opcodes from there on -> functions, bytecode offsets
//
// A translation may take opcodes from an earlier one, the one it names at its beginning.
//
// All of it is the target's memory: steps and sizes are bounded; what is damaged says nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof::v8 {

// How some versions of V8 write these tables. Facts from V8's sources of the respective branches
// (src/codegen/safepoint-table.h, maglev-safepoint-table.h, src/deoptimizer/translation-opcode.h,
// src/objects/deoptimization-data.h); the operand counts were compared with those in node binaries.
struct DeoptCoding {
  // First and last version of the row, major * 100 + minor.
  uint32_t first_version;
  uint32_t last_version;
  // To V8 8.1: numbers have the flag that more follow in the lowest bit, opcodes are numbers,
  // nothing is taken from earlier translations, and entries of safepoint tables are three u32s.
  bool is_old;
  // How many operands each opcode has: a digit for each. Unless old, the last opcode is the one
  // that repeats an earlier translation's; bytes that are no opcodes are short forms of it.
  absl::string_view operands;
  uint8_t begin;     // the first of two opcodes, adjacent; old: the only one
  uint8_t js_frame;  // the first of four: two with bytecode, two that go on in a builtin; old: the
                     // second is another builtin's
  uint8_t scalars;   // in the deoptimization data, from the inlining positions to the entries
  // Where the safepoint table is: a u32 field of Code says where behind its first instruction; 0:
  // behind the last one.
  uint8_t code_safepoints;
  // Header of a safepoint table: where u32 length and u32 configuration are; its size.
  uint8_t safepoint_length;
  uint8_t safepoint_header;
  uint8_t maglev_safepoint_header;
};

// nullptr: not known.
const DeoptCoding* FindDeoptCoding(uint32_t version);

inline constexpr size_t kMaxSafepointHeaderBytes = 16;

// A safepoint table by its header.
struct SafepointTable {
  uint32_t length = 0;  // of entries
  size_t header = 0;    // bytes, as the next ones
  size_t pc = 0;
  size_t deopt_index = 0;  // 0: no entry has one
  size_t entry = 0;
  bool has_flags = false;  // old: indices have flags in their highest bits, and count from 0

  size_t size() const { return header + entry * length; }
};

// nullopt: this is no table. `bytes` begins with the header; more does no harm.
std::optional<SafepointTable> ReadSafepointHeader(std::span<const std::byte> bytes,
                                                  const DeoptCoding& coding, bool maglev);

// A call that has an entry in the deoptimization data. Offsets are from the first instruction.
struct DeoptCall {
  uint32_t return_offset = 0;
  uint32_t trampoline = 0;  // where the call returns to once the code was given up
  uint32_t entry = 0;
  friend bool operator==(const DeoptCall&, const DeoptCall&) = default;
};

// In the table's order. Empty if `bytes` are fewer than table.size().
std::vector<DeoptCall> ReadDeoptCalls(std::span<const std::byte> bytes,
                                      const SafepointTable& table);

struct DeoptFrame {
  uint32_t function = 0;        // index in the literals
  int32_t bytecode_offset = 0;  // -1: before the first
  friend bool operator==(const DeoptFrame&, const DeoptFrame&) = default;
};

// The functions of the translation at `index`, outermost first; builtins are left out. Empty: the
// translation is damaged.
std::vector<DeoptFrame> ReadTranslation(std::span<const std::byte> translations, uint64_t index,
                                        const DeoptCoding& coding);

// A translation longer than this, with what it takes from others, is taken for damaged.
inline constexpr size_t kMaxTranslationOpcodes = size_t{1} << 16;
inline constexpr size_t kMaxDeoptFrames = 64;

}  // namespace jprof::v8
