// Which function an address is in, and which functions are inlined there: the entries of one unit.
//
// They are walked once, in the file's order: scopes are nested as their entries are, and each scope
// takes the questions that lie in it from the ones around it. Of overlapping scopes the first one
// has an address.
#pragma once

#include <cstdint>
#include <vector>

#include "symbolize/dwarf_file.h"
#include "symbolize/dwarf_questions.h"

namespace jprof::dwarf {

// A function that is, or is inlined, at an address.
struct Scope {
  uint64_t entry = 0;  // offset in .debug_info
  bool inlined = false;
  uint64_t call_file = 0;
  uint32_t call_line = 0;
  uint32_t call_column = 0;
};
using Scopes = std::vector<Scope>;  // outermost first

// Fills the scopes of `questions`, which lie in `unit`; `scopes` has those of each address.
void FindScopes(DwarfFile& file, const Unit& unit, const AddressList& addresses,
                const Questions& questions, WorkBudget& budget, std::vector<Scopes>& scopes);

}  // namespace jprof::dwarf
