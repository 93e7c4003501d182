#include "symbolize/dwarf_types.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace jprof::dwarf {
namespace {

constexpr size_t kMaxTypes = 20'000;
constexpr size_t kMaxTextBytes = size_t{4} << 20;  // of names of all types
constexpr size_t kMaxMembers = 32;
constexpr size_t kMaxEnumerators = 1024;
constexpr size_t kMaxParts = 100'000;  // members and enumerators of all types
constexpr size_t kMaxNameBytes = 128;
constexpr int kMaxSynonyms = 32;
constexpr int kMaxNesting = 8;  // more than there is, but for references to references

NativeType::Kind KindOfEncoding(uint64_t encoding, uint64_t size) {
  using Kind = NativeType::Kind;
  switch (encoding) {
    case 0x02:
      return Kind::kBool;
    case 0x04:
      return Kind::kFloat;
    case 0x05:
      return Kind::kSigned;
    case 0x06:
      return size == 1 ? Kind::kCharacter : Kind::kSigned;
    case 0x07:
      return Kind::kUnsigned;
    case 0x08:
      return size == 1 ? Kind::kUnsignedCharacter : Kind::kUnsigned;
    case 0x10:
      return size == 1 ? Kind::kUnsignedCharacter : Kind::kUnsigned;  // UTF
    default:
      return Kind::kUnknown;
  }
}

bool IsSynonym(uint64_t tag) {
  return tag == kTypedef || tag == kConstType || tag == kVolatileType || tag == kRestrictType ||
         tag == kAtomicType;
}

const NativeType::Member* FindMember(const NativeType& type, absl::string_view name) {
  for (const NativeType::Member& member : type.members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

// The standard library's strings of char, by the names that libstdc++ gives their members.
void RecognizeText(absl::string_view name, NativeType& type) {
  if (!absl::StartsWith(name, "basic_string<char,") &&
      !absl::StartsWith(name, "basic_string_view<char,")) {
    return;
  }
  const NativeType::Member* text = FindMember(type, "_M_dataplus");
  const NativeType::Member* length = FindMember(type, "_M_string_length");
  if (text == nullptr) text = FindMember(type, "_M_str");
  if (length == nullptr) length = FindMember(type, "_M_len");
  if (text == nullptr || length == nullptr) return;
  type.members = {*text, *length};
  type.kind = NativeType::Kind::kText;
}

}  // namespace

std::string TypeReader::Name(const Unit& unit, const FullEntry& entry) {
  std::string name = file_.String(unit, entry.Get(kName), supplementary_);
  if (name.size() > kMaxNameBytes) name.resize(kMaxNameBytes);
  text_bytes_ += name.size();
  if (text_bytes_ > kMaxTextBytes) name.clear();
  return name;
}

bool TypeReader::Resolve(Value reference, const Unit** unit, FullEntry* entry) {
  for (int i = 0; i < kMaxSynonyms; ++i) {
    if (reference.kind != Class::kReference) return false;
    const Unit* at = file_.UnitAt(reference.number);
    if (at == nullptr || !entries_.Read(*at, reference.number, entry)) return false;
    *unit = at;
    if (!IsSynonym(entry->tag)) return true;
    reference = entry->Get(kType);
  }
  return false;
}

uint32_t TypeReader::Read(const Value& reference, Depth depth) {
  const Unit* unit = nullptr;
  FullEntry entry;
  if (!Resolve(reference, &unit, &entry)) return kNoType;
  const std::pair key(entry.offset, depth);
  if (auto known = known_.find(key); known != known_.end()) return known->second;
  if (types_.size() >= kMaxTypes || nesting_ >= kMaxNesting || !budget_.Spend(16)) return kNoType;
  ++nesting_;
  NativeType type = ReadEntry(*unit, entry, depth);
  --nesting_;
  types_.push_back(std::move(type));
  return known_[key] = static_cast<uint32_t>(types_.size() - 1);
}

NativeType TypeReader::ReadEntry(const Unit& unit, const FullEntry& entry, Depth depth) {
  NativeType type;
  const Value size = entry.Get(kByteSize);
  if (size.kind == Class::kNumber) type.size = size.number;
  switch (entry.tag) {
    case kBaseType:
      type.kind = KindOfEncoding(entry.Get(kEncoding).number, type.size);
      break;
    case kPointerType:
      type.kind = NativeType::Kind::kPointer;
      type.size = unit.address_size;
      if (depth > kBare) type.target = Read(entry.Get(kType), kBare);
      break;
    case kReferenceType:
    case kRvalueReferenceType:
      type.kind = NativeType::Kind::kReference;
      type.size = unit.address_size;
      if (depth > kBare) type.target = Read(entry.Get(kType), depth);
      break;
    case kEnumerationType:
      ReadEnum(unit, entry, type);
      break;
    case kStructureType:
    case kClassType:
    case kUnionType:
      ReadStruct(unit, entry, depth, type);
      break;
    case kArrayType:
      ReadArray(unit, entry, depth, type);
      break;
    default:
      type.size = 0;
      break;
  }
  return type;
}

// Bit fields of DWARF 2 to 4 are counted from the other end of what they are a part of.
void TypeReader::FindBits(const FullEntry& entry, NativeType::Member& member) const {
  constexpr uint64_t kMaxBytes = 8;
  uint64_t bytes = entry.Get(kByteSize).number;
  if (bytes == 0 && member.type < types_.size()) bytes = types_[member.type].size;
  const Value above = entry.Get(kBitOffset);
  const uint64_t used = above.number + member.bits;
  if (above.kind == Class::kNumber && bytes <= kMaxBytes && used <= 8 * bytes &&
      used > above.number) {
    member.first_bit = static_cast<uint32_t>(8 * bytes - used);
  } else {
    member.type = kNoType;
  }
}

void TypeReader::ReadStruct(const Unit& unit, const FullEntry& entry, Depth depth,
                            NativeType& type) {
  type.kind = NativeType::Kind::kStruct;
  if (depth == kBare) return;
  const Depth below = depth == kWhole ? kPart : kBare;
  entries_.ForEachChild(unit, entry, [&](const FullEntry& child) {
    if (child.tag != kMember && child.tag != kInheritance) return true;
    if (child.Has(kExternal) || child.Has(kDeclaration) || child.Has(kArtificial)) return true;
    if (parts_ >= kMaxParts) return false;
    const Value place = child.Get(kMemberLocation);
    const Value bit = child.Get(kDataBitOffset);
    if (place.present() && place.kind != Class::kNumber) return true;  // by expressions of old
    ++parts_;
    NativeType::Member& member = type.members.emplace_back();
    member.name = Name(unit, child);
    member.offset = place.number + bit.number / 8;
    member.bits = Narrow(child.Get(kBitSize).number);
    member.first_bit = static_cast<uint32_t>(bit.number % 8);
    member.type = Read(child.Get(kType), below);
    if (member.bits != 0 && !bit.present()) FindBits(child, member);
    return type.members.size() < kMaxMembers;
  });
  RecognizeText(Name(unit, entry), type);
  // Of a part it shows that it is one.
  if (depth == kPart && type.kind == NativeType::Kind::kStruct) type.members.clear();
}

void TypeReader::ReadEnum(const Unit& unit, const FullEntry& entry, NativeType& type) {
  type.kind = NativeType::Kind::kEnum;
  entries_.ForEachChild(unit, entry, [&](const FullEntry& child) {
    if (parts_ >= kMaxParts) return false;
    const Value value = child.Get(kConstValue);
    if (child.tag == kEnumerator && value.kind == Class::kNumber) {
      ++parts_;
      type.enumerators.push_back({Name(unit, child), value.number});
    }
    return type.enumerators.size() < kMaxEnumerators;
  });
}

void TypeReader::ReadArray(const Unit& unit, const FullEntry& entry, Depth depth,
                           NativeType& type) {
  type.kind = NativeType::Kind::kArray;
  int dimensions = 0;
  entries_.ForEachChild(unit, entry, [&](const FullEntry& child) {
    if (child.tag != kSubrangeType) return true;
    ++dimensions;
    const Value count = child.Get(kCount);
    const Value last = child.Get(kUpperBound);
    if (count.kind == Class::kNumber) type.count = count.number;
    if (last.kind == Class::kNumber) type.count = last.number + 1;
    return true;
  });
  if (dimensions != 1 || depth == kBare) type.count = 0;
  if (type.count != 0) type.target = Read(entry.Get(kType), kBare);
}

}  // namespace jprof::dwarf
