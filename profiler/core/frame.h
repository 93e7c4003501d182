// What a frame is, from the capture to the picture.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace jprof {

// The present value of a parameter, for people.
struct FrameArgument {
  std::string name;   // "" where not known
  std::string value;  // any bytes of the target's; "?": not readable

  friend auto operator<=>(const FrameArgument&, const FrameArgument&) = default;
};

// The kinds that exporters tell apart (colour, suffix). A new runtime reuses them.
enum class FrameKind : uint8_t {
  kNative,         // compiled code of a mapped file
  kKernel,         // kernel mode
  kScript,         // a function of the program's own language, named by a runtime helper
  kLibraryScript,  // such a function of others: its source map says so, whatever its path
  kAsync,          // such a function that awaits what is above it; it is not on the stack
  kBuiltin,        // code that the runtime brings along (V8's embedded builtins)
  kWasm,           // a WebAssembly function, named by a runtime helper
  kJit,            // code in anonymous memory, named by a perf map or jitdump
  kUnknown,        // no name; the text says what is known of it
  kMarker,         // not a frame: "[truncated]" and the like
};

constexpr bool IsScript(FrameKind kind) {
  return kind == FrameKind::kScript || kind == FrameKind::kLibraryScript;
}

// Why a user-space walk ended. Values are part of the kernel half's records
// (helpers/abi/records.h).
enum class WalkEnd : uint8_t {
  kRoot = 0,            // saved frame pointer is 0: the outermost frame
  kNoUserStack = 1,     // kernel thread, or no user registers
  kUnreadable = 2,      // the memory at the frame pointer could not be read
  kNotAscending = 3,    // the saved frame pointer does not lie above the current one
  kUnaligned = 4,       // the saved frame pointer is no multiple of 8
  kNotUserAddress = 5,  // a frame pointer or return address outside user space
  kDepthLimit = 6,      // more frames than a record holds
  kNearBase = 7,        // no further link, but hardly any stack is left above: see Namer
  kNoRule = 8,          // call-frame information that the walk cannot follow
  kNot64Bit = 9,        // 32-bit code, which has other frames: nothing but the leaf's pc is told
};
inline constexpr int kWalkEndCount = 10;

// One frame as the walk wrote it, leaf first. Mirrors struct jp_frame.
struct RawFrame {
  enum class Kind : uint8_t {
    kNative = 0,      // address is a pc (leaf) or a return address
    kRuntime = 1,     // symbol is a symbol number of the runtime; address is the pc
    kBuiltin = 2,     // address is a pc inside the runtime's own code; named by the image's symbols
    kUnresolved = 3,  // the runtime's frame, but its memory did not make sense; detail says why
  };
  uint64_t address = 0;
  uint32_t symbol = 0;  // kRuntime only
  Kind kind = Kind::kNative;
  uint8_t runtime = 0;             // number of the runtime in the registry, 0 for none
  uint8_t detail = 0;              // runtime-specific (kUnresolved: why)
  bool is_return_address = false;  // look up address - 1
  bool is_async = false;           // not on the stack: it awaits the result of the frame before it

  friend bool operator==(const RawFrame&, const RawFrame&) = default;
};

}  // namespace jprof
