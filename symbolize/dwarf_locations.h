// Where a variable is while an address executes: DWARF's expression of it, from an attribute or
// from the lists of .debug_loc (DWARF 2 to 4) and .debug_loclists (5).
#pragma once

#include <cstdint>
#include <string>

#include "symbolize/dwarf_file.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

// "": nowhere, or it is not understood. `location` is an attribute of an entry of `unit`; the file
// has opened its locations.
std::string LocationAt(DwarfFile& file, const Unit& unit, const Value& location, uint64_t address,
                       WorkBudget& budget);

}  // namespace jprof::dwarf
