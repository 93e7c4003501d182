// What V8's metadata does not tell, by V8 version. Facts from V8's sources of the respective branch;
// each row was checked against a running node of that version.
#pragma once

#include <cstdint>

namespace jprof::v8 {

struct VersionFacts {
  // First and last version of the row, major * 100 + minor.
  uint32_t first_version;
  uint32_t last_version;

  // JSFunction instance types behind JS_FUNCTION_TYPE, where First/LastJSFunctionType are missing.
  uint16_t js_function_types;
  // SharedFunctionInfo::function_data, where its symbol is missing.
  uint16_t shared_data;
  // ScopeInfo: bytes to slot 0; slots before the variable part; the scope type that has a module
  // slot; the slot of the start position (0: behind the name); locals from which on one table holds
  // their names (0: never).
  uint16_t scope_slots;
  uint16_t scope_base;
  uint16_t scope_module_type;
  uint16_t scope_position_slot;
  uint16_t scope_hashed_locals;
};

inline constexpr VersionFacts kVersionFacts[] = {
    // Node 18
    {.first_version = 1001, .last_version = 1002, .js_function_types = 16, .shared_data = 8,
     .scope_slots = 8, .scope_base = 3, .scope_module_type = 3, .scope_position_slot = 0,
     .scope_hashed_locals = 75},
    // Node 20
    {.first_version = 1103, .last_version = 1103, .js_function_types = 16, .shared_data = 8,
     .scope_slots = 8, .scope_base = 3, .scope_module_type = 3, .scope_position_slot = 0,
     .scope_hashed_locals = 75},
    // Node 22
    {.first_version = 1204, .last_version = 1204, .js_function_types = 17, .shared_data = 8,
     .scope_slots = 8, .scope_base = 3, .scope_module_type = 3, .scope_position_slot = 0,
     .scope_hashed_locals = 75},
};

// The same in every version from 10.1 to 12.4.
inline constexpr uint16_t kScriptId = 64;
inline constexpr uint16_t kScriptLineOffset = 24;
inline constexpr uint16_t kMapInstanceType = 12;
inline constexpr uint8_t kUncachedExternalBit = 0x10;

}  // namespace jprof::v8
