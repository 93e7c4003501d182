// What the metadata of Node 24 says of values.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_values.h"
#include "tests/helpers/v8_code_heap.h"

namespace jprof::v8 {

inline constexpr std::pair<absl::string_view, int32_t> kValueMetadata[] = {
    {"type_HeapNumber__HEAP_NUMBER_TYPE", 130},
    {"type_Symbol__SYMBOL_TYPE", 128},
    {"type_Oddball__ODDBALL_TYPE", 131},
    {"type_Hole__HOLE_TYPE", 269},
    {"type_JSProxy__JS_PROXY_TYPE", 299},
    {"type_JSGlobalProxy__JS_GLOBAL_PROXY_TYPE", 301},
    {"SpecialAPIObjectType", 1040},
    {"type_JSArray__JS_ARRAY_TYPE", 2119},
    {"type_FixedArray__FIXED_ARRAY_TYPE", 205},
    {"type_FixedDoubleArray__FIXED_DOUBLE_ARRAY_TYPE", 218},
    {"type_DescriptorArray__DESCRIPTOR_ARRAY_TYPE", 252},
    {"type_PropertyArray__PROPERTY_ARRAY_TYPE", 277},
    {"class_HeapNumber__value__double", 8},
    {"class_Oddball__kind__int", 40},
    {"class_JSReceiver__raw_properties_or_hash__Tagged_Object_", 8},
    {"class_JSObject__elements__Object", 16},
    {"class_FixedArray__data__uintptr_t", 16},
    {"class_DescriptorArray__header_size__uintptr_t", 24},
    {"class_SharedFunctionInfo__internal_formal_parameter_count__uint16_t", 50},
    {"class_Map__instance_size_in_words__char", 8},
    {"class_Map__inobject_properties_start_or_constructor_function_index__char", 9},
    {"class_Map__bit_field2__char", 15},
    {"class_Map__bit_field3__int", 16},
    {"class_Map__constructor_or_back_pointer__Tagged_Object_", 32},
    {"class_Map__instance_descriptors_offset", 40},
    {"OddballUndefined", 4},
    {"OddballNull", 3},
    {"OddballTrue", 1},
    {"OddballFalse", 0},
    {"bit_field2_elements_kind_mask", 252},
    {"bit_field2_elements_kind_shift", 2},
    {"bit_field3_number_of_own_descriptors_mask", 1047552},
    {"bit_field3_number_of_own_descriptors_shift", 10},
    {"bit_field3_is_dictionary_map_shift", 21},
    {"prop_kind_mask", 1},
    {"prop_location_mask", 32},
    {"prop_representation_mask", 448},
    {"prop_representation_shift", 6},
    {"prop_index_mask", 536346624},
    {"prop_index_shift", 19}};

// Without the symbol `missing`.
inline ValueLayout MakeTestValues(absl::string_view missing = "") {
  auto constant = [&](absl::string_view name) -> std::optional<int32_t> {
    for (const auto& [symbol, value] : kValueMetadata) {
      if (symbol == name && symbol != missing) return value;
    }
    return std::nullopt;
  };
  auto field = [&](absl::string_view name) -> std::optional<int32_t> {
    for (const auto& [symbol, value] : kValueMetadata) {
      if (symbol != missing && absl::StartsWith(symbol, absl::StrCat("class_", name, "__"))) {
        return value;
      }
    }
    return std::nullopt;
  };
  return MakeValueLayout(1306, {constant, field, {}});
}

// Of Node 24, as V8Heap(24) has it.
inline CodeLayout MakeTestCodeLayout() {
  CodeLayout layout = TestLayout();
  layout.values = MakeTestValues();
  return layout;
}

}  // namespace jprof::v8
