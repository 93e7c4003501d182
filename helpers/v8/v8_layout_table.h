// What V8's metadata does not tell, by V8 version. Facts from V8's sources of the respective branch;
// each row was checked against a running node of that version.
#pragma once

#include <cstdint>

namespace jprof::v8 {

struct VersionFacts {
  // First and last version of the row, major * 100 + minor.
  uint32_t first_version;
  uint32_t last_version;

  // Slot of an interpreted frame's bytecode offset, from fp.
  int16_t frame_bytecode_offset;
  // How many instance types JSFunctions have, from JS_FUNCTION_TYPE on, where the metadata does not
  // name the first and the last.
  uint16_t js_function_types;
  // SharedFunctionInfo: where the code's data is; the second field for builtins, 0: none.
  uint16_t shared_data;
  uint16_t shared_data_2;
  // ScopeInfo: slots before the variable part; the scope type that has a module slot; the slot of the
  // start position (0: behind the name); from how many locals on one table holds their names (0:
  // never).
  uint16_t scope_base;
  uint16_t scope_module_type;
  uint16_t scope_position_slot;
  uint16_t scope_hashed_locals;
};

inline constexpr VersionFacts kVersionFacts[] = {
    // versions, slot, types, data, scope: base, module type, position, hashed
    {704, 704, -32, 1, 8, 0, 3, 2, 0, 0},        // Node 12.0
    {708, 806, -32, 1, 8, 0, 3, 3, 0, 0},        // Node 12 to 15
    {900, 900, -40, 14, 8, 0, 3, 3, 0, 0},       // Node 16.0
    {904, 904, -40, 14, 8, 0, 3, 3, 0, 0},       // Node 16
    {906, 906, -40, 16, 8, 0, 3, 3, 0, 0},       // Node 17
    {1001, 1103, -40, 16, 8, 0, 3, 3, 0, 75},    // Node 18 to 20
    {1108, 1108, -40, 16, 8, 0, 3, 3, 0, 75},    // Node 21
    {1204, 1204, -40, 17, 8, 0, 3, 3, 0, 75},    // Node 22
    {1209, 1209, -40, 17, 8, 16, 5, 5, 3, 75},   // Node 23
    {1306, 1406, -40, 17, 8, 16, 5, 5, 3, 75},   // Node 24 to 26
};

// The same in every version of the table.
inline constexpr uint16_t kScriptSource = 8;
inline constexpr uint16_t kScriptName = 16;
inline constexpr uint16_t kScriptId = 64;
inline constexpr uint16_t kScriptLineOffset = 24;
inline constexpr uint16_t kMapInstanceType = 12;
inline constexpr uint16_t kStringFirstField = 16;
inline constexpr uint16_t kStringSecondField = 24;
inline constexpr uint8_t kUncachedExternalBit = 0x10;

}  // namespace jprof::v8
