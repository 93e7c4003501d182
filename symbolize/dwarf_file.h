// The DWARF sections of one file, and how to read what they are made of. Everything that can fail
// does so by an empty result, with the budget exhausted or not. Used by one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/debug_section.h"
#include "symbolize/dwarf_format.h"
#include "symbolize/elf_file.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

enum SectionNumber { kInfo, kAbbrev, kLine, kStr, kLineStr, kStrOffsets, kAddrs, kRangesV4,
                     kRnglists, kLocV4, kLoclists, kSectionCount };
inline constexpr absl::string_view kSectionNames[kSectionCount] = {
    ".debug_info",        ".debug_abbrev", ".debug_line",   ".debug_str",     ".debug_line_str",
    ".debug_str_offsets", ".debug_addr",   ".debug_ranges", ".debug_rnglists",
    ".debug_loc",         ".debug_loclists"};

class DwarfFile {
 public:
  // Both outlive this.
  DwarfFile(const ElfFile& file, WorkBudget& budget);
  // What is read from now on is paid from another one.
  void SpendFrom(WorkBudget& budget) { budget_ = &budget; }

  const DebugSection& section(SectionNumber n) const { return sections_[n]; }
  std::vector<Unit>& units() { return units_; }

  // Fills units() with what the headers say. Stops where it is damaged.
  void ReadUnits();
  // nullptr: none has an entry there.
  Unit* UnitAt(uint64_t offset);
  // The unit's first entry, which says how to read the others.
  Entry ReadRoot(Unit& unit);
  bool ReadEntryAt(const Unit& unit, uint64_t offset, Entry* entry);
  // Where lists of places of variables are, which not everybody wants to have unpacked.
  void OpenLocations();
  // nullptr: damaged. Valid until the next call.
  const AbbreviationTable* Abbreviations(const Unit& unit);
  // `base`: where the cursor's bytes begin in the section of `inline_strings`.
  Value ReadForm(ByteCursor& c, uint64_t base, const Unit& u, uint64_t form, int64_t implicit,
                 Class inline_strings = Class::kInfoString);

  std::optional<uint64_t> Address(const Unit& unit, const Value& value);
  std::string String(const Unit& unit, const Value& value, const DwarfFile* supplementary);
  // The bytes of a block; "" when it is none, or of more than kMaxBlockBytes.
  std::string Block(const Value& value);
  // Calls `visit` with each range of code of an entry; false: the entry does not speak of any.
  bool ForEachRange(const Unit& unit, const Entry& entry,
                    absl::FunctionRef<void(uint64_t begin, uint64_t end)> visit);

  static constexpr size_t kMaxBlockBytes = 1024;

  // kNone: none that is allowed.
  static uint64_t InitialLength(ByteCursor& c, uint8_t* offset_size);

 private:
  struct Window {
    SectionNumber of = kRangesV4;
    uint64_t offset = 0;
    std::vector<uint8_t> buffer;
    std::span<const uint8_t> bytes;
  };

  // [offset, offset + size) of a section that is read here and there.
  std::span<const uint8_t> Near(SectionNumber n, Window& window, uint64_t offset, uint64_t size);
  bool NextAbbreviation(ByteCursor& c, Abbreviation* out);
  bool NextAttribute(ByteCursor& c, AbbreviatedAttribute* out);
  bool ReadFirstEntry(const Unit& unit, ByteCursor& c, uint64_t base, Entry* entry);
  void ReadAttribute(const Unit& unit, ByteCursor& c, uint64_t base,
                     const AbbreviatedAttribute& attribute, Entry* entry);
  void VisitRanges(const Unit& unit, uint64_t offset,
                   absl::FunctionRef<void(uint64_t, uint64_t)> visit);
  void VisitRnglist(const Unit& unit, const Value& list,
                    absl::FunctionRef<void(uint64_t, uint64_t)> visit);

  const ElfFile& elf_;
  WorkBudget* budget_;
  DebugSection sections_[kSectionCount];
  std::vector<uint8_t> abbreviation_bytes_;
  std::span<const uint8_t> abbreviations_;
  std::vector<Unit> units_;
  absl::flat_hash_map<uint64_t, AbbreviationTable> tables_;  // by offset
  size_t cached_attributes_ = 0;
  Window addresses_window_;
  Window strings_window_;
  Window ranges_window_;
};

}  // namespace jprof::dwarf
