// The functions and files of what was found, each once: their strings are read for the answers
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "symbolize/dwarf.h"
#include "symbolize/dwarf_file.h"
#include "symbolize/dwarf_lines.h"

namespace jprof::dwarf {

// Fills SourceInfo::functions and files.
class SourceNames {
 public:
  // All outlive this. `supplementary` may be nullptr.
  SourceNames(DwarfFile& file, DwarfFile* supplementary, WorkBudget& budget, SourceInfo& info);

  // The number of the function of an entry of .debug_info, by way of what it is an instance of.
  uint32_t FunctionOf(uint64_t entry);
  // The number of a file that `table`, of `unit`, has under `number`.
  uint32_t FileOf(const Unit& unit, LineTable& table, uint64_t number);

 private:
  void CountText(size_t bytes);

  DwarfFile& file_;
  DwarfFile* const supplementary_;
  WorkBudget& budget_;
  SourceInfo& info_;
  size_t text_bytes_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> functions_of_entries_;
  absl::flat_hash_map<SourceFunction, uint32_t> function_ids_;
  absl::flat_hash_map<std::string, uint32_t> file_ids_;
};

}  // namespace jprof::dwarf
