// What V8's metadata does not tell of its code, by V8 version. Facts from V8's sources of the
// respective branch (src/objects/code.h, bytecode-array.h, deoptimization-data.h, code-kind.h); the
// newest version of each Node major, and Deno, were checked against a running process.
#pragma once

#include <cstdint>

namespace jprof::v8 {

// Instance types, for binaries that have been stripped of all metadata.
struct CodeTypes {
  uint16_t map;
  uint16_t code;
  uint16_t stream;
  uint16_t bytecode_array;
  uint16_t interpreter_data;
  uint16_t shared;
  uint16_t shared_wrapper;
  uint16_t byte_arrays[2];  // plain, trusted
  uint16_t arrays[6];       // plain, weak, trusted, protected, trusted weak, protected weak
};

struct CodeFacts {
  // First and last version of the row, major * 100 + minor.
  uint32_t first_version;
  uint32_t last_version;

  // Code: where the instructions are, behind the InstructionStream's first word or Code's own, and
  // Code's fields. start 0: instructions lie in the Code object.
  uint16_t header;
  uint16_t deopt;
  uint16_t positions;
  uint16_t start;
  uint16_t size;
  uint16_t flags;
  // BytecodeArray.
  uint16_t bytecode_first;
  uint16_t bytecode_positions;
  // Code kinds. baseline 0: there is none, and the old numbers hold.
  uint8_t kind_baseline;
  uint8_t kind_builtin;
  // Deoptimization data.
  uint8_t deopt_inlined_count;
  uint8_t deopt_literals;
  uint8_t deopt_shared;
  uint8_t deopt_inlining;

  CodeTypes types;
};

inline constexpr CodeFacts kCodeFacts[] = {
    // versions | header deopt positions start size flags | bytecode | kinds | deoptimization data
    {704, 704, 64, 16, 24, 0, 40, 44, 58, 32, 0, 3, 1, 2, 6, 7, {}},      // Node 12.0
    {708, 709, 64, 16, 24, 0, 40, 44, 54, 32, 0, 3, 1, 2, 6, 7, {}},      // Node 12, 13
    {801, 806, 96, 16, 24, 0, 40, 44, 54, 32, 0, 3, 1, 2, 6, 7, {}},      // Node 14, 15
    {900, 900, 96, 16, 24, 0, 40, 48, 54, 32, 12, 2, 1, 2, 6, 7, {}},     // Node 16.0
    {904, 904, 96, 16, 24, 0, 40, 48, 54, 32, 11, 2, 1, 2, 6, 7, {}},     // Node 16
    {906, 906, 128, 16, 24, 0, 40, 48, 54, 32, 11, 2, 1, 2, 6, 7, {}},    // Node 17
    {1001, 1002, 128, 16, 24, 0, 40, 48, 56, 32, 11, 2, 1, 2, 6, 7, {}},  // Node 18
    {1008, 1008, 128, 16, 24, 0, 40, 48, 54, 32, 11, 2, 1, 2, 6, 7, {}},  // Node 19
    {1103, 1103, 16, 16, 24, 40, 56, 48, 54, 32, 11, 2, 1, 2, 6, 7, {}},  // Node 20
    {1108, 1108, 32, 8, 16, 32, 44, 40, 52, 32, 11, 2, 1, 2, 6, 7, {}},   // Node 21
    {1204, 1204, 32, 8, 16, 40, 52, 48, 64, 24, 10, 2, 1, 2, 6, 7, {}},   // Node 22
    {1209, 1209, 32, 8, 16, 40, 52, 48, 64, 24, 10, 2, 1, 2, 6, 7, {}},   // Node 23
    {1306,
     1306,
     32,
     8,
     16,
     40,
     56,
     52,
     64,
     24,
     10,
     2,
     1,
     3,
     7,
     8,  // Node 24
     {272, 187, 192, 186, 188, 282, 195, {217, 196}, {205, 256, 197, 193, 199, 194}}},
    {1401,
     1401,
     32,
     8,
     16,
     40,
     56,
     52,
     64,
     24,
     10,
     2,
     1,
     3,
     7,
     8,  // Node 25
     {276, 185, 191, 184, 186, 286, 194, {218, 195}, {205, 257, 196, 192, 198, 193}}},
    {1406,
     1406,
     32,
     8,
     16,
     40,
     56,
     52,
     64,
     24,
     11,
     3,
     1,
     3,
     7,
     8,  // Node 26
     {278, 186, 192, 185, 187, 288, 195, {218, 196}, {205, 258, 197, 193, 199, 194}}},
    {1500,
     1500,
     32,
     8,
     16,
     40,
     56,
     52,
     64,
     24,
     11,
     3,
     1,
     3,
     7,
     8,  // Deno 2.9
     {268, 186, 192, 185, 187, 278, 195, {218, 196}, {205, 250, 197, 193, 199, 194}}},
};

// The same in every version of the table, or in all from one on.
inline constexpr uint16_t kStreamCode = 8;
inline constexpr uint16_t kSharedData = 8;  // SharedFunctionInfo: its bytecode, or what leads to it
inline constexpr uint16_t kCodeRelocation = 8;  // of Code with instructions
inline constexpr uint32_t kFirstVersionOfNewKinds = 900;
inline constexpr uint32_t kFirstVersionWithMaglev = 1100;
inline constexpr uint32_t kFirstVersionWithBytecodeInBaselineCode = 906;
inline constexpr uint32_t kFirstVersionOfTwoPositionFlags = 1400;
inline constexpr uint32_t kFirstVersionOfThreePositionFlags = 1500;
inline constexpr uint32_t kFirstVersionOfPlainLengths = 1500;
inline constexpr uint32_t kFirstVersionWithPositionsOfCallsOnly = 1500;

}  // namespace jprof::v8
