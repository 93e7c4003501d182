// One section of an ELF file that may be large: read piece by piece from the file, or unpacked into
// memory when it is compressed there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "symbolize/elf_file.h"
#include "symbolize/work_budget.h"

namespace jprof {

class DebugSection {
 public:
  DebugSection() = default;  // empty
  // `file` outlives the section. Empty when it is damaged, packed by a method that is not known, or
  // too large for the budget.
  DebugSection(const ElfFile& file, const ElfFile::SectionPlace& place, WorkBudget& budget);

  uint64_t size() const { return size_; }

  // Bytes [offset, offset + size), fewer when the section ends before or cannot be read. They are
  // in `buffer` or in the section itself, so valid as long as both.
  std::span<const uint8_t> Read(uint64_t offset, uint64_t size, std::vector<uint8_t>& buffer) const;
  // The string at `offset`, "" outside. Cut at kMaxStringBytes.
  std::string ReadString(uint64_t offset) const;

  static constexpr size_t kMaxStringBytes = 16 * 1024;

 private:
  const ElfFile* file_ = nullptr;
  FileOffset place_;
  uint64_t size_ = 0;
  std::vector<uint8_t> unpacked_;  // of `size_` bytes when the file has it compressed
};

}  // namespace jprof
