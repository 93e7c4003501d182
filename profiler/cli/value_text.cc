#include "profiler/cli/value_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace jprof {
namespace {

using Kind = NativeType::Kind;

constexpr char kUnreadable[] = "?";
constexpr char kCut[] = "…";
constexpr size_t kMaxTextBytes = 64;
constexpr size_t kMaxMembers = 8;
constexpr size_t kMaxElements = 8;
constexpr size_t kMaxValueBytes = 400;
constexpr uint64_t kMaxLength = uint64_t{1} << 40;  // beyond, it is none

std::string Quoted(absl::string_view text, bool cut) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return absl::StrCat(out, "\"", cut ? kCut : "");
}

int64_t SignExtended(uint64_t value, uint64_t bits) {
  const uint64_t unused = 64 - bits;
  return static_cast<int64_t>(value << unused) >> unused;
}

std::string CharacterText(uint64_t value, bool is_signed) {
  const auto c = static_cast<uint8_t>(value);
  const std::string number =
      is_signed ? absl::StrCat(int{static_cast<int8_t>(c)}) : absl::StrCat(c);
  if (c < 0x20 || c >= 0x7f) return number;
  return absl::StrCat(number, " '", std::string(1, static_cast<char>(c)), "'");
}

template <typename Float>
std::string FloatText(absl::string_view bytes) {
  Float value;
  std::memcpy(&value, bytes.data(), std::min(sizeof(value), bytes.size()));
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return std::string(text, end);
}

class Writer {
 public:
  Writer(const std::vector<NativeType>& types, const MemoryReader& memory)
      : types_(types), memory_(memory) {}

  std::string Text(uint32_t number, const ValuePlace& at, int depth) {
    if (at.kind == ValuePlace::Kind::kNowhere) return "<optimized out>";
    if (at.kind == ValuePlace::Kind::kUnknown || number >= types_.size()) return kUnreadable;
    const NativeType& type = types_[number];
    switch (type.kind) {
      case Kind::kUnknown:
        return kUnreadable;
      case Kind::kStruct:
        return StructText(type, at, depth);
      case Kind::kArray:
        return ArrayText(type, at, depth);
      case Kind::kText:
        return StringText(type, at);
      case Kind::kPointer:
        return PointerText(type, at);
      case Kind::kReference:
        return ReferenceText(type, at, depth);
      case Kind::kFloat:
        return FloatingText(type, at);
      default:
        return ScalarText(type, at);
    }
  }

 private:
  std::optional<std::string> Bytes(const ValuePlace& at, uint64_t offset, uint64_t size) const {
    if (size == 0 || size > kMaxTextBytes) return std::nullopt;
    if (at.kind == ValuePlace::Kind::kBytes) {
      if (offset > at.bytes.size() || size > at.bytes.size() - offset) return std::nullopt;
      return at.bytes.substr(offset, size);
    }
    std::string bytes(size, '\0');
    if (!memory_.ReadExactly(Address{at.address + offset},
                             {reinterpret_cast<std::byte*>(bytes.data()), size})) {
      return std::nullopt;
    }
    return bytes;
  }
  std::optional<uint64_t> Number(const ValuePlace& at, uint64_t offset, uint64_t size) const {
    uint64_t value = 0;
    const auto bytes = size > sizeof(value) ? std::nullopt : Bytes(at, offset, size);
    if (!bytes) return std::nullopt;
    std::memcpy(&value, bytes->data(), bytes->size());
    return value;
  }
  static ValuePlace Part(const ValuePlace& whole, uint64_t offset) {
    ValuePlace part = whole;
    part.address += offset;
    part.bytes.erase(0, std::min<uint64_t>(offset, part.bytes.size()));
    return part;
  }

  std::string ScalarText(const NativeType& type, const ValuePlace& at) const {
    const auto value = Number(at, 0, type.size);
    return value ? NumberText(type, *value, 8 * type.size) : kUnreadable;
  }

  // Of 1 to 64 bits.
  std::string NumberText(const NativeType& type, uint64_t value, uint64_t bits) const {
    switch (type.kind) {
      case Kind::kSigned:
        return absl::StrCat(SignExtended(value, bits));
      case Kind::kBool:
        return value == 0 ? "false" : value == 1 ? "true" : absl::StrCat(value);
      case Kind::kCharacter:
        return CharacterText(value, true);
      case Kind::kUnsignedCharacter:
        return CharacterText(value, false);
      case Kind::kEnum:
        return EnumText(type, value, bits);
      case Kind::kPointer:
      case Kind::kReference:
        return absl::StrFormat("0x%x", value);
      default:
        return absl::StrCat(value);
    }
  }

  static std::string EnumText(const NativeType& type, uint64_t value, uint64_t bits) {
    const uint64_t mask = bits < 64 ? (uint64_t{1} << bits) - 1 : UINT64_MAX;
    for (const NativeType::Enumerator& e : type.enumerators) {
      if ((e.value & mask) == value) return e.name;
    }
    // Flags that are set together.
    std::vector<absl::string_view> names;
    uint64_t rest = value;
    for (const NativeType::Enumerator& e : type.enumerators) {
      const uint64_t flag = e.value & mask;
      if (flag == 0 || (flag & (flag - 1)) != 0 || (rest & flag) == 0) continue;
      names.push_back(e.name);
      rest &= ~flag;
    }
    return rest == 0 && !names.empty() ? absl::StrJoin(names, " | ") : absl::StrCat(value);
  }

  std::string FloatingText(const NativeType& type, const ValuePlace& at) const {
    const auto bytes = Bytes(at, 0, type.size);
    if (!bytes) return kUnreadable;
    if (type.size == sizeof(float)) return FloatText<float>(*bytes);
    if (type.size == sizeof(double)) return FloatText<double>(*bytes);
    if (type.size == sizeof(long double)) return FloatText<long double>(*bytes);
    return kUnreadable;
  }

  std::string PointerText(const NativeType& type, const ValuePlace& at) const {
    const auto value = Number(at, 0, type.size);
    if (!value) return kUnreadable;
    const bool is_text =
        type.target < types_.size() && types_[type.target].kind == Kind::kCharacter;
    if (*value != 0 && is_text) {
      if (const auto text = TextAt(*value, kMaxTextBytes, true)) return *text;
    }
    return absl::StrFormat("0x%x", *value);
  }

  // Up to its NUL, or all of that length. nullopt: not readable.
  std::optional<std::string> TextAt(uint64_t address, uint64_t length, bool ends_with_nul) const {
    std::string text(kMaxTextBytes + 1, '\0');
    const uint64_t wanted = ends_with_nul ? text.size() : std::min<uint64_t>(length, kMaxTextBytes);
    // What lies behind the text need not be readable.
    text.resize(
        memory_.Read(Address{address}, {reinterpret_cast<std::byte*>(text.data()), wanted}));
    if (!ends_with_nul) {
      if (text.size() < wanted) return std::nullopt;
      return Quoted(text, length > text.size());
    }
    const size_t nul = text.find('\0');
    if (nul == std::string::npos && text.size() <= kMaxTextBytes) return std::nullopt;
    return Quoted(absl::string_view(text).substr(0, std::min(nul, kMaxTextBytes)),
                  nul == std::string::npos);
  }

  std::string StringText(const NativeType& type, const ValuePlace& at) const {
    const auto text = Number(at, type.members[0].offset, sizeof(uint64_t));
    const auto length = Number(at, type.members[1].offset, sizeof(uint64_t));
    if (!text || !length || *length > kMaxLength) return kUnreadable;
    if (*length == 0) return "\"\"";
    return TextAt(*text, *length, false).value_or(kUnreadable);
  }

  std::string ReferenceText(const NativeType& type, const ValuePlace& at, int depth) {
    const auto value = Number(at, 0, type.size);
    if (!value) return kUnreadable;
    if (type.target >= types_.size() || types_[type.target].kind == Kind::kReference) {
      return absl::StrFormat("0x%x", *value);
    }
    return Text(type.target, {ValuePlace::Kind::kMemory, *value, ""}, depth);
  }

  std::string StructText(const NativeType& type, const ValuePlace& at, int depth) {
    if (depth > 0) return absl::StrCat("{", kCut, "}");
    std::vector<std::string> members;
    for (const NativeType::Member& member : type.members) {
      if (members.size() == kMaxMembers) {
        members.emplace_back(kCut);
        break;
      }
      members.push_back(absl::StrCat(member.name, member.name.empty() ? "" : "=",
                                     member.bits != 0
                                         ? BitsText(member, at)
                                         : Text(member.type, Part(at, member.offset), depth + 1)));
    }
    // Without members it may be declared alone.
    if (members.empty() && type.size != 1) return absl::StrCat("{", kCut, "}");
    return absl::StrCat("{", absl::StrJoin(members, ", "), "}");
  }

  std::string BitsText(const NativeType::Member& member, const ValuePlace& at) const {
    const uint64_t bits = uint64_t{member.first_bit} + member.bits;
    const auto value = bits > 64 ? std::nullopt : Number(at, member.offset, (bits + 7) / 8);
    if (!value || member.type >= types_.size() || types_[member.type].kind == Kind::kUnknown) {
      return kUnreadable;
    }
    const uint64_t mask = member.bits < 64 ? (uint64_t{1} << member.bits) - 1 : UINT64_MAX;
    return NumberText(types_[member.type], (*value >> member.first_bit) & mask, member.bits);
  }

  std::string ArrayText(const NativeType& type, const ValuePlace& at, int depth) {
    if (type.count == 0 || type.target >= types_.size() || depth > 1)
      return absl::StrCat("{", kCut, "}");
    const NativeType& element = types_[type.target];
    if (element.kind == Kind::kCharacter) {
      const auto text = Bytes(at, 0, std::min<uint64_t>(type.count, kMaxTextBytes));
      if (!text) return kUnreadable;
      const size_t nul = text->find('\0');
      return Quoted(absl::string_view(*text).substr(0, nul),
                    nul == std::string::npos && type.count > kMaxTextBytes);
    }
    std::vector<std::string> elements;
    for (uint64_t i = 0; i < std::min<uint64_t>(type.count, kMaxElements); ++i) {
      elements.push_back(Text(type.target, Part(at, i * element.size), depth + 1));
    }
    if (type.count > kMaxElements) elements.emplace_back(kCut);
    return absl::StrCat("{", absl::StrJoin(elements, ", "), "}");
  }

  const std::vector<NativeType>& types_;
  const MemoryReader& memory_;
};

}  // namespace

std::string ValueText(const std::vector<NativeType>& types, uint32_t type,
                      const ValuePlace& location, const MemoryReader& memory) {
  std::string text = Writer(types, memory).Text(type, location, 0);
  if (text.size() <= kMaxValueBytes) return text;
  return absl::StrCat(text.substr(0, kMaxValueBytes), kCut);
}

}  // namespace jprof
