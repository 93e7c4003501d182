// Where V8's isolate keeps the frames that JavaScript was left by, and the microtask at work, read
// from V8's own code: no metadata tells it, and it moves with nearly every version.
//
// V8's code addresses the isolate by r13. Of all its stores of the frame pointer there (mov
// [r13+N], rbp), by far the most are of the stubs that call C without an exit frame; next come the
// stubs that make exit frames (CEntry). So it was in each of the 22 builds of V8 7.4 to 14.6 that
// were looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace jprof::v8 {

struct IsolateSlots {
  int32_t exit_frame;  // bytes from r13
  int32_t fast_call;
};

// `builtins`: the code of the embedded builtins. nullopt: it has no such stores.
std::optional<IsolateSlots> FindIsolateSlots(std::span<const std::byte> builtins);

// Bytes from r13 to the microtask at work: the one slot that V8's loop over them, `loop`, which is
// a part of `builtins`, stores twice, when it begins with one and at its end, and nobody else does.
// So it was in all builds that were looked at but those of V8 7.4. nullopt: there is no such slot.
std::optional<int32_t> FindMicrotaskSlot(std::span<const std::byte> builtins,
                                         std::span<const std::byte> loop);

}  // namespace jprof::v8
