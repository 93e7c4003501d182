// Builds V8's code, tables and deoptimization data in a FakeMemory, for the tests of what reads
// them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "helpers/v8/v8_code.h"
#include "tests/testing/fake_memory.h"

namespace jprof::v8 {

// A layout of one of V8's two forms: instructions apart from their Code (as in Node 24), or in it
// (as in Node 16). Numbers are our own where they do not matter.
inline CodeLayout TestLayout(bool stream = true) {
  CodeLayout l;
  l.version = stream ? 1306 : 904;
  l.map_type = 272;
  l.code_type = 187;
  l.stream_type = stream ? 192 : 0;
  l.bytecode_array_type = 186;
  l.interpreter_data_type = 188;
  l.baseline_data_type = 189;
  l.shared_type = 282;
  l.shared_wrapper_type = 195;
  l.byte_array_types[0] = 217;
  l.byte_array_types[1] = 196;
  l.array_types[0] = 205;
  l.array_types[1] = 256;
  l.map_instance_type = 12;
  l.header = stream ? 32 : 96;
  l.stream_code = 8;
  l.code_start = stream ? 40 : 0;
  l.code_size = stream ? 56 : 40;
  l.code_flags = stream ? 52 : 48;
  l.code_deopt = stream ? 8 : 16;
  l.code_positions = stream ? 16 : 24;
  l.kind_mask = 15;
  l.kind_builtin = 2;
  l.kind_regexp = 3;
  l.kind_first_wasm = 4;
  l.kind_last_wasm = 8;
  l.kind_baseline = 10;
  l.kind_maglev = 11;
  l.kind_turbofan = 12;
  l.bytecode_first = 64;
  l.bytecode_positions = 24;
  l.baseline_has_bytecode = stream;
  l.deopt_inlined_count = 1;
  l.deopt_literals = 3;
  l.deopt_shared = 7;
  l.deopt_inlining = 8;
  // Bytecodes 0 to 3 are prefixes; 4 has no operand, 5 one, 6 two.
  l.bytecode_count = 7;
  const uint8_t sizes[3][7] = {{1, 1, 1, 1, 1, 2, 3}, {1, 1, 1, 1, 1, 3, 5}, {1, 1, 1, 1, 1, 5, 9}};
  for (int row = 0; row < 3; ++row) {
    for (int i = 0; i < 7; ++i) l.bytecode_sizes[row][i] = sizes[row][i];
  }
  return l;
}

inline std::vector<std::byte> Bytes(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// What a position table holds of a position: UTF-16 units, or -1; inlining id, 0 for none.
inline uint64_t RawPosition(int position, uint32_t inlining_id = 0) {
  return (static_cast<uint64_t>(position + 1) << 1 & 0x7fffffff) | uint64_t{inlining_id} << 31;
}

// Writes position tables, to check the reader against.
class TableWriter {
 public:
  // `flag_bits`: CodeLayout::position_flag_bits.
  explicit TableWriter(uint32_t flag_bits) : flag_bits_(flag_bits) {}
  TableWriter& Add(int code_offset, uint64_t raw, bool statement = false) {
    const int64_t delta = code_offset - code_;
    if (flag_bits_ != 0) {
      PutUnsigned(static_cast<uint64_t>(delta) << flag_bits_ | 2 | (statement ? 1 : 0));
    } else {
      PutSigned(statement ? delta : -delta - 1);
    }
    PutSigned(static_cast<int64_t>(raw - raw_));
    code_ = code_offset;
    raw_ = raw;
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  void PutSigned(int64_t value) {
    PutUnsigned(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
  }
  void PutUnsigned(uint64_t value) {
    for (; value > 0x7f; value >>= 7)
      bytes_.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    bytes_.push_back(static_cast<std::byte>(value));
  }
  uint32_t flag_bits_;
  int code_ = -1;
  uint64_t raw_ = 0;
  std::vector<std::byte> bytes_;
};

class CodeHeap {
 public:
  explicit CodeHeap(const CodeLayout& layout) : layout_(layout) {
    meta_map_ = Allocate(80) + 1;
    PutMap(meta_map_, layout.map_type);
  }

  FakeMemory& memory() { return memory_; }
  static uint64_t Smi(int64_t value) { return static_cast<uint64_t>(value) << 32; }

  uint64_t Map(uint16_t type) {
    for (auto [known, map] : maps_) {
      if (known == type) return map;
    }
    const uint64_t map = Allocate(80) + 1;
    PutMap(map, type);
    maps_.emplace_back(type, map);
    return map;
  }
  // A new object of `bytes` zeros.
  uint64_t Object(uint16_t type, uint64_t bytes) {
    const uint64_t object = Allocate(bytes);
    memory_.PutValue(Address{object}, Map(type));
    return object + 1;
  }
  template <typename T>
  CodeHeap& Set(uint64_t object, uint64_t offset, T value) {
    memory_.PutValue(Address{object - 1 + offset}, value);
    return *this;
  }

  uint64_t Shared() { return Object(layout_.shared_type, 64); }
  uint64_t Wrapper(uint64_t shared) {
    const uint64_t wrapper = Object(layout_.shared_wrapper_type, 16);
    Set(wrapper, 8, shared);
    return wrapper;
  }
  uint64_t ByteArray(std::span<const std::byte> bytes) {
    const uint64_t array = Object(layout_.byte_array_types[1], 16 + bytes.size());
    Set(array, 8, Smi(static_cast<int64_t>(bytes.size())));
    memory_.Put(Address{array - 1 + 16}, bytes);
    return array;
  }
  uint64_t Array(const std::vector<uint64_t>& words) {
    const uint64_t array = Object(layout_.array_types[0], 16 + 8 * words.size());
    Set(array, 8, Smi(static_cast<int64_t>(words.size())));
    for (size_t i = 0; i < words.size(); ++i) Set(array, 16 + 8 * i, words[i]);
    return array;
  }
  uint64_t BytecodeArray(std::span<const std::byte> bytecodes, uint64_t positions) {
    const uint64_t array =
        Object(layout_.bytecode_array_type, layout_.bytecode_first + bytecodes.size());
    Set(array, 8, Smi(static_cast<int64_t>(bytecodes.size())));
    Set(array, layout_.bytecode_positions, positions);
    memory_.Put(Address{array - 1 + layout_.bytecode_first}, bytecodes);
    return array;
  }
  struct Inlined {
    uint64_t call_site;  // raw position
    int32_t function;    // index in the literals
  };
  uint64_t Deopt(uint64_t shared, const std::vector<uint64_t>& literals = {},
                 const std::vector<Inlined>& inlined = {}) {
    std::vector<std::byte> entries(16 * inlined.size(), std::byte{0xee});
    for (size_t i = 0; i < inlined.size(); ++i) {
      std::memcpy(entries.data() + 16 * i, &inlined[i].call_site, 8);
      std::memcpy(entries.data() + 16 * i + 8, &inlined[i].function, 4);
    }
    std::vector<uint64_t> words(10, Smi(0));
    words[layout_.deopt_literals] = Array(literals);
    words[layout_.deopt_shared] = shared;
    words[layout_.deopt_inlining] = ByteArray(entries);
    return Array(words);
  }

  // A function whose code is `bytecode`.
  uint64_t SharedWith(uint64_t bytecode) {
    const uint64_t shared = Shared();
    Set(shared, 8, bytecode);
    return shared;
  }
  // One translation: the functions by their index in the literals, each at a bytecode offset,
  // outermost first. Numbers below 64, in the coding of V8 13.
  struct Frame {
    int function;
    int bytecode_offset;
  };
  static std::vector<std::byte> Translation(const std::vector<Frame>& frames) {
    const int count = static_cast<int>(frames.size());
    std::vector<std::byte> bytes = Bytes({14, 0, 2 * count, 2 * count});
    for (const Frame& frame : frames) {
      for (int value : {1, 2 * frame.bytecode_offset, 2 * frame.function, 0, 0}) {
        bytes.push_back(static_cast<std::byte>(value));
      }
    }
    return bytes;
  }
  // Deoptimization data with one entry, and that of a call which returns to `return_offset` (below
  // 256) in Maglev's code.
  uint64_t DeoptWithEntry(uint64_t shared, const std::vector<uint64_t>& literals,
                          std::span<const std::byte> translations,
                          const std::vector<Inlined>& inlined = {}) {
    const uint64_t plain = Deopt(shared, literals, inlined);
    std::vector<uint64_t> words(15, Smi(0));
    for (uint8_t i : {layout_.deopt_literals, layout_.deopt_shared, layout_.deopt_inlining}) {
      words[i] = memory_.ReadValue<uint64_t>(Address{plain - 1 + 16 + 8 * uint64_t{i}}).value();
    }
    words[0] = ByteArray(translations);
    return Array(words);
  }
  void PutSafepoint(const CodeObject& code, int return_offset) {
    memory_.Put(
        code.instructions.end,
        Bytes({0, 0, 0, 0, 1, 0, 0, 0, 0x91, 0, 0, 0, 0, 0, 0, 0, return_offset, 1, 200, 0}));
  }

  // Code whose header is at `header`; header + CodeLayout::header is where instructions begin.
  CodeObject Code(uint64_t header, uint32_t size, int kind, uint64_t deopt = 0,
                  uint64_t positions = 0) {
    CodeObject result;
    const uint64_t start = header + layout_.header;
    memory_.Zero({Address{header}, Address{start + size}});
    if (layout_.stream_type != 0) {
      result.code = Object(layout_.code_type, 64);
      memory_.PutValue(Address{header}, Map(layout_.stream_type));
      memory_.PutValue(Address{header + layout_.stream_code}, result.code);
      Set(result.code, layout_.code_start, start);
    } else {
      result.code = header + 1;
      memory_.PutValue(Address{header}, Map(layout_.code_type));
      const uint64_t relocation = Object(layout_.byte_array_types[0], 16);
      memory_.PutValue(Address{header + 8}, relocation);
    }
    Set(result.code, layout_.code_size, size);
    Set(result.code, layout_.code_flags, static_cast<uint32_t>(kind) << layout_.kind_shift);
    Set(result.code, layout_.code_deopt, deopt);
    Set(result.code, layout_.code_positions, positions);
    result.instructions = {Address{start}, Address{start + size}};
    result.kind = kind == layout_.kind_turbofan   ? CodeKind::kTurbofan
                  : kind == layout_.kind_maglev   ? CodeKind::kMaglev
                  : kind == layout_.kind_baseline ? CodeKind::kBaseline
                                                  : CodeKind::kOther;
    result.deopt = deopt;
    result.positions = positions;
    return result;
  }

 private:
  void PutMap(uint64_t map, uint16_t type) {
    Set(map, 0, meta_map_);
    Set(map, layout_.map_instance_type, type);
  }
  uint64_t Allocate(uint64_t bytes) {
    const uint64_t object = next_;
    next_ += (bytes + 15) / 16 * 16;
    memory_.Zero({Address{object}, Address{next_}});
    return object;
  }

  CodeLayout layout_;
  FakeMemory memory_;
  uint64_t next_ = 0x2000'0000'0000;
  uint64_t meta_map_ = 0;
  std::vector<std::pair<uint16_t, uint64_t>> maps_;
};

}  // namespace jprof::v8
