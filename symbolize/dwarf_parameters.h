// The parameters of the functions that an address is in, and of what is inlined there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symbolize/dwarf_entries.h"
#include "symbolize/dwarf_file.h"
#include "symbolize/dwarf_scopes.h"
#include "symbolize/dwarf_types.h"
#include "symbolize/frame_values.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

class ParameterReader {
 public:
  // All outlive this. `supplementary` may be nullptr; types are added to `types`.
  ParameterReader(DwarfFile& file, DwarfFile* supplementary, WorkBudget& budget,
                  std::vector<NativeType>& types);

  // Fills all but the row. `scopes` of `unit` are those of the address.
  void Read(const Unit& unit, const Scopes& scopes, uint64_t address, FrameValue& out);

 private:
  struct Known {
    uint64_t entry = 0;  // of what it is an instance of, or its own
    Parameter parameter;
  };
  FrameFunction ReadFunction(const Unit& unit, uint64_t entry, uint64_t address);
  std::vector<Known> ParametersOf(const Unit& unit, const FullEntry& function, uint64_t address);
  // Its name and type, by way of what it is an instance of.
  void Describe(const Unit& unit, const FullEntry& entry, Parameter& parameter);
  // The call in `function` that returns to `address`, and what it passes.
  void ReadCall(const Unit& unit, const FullEntry& function, uint64_t address, FrameValue& out);
  // By way of what it is an instance of, or declared by.
  std::string NameOf(const Unit& unit, const FullEntry& entry);
  std::string PlaceOf(const Unit& unit, const FullEntry& entry, uint64_t address);

  DwarfFile& file_;
  DwarfFile* const supplementary_;
  WorkBudget& budget_;
  EntryReader entries_;
  TypeReader types_;
  size_t parameters_ = 0;
};

}  // namespace jprof::dwarf
