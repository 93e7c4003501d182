#include "symbolize/dwarf_file.h"

#include <algorithm>

namespace jprof::dwarf {
namespace {

constexpr size_t kMaxUnits = 2'000'000;
constexpr size_t kMaxCachedAttributes = 4'000'000;

}  // namespace

DwarfFile::DwarfFile(const ElfFile& file, WorkBudget& budget) : elf_(file), budget_(&budget) {
  const auto places = file.FindSections(kSectionNames);
  for (int i = 0; i < kLocV4; ++i) {
    if (places[i]) sections_[i] = DebugSection(file, *places[i], budget);
  }
  const uint64_t size = section(kAbbrev).size();
  if (budget_->Reserve(size)) abbreviations_ = section(kAbbrev).Read(0, size, abbreviation_bytes_);
}

void DwarfFile::OpenLocations() {
  for (int i : {kLocV4, kLoclists}) {
    const auto place = elf_.FindSections({&kSectionNames[i], 1})[0];
    if (place) sections_[i] = DebugSection(elf_, *place, *budget_);
  }
}

void DwarfFile::ReadUnits() {
  std::vector<uint8_t> buffer;
  const uint64_t size = section(kInfo).size();
  for (uint64_t at = 0; at < size && units_.size() < kMaxUnits && budget_->Spend(16);) {
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

Unit* DwarfFile::UnitAt(uint64_t offset) {
  auto after = std::upper_bound(units_.begin(), units_.end(), offset,
                                [](uint64_t o, const Unit& u) { return o < u.offset; });
  if (after == units_.begin()) return nullptr;
  Unit& unit = *std::prev(after);
  if (offset < unit.first_entry || offset >= unit.end) return nullptr;
  if (!unit.root_read) ReadRoot(unit);
  return &unit;
}

Entry DwarfFile::ReadRoot(Unit& unit) {
  unit.root_read = true;
  Entry entry;
  ReadEntryAt(unit, unit.first_entry, &entry);
  unit.str_offsets_base = entry.str_offsets_base.number;
  unit.address_base = entry.address_base.number;
  unit.ranges_base = entry.ranges_base.number;
  unit.locations_base = entry.locations_base.number;
  if (entry.lines.present()) unit.lines = entry.lines.number;
  unit.directory = entry.directory;
  unit.low_pc = Address(unit, entry.low_pc).value_or(0);
  return entry;
}

bool DwarfFile::ReadEntryAt(const Unit& unit, uint64_t offset, Entry* entry) {
  std::vector<uint8_t> buffer;
  for (uint64_t size = 512; budget_->Spend(size >> 6); size *= 16) {
    const uint64_t whole = unit.end - offset;
    ByteCursor c(section(kInfo).Read(offset, std::min(size, whole), buffer));
    *entry = {};
    const bool read = ReadFirstEntry(unit, c, offset, entry);
    if (read || size >= whole) return read;
  }
  return false;
}

const AbbreviationTable* DwarfFile::Abbreviations(const Unit& unit) {
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

Value DwarfFile::ReadForm(ByteCursor& c, uint64_t base, const Unit& u, uint64_t form,
                          int64_t implicit, Class inline_strings) {
  const uint64_t begin = base + c.position();
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
    case kString: c.String(); return {inline_strings, begin};
    case kStrp: return {Class::kStrp, c.Unsigned(u.offset_size)};
    case kLineStrp: return {Class::kLineStrp, c.Unsigned(u.offset_size)};
    case kStrpSup: case kGnuStrpAlt: return {Class::kSupString, c.Unsigned(u.offset_size)};
    case kStrx: return {Class::kStrIndex, c.Uleb()};
    case kAddrx: return {Class::kAddressIndex, c.Uleb()};
    case kRnglistx: return {Class::kRangesIndex, c.Uleb()};
    case kLoclistx: return {Class::kLocationIndex, c.Uleb()};
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
    case kBlock1: c.Skip(c.U8()); return {Class::kBlock1, begin};
    case kBlock2: c.Skip(c.U16()); return {Class::kBlock2, begin};
    case kBlock4: c.Skip(c.U32()); return {Class::kBlock4, begin};
    case kBlock: case kExprloc: c.Skip(c.Uleb()); return {Class::kBlock, begin};
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

std::optional<uint64_t> DwarfFile::Address(const Unit& unit, const Value& value) {
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

std::string DwarfFile::String(const Unit& unit, const Value& value,
                              const DwarfFile* supplementary) {
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

std::string DwarfFile::Block(const Value& value) {
  std::vector<uint8_t> buffer;
  constexpr size_t kMaxLengthBytes = 10;
  ByteCursor c(section(kInfo).Read(value.number, kMaxLengthBytes + kMaxBlockBytes, buffer));
  uint64_t size = 0;
  switch (value.kind) {
    case Class::kBlock1: size = c.U8(); break;
    case Class::kBlock2: size = c.U16(); break;
    case Class::kBlock4: size = c.U32(); break;
    case Class::kBlock: size = c.Uleb(); break;
    default: return "";
  }
  if (size > kMaxBlockBytes || !budget_->Spend(1 + (size >> 4))) return "";
  const std::span<const uint8_t> bytes = c.Bytes(size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool DwarfFile::ForEachRange(const Unit& unit, const Entry& entry,
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

uint64_t DwarfFile::InitialLength(ByteCursor& c, uint8_t* offset_size) {
  const uint32_t length = c.U32();
  *offset_size = length == UINT32_MAX ? 8 : 4;
  if (length == UINT32_MAX) return c.U64();
  return length < 0xfffffff0 ? length : kNone;
}

std::span<const uint8_t> DwarfFile::Near(SectionNumber n, Window& window, uint64_t offset,
                                         uint64_t size) {
  constexpr uint64_t kWindowBytes = 16 * 1024;
  if (n != window.of || offset < window.offset || offset - window.offset > window.bytes.size() ||
      window.bytes.size() - (offset - window.offset) < size) {
    window.of = n;
    window.offset = offset;
    window.bytes = section(n).Read(offset, kWindowBytes, window.buffer);
    if (!budget_->Spend(kWindowBytes >> 6)) window.bytes = {};
  }
  return window.bytes.subspan(std::min<uint64_t>(offset - window.offset, window.bytes.size()));
}

bool DwarfFile::NextAbbreviation(ByteCursor& c, Abbreviation* out) {
  out->code = c.Uleb();
  out->tag = c.Uleb();
  out->has_children = c.U8() != 0;
  return c.ok() && out->code != 0 && budget_->Spend();
}
bool DwarfFile::NextAttribute(ByteCursor& c, AbbreviatedAttribute* out) {
  out->name = c.Uleb();
  out->form = c.Uleb();
  out->implicit = out->form == kImplicitConst ? c.Sleb() : 0;
  return c.ok() && (out->name != 0 || out->form != 0) && budget_->Spend();
}

// An entry that is read for itself: its abbreviation is searched, which is mostly the first.
bool DwarfFile::ReadFirstEntry(const Unit& unit, ByteCursor& c, uint64_t base, Entry* entry) {
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

void DwarfFile::ReadAttribute(const Unit& unit, ByteCursor& c, uint64_t base,
                              const AbbreviatedAttribute& attribute, Entry* entry) {
  const Value value = ReadForm(c, base, unit, attribute.form, attribute.implicit);
  if (Value* slot = entry->Slot(attribute.name)) *slot = value;
}

void DwarfFile::VisitRanges(const Unit& unit, uint64_t offset,
                            absl::FunctionRef<void(uint64_t, uint64_t)> visit) {
  const uint64_t max = unit.address_size == 8 ? UINT64_MAX : UINT32_MAX;
  uint64_t base = unit.low_pc;
  while (budget_->Spend()) {
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

void DwarfFile::VisitRnglist(const Unit& unit, const Value& list,
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
  while (budget_->Spend()) {
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

}  // namespace jprof::dwarf
