// Where a variable is, from DWARF's expression of it and what is known of a frame. The expression
// comes from a file and is believed in nothing: it takes a bounded number of steps, and what needs
// a register or memory that is not known is not known either.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "profiler/process/memory_reader.h"
#include "profiler/stop/stopped_thread.h"

namespace jprof {

// By DWARF's numbers for x86-64; 16: the return address, or pc.
inline constexpr uint32_t kFrameRegisters = 17;
using FrameRegisters = std::array<std::optional<uint64_t>, kFrameRegisters>;

struct LocationContext {
  const FrameRegisters& registers;
  std::optional<uint64_t> cfa;
  absl::string_view frame_base;  // an expression, "" where there is none
  uint64_t bias = 0;             // of addresses in memory over those in the file
  const MemoryReader& memory;
  const VectorRegisters* vectors = nullptr;  // not known: calls do not preserve them
  // What a register held when the function was called; empty: not known of any.
  std::function<std::optional<uint64_t>(uint64_t number)> at_entry = nullptr;
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
