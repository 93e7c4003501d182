// Written by hand since the file is hostile and the budget has to hold in the middle of everything:
// a library that first makes its indexes and tables of the whole file gives no place to stop.
//
// A profile asks for some hundreds of addresses in a file of thousands of units, so a unit is read
// beyond its first entry (which says what addresses it has) only when it holds some of them. Its
// entries are then walked once, in the file's order: scopes are nested as their entries are, and
// each scope takes the questions that lie in it from the ones around it. The line program runs past
// the questions in the same way. Strings are read for the answers alone.
//
// Of overlapping scopes the first one has an address; of rows for one address the last one.
#include "symbolize/dwarf.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/debug_section.h"

namespace jprof {
namespace {

constexpr size_t kMaxUnits = 2'000'000;
constexpr size_t kMaxNesting = 1024;  // of entries
constexpr uint64_t kMaxLineFiles = 1 << 20;  // of one unit
constexpr size_t kMaxScopes = 256;  // nested functions at one address
constexpr int kMaxOriginHops = 16;
constexpr uint64_t kMaxUnitBytes = uint64_t{256} << 20;
constexpr size_t kMaxFrames = 4'000'000;
constexpr size_t kMaxTextBytes = size_t{64} << 20;
constexpr size_t kMaxCachedAttributes = 4'000'000;
constexpr size_t kMaxAltLinkBytes = 4096;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr uint64_t kNone = UINT64_MAX;

// The part of <dwarf.h>'s numbers that is used here, under the standard's names.
enum Tag : uint64_t {
  kClassType = 0x02,
  kEntryPoint = 0x03,
  kLexicalBlock = 0x0b,
  kStructureType = 0x13,
  kUnionType = 0x17,
  kInlinedSubroutine = 0x1d,
  kModule = 0x1e,
  kWithStatement = 0x22,
  kCatchBlock = 0x25,
  kSubprogram = 0x2e,
  kTryBlock = 0x32,
  kNamespace = 0x39,
};
enum Attribute : uint64_t {
  kSibling = 0x01,
  kName = 0x03,
  kStmtList = 0x10,
  kLowPc = 0x11,
  kHighPc = 0x12,
  kCompDir = 0x1b,
  kAbstractOrigin = 0x31,
  kDeclLine = 0x3b,
  kSpecification = 0x47,
  kRanges = 0x55,
  kCallColumn = 0x57,
  kCallFile = 0x58,
  kCallLine = 0x59,
  kLinkageName = 0x6e,
  kStrOffsetsBase = 0x72,
  kAddrBase = 0x73,
  kRnglistsBase = 0x74,
  kMipsLinkageName = 0x2007,
};
enum Form : uint64_t {
  kAddr = 0x01,
  kBlock2 = 0x03,
  kBlock4 = 0x04,
  kData2 = 0x05,
  kData4 = 0x06,
  kData8 = 0x07,
  kString = 0x08,
  kBlock = 0x09,
  kBlock1 = 0x0a,
  kData1 = 0x0b,
  kFlag = 0x0c,
  kSdata = 0x0d,
  kStrp = 0x0e,
  kUdata = 0x0f,
  kRefAddr = 0x10,
  kRef1 = 0x11,
  kRef2 = 0x12,
  kRef4 = 0x13,
  kRef8 = 0x14,
  kRefUdata = 0x15,
  kIndirect = 0x16,
  kSecOffset = 0x17,
  kExprloc = 0x18,
  kFlagPresent = 0x19,
  kStrx = 0x1a,
  kAddrx = 0x1b,
  kRefSup4 = 0x1c,
  kStrpSup = 0x1d,
  kData16 = 0x1e,
  kLineStrp = 0x1f,
  kRefSig8 = 0x20,
  kImplicitConst = 0x21,
  kLoclistx = 0x22,
  kRnglistx = 0x23,
  kRefSup8 = 0x24,
  kStrx1 = 0x25,
  kStrx4 = 0x28,
  kAddrx1 = 0x29,
  kAddrx4 = 0x2c,
  kGnuRefAlt = 0x1f20,
  kGnuStrpAlt = 0x1f21,
};

// An attribute's value; strings are read when they are wanted.
struct Value {
  enum class Class : uint8_t {
    kAbsent,
    kNumber,
    kAddress,
    kAddressIndex,
    kInfoString,  // number: offset in .debug_info
    kLineString,  // in .debug_line
    kStrp,        // in .debug_str
    kLineStrp,    // in .debug_line_str
    kStrIndex,
    kSupString,  // in .debug_str of the supplementary file
    kRangesIndex,
    kReference,     // in .debug_info of the same file
    kSupReference,  // of the supplementary file
    kOther,
  };
  Class kind = Class::kAbsent;
  uint64_t number = 0;

  bool present() const { return kind != Class::kAbsent; }
};
using Class = Value::Class;

struct Unit {
  uint64_t offset = 0;
  uint64_t end = 0;
  uint64_t first_entry = 0;
  uint64_t abbreviations = 0;
  uint16_t version = 0;
  uint8_t offset_size = 4;
  uint8_t address_size = 8;
  bool has_code = false;  // may have, by its type
  // From its first entry.
  bool root_read = false;
  uint64_t low_pc = 0;
  uint64_t str_offsets_base = 0;
  uint64_t address_base = 0;
  uint64_t ranges_base = 0;
  uint64_t lines = kNone;
  Value directory;
};

struct AbbreviatedAttribute {
  uint64_t name;
  uint64_t form;
  int64_t implicit;
};
struct Abbreviation {
  uint64_t code = 0;
  uint64_t tag = 0;
  bool has_children = false;
  uint32_t first = 0;
  uint32_t count = 0;
};
struct AbbreviationTable {
  std::vector<Abbreviation> entries;  // sorted by code
  std::vector<AbbreviatedAttribute> attributes;

  const Abbreviation* Find(uint64_t code) const {
    if (code - 1 < entries.size() && entries[code - 1].code == code) return &entries[code - 1];
    auto it = std::lower_bound(entries.begin(), entries.end(), code,
                               [](const Abbreviation& a, uint64_t c) { return a.code < c; });
    return it == entries.end() || it->code != code ? nullptr : &*it;
  }
};

// What is of interest of an entry.
struct Entry {
  Value name, linkage_name, low_pc, high_pc, ranges, origin, specification, call_file, call_line,
      call_column, decl_line, sibling, lines, directory, str_offsets_base, address_base,
      ranges_base;

  Value* Slot(uint64_t attribute) {
    switch (attribute) {
      case kName: return &name;
      case kLinkageName: return &linkage_name;
      case kMipsLinkageName: return &linkage_name;
      case kLowPc: return &low_pc;
      case kHighPc: return &high_pc;
      case kRanges: return &ranges;
      case kAbstractOrigin: return &origin;
      case kSpecification: return &specification;
      case kCallFile: return &call_file;
      case kCallLine: return &call_line;
      case kCallColumn: return &call_column;
      case kDeclLine: return &decl_line;
      case kSibling: return &sibling;
      case kStmtList: return &lines;
      case kCompDir: return &directory;
      case kStrOffsetsBase: return &str_offsets_base;
      case kAddrBase: return &address_base;
      case kRnglistsBase: return &ranges_base;
      default: return nullptr;
    }
  }
};

enum SectionNumber { kInfo, kAbbrev, kLine, kStr, kLineStr, kStrOffsets, kAddrs, kRangesV4,
                     kRnglists, kSectionCount };
constexpr absl::string_view kSectionNames[kSectionCount] = {
    ".debug_info",        ".debug_abbrev", ".debug_line",   ".debug_str",     ".debug_line_str",
    ".debug_str_offsets", ".debug_addr",   ".debug_ranges", ".debug_rnglists"};

// The DWARF sections of one file, and how to read what they are made of. Everything that can fail
// does so by an empty result, with the budget exhausted or not.
class DwarfFile {
 public:
  DwarfFile(const ElfFile& file, WorkBudget& budget) : budget_(budget) {
    const auto places = file.FindSections(kSectionNames);
    for (int i = 0; i < kSectionCount; ++i) {
      if (places[i]) sections_[i] = DebugSection(file, *places[i], budget);
    }
    const uint64_t size = section(kAbbrev).size();
    if (budget_.Reserve(size)) abbreviations_ = section(kAbbrev).Read(0, size, abbreviation_bytes_);
  }

  const DebugSection& section(SectionNumber n) const { return sections_[n]; }
  std::vector<Unit>& units() { return units_; }

  // Fills units() with what the headers say. Stops where it is damaged.
  void ReadUnits() {
    std::vector<uint8_t> buffer;
    const uint64_t size = section(kInfo).size();
    for (uint64_t at = 0; at < size && units_.size() < kMaxUnits && budget_.Spend(16);) {
      constexpr size_t kHeaderBytes = 40;
      ByteCursor c(section(kInfo).Read(at, kHeaderBytes, buffer));
      Unit unit;
      unit.offset = at;
      const uint64_t length = InitialLength(c, &unit.offset_size);
      const uint64_t begin = at + c.position();
      if (!c.ok() || length > size - begin) return;
      unit.end = begin + length;
      unit.version = c.U16();
      uint8_t type = 1;
      if (unit.version >= 5) {
        type = c.U8();
        unit.address_size = c.U8();
        unit.abbreviations = c.Unsigned(unit.offset_size);
        if (type == 4 || type == 5) c.U64();                          // skeleton, split: an id
        if (type == 2 || type == 6) c.Skip(8u + unit.offset_size);  // of types
      } else {
        unit.abbreviations = c.Unsigned(unit.offset_size);
        unit.address_size = c.U8();
      }
      unit.first_entry = at + c.position();
      unit.has_code = type == 1 || type == 4;
      if (!c.ok() || unit.end <= at) return;
      const bool known = unit.version >= 2 && unit.version <= 5 &&
                         (unit.address_size == 4 || unit.address_size == 8) &&
                         unit.first_entry < unit.end;
      at = unit.end;
      if (known) units_.push_back(unit);
    }
  }

  Unit* UnitAt(uint64_t offset) {
    auto after = std::upper_bound(units_.begin(), units_.end(), offset,
                                  [](uint64_t o, const Unit& u) { return o < u.offset; });
    if (after == units_.begin()) return nullptr;
    Unit& unit = *std::prev(after);
    if (offset < unit.first_entry || offset >= unit.end) return nullptr;
    if (!unit.root_read) ReadRoot(unit);
    return &unit;
  }

  // The unit's first entry, which says how to read the others.
  Entry ReadRoot(Unit& unit) {
    unit.root_read = true;
    Entry entry;
    ReadEntryAt(unit, unit.first_entry, &entry);
    unit.str_offsets_base = entry.str_offsets_base.number;
    unit.address_base = entry.address_base.number;
    unit.ranges_base = entry.ranges_base.number;
    if (entry.lines.present()) unit.lines = entry.lines.number;
    unit.directory = entry.directory;
    unit.low_pc = Address(unit, entry.low_pc).value_or(0);
    return entry;
  }

  bool ReadEntryAt(const Unit& unit, uint64_t offset, Entry* entry) {
    std::vector<uint8_t> buffer;
    for (uint64_t size = 512; budget_.Spend(size >> 6); size *= 16) {
      const uint64_t whole = unit.end - offset;
      ByteCursor c(section(kInfo).Read(offset, std::min(size, whole), buffer));
      *entry = {};
      const bool read = ReadFirstEntry(unit, c, offset, entry);
      if (read || size >= whole) return read;
    }
    return false;
  }

  // nullptr: damaged.
  const AbbreviationTable* Abbreviations(const Unit& unit) {
    auto [it, added] = tables_.try_emplace(unit.abbreviations);
    if (!added) return it->second.entries.empty() ? nullptr : &it->second;
    if (cached_attributes_ > kMaxCachedAttributes) {
      tables_.clear();
      cached_attributes_ = 0;
      it = tables_.try_emplace(unit.abbreviations).first;
    }
    AbbreviationTable& table = it->second;
    ByteCursor c(abbreviations_);
    if (!c.Seek(unit.abbreviations)) return nullptr;
    Abbreviation abbreviation;
    while (NextAbbreviation(c, &abbreviation)) {
      abbreviation.first = static_cast<uint32_t>(table.attributes.size());
      AbbreviatedAttribute attribute;
      while (NextAttribute(c, &attribute)) table.attributes.push_back(attribute);
      abbreviation.count = static_cast<uint32_t>(table.attributes.size()) - abbreviation.first;
      table.entries.push_back(abbreviation);
      ++cached_attributes_;
      cached_attributes_ += abbreviation.count;
      if (table.attributes.size() + table.entries.size() > kMaxCachedAttributes) return nullptr;
    }
    std::stable_sort(table.entries.begin(), table.entries.end(),
                     [](const Abbreviation& a, const Abbreviation& b) { return a.code < b.code; });
    return table.entries.empty() ? nullptr : &table;
  }

  // `base`: where the cursor's bytes begin in the section of `inline_strings`.
  Value ReadForm(ByteCursor& c, uint64_t base, const Unit& u, uint64_t form, int64_t implicit,
                 Class inline_strings = Class::kInfoString) {
    switch (form) {
      case kAddr: return {Class::kAddress, c.Unsigned(u.address_size)};
      case kData1: case kFlag: return {Class::kNumber, c.U8()};
      case kData2: return {Class::kNumber, c.U16()};
      case kData4: return {Class::kNumber, c.U32()};
      case kData8: return {Class::kNumber, c.U64()};
      case kUdata: return {Class::kNumber, c.Uleb()};
      case kSdata: return {Class::kNumber, static_cast<uint64_t>(c.Sleb())};
      case kImplicitConst: return {Class::kNumber, static_cast<uint64_t>(implicit)};
      case kFlagPresent: return {Class::kNumber, 1};
      case kSecOffset: return {Class::kNumber, c.Unsigned(u.offset_size)};
      case kString: {
        const uint64_t at = base + c.position();
        c.String();
        return {inline_strings, at};
      }
      case kStrp: return {Class::kStrp, c.Unsigned(u.offset_size)};
      case kLineStrp: return {Class::kLineStrp, c.Unsigned(u.offset_size)};
      case kStrpSup: case kGnuStrpAlt: return {Class::kSupString, c.Unsigned(u.offset_size)};
      case kStrx: return {Class::kStrIndex, c.Uleb()};
      case kAddrx: return {Class::kAddressIndex, c.Uleb()};
      case kRnglistx: return {Class::kRangesIndex, c.Uleb()};
      case kLoclistx: return {Class::kOther, c.Uleb()};
      case kRef1: return {Class::kReference, u.offset + c.U8()};
      case kRef2: return {Class::kReference, u.offset + c.U16()};
      case kRef4: return {Class::kReference, u.offset + c.U32()};
      case kRef8: return {Class::kReference, u.offset + c.U64()};
      case kRefUdata: return {Class::kReference, u.offset + c.Uleb()};
      case kRefAddr:
        return {Class::kReference, c.Unsigned(u.version <= 2 ? u.address_size : u.offset_size)};
      case kRefSup4: return {Class::kSupReference, c.U32()};
      case kRefSup8: return {Class::kSupReference, c.U64()};
      case kGnuRefAlt: return {Class::kSupReference, c.Unsigned(u.offset_size)};
      case kRefSig8: return {Class::kOther, c.U64()};
      case kData16: c.Skip(16); return {Class::kOther, 0};
      case kBlock1: c.Skip(c.U8()); return {Class::kOther, 0};
      case kBlock2: c.Skip(c.U16()); return {Class::kOther, 0};
      case kBlock4: c.Skip(c.U32()); return {Class::kOther, 0};
      case kBlock: case kExprloc: c.Skip(c.Uleb()); return {Class::kOther, 0};
      case kIndirect: {
        const uint64_t actual = c.Uleb();
        if (actual != kIndirect && actual != kImplicitConst) {
          return ReadForm(c, base, u, actual, 0, inline_strings);
        }
        break;
      }
      default:
        if (form >= kStrx1 && form <= kStrx4) {
          return {Class::kStrIndex, c.Unsigned(form - kStrx1 + 1)};
        }
        if (form >= kAddrx1 && form <= kAddrx4) {
          return {Class::kAddressIndex, c.Unsigned(form - kAddrx1 + 1)};
        }
    }
    c.Skip(UINT64_MAX);  // its size is not known: nothing behind it can be read
    return {};
  }

  std::optional<uint64_t> Address(const Unit& unit, const Value& value) {
    if (value.kind == Class::kAddress) return value.number;
    if (value.kind != Class::kAddressIndex || value.number > section(kAddrs).size()) {
      return std::nullopt;
    }
    ByteCursor c(Near(kAddrs, addresses_window_,
                      unit.address_base + value.number * unit.address_size, unit.address_size));
    const uint64_t address = c.Unsigned(unit.address_size);
    if (!c.ok()) return std::nullopt;
    return address;
  }

  std::string String(const Unit& unit, const Value& value, const DwarfFile* supplementary) {
    switch (value.kind) {
      case Class::kInfoString: return section(kInfo).ReadString(value.number);
      case Class::kLineString: return section(kLine).ReadString(value.number);
      case Class::kStrp: return section(kStr).ReadString(value.number);
      case Class::kLineStrp: return section(kLineStr).ReadString(value.number);
      case Class::kSupString:
        if (supplementary == nullptr) return "";
        return supplementary->section(kStr).ReadString(value.number);
      case Class::kStrIndex: {
        if (value.number > section(kStrOffsets).size()) return "";
        ByteCursor c(Near(kStrOffsets, strings_window_,
                          unit.str_offsets_base + value.number * unit.offset_size,
                          unit.offset_size));
        const uint64_t offset = c.Unsigned(unit.offset_size);
        return c.ok() ? section(kStr).ReadString(offset) : "";
      }
      default: return "";
    }
  }

  // Calls `visit` with each range of code of an entry; false: the entry does not speak of any.
  bool ForEachRange(const Unit& unit, const Entry& entry,
                    absl::FunctionRef<void(uint64_t begin, uint64_t end)> visit) {
    if (entry.ranges.present()) {
      if (unit.version >= 5) {
        VisitRnglist(unit, entry.ranges, visit);
      } else {
        VisitRanges(unit, entry.ranges.number, visit);
      }
      return true;
    }
    if (!entry.low_pc.present() || !entry.high_pc.present()) return false;
    const std::optional<uint64_t> low = Address(unit, entry.low_pc);
    if (!low) return true;
    const std::optional<uint64_t> high = entry.high_pc.kind == Class::kNumber
                                             ? *low + entry.high_pc.number
                                             : Address(unit, entry.high_pc);
    if (high && *high > *low) visit(*low, *high);
    return true;
  }

  static uint64_t InitialLength(ByteCursor& c, uint8_t* offset_size) {
    const uint32_t length = c.U32();
    *offset_size = length == UINT32_MAX ? 8 : 4;
    if (length == UINT32_MAX) return c.U64();
    return length < 0xfffffff0 ? length : kNone;
  }

 private:
  struct Window {
    SectionNumber of = kRangesV4;
    uint64_t offset = 0;
    std::vector<uint8_t> buffer;
    std::span<const uint8_t> bytes;
  };

  // [offset, offset + size) of a section that is read here and there.
  std::span<const uint8_t> Near(SectionNumber n, Window& window, uint64_t offset, uint64_t size) {
    constexpr uint64_t kWindowBytes = 16 * 1024;
    if (n != window.of || offset < window.offset || offset - window.offset > window.bytes.size() ||
        window.bytes.size() - (offset - window.offset) < size) {
      window.of = n;
      window.offset = offset;
      window.bytes = section(n).Read(offset, kWindowBytes, window.buffer);
      if (!budget_.Spend(kWindowBytes >> 6)) window.bytes = {};
    }
    return window.bytes.subspan(std::min<uint64_t>(offset - window.offset, window.bytes.size()));
  }

  bool NextAbbreviation(ByteCursor& c, Abbreviation* out) {
    out->code = c.Uleb();
    out->tag = c.Uleb();
    out->has_children = c.U8() != 0;
    return c.ok() && out->code != 0 && budget_.Spend();
  }
  bool NextAttribute(ByteCursor& c, AbbreviatedAttribute* out) {
    out->name = c.Uleb();
    out->form = c.Uleb();
    out->implicit = out->form == kImplicitConst ? c.Sleb() : 0;
    return c.ok() && (out->name != 0 || out->form != 0) && budget_.Spend();
  }

  // An entry that is read for itself: its abbreviation is searched, which is mostly the first.
  bool ReadFirstEntry(const Unit& unit, ByteCursor& c, uint64_t base, Entry* entry) {
    const uint64_t code = c.Uleb();
    ByteCursor a(abbreviations_);
    if (!c.ok() || code == 0) return false;
    if (auto it = tables_.find(unit.abbreviations); it != tables_.end()) {
      const Abbreviation* abbreviation = it->second.Find(code);
      if (abbreviation == nullptr) return false;
      for (uint32_t i = 0; i < abbreviation->count; ++i) {
        ReadAttribute(unit, c, base, it->second.attributes[abbreviation->first + i], entry);
      }
      return c.ok();
    }
    if (!a.Seek(unit.abbreviations)) return false;
    Abbreviation abbreviation;
    while (NextAbbreviation(a, &abbreviation)) {
      AbbreviatedAttribute attribute;
      while (NextAttribute(a, &attribute)) {
        if (abbreviation.code == code) ReadAttribute(unit, c, base, attribute, entry);
      }
      if (abbreviation.code == code) return c.ok() && a.ok();
    }
    return false;
  }

  void ReadAttribute(const Unit& unit, ByteCursor& c, uint64_t base,
                     const AbbreviatedAttribute& attribute, Entry* entry) {
    const Value value = ReadForm(c, base, unit, attribute.form, attribute.implicit);
    if (Value* slot = entry->Slot(attribute.name)) *slot = value;
  }

  void VisitRanges(const Unit& unit, uint64_t offset,
                   absl::FunctionRef<void(uint64_t, uint64_t)> visit) {
    const uint64_t max = unit.address_size == 8 ? UINT64_MAX : UINT32_MAX;
    uint64_t base = unit.low_pc;
    while (budget_.Spend()) {
      ByteCursor c(Near(kRangesV4, ranges_window_, offset, 2u * unit.address_size));
      const uint64_t begin = c.Unsigned(unit.address_size);
      const uint64_t end = c.Unsigned(unit.address_size);
      if (!c.ok() || (begin == 0 && end == 0)) return;
      offset += 2u * unit.address_size;
      if (begin == max) {
        base = end;
      } else if (end > begin) {
        visit(base + begin, base + end);
      }
    }
  }

  void VisitRnglist(const Unit& unit, const Value& list,
                    absl::FunctionRef<void(uint64_t, uint64_t)> visit) {
    uint64_t offset = list.number;
    if (list.kind == Class::kRangesIndex) {
      if (list.number > section(kRnglists).size()) return;
      ByteCursor c(Near(kRnglists, ranges_window_,
                        unit.ranges_base + list.number * unit.offset_size, unit.offset_size));
      offset = unit.ranges_base + c.Unsigned(unit.offset_size);
      if (!c.ok()) return;
    }
    constexpr uint64_t kMaxEntryBytes = 1 + 2 * 10;
    uint64_t base = unit.low_pc;
    while (budget_.Spend()) {
      // At the section's end there are fewer.
      std::span<const uint8_t> bytes = Near(kRnglists, ranges_window_, offset, kMaxEntryBytes);
      ByteCursor c(bytes);
      uint64_t begin = 0;
      uint64_t end = 0;
      auto indexed = [&] { return Address(unit, {Class::kAddressIndex, c.Uleb()}).value_or(0); };
      switch (c.U8()) {
        case 0: return;
        case 1: base = indexed(); break;
        case 2: begin = indexed(); end = indexed(); break;
        case 3: begin = indexed(); end = begin + c.Uleb(); break;
        case 4: begin = base + c.Uleb(); end = base + c.Uleb(); break;
        case 5: base = c.Unsigned(unit.address_size); break;
        case 6: begin = c.Unsigned(unit.address_size); end = c.Unsigned(unit.address_size); break;
        case 7: begin = c.Unsigned(unit.address_size); end = begin + c.Uleb(); break;
        default: return;
      }
      if (!c.ok()) return;
      offset += c.position();
      if (end > begin) visit(begin, end);
    }
  }

  WorkBudget& budget_;
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

// A function that is, or is inlined, at an address.
struct Scope {
  uint64_t entry = 0;  // offset in .debug_info
  bool inlined = false;
  uint64_t call_file = 0;
  uint32_t call_line = 0;
  uint32_t call_column = 0;
};

struct Row {
  uint64_t file = 0;
  uint32_t line = 0;
  uint32_t column = 0;
  bool known = false;
};

struct LineFile {
  Value name;
  uint64_t directory = 0;
  std::optional<uint32_t> interned;
};
struct LineTable {
  std::vector<Value> directories;
  std::vector<LineFile> files;
};

uint32_t Narrow(uint64_t value) {
  return value > UINT32_MAX ? 0 : static_cast<uint32_t>(value);
}

class Finder {
 public:
  Finder(const ElfFile& file, const ElfFile* supplementary,
         std::span<const ElfAddress> addresses, WorkBudget& budget, SourceInfo* info)
      : elf_(file), budget_(budget), addresses_(addresses), info_(*info), main_(file, budget) {
    if (supplementary != nullptr) supplementary_.emplace(*supplementary, budget);
    info_.functions.resize(1);
    info_.files.resize(1);
    function_ids_[SourceFunction()] = 0;
    file_ids_[""] = 0;
  }

  void Run() {
    main_.ReadUnits();
    if (supplementary_) supplementary_->ReadUnits();
    scopes_.resize(addresses_.size());
    rows_.resize(addresses_.size());
    std::vector<std::vector<SourceFrame>> frames(addresses_.size());

    for (auto& [unit, questions] : UnitsOfQuestions()) {
      if (budget_.exhausted()) return;
      WalkUnit(main_.units()[unit], questions);
      LineTable table;
      RunLines(main_.units()[unit], questions, &table);
      for (uint32_t q : questions) {
        frames[q] = FramesOf(main_.units()[unit], q, table);
        scopes_[q] = {};
      }
    }
    info_.first.reserve(frames.size() + 1);
    info_.first.push_back(0);
    for (const auto& of_one : frames) {
      info_.frames.insert(info_.frames.end(), of_one.begin(), of_one.end());
      info_.first.push_back(static_cast<uint32_t>(info_.frames.size()));
    }
  }

 private:
  using Questions = std::vector<uint32_t>;  // indexes of addresses, sorted

  // Calls `visit` with the position in `questions` of each that lies in [begin, end).
  template <typename Visit>
  void ForEachIn(const Questions& questions, uint64_t begin, uint64_t end, Visit visit) {
    auto it = std::lower_bound(
        questions.begin(), questions.end(), begin,
        [this](uint32_t q, uint64_t address) { return addresses_[q].value < address; });
    for (; it != questions.end() && addresses_[*it].value < end && budget_.Spend(); ++it) {
      visit(static_cast<size_t>(it - questions.begin()));
    }
  }

  std::vector<std::pair<size_t, Questions>> UnitsOfQuestions() {
    std::vector<std::pair<size_t, Questions>> result;
    Questions open(addresses_.size());
    for (size_t i = 0; i < open.size(); ++i) open[i] = static_cast<uint32_t>(i);
    for (size_t i = 0; i < main_.units().size() && !open.empty() && budget_.Spend(16); ++i) {
      Unit& unit = main_.units()[i];
      if (!unit.has_code) continue;
      const Entry root = main_.ReadRoot(unit);
      Questions taken;
      main_.ForEachRange(unit, root, [&](uint64_t begin, uint64_t end) {
        ForEachIn(open, begin, end, [&](size_t at) { taken.push_back(open[at]); });
      });
      if (taken.empty()) continue;
      Take(taken, open);
      result.emplace_back(i, std::move(taken));
    }
    return result;
  }

  // Sorts `taken` and removes what is in it from `open`.
  void Take(Questions& taken, Questions& open) {
    std::sort(taken.begin(), taken.end());
    taken.erase(std::unique(taken.begin(), taken.end()), taken.end());
    budget_.Spend(open.size());
    auto next = taken.begin();
    std::erase_if(open, [&](uint32_t q) {
      if (next == taken.end() || *next != q) return false;
      ++next;
      return true;
    });
  }

  void WalkUnit(const Unit& unit, const Questions& questions) {
    const uint64_t size = unit.end - unit.first_entry;
    if (size > kMaxUnitBytes || !budget_.Reserve(size)) return;
    std::vector<uint8_t> buffer;
    const auto bytes = main_.section(kInfo).Read(unit.first_entry, size, buffer);
    if (const AbbreviationTable* table = main_.Abbreviations(unit)) {
      WalkEntries(unit, *table, ByteCursor(bytes), questions, /*everywhere=*/false);
      // A method of a class that is local to a function lies in that function's entry, but not in
      // its code.
      Questions rest;
      for (uint32_t q : questions) {
        if (scopes_[q].empty()) rest.push_back(q);
      }
      if (!rest.empty()) WalkEntries(unit, *table, ByteCursor(bytes), rest, /*everywhere=*/true);
    }
    budget_.Release(size);
  }

  // `everywhere`: in functions too that no question is in.
  void WalkEntries(const Unit& unit, const AbbreviationTable& table, ByteCursor c,
                   const Questions& questions, bool everywhere) {
    // The questions that are open in each entry whose children are being read; nullopt: in those of
    // the entry above it.
    std::vector<std::optional<Questions>> levels;
    std::vector<size_t> owners;  // of each level: the nearest one that has questions of its own
    bool root = true;
    size_t skipping = 0;  // levels of children that are skipped
    while (c.ok() && c.left() > 0 && budget_.Spend()) {
      const uint64_t at = unit.first_entry + c.position();
      const uint64_t code = c.Uleb();
      if (code == 0) {
        if (skipping > 0) {
          --skipping;
        } else {
          if (levels.empty()) return;
          levels.pop_back();
          owners.pop_back();
        }
        if (levels.empty()) return;
        continue;
      }
      const Abbreviation* abbreviation = table.Find(code);
      if (abbreviation == nullptr || !budget_.Spend(abbreviation->count)) return;
      const uint64_t tag = abbreviation->tag;
      const bool scope = tag == kSubprogram || tag == kInlinedSubroutine || tag == kLexicalBlock ||
                         tag == kEntryPoint || tag == kTryBlock || tag == kCatchBlock ||
                         tag == kWithStatement;
      const bool container = tag == kNamespace || tag == kModule || tag == kClassType ||
                             tag == kStructureType || tag == kUnionType;
      Entry entry;
      for (uint32_t i = 0; i < abbreviation->count; ++i) {
        const AbbreviatedAttribute& a = table.attributes[abbreviation->first + i];
        const Value value = main_.ReadForm(c, unit.first_entry, unit, a.form, a.implicit);
        Value* slot = a.name == kSibling                ? &entry.sibling
                      : scope && skipping == 0 && !root ? entry.Slot(a.name)
                                                        : nullptr;
        if (slot != nullptr) *slot = value;
      }
      if (!c.ok()) return;
      if (root) {
        if (!abbreviation->has_children) return;
        root = false;
        levels.emplace_back(questions);
        owners.push_back(0);
        continue;
      }
      if (skipping > 0) {
        if (abbreviation->has_children && !SkipTo(unit, entry.sibling, c)) ++skipping;
        continue;
      }
      const size_t owner = everywhere && tag == kSubprogram ? 0 : owners.back();
      Questions& open = *levels[owner];
      if (owners.back() == 0 && open.empty()) return;
      bool enter = container && abbreviation->has_children;
      if (scope) {
        Questions taken;
        const bool has_ranges =
            main_.ForEachRange(unit, entry, [&](uint64_t begin, uint64_t end) {
              ForEachIn(open, begin, end, [&](size_t i) { taken.push_back(open[i]); });
            });
        if (!taken.empty()) {
          Take(taken, open);
          for (uint32_t q : taken) Enter(tag, at, entry, q);
          if (abbreviation->has_children) {
            levels.emplace_back(std::move(taken));
            owners.push_back(levels.size() - 1);
            continue;
          }
        }
        // Without code of its own it may hold what has some: the body of a function that is inlined
        // everywhere has the classes that are local to it, and their methods.
        enter = abbreviation->has_children && (everywhere || !has_ranges);
      }
      if (enter && owners.size() >= kMaxNesting) budget_.Spend(UINT64_MAX);
      if (enter) {
        levels.emplace_back();
        owners.push_back(owners.back());
      } else if (abbreviation->has_children && !SkipTo(unit, entry.sibling, c)) {
        skipping = 1;
      }
    }
  }

  static bool SkipTo(const Unit& unit, const Value& sibling, ByteCursor& c) {
    if (sibling.kind != Class::kReference ||
        sibling.number <= unit.first_entry + c.position() || sibling.number > unit.end) {
      return false;
    }
    return c.Seek(sibling.number - unit.first_entry);
  }

  void Enter(uint64_t tag, uint64_t at, const Entry& entry, uint32_t question) {
    if (tag != kSubprogram && tag != kInlinedSubroutine) return;
    std::vector<Scope>& scopes = scopes_[question];
    if (tag == kSubprogram) scopes.clear();  // one inside another: the inner one runs
    if (scopes.size() >= kMaxScopes) return;
    scopes.push_back({at, tag == kInlinedSubroutine, entry.call_file.number,
                      Narrow(entry.call_line.number), Narrow(entry.call_column.number)});
  }

  std::vector<SourceFrame> FramesOf(const Unit& unit, uint32_t question, LineTable& table) {
    const Row& row = rows_[question];
    std::vector<SourceFrame> frames;
    SourceFrame frame;
    if (row.known) frame = {0, FileOf(unit, table, row.file), row.line, row.column};
    const std::vector<Scope>& scopes = scopes_[question];
    // An inlined function has one around it.
    if (scopes.empty() || scopes[0].inlined) {
      if (row.known) frames.push_back(frame);
      return frames;
    }
    if (frame_count_ += scopes.size(); frame_count_ > kMaxFrames) {
      budget_.Spend(UINT64_MAX);
      return frames;
    }
    for (size_t i = scopes.size(); i-- > 0;) {
      frame.function = FunctionOf(scopes[i].entry);
      frames.push_back(frame);
      frame = {0, FileOf(unit, table, scopes[i].call_file), scopes[i].call_line,
               scopes[i].call_column};
    }
    return frames;
  }

  uint32_t FunctionOf(uint64_t entry_offset) {
    auto [it, added] = functions_of_entries_.try_emplace(entry_offset, 0);
    if (!added) return it->second;
    SourceFunction function;
    DwarfFile* file = &main_;
    for (int hop = 0; hop < kMaxOriginHops && budget_.Spend(64); ++hop) {
      const Unit* unit = file->UnitAt(entry_offset);
      Entry entry;
      if (unit == nullptr || !file->ReadEntryAt(*unit, entry_offset, &entry)) break;
      const DwarfFile* other = supplementary_ ? &*supplementary_ : nullptr;
      if (function.name.empty()) function.name = file->String(*unit, entry.name, other);
      if (function.linkage_name.empty()) {
        function.linkage_name = file->String(*unit, entry.linkage_name, other);
      }
      if (function.line == 0) function.line = Narrow(entry.decl_line.number);
      const Value& next = entry.origin.present() ? entry.origin : entry.specification;
      if (next.kind == Class::kSupReference && supplementary_) {
        file = &*supplementary_;
      } else if (next.kind != Class::kReference) {
        break;
      }
      entry_offset = next.number;
    }
    CountText(function.name.size() + function.linkage_name.size());
    const auto next_id = static_cast<uint32_t>(info_.functions.size());
    auto [id, is_new] = function_ids_.try_emplace(std::move(function), next_id);
    if (is_new) info_.functions.push_back(id->first);
    it->second = id->second;
    return id->second;
  }

  void CountText(size_t bytes) {
    text_bytes_ += bytes;
    if (text_bytes_ > kMaxTextBytes) budget_.Spend(UINT64_MAX);
  }

  uint32_t FileOf(const Unit& unit, LineTable& table, uint64_t number) {
    // Before version 5 they are counted from 1.
    const uint64_t index = line_version_ >= 5 ? number : number - 1;
    if (index >= table.files.size()) return 0;
    LineFile& file = table.files[index];
    if (file.interned) return *file.interned;
    const DwarfFile* other = supplementary_ ? &*supplementary_ : nullptr;
    std::string path = main_.String(unit, file.name, other);
    const uint64_t directory = line_version_ >= 5 ? file.directory : file.directory - 1;
    if (!absl::StartsWith(path, "/") && directory < table.directories.size()) {
      const std::string name = main_.String(unit, table.directories[directory], other);
      if (!name.empty()) path = absl::StrCat(name, "/", path);
    }
    if (!absl::StartsWith(path, "/")) {
      const std::string name = main_.String(unit, unit.directory, other);
      if (!name.empty()) path = absl::StrCat(name, "/", path);
    }
    CountText(path.size());
    const auto next_id = static_cast<uint32_t>(info_.files.size());
    auto [id, is_new] = file_ids_.try_emplace(std::move(path), next_id);
    if (is_new) info_.files.push_back(id->first);
    file.interned = id->second;
    return id->second;
  }

  struct LineHeader {
    uint8_t min_instruction = 1;
    uint8_t max_operations = 1;
    int8_t line_base = 0;
    uint8_t line_range = 0;
    uint8_t opcode_base = 0;
    std::vector<uint8_t> operands;
  };

  // The version 5 table of directories or files.
  bool ReadEntries(ByteCursor& c, uint64_t base, const Unit& form_unit,
                   absl::FunctionRef<void(const LineFile&)> add) {
    std::vector<std::pair<uint64_t, uint64_t>> format(c.U8());
    for (auto& [content, form] : format) {
      content = c.Uleb();
      form = c.Uleb();
    }
    const uint64_t count = c.Uleb();
    if ((format.empty() && count != 0) || count > kMaxLineFiles) return false;
    for (uint64_t i = 0; i < count && c.ok() && budget_.Spend(format.size() + 1); ++i) {
      LineFile file;
      for (const auto& [content, form] : format) {
        const Value value = main_.ReadForm(c, base, form_unit, form, 0, Class::kLineString);
        if (content == 1) file.name = value;
        if (content == 2) file.directory = value.number;
      }
      add(file);
    }
    return c.ok();
  }

  void RunLines(const Unit& unit, const Questions& questions, LineTable* table) {
    line_version_ = unit.version;
    if (unit.lines == kNone) return;
    std::vector<uint8_t> buffer;
    Unit forms = unit;  // its sizes may differ
    uint64_t length;
    uint64_t base = unit.lines;
    {
      ByteCursor c(main_.section(kLine).Read(unit.lines, 12, buffer));
      length = DwarfFile::InitialLength(c, &forms.offset_size);
      base += c.position();
      if (length > main_.section(kLine).size() || !budget_.Reserve(length)) return;
    }
    ByteCursor c(main_.section(kLine).Read(base, length, buffer));
    RunLineProgram(forms, base, c, questions, table);
    budget_.Release(length);
  }

  void RunLineProgram(Unit& forms, uint64_t base, ByteCursor& c, const Questions& questions,
                      LineTable* table) {
    forms.version = c.U16();
    line_version_ = forms.version;
    if (forms.version < 2 || forms.version > 5) return;
    if (forms.version >= 5) {
      forms.address_size = c.U8();
      if (c.U8() != 0 || (forms.address_size != 4 && forms.address_size != 8)) return;  // segments
    }
    const uint64_t header_length = c.Unsigned(forms.offset_size);
    const uint64_t program = c.position() + header_length;
    if (header_length > c.left()) return;
    LineHeader header;
    header.min_instruction = c.U8();
    if (forms.version >= 4) header.max_operations = std::max<uint8_t>(c.U8(), 1);
    c.U8();  // is_stmt: rows count whatever it says
    header.line_base = static_cast<int8_t>(c.U8());
    header.line_range = c.U8();
    header.opcode_base = c.U8();
    if (!c.ok() || header.line_range == 0 || header.opcode_base == 0) return;
    for (int i = 1; i < header.opcode_base; ++i) header.operands.push_back(c.U8());
    if (forms.version >= 5) {
      if (!ReadEntries(c, base, forms,
                       [&](const LineFile& f) { table->directories.push_back(f.name); }) ||
          !ReadEntries(c, base, forms, [&](const LineFile& f) { table->files.push_back(f); })) {
        return;
      }
    } else {
      auto next_string = [&](Value* value) {
        *value = {Class::kLineString, base + c.position()};
        return !c.String().empty() && c.ok() && budget_.Spend(2);
      };
      for (Value v; next_string(&v);) table->directories.push_back(v);
      for (Value v; next_string(&v);) {
        table->files.push_back({v, c.Uleb(), {}});
        c.Uleb();  // time
        c.Uleb();  // size
      }
    }
    if (!c.ok() || !c.Seek(program)) return;
    Execute(base, header, c, questions, table);
  }

  void Execute(uint64_t base, const LineHeader& header, ByteCursor& c,
               const Questions& questions, LineTable* table) {
    struct State {
      uint64_t address = 0;
      uint64_t operation = 0;
      uint64_t file = 1;
      uint64_t line = 1;
      uint64_t column = 0;
    };
    State state;
    std::optional<State> previous;
    bool in_code = false;  // this sequence: those of functions that were left out begin at 0
    auto advance = [&](uint64_t operations) {
      const uint64_t sum = state.operation + operations;
      state.address += header.min_instruction * (sum / header.max_operations);
      state.operation = sum % header.max_operations;
    };
    auto emit = [&](bool end) {
      if (!previous) in_code = elf_.ExecutableRange({state.address}).has_value();
      if (previous && in_code) {
        ForEachIn(questions, previous->address, state.address, [&](size_t i) {
          rows_[questions[i]] = {previous->file, Narrow(previous->line), Narrow(previous->column),
                                 true};
        });
      }
      previous = state;
      if (!end) return;
      previous.reset();
      state = State();
    };
    while (c.left() > 0 && c.ok() && budget_.Spend(2)) {
      const uint8_t opcode = c.U8();
      if (opcode >= header.opcode_base) {
        const int adjusted = opcode - header.opcode_base;
        advance(static_cast<uint64_t>(adjusted / header.line_range));
        state.line += static_cast<uint64_t>(header.line_base + adjusted % header.line_range);
        emit(false);
        continue;
      }
      switch (opcode) {
        case 0: {  // extended
          const uint64_t size = c.Uleb();
          if (size == 0 || size > c.left()) return;
          const size_t end = c.position() + size;
          const uint8_t extended = c.U8();
          if (extended == 1) {
            emit(true);
          } else if (extended == 2 && size - 1 <= 8) {
            state.address = c.Unsigned(size - 1);
            state.operation = 0;
          } else if (extended == 3) {
            const Value name = {Class::kLineString, base + c.position()};
            c.String();
            table->files.push_back({name, c.Uleb(), {}});
          }
          if (!c.Seek(end)) return;
          break;
        }
        case 1: emit(false); break;
        case 2: advance(c.Uleb()); break;
        case 3: state.line += static_cast<uint64_t>(c.Sleb()); break;
        case 4: state.file = c.Uleb(); break;
        case 5: state.column = c.Uleb(); break;
        case 8: advance(static_cast<uint64_t>(255 - header.opcode_base) / header.line_range); break;
        case 9:
          state.address += c.U16();
          state.operation = 0;
          break;
        default:  // of the others the operands alone matter
          for (int i = 0; i < header.operands[opcode - 1]; ++i) c.Uleb();
      }
    }
  }

  const ElfFile& elf_;
  WorkBudget& budget_;
  std::span<const ElfAddress> addresses_;
  SourceInfo& info_;
  DwarfFile main_;
  std::optional<DwarfFile> supplementary_;
  std::vector<std::vector<Scope>> scopes_;  // of each address, outermost first
  std::vector<Row> rows_;
  uint16_t line_version_ = 0;
  size_t frame_count_ = 0;
  size_t text_bytes_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> functions_of_entries_;
  absl::flat_hash_map<SourceFunction, uint32_t> function_ids_;
  absl::flat_hash_map<std::string, uint32_t> file_ids_;
};

}  // namespace

bool HasDwarf(const ElfFile& file) {
  const absl::string_view name = kSectionNames[kInfo];
  return file.FindSections({&name, 1})[0].has_value();
}

SupplementaryLink ReadSupplementaryLink(const ElfFile& file) {
  const auto section = file.ReadSection(".gnu_debugaltlink", kMaxAltLinkBytes);
  if (!section) return {};
  const auto nul = std::find(section->bytes.begin(), section->bytes.end(), 0);
  const absl::string_view path(reinterpret_cast<const char*>(section->bytes.data()),
                               static_cast<size_t>(nul - section->bytes.begin()));
  if (path.size() == section->bytes.size()) return {};
  const absl::string_view id(path.data() + path.size() + 1,
                             section->bytes.size() - path.size() - 1);
  if (id.empty() || id.size() > kMaxBuildIdBytes) return {};
  SupplementaryLink link{absl::BytesToHexString(id), ""};
  constexpr absl::string_view kDirectory = ".dwz/";
  const size_t at = path.rfind(kDirectory);
  if (at != absl::string_view::npos) {
    link.name = std::string(path.substr(at + kDirectory.size()));
    for (absl::string_view part : absl::StrSplit(link.name, '/')) {
      if (part.empty() || part == "." || part == "..") return {std::move(link.build_id), ""};
    }
  }
  return link;
}

absl::Status FindSource(const ElfFile& file, const ElfFile* supplementary,
                        std::span<const ElfAddress> addresses, WorkBudget& budget,
                        SourceInfo* info) {
  *info = {};
  if (!HasDwarf(file)) return absl::NotFoundError("no DWARF");
  Finder(file, supplementary, addresses, budget, info).Run();
  if (!budget.exhausted()) return absl::OkStatus();
  *info = {};
  return absl::ResourceExhaustedError("its DWARF takes more time or memory than it may");
}

}  // namespace jprof
