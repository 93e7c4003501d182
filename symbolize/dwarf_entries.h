// Single entries of .debug_info with all that they say, and their children: for what is looked up
// here and there, where dwarf_scopes.h walks whole units.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "symbolize/dwarf_file.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

struct FullEntry {
  uint64_t offset = 0;
  uint64_t next = 0;  // where its first child is, or what follows it
  uint64_t tag = 0;   // 0: the end of its siblings
  bool has_children = false;
  std::vector<std::pair<uint64_t, Value>> attributes;

  // Absent where it has none.
  Value Get(uint64_t attribute) const {
    for (const auto& [name, value] : attributes) {
      if (name == attribute) return value;
    }
    return {};
  }
  bool Has(uint64_t attribute) const { return Get(attribute).present(); }
};

class EntryReader {
 public:
  // Both outlive this.
  EntryReader(DwarfFile& file, WorkBudget& budget) : file_(file), budget_(budget) {}

  // False: there is none that can be read.
  bool Read(const Unit& unit, uint64_t offset, FullEntry* entry);
  // Calls `visit` with each child of `parent` until it returns false, for so many at most.
  void ForEachChild(const Unit& unit, const FullEntry& parent,
                    absl::FunctionRef<bool(const FullEntry& child)> visit);

 private:
  bool Parse(const Unit& unit, uint64_t offset, ByteCursor& c, uint64_t base, FullEntry* entry);
  // Where what follows the entry and all below it is; 0: not found.
  uint64_t Behind(const Unit& unit, const FullEntry& entry);

  DwarfFile& file_;
  WorkBudget& budget_;
  uint64_t window_at_ = 0;
  std::vector<uint8_t> buffer_;
  std::span<const uint8_t> window_;
};

}  // namespace jprof::dwarf
