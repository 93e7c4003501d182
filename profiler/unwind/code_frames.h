// Frames of code that no compiler described: what the instructions themselves do to the stack. musl
// is built without call-frame information and without frame pointers, and whole distributions and
// static programs rest on it.
//
// A function is followed from its first instruction along all branches, with the distance of the
// stack pointer from the CFA and the place of the caller's rbp as the state. That is no guess,
// since it is checked: where two ways meet, their states must be the same, each return must find
// the stack as at the entry, and pops must find what was pushed. A function that fails any of it,
// or does with the stack what is not followed here, has no frames.
//
// Where a jump's target is not seen (switch tables), the code between that no other way leads to is
// taken to begin with the state of the jump; the same checks hold for it.
//
// Functions are found by symbols, by calls, those of the program's entry too, and by addresses that
// code takes.
//
// The bytes are hostile: each is read within bounds, the work is linear in their number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "helpers/abi/unwind_table.h"

namespace jprof {

struct CodeRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct CodeFrame {
  uint64_t begin = 0;
  uint64_t end = 0;
  jp_rule rule = {};
};

// Of `code`, which lies at `address`. `described`: what needs no frames, sorted, without overlaps;
// it is looked through for calls. `functions`: that are known; where the end is not, it is the
// begin. `entry`: where the program starts, 0 if it does not; that has no caller and no frames, but
// calls the first function. The frames are sorted and do not overlap each other or `described`.
std::vector<CodeFrame> FramesOfCode(std::span<const uint8_t> code, uint64_t address,
                                    std::span<const CodeRange> described,
                                    std::span<const CodeRange> functions, uint64_t entry = 0);

}  // namespace jprof
