// What V8's metadata does not tell of promises and of who awaits them, by V8 version. Facts from
// V8's sources of the respective branch (src/objects/{promise,js-promise,js-generator}.tq,
// src/builtins/builtins-promise.h); each row was checked against a running program of that version.
#pragma once

#include <cstdint>

namespace jprof::v8 {

// Instance types.
struct AwaitTypes {
  uint16_t async_function;
  uint16_t async_generator;
  uint16_t promise;
  uint16_t reaction;
  uint16_t capability;
  uint16_t request;
  uint16_t fulfill_task;
  uint16_t reject_task;
  uint16_t thenable_task;
};

struct AwaitFacts {
  // First and last version of the row, major * 100 + minor.
  uint32_t first_version;
  uint32_t last_version;
  // PromiseReaction: the field `next`; behind it the handlers, and what they settle.
  uint16_t reaction_next;
  // How many slots each Context has.
  uint16_t context_slots;
  // Where the metadata leaves them out, or may be stripped: else zeros.
  AwaitTypes types;
  // Bytes from the root register to the microtask at work; 0: the builtins' code tells.
  int32_t microtask_slot = 0;
};

inline constexpr AwaitFacts kAwaitFacts[] = {
    {704, 704, 8, 4, {1063, 1064, 1074, 106, 105, 95, 119, 120, 121}, 0x11b8},      // Node 12.0
    {708, 708, 8, 4, {1063, 1064, 1074, 94, 93, 84, 112, 113, 114}},        // Node 12
    {709, 709, 8, 4, {1048, 1049, 1075, 101, 100, 90, 71, 72, 75}},      // Node 13
    {801, 1108, 8, 2, {}},                                   // Node 14 to 21
    {1204, 1209, 16, 2, {}},                                 // Node 22, 23
    {1306, 1306, 16, 2, {2110, 2111, 2115, 162, 161, 146, 132, 133, 136}},  // Node 24
    {1401, 1401, 16, 2, {2110, 2111, 2115, 160, 159, 145, 132, 133, 136}},  // Node 25
    {1406, 1406, 16, 2, {2112, 2113, 2117, 160, 159, 145, 132, 133, 136}},  // Node 26
    {1500, 1500, 16, 2, {2115, 2116, 2120, 160, 159, 145, 132, 133, 136}},  // Deno 2.9
};

}  // namespace jprof::v8
