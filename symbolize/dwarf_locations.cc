#include "symbolize/dwarf_locations.h"

#include <optional>
#include <span>
#include <vector>

namespace jprof::dwarf {
namespace {

constexpr uint64_t kMaxListBytes = 64 * 1024;

enum ListEntry : uint8_t {
  kEndOfList = 0,
  kBaseAddressx = 1,
  kStartxEndx = 2,
  kStartxLength = 3,
  kOffsetPair = 4,
  kDefaultLocation = 5,
  kBaseAddress = 6,
  kStartEnd = 7,
  kStartLength = 8,
  kViewPair = 9,
};

std::string Expression(ByteCursor& c, uint64_t size) {
  const std::span<const uint8_t> bytes = c.Bytes(size);
  if (!c.ok() || size > DwarfFile::kMaxBlockBytes) return "";
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string FindInLoc(const Unit& unit, ByteCursor c, uint64_t address, WorkBudget& budget) {
  const uint64_t max = unit.address_size == 8 ? UINT64_MAX : UINT32_MAX;
  uint64_t base = unit.low_pc;
  while (budget.Spend()) {
    const uint64_t begin = c.Unsigned(unit.address_size);
    const uint64_t end = c.Unsigned(unit.address_size);
    if (!c.ok() || (begin == 0 && end == 0)) return "";
    if (begin == max) {
      base = end;
      continue;
    }
    const std::string expression = Expression(c, c.U16());
    if (c.ok() && address - (base + begin) < end - begin && begin < end) return expression;
  }
  return "";
}

std::string FindInLoclist(DwarfFile& file, const Unit& unit, ByteCursor c, uint64_t address,
                          WorkBudget& budget) {
  uint64_t base = unit.low_pc;
  std::string otherwise;
  auto indexed = [&] {
    return file.Address(unit, {Class::kAddressIndex, c.Uleb()}).value_or(UINT64_MAX);
  };
  while (budget.Spend()) {
    uint64_t begin = 0;
    uint64_t end = 0;
    bool has_range = true;
    const uint8_t kind = c.U8();
    switch (kind) {
      case kBaseAddressx:
        base = indexed();
        continue;
      case kBaseAddress:
        base = c.Unsigned(unit.address_size);
        continue;
      case kViewPair:
        c.Uleb();
        c.Uleb();
        continue;
      case kStartxEndx:
        begin = indexed();
        end = indexed();
        break;
      case kStartxLength:
        begin = indexed();
        end = begin + c.Uleb();
        break;
      case kOffsetPair:
        begin = base + c.Uleb();
        end = base + c.Uleb();
        break;
      case kStartEnd:
        begin = c.Unsigned(unit.address_size);
        end = c.Unsigned(unit.address_size);
        break;
      case kStartLength:
        begin = c.Unsigned(unit.address_size);
        end = begin + c.Uleb();
        break;
      case kDefaultLocation:
        has_range = false;
        break;
      default:
        return c.ok() && kind == kEndOfList ? otherwise : "";
    }
    std::string expression = Expression(c, c.Uleb());
    if (!c.ok()) return "";
    if (has_range && address >= begin && address < end) return expression;
    if (!has_range) otherwise = std::move(expression);
  }
  return "";
}

}  // namespace

std::string LocationAt(DwarfFile& file, const Unit& unit, const Value& location, uint64_t address,
                       WorkBudget& budget) {
  uint64_t offset = location.number;
  const DebugSection& lists = file.section(unit.version >= 5 ? kLoclists : kLocV4);
  std::vector<uint8_t> buffer;
  if (location.kind == Class::kLocationIndex) {
    if (location.number > lists.size()) return "";
    ByteCursor c(lists.Read(unit.locations_base + location.number * unit.offset_size,
                            unit.offset_size, buffer));
    offset = unit.locations_base + c.Unsigned(unit.offset_size);
    if (!c.ok()) return "";
  } else if (location.kind != Class::kNumber) {
    return file.Block(location);
  }
  if (!budget.Spend(kMaxListBytes >> 6)) return "";
  const ByteCursor c(lists.Read(offset, kMaxListBytes, buffer));
  return unit.version >= 5 ? FindInLoclist(file, unit, c, address, budget)
                           : FindInLoc(unit, c, address, budget);
}

}  // namespace jprof::dwarf
