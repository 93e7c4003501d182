// Files and lines of addresses: the line program of one unit, which runs past the questions once.
// Of several rows for one address the last one has it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbolize/dwarf_file.h"
#include "symbolize/dwarf_questions.h"
#include "symbolize/elf_file.h"

namespace jprof::dwarf {

struct LineRow {
  uint64_t file = 0;  // as LineTable::FileAt() has it
  uint32_t line = 0;
  uint32_t column = 0;
  bool known = false;
};

struct LineFile {
  Value name;
  uint64_t directory = 0;
  std::optional<uint32_t> interned;  // for the caller
};

struct LineTable {
  uint16_t version = 0;
  std::vector<Value> directories;
  std::vector<LineFile> files;

  // By the numbers of rows and entries; nullptr: none, or the unit's own directory.
  LineFile* FileAt(uint64_t number) { return At(files, number); }
  const Value* DirectoryAt(uint64_t number) { return At(directories, number); }

 private:
  // Before version 5 they are counted from 1.
  template <typename T>
  T* At(std::vector<T>& all, uint64_t number) {
    const uint64_t index = version >= 5 ? number : number - 1;
    return index < all.size() ? &all[index] : nullptr;
  }
};

// Fills the rows of `questions`, which lie in `unit`; `rows` has those of each address. `elf`: of
// which file the code is. What is damaged costs the rows behind it.
LineTable FindLines(DwarfFile& file, const ElfFile& elf, const Unit& unit,
                    const AddressList& addresses, const Questions& questions, WorkBudget& budget,
                    std::vector<LineRow>& rows);

}  // namespace jprof::dwarf
