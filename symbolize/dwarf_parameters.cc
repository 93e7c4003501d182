#include "symbolize/dwarf_parameters.h"

#include <algorithm>
#include <utility>

#include "symbolize/dwarf_locations.h"

namespace jprof::dwarf {
namespace {

constexpr size_t kMaxParametersOfOne = 64;
constexpr size_t kMaxParameters = 100'000;
constexpr size_t kMaxNameBytes = 128;
constexpr int kMaxOrigins = 8;

constexpr int kMaxEntriesOfOne = 100'000;
constexpr size_t kMaxPassed = 16;

Value Either(const Value& first, const Value& second) { return first.present() ? first : second; }

// What a constant is as an expression.
std::string ConstantExpression(uint64_t value) {
  constexpr char kConst8u = 0x0e;
  constexpr char kStackValue = static_cast<char>(0x9f);
  std::string expression(1, kConst8u);
  expression.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return expression + kStackValue;
}
std::string ConstantExpression(const std::string& bytes) {
  constexpr char kImplicitValue = static_cast<char>(0x9e);
  constexpr size_t kMaxBytes = 127;  // a LEB128 of one byte
  if (bytes.empty() || bytes.size() > kMaxBytes) return "";
  return std::string({kImplicitValue, static_cast<char>(bytes.size())}) + bytes;
}

}  // namespace

ParameterReader::ParameterReader(DwarfFile& file, DwarfFile* supplementary, WorkBudget& budget,
                                 std::vector<NativeType>& types)
    : file_(file),
      supplementary_(supplementary),
      budget_(budget),
      entries_(file, budget),
      types_(file, supplementary, entries_, budget, types) {}

std::string ParameterReader::PlaceOf(const Unit& unit, const FullEntry& entry, uint64_t address) {
  const Value constant = entry.Get(kConstValue);
  if (constant.kind == Class::kNumber) return ConstantExpression(constant.number);
  if (constant.present()) return ConstantExpression(file_.Block(constant));
  const Value location = entry.Get(kLocation);
  return location.present() ? LocationAt(file_, unit, location, address, budget_) : "";
}

void ParameterReader::Describe(const Unit& unit, const FullEntry& entry, Parameter& parameter) {
  FullEntry at = entry;
  const Unit* in = &unit;
  for (int i = 0; i < kMaxOrigins; ++i) {
    if (parameter.name.empty()) {
      parameter.name = file_.String(*in, at.Get(kName), supplementary_).substr(0, kMaxNameBytes);
    }
    if (parameter.type == kNoType) parameter.type = types_.TypeOf(at.Get(kType));
    const Value origin = at.Get(kAbstractOrigin);
    if (origin.kind != Class::kReference) return;
    in = file_.UnitAt(origin.number);
    if (in == nullptr || !entries_.Read(*in, origin.number, &at)) return;
  }
}

std::vector<ParameterReader::Known> ParameterReader::ParametersOf(const Unit& unit,
                                                                  const FullEntry& function,
                                                                  uint64_t address) {
  std::vector<Known> known;
  entries_.ForEachChild(unit, function, [&](const FullEntry& child) {
    if (child.tag != kFormalParameter) return true;
    const Value origin = child.Get(kAbstractOrigin);
    Known& one = known.emplace_back();
    one.entry = origin.kind == Class::kReference ? origin.number : child.offset;
    Describe(unit, child, one.parameter);
    one.parameter.location = PlaceOf(unit, child, address);
    return known.size() < kMaxParametersOfOne;
  });
  return known;
}

FrameFunction ParameterReader::ReadFunction(const Unit& unit, uint64_t offset, uint64_t address) {
  FrameFunction function;
  FullEntry entry;
  if (parameters_ > kMaxParameters || !entries_.Read(unit, offset, &entry)) return function;
  std::vector<Known> own = ParametersOf(unit, entry, address);
  function.known = true;
  // An instance need not have all of its function's parameters.
  const Value origin = entry.Get(kAbstractOrigin);
  const Unit* in = origin.kind == Class::kReference ? file_.UnitAt(origin.number) : nullptr;
  if (in != nullptr && entries_.Read(*in, origin.number, &entry)) {
    for (Known& one : ParametersOf(*in, entry, address)) {
      const auto same = std::find_if(own.begin(), own.end(),
                                     [&](const Known& k) { return k.entry == one.entry; });
      if (same != own.end()) {
        one.parameter = std::move(same->parameter);
        own.erase(same);
      }
      function.parameters.push_back(std::move(one.parameter));
    }
  }
  for (Known& one : own) function.parameters.push_back(std::move(one.parameter));
  parameters_ += function.parameters.size();
  return function;
}

std::string ParameterReader::NameOf(const Unit& unit, const FullEntry& entry) {
  FullEntry at = entry;
  const Unit* in = &unit;
  std::string name;
  for (int i = 0; i < kMaxOrigins; ++i) {
    const Value linkage = Either(at.Get(kLinkageName), at.Get(kMipsLinkageName));
    if (linkage.present()) return file_.String(*in, linkage, supplementary_);
    if (name.empty()) name = file_.String(*in, at.Get(kName), supplementary_);
    const Value origin = Either(at.Get(kAbstractOrigin), at.Get(kSpecification));
    if (origin.kind != Class::kReference) break;
    in = file_.UnitAt(origin.number);
    if (in == nullptr || !entries_.Read(*in, origin.number, &at)) break;
  }
  return name;
}

void ParameterReader::ReadCall(const Unit& unit, const FullEntry& function, uint64_t address,
                               FrameValue& out) {
  uint64_t at = function.next;
  FullEntry entry;
  int depth = function.has_children ? 1 : 0;
  for (int i = 0; depth > 0 && i < kMaxEntriesOfOne && entries_.Read(unit, at, &entry); ++i) {
    at = entry.next;
    if (entry.tag == 0) --depth;
    if (entry.has_children) ++depth;
    if (entry.tag != kCallSite && entry.tag != kGnuCallSite) continue;
    const Value behind = Either(entry.Get(kCallReturnPc), entry.Get(kLowPc));
    if (!behind.present() || file_.Address(unit, behind) != address) continue;
    const Value origin = Either(entry.Get(kCallOrigin), entry.Get(kAbstractOrigin));
    const Unit* in = origin.kind == Class::kReference ? file_.UnitAt(origin.number) : nullptr;
    FullEntry callee;
    if (in == nullptr || !entries_.Read(*in, origin.number, &callee)) return;
    out.callee = NameOf(*in, callee);
    entries_.ForEachChild(unit, entry, [&](const FullEntry& child) {
      constexpr uint8_t kReg0 = 0x50, kRegisters = 32;
      const std::string place = file_.Block(child.Get(kLocation));
      const uint8_t number =
          place.size() == 1 ? static_cast<uint8_t>(place[0] - kReg0) : kRegisters;
      if ((child.tag == kCallSiteParameter || child.tag == kGnuCallSiteParameter) &&
          number < kRegisters) {
        out.passed.push_back(
            {number, file_.Block(Either(child.Get(kCallValue), child.Get(kGnuCallSiteValue)))});
      }
      return out.passed.size() < kMaxPassed;
    });
    return;
  }
}

void ParameterReader::Read(const Unit& unit, const Scopes& scopes, uint64_t address,
                           FrameValue& out) {
  if (scopes.empty() || scopes[0].inlined) return;
  FullEntry entry;
  if (entries_.Read(unit, scopes[0].entry, &entry)) {
    const Value base = entry.Get(kFrameBase);
    if (base.present()) out.frame_base = LocationAt(file_, unit, base, address, budget_);
    out.function = NameOf(unit, entry);
    // `address` is within the call, the last byte of it for all one knows.
    ReadCall(unit, entry, address + 1, out);
  }
  for (const Scope& scope : scopes) {
    out.functions.push_back(ReadFunction(unit, scope.entry, address));
  }
}

}  // namespace jprof::dwarf
