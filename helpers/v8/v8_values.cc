#include "helpers/v8/v8_values.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_function.h"

namespace jprof::v8 {
namespace {

constexpr char kUnreadable[] = "?";
constexpr char kGlobal[] = "globalThis";
constexpr char kMore[] = "…";
constexpr uint32_t kMaxArguments = 8;
constexpr uint64_t kMaxArgumentCount = 0xffff;
constexpr uint32_t kTextUnits = 40;
constexpr uint32_t kNameUnits = 60;
constexpr uint32_t kMaxParts = 4;  // elements or properties of one object
constexpr int kMaxStringPieces = 64;
constexpr int kMaxBackPointers = 256;
constexpr uint64_t kMaxDescriptors = 1020;
constexpr uint64_t kDoubleHole = 0xfff7fffffff7ffff;

constexpr uint32_t kFirstReversed = 900;         // version: the receiver is the lowest
constexpr uint32_t kFirstCountingReceiver = 1000;  // in the number of arguments
constexpr uint32_t kFirstBoxedDoubles = 900;
constexpr uint32_t kLastKnown = 1406;

// Kinds of elements, the same in all versions.
constexpr uint32_t kHoleyElements = 3;
constexpr uint32_t kPackedDoubles = 4, kHoleyDoubles = 5;
constexpr uint32_t kDoubleRepresentation = 2;

// Offsets that all versions have in common, and no metadata tells.
constexpr uint64_t kArrayLength = 24;
constexpr uint64_t kBigIntBits = 8, kBigIntDigits = 16;
constexpr uint64_t kPropertyArrayData = 16;

bool IsSmi(uint64_t word) { return (word & 0xffffffff) == 0; }
bool IsObject(uint64_t word) { return (word & 3) == 1; }
int32_t SmiOf(uint64_t word) { return static_cast<int32_t>(word >> 32); }

std::string DoubleText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char text[32];
  const auto end = std::to_chars(std::begin(text), std::end(text), value);
  return std::string(text, end.ptr);
}

std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

ValueLayout MakeValueLayout(uint32_t version, const CodeMetadata& metadata) {
  ValueLayout l;
  l.known = version <= kLastKnown;
  auto number = [&](std::optional<int32_t> value, int32_t max, bool needed) {
    if (value && *value >= 0 && *value <= max) return static_cast<uint32_t>(*value);
    l.known = l.known && !needed;
    return 0u;
  };
  auto constant = [&](absl::string_view name, bool needed = true) {
    return number(metadata.constant(name), INT32_MAX, needed);
  };
  auto type = [&](absl::string_view name, bool needed = true) {
    return static_cast<uint16_t>(
        number(metadata.constant(absl::StrCat("type_", name)), 0xffff, needed));
  };
  auto field = [&](absl::string_view name) {
    return static_cast<uint16_t>(number(metadata.field(name), 255, true));
  };
  auto oddball = [&](absl::string_view name, bool needed = true) {
    return static_cast<uint8_t>(
        number(metadata.constant(absl::StrCat("Oddball", name)), 255, needed));
  };
  l.heap_number_type = type("HeapNumber__HEAP_NUMBER_TYPE");
  l.symbol_type = type("Symbol__SYMBOL_TYPE");
  l.oddball_type = type("Oddball__ODDBALL_TYPE");
  // Symbol, BigInt and HeapNumber are neighbours.
  l.bigint_type = l.heap_number_type - 1 != l.symbol_type ? l.heap_number_type - 1
                                                          : l.heap_number_type + 1;
  l.hole_type = type("Hole__HOLE_TYPE", false);
  l.proxy_type = type("JSProxy__JS_PROXY_TYPE", false);
  l.global_type = type("JSGlobalProxy__JS_GLOBAL_PROXY_TYPE");
  l.first_object_type = static_cast<uint16_t>(constant("SpecialAPIObjectType"));
  l.array_type = type("JSArray__JS_ARRAY_TYPE");
  l.fixed_array_type = type("FixedArray__FIXED_ARRAY_TYPE");
  l.double_array_type = type("FixedDoubleArray__FIXED_DOUBLE_ARRAY_TYPE");
  l.descriptors_type = type("DescriptorArray__DESCRIPTOR_ARRAY_TYPE");
  l.property_array_type = type("PropertyArray__PROPERTY_ARRAY_TYPE", false);

  l.number_value = field("HeapNumber__value");
  const auto kind = metadata.field("Oddball__kind");
  l.oddball_kind =
      kind ? static_cast<uint16_t>(number(kind, 255, true)) : field("Oddball__kind_offset");
  l.object_properties = field("JSReceiver__raw_properties_or_hash");
  l.object_elements = field("JSObject__elements");
  l.array_data = field("FixedArray__data");
  l.descriptors_begin = field("DescriptorArray__header_size");
  l.formal_count = field("SharedFunctionInfo__internal_formal_parameter_count");
  l.map_size_words = field("Map__instance_size_in_words");
  l.map_first_property = field("Map__inobject_properties_start_or_constructor_function_index");
  l.map_kind = field("Map__bit_field2");
  l.map_bits = field("Map__bit_field3");
  const auto constructor = metadata.field("Map__constructor_or_back_pointer");
  l.map_constructor = constructor ? static_cast<uint16_t>(number(constructor, 255, true))
                                  : field("Map__constructor_or_backpointer");
  l.map_descriptors = static_cast<uint16_t>(
      number(metadata.constant("class_Map__instance_descriptors_offset"), 255, true));

  l.oddball_undefined = oddball("Undefined");
  l.oddball_null = oddball("Null");
  l.oddball_true = oddball("True");
  l.oddball_false = oddball("False");
  l.oddball_hole = metadata.constant("OddballTheHole") ? oddball("TheHole") : 0xff;

  l.kind_mask = constant("bit_field2_elements_kind_mask");
  l.kind_shift = constant("bit_field2_elements_kind_shift") & 31;
  l.count_mask = constant("bit_field3_number_of_own_descriptors_mask");
  l.count_shift = constant("bit_field3_number_of_own_descriptors_shift") & 31;
  l.dictionary_shift = constant("bit_field3_is_dictionary_map_shift") & 31;
  l.accessor_mask = constant("prop_kind_mask");
  l.location_mask = constant("prop_location_mask");
  l.representation_mask = constant("prop_representation_mask");
  l.representation_shift = constant("prop_representation_shift") & 31;
  l.index_mask = constant("prop_index_mask");
  l.index_shift = constant("prop_index_shift") & 31;
  return l;
}

int ValueReader::TypeOf(uint64_t& tagged) {
  auto map = Word(tagged, 0);
  if (map && (*map & 1) == 0) {
    tagged = *map + 1;
    map = Word(tagged, 0);
  }
  if (!map || !IsObject(*map)) return kNoType;
  if (const uint16_t type = types_.TypeOfMap(*map); type != 0) return type;
  // Some strings have type 0.
  const auto meta = Word(*map, 0);
  const bool is_map = meta && IsObject(*meta) && Word(*meta, 0) == meta;
  const auto type = memory_.ReadValue<uint16_t>(Address{*map - 1 + layout_.map_instance_type});
  return is_map && type == 0 ? 0 : kNoType;
}

std::optional<std::vector<FrameArgument>> ValueReader::Arguments(uint64_t shared, Address fp) {
  auto word = [&](uint64_t offset) { return memory_.ReadValue<uint64_t>(fp + offset); };
  const auto function = word(-16);
  if (!function || !IsObject(*function)) return std::nullopt;
  uint64_t object = *function;
  const int type = TypeOf(object);
  if (type < layout_.first_js_function_type || type > layout_.last_js_function_type ||
      Word(object, layout_.function_shared) != shared) {
    return std::nullopt;
  }
  uint64_t count;
  const bool reversed = code_.version >= kFirstReversed;
  if (reversed) {
    const auto given = word(-24);
    if (!given) return std::nullopt;
    count = *given - (code_.version >= kFirstCountingReceiver ? 1 : 0);
  } else {
    const auto formal =
        memory_.ReadValue<uint16_t>(Address{shared - 1 + code_.values.formal_count});
    if (!formal) return std::nullopt;
    count = *formal;
  }
  if (count >= kMaxArgumentCount) return std::nullopt;

  std::vector<FrameArgument> arguments;
  auto add = [&](absl::string_view name, uint64_t place) {
    const auto value = word(16 + 8 * place);
    arguments.push_back({std::string(name), value ? Text(*value, 1) : kUnreadable});
  };
  add("this", reversed ? 0 : count);
  if (arguments[0].value == "undefined" || arguments[0].value == kGlobal) arguments.clear();
  for (uint64_t i = 0; i < count; ++i) {
    if (i == kMaxArguments) {
      arguments.push_back({"", kMore});
      break;
    }
    add("", reversed ? i + 1 : count - 1 - i);
  }
  return arguments;
}

std::string ValueReader::Text(uint64_t tagged, int depth) {
  if (IsSmi(tagged)) return absl::StrCat(SmiOf(tagged));
  if (!IsObject(tagged)) return kUnreadable;
  const int type = TypeOf(tagged);
  const ValueLayout& l = code_.values;
  if (type == kNoType) return kUnreadable;
  if (type < layout_.first_nonstring_type) return StringText(tagged);
  if (type == l.heap_number_type) return NumberText(tagged);
  if (type == l.bigint_type) return BigIntText(tagged);
  if (type == l.oddball_type) return OddballText(tagged);
  if (type == l.hole_type) return "<hole>";
  if (type == l.symbol_type) return "Symbol";
  if (type == l.global_type) return kGlobal;
  if (type == l.proxy_type) return "Proxy {…}";
  if (type >= layout_.first_js_function_type && type <= layout_.last_js_function_type) {
    const std::string name = FunctionName(tagged);
    return name.empty() ? "function" : absl::StrCat("function ", name);
  }
  if (type == l.array_type) return ArrayText(tagged, depth);
  if (type >= l.first_object_type) return ObjectText(tagged, depth);
  return kUnreadable;
}

std::string ValueReader::NumberText(uint64_t tagged) const {
  const auto value =
      memory_.ReadValue<double>(Address{tagged - 1 + code_.values.number_value});
  return value ? DoubleText(*value) : kUnreadable;
}

std::string ValueReader::BigIntText(uint64_t tagged) const {
  const auto bits = memory_.ReadValue<uint32_t>(Address{tagged - 1 + kBigIntBits});
  if (!bits) return kUnreadable;
  const uint32_t digits = *bits >> 1 & 0x3fffffff;
  if (digits == 0) return "0n";
  if (digits > 1) return absl::StrCat("BigInt of ", digits, " digits of 64 bits");
  const auto digit = Word(tagged, kBigIntDigits);
  if (!digit) return kUnreadable;
  return absl::StrCat((*bits & 1) != 0 ? "-" : "", *digit, "n");
}

std::string ValueReader::OddballText(uint64_t tagged) const {
  const ValueLayout& l = code_.values;
  const auto kind = Word(tagged, l.oddball_kind);
  if (!kind || !IsSmi(*kind)) return kUnreadable;
  const int32_t value = SmiOf(*kind);
  if (value == l.oddball_undefined) return "undefined";
  if (value == l.oddball_null) return "null";
  if (value == l.oddball_true) return "true";
  if (value == l.oddball_false) return "false";
  if (value == l.oddball_hole) return "<hole>";
  return kUnreadable;
}

std::string ValueReader::StringText(uint64_t tagged) {
  bool cut = false;
  const std::optional<std::string> text = ReadString(tagged, kTextUnits, &cut);
  if (!text) return kUnreadable;
  return absl::StrCat(Quoted(*text), cut ? kMore : "");
}

std::optional<std::string> ValueReader::ReadString(uint64_t tagged, uint32_t units, bool* cut) {
  struct Piece {
    uint64_t string;
    uint64_t start;
    uint64_t length;
  };
  std::vector<Piece> pending = {{tagged, 0, UINT64_MAX}};
  std::u16string text;
  *cut = false;
  for (int steps = 0; !pending.empty(); ++steps) {
    if (steps >= kMaxStringPieces || text.size() >= units) {
      *cut = true;
      break;
    }
    auto [string, start, wanted] = pending.back();
    pending.pop_back();
    const int type = IsObject(string) ? TypeOf(string) : kNoType;
    if (type == kNoType || type >= layout_.first_nonstring_type) return std::nullopt;
    const Address object{string - 1};
    const auto own = memory_.ReadValue<uint32_t>(object + layout_.string_length);
    if (!own || start > *own) return std::nullopt;
    const uint64_t length = std::min(*own - start, wanted);
    const uint8_t tag = type & layout_.representation_mask;
    if (tag == layout_.cons_tag) {
      const auto first = Word(string, layout_.cons_first),
                 second = Word(string, layout_.cons_second);
      if (!first || !second) return std::nullopt;
      // A slice is of a flattened one, all of which is in the first.
      if (start == 0 && length == *own) pending.push_back({*second, 0, UINT64_MAX});
      pending.push_back({*first, start, wanted});
      continue;
    }
    if (tag == layout_.thin_tag) {
      const auto actual = Word(string, layout_.thin_actual);
      if (!actual) return std::nullopt;
      pending.push_back({*actual, start, wanted});
      continue;
    }
    if (tag == layout_.sliced_tag) {
      const auto parent = Word(string, layout_.sliced_parent);
      const auto offset = Word(string, layout_.sliced_offset);
      if (!parent || !offset || SmiOf(*offset) < 0) return std::nullopt;
      pending.push_back({*parent, start + static_cast<uint64_t>(SmiOf(*offset)), length});
      continue;
    }
    Address chars = object + layout_.string_chars;
    if (tag == layout_.external_tag) {
      auto data = Word(string, layout_.external_data);
      if ((type & layout_.uncached_external_bit) != 0) {
        const auto resource = Word(string, layout_.external_resource);
        if (!resource) return std::nullopt;
        data = memory_.ReadValue<uint64_t>(Address{*resource + 8});  // behind its vtable
      }
      if (!data) return std::nullopt;
      chars = Address{*data};
    } else if (tag != layout_.sequential_tag) {
      return std::nullopt;
    }
    const size_t count = std::min<uint64_t>(length, units - text.size());
    if ((type & layout_.one_byte_bit) != 0) {
      std::vector<uint8_t> narrow(count);
      if (!memory_.ReadExactly(chars + start, std::as_writable_bytes(std::span(narrow)))) {
        return std::nullopt;
      }
      text.append(narrow.begin(), narrow.end());
    } else {
      std::u16string wide(count, u'\0');
      if (!memory_.ReadExactly(chars + 2 * start, std::as_writable_bytes(std::span(wide)))) {
        return std::nullopt;
      }
      text += wide;
    }
    *cut = *cut || length > count;
  }
  return Utf16ToUtf8(text);
}

std::string ValueReader::FunctionName(uint64_t function) {
  const auto shared = Word(function, layout_.function_shared);
  if (!shared || !IsObject(*shared)) return "";
  uint64_t object = *shared;
  if (TypeOf(object) != layout_.shared_type) return "";
  auto name = Word(object, layout_.shared_name_or_scope_info);
  if (!name || !IsObject(*name)) return "";
  if (TypeOf(*name) < layout_.first_nonstring_type) {
    bool cut;
    return ReadString(*name, kNameUnits, &cut).value_or("");
  }
  const auto bytes = ReadFunction(image_, layout_, memory_, object);
  if (!bytes) return "";
  const auto record = ParseSymbolRecord(*bytes);
  if (!record.ok()) return "";
  std::string text = record->Text(JP_V8_NAME);
  return text.empty() ? record->Text(JP_V8_INFERRED) : text;
}

std::string ValueReader::ArrayText(uint64_t tagged, int depth) {
  const auto length = Word(tagged, kArrayLength);
  if (!length || !IsSmi(*length) || SmiOf(*length) < 0) return "Array";
  const uint32_t count = static_cast<uint32_t>(SmiOf(*length));
  if (depth == 0) return absl::StrCat("Array(", count, ")");
  return absl::StrCat("Array(", count, ")", ElementsText(tagged, count, depth - 1));
}

// " [1, 2, …]", or "" when they are not in an array.
std::string ValueReader::ElementsText(uint64_t tagged, uint32_t length, int depth) {
  const ValueLayout& l = code_.values;
  const auto map = Word(tagged, 0);
  auto elements = Word(tagged, l.object_elements);
  if (!map || !elements || !IsObject(*elements)) return "";
  const auto bits = memory_.ReadValue<uint8_t>(Address{*map - 1 + l.map_kind});
  if (!bits) return "";
  const uint32_t kind = (*bits & l.kind_mask) >> l.kind_shift;
  const bool doubles = kind == kPackedDoubles || kind == kHoleyDoubles;
  const int type = TypeOf(*elements);
  if (type != l.fixed_array_type && type != l.double_array_type) return "";
  if (length > 0 && (doubles ? type != l.double_array_type
                             : kind > kHoleyElements || type != l.fixed_array_type)) {
    return "";
  }
  const auto capacity = Word(*elements, 8);
  if (!capacity || !IsSmi(*capacity) || SmiOf(*capacity) < 0 ||
      length > static_cast<uint32_t>(SmiOf(*capacity))) {
    return "";
  }
  std::string text = " [";
  for (uint32_t i = 0; i < length; ++i) {
    if (i > 0) text += ", ";
    if (i == kMaxParts) {
      text += kMore;
      break;
    }
    const auto value = Word(*elements, l.array_data + 8 * uint64_t{i});
    if (!value) {
      text += kUnreadable;
    } else if (doubles) {
      text += *value == kDoubleHole ? "<hole>" : DoubleText(std::bit_cast<double>(*value));
    } else {
      text += Text(*value, depth);
    }
  }
  return text + "]";
}

std::string ValueReader::ConstructorName(uint64_t map) {
  for (int i = 0; i < kMaxBackPointers; ++i) {
    auto constructor = Word(map, code_.values.map_constructor);
    if (!constructor || !IsObject(*constructor)) break;
    const int type = TypeOf(*constructor);
    if (type == code_.map_type) {
      map = *constructor;
      continue;
    }
    if (type < layout_.first_js_function_type || type > layout_.last_js_function_type) break;
    return FunctionName(*constructor);
  }
  return "";
}

std::string ValueReader::ObjectText(uint64_t tagged, int depth) {
  const ValueLayout& l = code_.values;
  const auto map = Word(tagged, 0);
  if (!map) return kUnreadable;
  std::string text = ConstructorName(*map);
  if (text.empty()) text = "Object";
  const std::string closed = absl::StrCat(text, " {…}");
  if (depth == 0) return closed;
  const auto bits = memory_.ReadValue<uint32_t>(Address{*map - 1 + l.map_bits});
  auto descriptors = Word(*map, l.map_descriptors);
  if (!bits || !descriptors || !IsObject(*descriptors) || (*bits >> l.dictionary_shift & 1) != 0 ||
      TypeOf(*descriptors) != l.descriptors_type) {
    return closed;
  }
  const uint32_t count = (*bits & l.count_mask) >> l.count_shift;
  if (count > kMaxDescriptors) return closed;
  text += " {";
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) text += ", ";
    if (i == kMaxParts) {
      text += kMore;
      break;
    }
    const uint64_t at = l.descriptors_begin + 24 * uint64_t{i};
    auto key = Word(*descriptors, at);
    const auto details = Word(*descriptors, at + 8), value = Word(*descriptors, at + 16);
    if (!key || !details || !value || !IsObject(*key) || !IsSmi(*details)) return closed;
    const int type = TypeOf(*key);
    bool cut = false;
    std::optional<std::string> name = "[Symbol]";
    if (type != l.symbol_type) name = ReadString(*key, kTextUnits, &cut);
    if (!name) return closed;
    absl::StrAppend(&text, *name, cut ? kMore : "", ": ",
                    PropertyText(tagged, *map, *details >> 32, *value));
  }
  return text + "}";
}

std::string ValueReader::PropertyText(uint64_t tagged, uint64_t map, uint64_t details,
                                      uint64_t value) {
  const ValueLayout& l = code_.values;
  if ((details & l.accessor_mask) != 0) return "<accessor>";
  if ((details & l.location_mask) != 0) return Text(value, 0);
  // Once doubles could lie in the object itself.
  if ((details & l.representation_mask) >> l.representation_shift == kDoubleRepresentation &&
      code_.version < kFirstBoxedDoubles) {
    return kUnreadable;
  }
  const auto size = memory_.ReadValue<uint8_t>(Address{map - 1 + l.map_size_words});
  const auto first = memory_.ReadValue<uint8_t>(Address{map - 1 + l.map_first_property});
  if (!size || !first || *first > *size) return kUnreadable;
  const uint64_t index = (details & l.index_mask) >> l.index_shift;
  const uint64_t inside = uint64_t{*size} - *first;
  std::optional<uint64_t> word;
  if (index < inside) {
    word = Word(tagged, 8 * (*first + index));
  } else {
    auto properties = Word(tagged, l.object_properties);
    if (l.property_array_type == 0 || !properties || !IsObject(*properties) ||
        TypeOf(*properties) != l.property_array_type) {
      return kUnreadable;
    }
    word = Word(*properties, kPropertyArrayData + 8 * (index - inside));
  }
  return word ? Text(*word, 0) : kUnreadable;
}

}  // namespace jprof::v8
