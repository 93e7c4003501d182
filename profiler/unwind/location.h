// DWARF's expressions (DWARF 5, section 2.5), with what is known of a frame: where a variable is,
// and in call-frame information where a register was saved. They come from files and are believed
// in nothing: they take a bounded number of steps, and what needs a register or memory that is not
// known is not known either. Thread-safe if the reader of memory is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "profiler/process/memory_reader.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

struct LocationContext {
  const FrameRegisters& registers;
  std::optional<uint64_t> cfa = std::nullopt;
  absl::string_view frame_base = "";  // an expression, "" where there is none
  // Of addresses in memory over those in the file; nullopt: an expression must not have any.
  std::optional<uint64_t> bias = std::nullopt;
  const MemoryReader& memory;
  const VectorRegisters* vectors = nullptr;  // not known: calls do not preserve them
  // What a register held when the function was called; empty: not known of any.
  std::function<std::optional<uint64_t>(uint64_t number)> at_entry = nullptr;
  int* steps = nullptr;  // that are left to several expressions together, which take from it
};

struct ValuePlace {
  enum class Kind : uint8_t {
    kUnknown,
    kNowhere,  // the compiler has kept it in no place
    kMemory,   // at `address`
    kBytes,    // `bytes` are the value, of which its type may want fewer
  };
  Kind kind = Kind::kUnknown;
  uint64_t address = 0;
  std::string bytes;
};

// "" is kNowhere.
ValuePlace Locate(absl::string_view expression, const LocationContext& context);

// What an expression computes, begun with a value on its stack or without; nullopt: not known.
std::optional<uint64_t> Compute(absl::string_view expression, const LocationContext& context,
                                std::optional<uint64_t> begin = std::nullopt);

}  // namespace jprof
