// What V8's metadata does not tell, by V8 version. Facts from V8's sources of the respective
// branch; each row was checked against a running program of that version.
#pragma once

#include <cstdint>
#include <iterator>

#include "absl/strings/string_view.h"

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
  // ScopeInfo: slots before the variable part; the scope type that has a module slot; the slot of
  // the start position (0: behind the name); from how many locals on one table holds their names
  // (0: never).
  uint16_t scope_base;
  uint16_t scope_module_type;
  uint16_t scope_position_slot;
  uint16_t scope_hashed_locals;
  // How many of the embedded builtins are bytecode handlers.
  uint16_t handlers;
};

inline constexpr VersionFacts kVersionFacts[] = {
    // versions, slot, types, data, scope: base, module type, position, hashed, handlers
    {704, 704, -32, 1, 8, 0, 3, 2, 0, 0, 474},       // Node 12.0
    {708, 801, -32, 1, 8, 0, 3, 3, 0, 0, 483},       // Node 12 to 14.0
    {804, 806, -32, 1, 8, 0, 3, 3, 0, 0, 482},       // Node 14, 15
    {900, 900, -40, 14, 8, 0, 3, 3, 0, 0, 489},      // Node 16.0
    {904, 904, -40, 14, 8, 0, 3, 3, 0, 0, 480},      // Node 16
    {906, 906, -40, 16, 8, 0, 3, 3, 0, 0, 480},      // Node 17
    {1001, 1103, -40, 16, 8, 0, 3, 3, 0, 75, 483},   // Node 18 to 20
    {1108, 1108, -40, 16, 8, 0, 3, 3, 0, 75, 482},   // Node 21
    {1204, 1204, -40, 17, 8, 0, 3, 3, 0, 75, 494},   // Node 22
    {1209, 1209, -40, 17, 8, 16, 5, 5, 3, 75, 499},  // Node 23
    {1306, 1306, -40, 17, 8, 16, 5, 5, 3, 75, 511},  // Node 24
    {1401, 1401, -40, 17, 8, 16, 5, 5, 3, 75, 523},  // Node 25
    {1406, 1406, -40, 17, 8, 16, 5, 5, 3, 75, 521},  // Node 26
    {1500, 1500, -40, 18, 8, 16, 5, 6, 3, 75, 527},  // Deno 2.9
};

// What the metadata says, for binaries that were stripped of it or built without. By name, without
// the type behind a field; one value for each version.
inline constexpr uint32_t kStrippedVersions[] = {1306, 1401, 1406, 1500};
struct StrippedMetadata {
  absl::string_view name;
  int32_t values[std::size(kStrippedVersions)];
};
inline constexpr StrippedMetadata kStrippedMetadata[] = {
    {"FirstJSFunctionType", {2065, 2065, 2066, 2064}},
    {"LastJSFunctionType", {2081, 2081, 2082, 2081}},
    {"FirstNonstringType", {128, 128, 128, 128}},
    {"type_JSFunction__JS_FUNCTION_TYPE", {2065, 2065, 2066, 2064}},
    {"type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", {282, 286, 288, 278}},
    {"type_ScopeInfo__SCOPE_INFO_TYPE", {280, 284, 286, 276}},
    {"type_Script__SCRIPT_TYPE", {167, 165, 166, 166}},
    {"frametype_BuiltinExitFrame", {27, 27, 17, 17}},
    {"frametype_WasmFrame", {4, 4, 24, 24}},
    {"frametype_WasmToJsFrame", {5, 5, 25, 25}},
    {"frametype_JsToWasmFrame", {7, 6, 26, 26}},
    {"class_JSFunction__shared", {32, 32, 32, 32}},
    {"class_SharedFunctionInfo__name_or_scope_info", {24, 24, 24, 24}},
    {"class_SharedFunctionInfo__script", {40, 40, 40, 40}},
    {"class_String__length", {12, 12, 12, 12}},
    {"class_SeqOneByteString__chars", {16, 16, 16, 16}},
    {"class_ExternalString__resource", {16, 16, 16, 16}},
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
