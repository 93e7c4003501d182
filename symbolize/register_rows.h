// Where functions have saved all their callers' registers, of single addresses, from .eh_frame and
// .debug_frame (DWARF 5, section 6.4). The walk's own tables follow three registers, for all code
// (profiler/unwind/call_frames.h); this is for the few frames whose variables are read.
#pragma once

#include <span>
#include <vector>

#include "profiler/core/address.h"
#include "symbolize/elf_file.h"
#include "symbolize/frame_values.h"
#include "symbolize/work_budget.h"

namespace jprof {

// Fills the rows of `addresses`, which are sorted, as far as they are not known and the file's
// sections tell of them.
void FindRegisterRows(const ElfFile& file, std::span<const ElfAddress> addresses,
                      WorkBudget& budget, std::vector<RegisterRow>& rows);

}  // namespace jprof
