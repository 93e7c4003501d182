// DWARF's expressions (DWARF 5, section 2.5) as call-frame information has them: to say where
// something is, or what it is.
//
// The bytes are hostile, and they are a program: the stack is bounded and so is the number of
// steps, since there are jumps backwards. What they read is another process's memory, through its
// reader.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "profiler/process/memory_reader.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

// The value at the end; `first` is on the stack in the beginning. nullopt: it needs a register that
// is not known or memory that is not there, or has an operation that frames have no use for, or is
// damaged.
std::optional<uint64_t> EvaluateFrameExpression(std::span<const uint8_t> expression,
                                                const FrameRegisters& registers,
                                                const MemoryReader& memory,
                                                std::optional<uint64_t> first = std::nullopt);

}  // namespace jprof
