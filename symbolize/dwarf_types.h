// Types, as far as values of them are shown to people: what a value looks like, and one level of
// what it is made of. Each is read once.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "symbolize/dwarf_entries.h"
#include "symbolize/dwarf_file.h"
#include "symbolize/frame_values.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

class TypeReader {
 public:
  // All outlive this. `supplementary` may be nullptr; types are added to `types`.
  TypeReader(DwarfFile& file, DwarfFile* supplementary, EntryReader& entries, WorkBudget& budget,
             std::vector<NativeType>& types)
      : file_(file),
        supplementary_(supplementary),
        entries_(entries),
        budget_(budget),
        types_(types) {}

  // Into `types`; kNoType where it is not known. `reference`: the attribute that names it.
  uint32_t TypeOf(const Value& reference) { return Read(reference, kWhole); }

 private:
  // How much of what a type is made of is read.
  enum Depth : uint8_t { kBare, kPart, kWhole };

  uint32_t Read(const Value& reference, Depth depth);
  // The entry behind typedef, const and the like. False: none.
  bool Resolve(Value reference, const Unit** unit, FullEntry* entry);
  NativeType ReadEntry(const Unit& unit, const FullEntry& entry, Depth depth);
  void ReadStruct(const Unit& unit, const FullEntry& entry, Depth depth, NativeType& type);
  void FindBits(const FullEntry& entry, NativeType::Member& member) const;
  void ReadEnum(const Unit& unit, const FullEntry& entry, NativeType& type);
  void ReadArray(const Unit& unit, const FullEntry& entry, Depth depth, NativeType& type);
  std::string Name(const Unit& unit, const FullEntry& entry);

  DwarfFile& file_;
  DwarfFile* const supplementary_;
  EntryReader& entries_;
  WorkBudget& budget_;
  std::vector<NativeType>& types_;
  size_t text_bytes_ = 0;
  size_t parts_ = 0;
  int nesting_ = 0;
  absl::flat_hash_map<std::pair<uint64_t, Depth>, uint32_t> known_;  // by offset
};

}  // namespace jprof::dwarf
