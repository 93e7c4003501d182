// V8's compiled code, found from a pc alone.
//
// A function does not lead to the code that runs it: code made for on-stack replacement hangs
// nowhere, a later tier takes the place of the code that is still on the stack, and from V8 13 on a
// function holds no pointer to code at all. So the other way round: instructions follow a header
// whose first word is a map of which a process has one or two, and the search goes backwards from
// the pc, word by word, for it. What it finds is believed when all of this holds:
//
//   since V8 11   InstructionStream: map (its type, and its map's type), Code --+
//                   +- header -> instructions                                   |
//                        ^-- instruction_start, size, flags: Code (type) <------+
//   before        Code: map, relocation table (type), size; instructions behind them
//
// and the pc lies within. No object lies inside another one: the first that passes, whether or not
// it holds the pc, ends the search.
//
// All memory is the target's, hence hostile: reads, steps and sizes are bounded, and what does not
// pass is no code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

enum class CodeKind : uint8_t {
  kOther,
  kBytecodeHandler,
  kBuiltin,  // outside the blob: a copy of the trampoline, which runs bytecode
  kRegExp,
  kWasm,  // and the wrappers between it and JavaScript
  kBaseline,
  kMaglev,  // "turboprop" in V8 9
  kTurbofan,
};

inline bool IsOptimized(CodeKind kind) {
  return kind == CodeKind::kMaglev || kind == CodeKind::kTurbofan;
}

// What it takes to read values (v8_values.h): instance types, offsets, and bits of a map and of a
// property's details. A type that is 0 does not exist, or is not known.
struct ValueLayout {
  bool known = false;

  uint16_t heap_number_type = 0;
  uint16_t bigint_type = 0;
  uint16_t symbol_type = 0;
  uint16_t oddball_type = 0;
  uint16_t hole_type = 0;
  uint16_t proxy_type = 0;
  uint16_t global_type = 0;  // of what is `this` in functions that are called without one
  uint16_t first_object_type = 0;  // all from there on are objects with a constructor
  uint16_t array_type = 0;
  uint16_t fixed_array_type = 0;
  uint16_t double_array_type = 0;
  uint16_t descriptors_type = 0;
  uint16_t property_array_type = 0;

  uint16_t number_value = 0;
  uint16_t oddball_kind = 0;
  uint16_t object_properties = 0;
  uint16_t object_elements = 0;
  uint16_t array_data = 0;
  uint16_t descriptors_begin = 0;
  uint16_t formal_count = 0;  // of SharedFunctionInfo, u16

  uint16_t map_size_words = 0;  // u8, as all but the pointers
  uint16_t map_first_property = 0;
  uint16_t map_kind = 0;
  uint16_t map_bits = 0;  // u32
  uint16_t map_constructor = 0;
  uint16_t map_descriptors = 0;

  uint8_t oddball_undefined = 0;
  uint8_t oddball_null = 0;
  uint8_t oddball_true = 0;
  uint8_t oddball_false = 0;
  uint8_t oddball_hole = 0;

  uint32_t kind_mask = 0, kind_shift = 0;  // of elements
  uint32_t count_mask = 0, count_shift = 0;
  uint32_t dictionary_shift = 0;
  uint32_t accessor_mask = 0;
  uint32_t location_mask = 0;
  uint32_t representation_mask = 0, representation_shift = 0;
  uint32_t index_mask = 0, index_shift = 0;

  bool operator==(const ValueLayout&) const = default;
};

// What user space must know of one V8 build to read its code and positions: offsets in bytes from
// an object's first word, instance types, numbers. Plain values, kept in RuntimeImage::user_layout.
struct CodeLayout {
  static constexpr size_t kMaxBytecodes = 256;
  static constexpr size_t kMaxHandlers = 3 * kMaxBytecodes;
  static constexpr uint16_t kBaselineDataBytecode = 16;  // after the code

  uint32_t version = 0;  // major * 100 + minor

  // Instance types; 0: the version has no such objects.
  uint16_t map_type = 0;
  uint16_t code_type = 0;
  uint16_t stream_type = 0;  // 0: instructions lie in the Code object itself
  uint16_t bytecode_array_type = 0;
  uint16_t interpreter_data_type = 0;
  uint16_t baseline_data_type = 0;  // baseline code beside the bytecode (V8 9.0 to 9.5)
  uint16_t shared_type = 0;
  uint16_t shared_wrapper_type = 0;
  uint16_t frame_cache_type = 0;      // a struct in front of the position table (V8 7)
  uint16_t byte_array_types[2] = {};  // on the heap, in trusted space
  uint16_t array_types[6] = {};       // of words, weak ones too

  uint16_t map_instance_type = 0;  // u16 field

  // Object with the instructions, and Code.
  uint16_t header = 0;          // instructions behind the object's first word
  uint16_t stream_code = 0;     // pointer to Code
  uint16_t code_start = 0;      // 0: inline
  uint16_t code_size = 0;       // i32
  uint16_t code_flags = 0;      // u32
  uint16_t code_deopt = 0;      // deoptimization data; of baseline code the bytecode (V8 9.6 on)
  uint16_t code_positions = 0;  // position table; of baseline code the offset table
  uint8_t kind_shift = 0;
  uint8_t kind_mask = 0;
  // Numbers of code kinds.
  uint8_t kind_bytecode_handler = 0;
  uint8_t kind_builtin = 0;
  uint8_t kind_regexp = 0;
  uint8_t kind_first_wasm = 0;
  uint8_t kind_last_wasm = 0;
  uint8_t kind_baseline = 0;  // kNoKind: there is none
  uint8_t kind_maglev = 0;
  uint8_t kind_turbofan = 0;
  static constexpr uint8_t kNoKind = 0xff;

  uint16_t bytecode_first = 0;      // first byte of a BytecodeArray's bytes
  uint16_t bytecode_positions = 0;  // its position table
  bool baseline_has_bytecode = false;

  // Indices in the deoptimization data.
  uint8_t deopt_inlined_count = 0;
  uint8_t deopt_literals = 0;
  uint8_t deopt_shared = 0;
  uint8_t deopt_inlining = 0;

  bool has_plain_lengths = false;  // arrays, but for bytecode: 32 bits, not a Smi (V8 15)

  bool has_positions_of_calls_only = false;  // optimized code (V8 15)
  // In position tables, below each code offset; 0: the offset's sign is the flag (before V8 14).
  uint8_t position_flag_bits = 0;

  // Size of each bytecode with its operands, by the width of operands: as they are, wide, extra
  // wide. 0 bytecodes: not known, no positions of baseline code.
  uint16_t bytecode_count = 0;
  uint8_t bytecode_sizes[3][kMaxBytecodes] = {};

  // Where the bytecode handlers are, in bytes behind the first embedded builtin. In order: of each
  // bytecode, the short stars having one; of those with operands once more for wide operands, and
  // for extra wide ones. 0: not known, no positions of interpreted code that was sampled in one.
  uint16_t handler_count = 0;
  bool has_short_stars = false;
  uint32_t handlers[kMaxHandlers] = {};

  ValueLayout values;

  bool operator==(const CodeLayout&) const = default;
};

inline constexpr uint16_t kShortStars = 16;  // bytecodes, the last ones but one where there are any

// The bytecodes of one handler.
struct HandlerBytecodes {
  uint8_t first = 0;
  uint8_t count = 1;
  uint8_t width = 0;  // row of CodeLayout::bytecode_sizes
};

// Sets what is known of the handlers. Leaves it unknown if they are not as many as the bytecodes
// must have, or not in order.
void SetHandlers(std::span<const uint32_t> begins, CodeLayout& layout);

// The handler that covers `offset`, in bytes behind the first embedded builtin.
std::optional<HandlerBytecodes> FindHandler(const CodeLayout& layout, uint32_t offset);

// The metadata of a binary, by the names of its symbols without "v8dbg_".
struct CodeMetadata {
  absl::FunctionRef<std::optional<int32_t>(absl::string_view name)> constant;
  // "Code__flags": the value of class_Code__flags__ANYTHING.
  absl::FunctionRef<std::optional<int32_t>(absl::string_view class_and_field)> field;
  // Contents of Bytecodes::kBytecodeSizes as they are in the file; empty: not found.
  std::span<const std::byte> bytecode_sizes;
};

// Metadata first, then a table by version (major * 100 + minor). FailedPrecondition: the version is
// unknown, or its metadata makes no sense.
absl::StatusOr<CodeLayout> MakeCodeLayout(uint32_t version, const CodeMetadata& metadata);

struct CodeObject {
  uint64_t code = 0;  // tagged Code
  AddressRange instructions;
  CodeKind kind = CodeKind::kOther;
  uint64_t deopt = 0;      // tagged: see CodeLayout::code_deopt
  uint64_t positions = 0;  // tagged: see CodeLayout::code_positions
  friend bool operator==(const CodeObject&, const CodeObject&) = default;
};

// Instance types of objects by their map words. Maps of the types in question live as long as the
// process, so what was seen once is remembered.
class HeapTypes {
 public:
  // Both outlive this.
  HeapTypes(const CodeLayout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory) {}

  // 0: not a map.
  uint16_t TypeOfMap(uint64_t map);
  uint16_t TypeOf(uint64_t tagged);
  bool IsKnown(uint64_t map) const { return known_.contains(map); }

 private:
  const CodeLayout& layout_;
  const MemoryReader& memory_;
  absl::flat_hash_map<uint64_t, uint16_t> known_;
};

// Code of one process. Answers hold for one instant: Advance() tells that the process may have run,
// after which each answer is checked against memory before it is given again.
class CodeFinder {
 public:
  // Both outlive the finder.
  CodeFinder(const CodeLayout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory), types_(layout, memory) {}

  // The code that holds `pc`. For a return address ask with pc - 1: a call may be the last
  // instruction.
  std::optional<CodeObject> Find(Address pc);
  void Advance();

  static constexpr uint64_t kMaxSearchBytes = uint64_t{1} << 20;
  static constexpr size_t kMaxCodes = 16384;

 private:
  struct Entry {
    CodeObject code;
    uint64_t instant = 0;
  };

  std::optional<CodeObject> Search(Address pc);
  // The code whose instructions follow the header at `header`.
  std::optional<CodeObject> Verify(uint64_t header);
  CodeKind KindOf(uint32_t flags) const;

  const CodeLayout& layout_;
  const MemoryReader& memory_;
  HeapTypes types_;
  uint64_t instant_ = 1;
  absl::btree_map<uint64_t, Entry> by_begin_;  // ranges do not overlap
  absl::flat_hash_set<uint64_t> no_code_;      // pcs, of this instant
};

}  // namespace jprof::v8
