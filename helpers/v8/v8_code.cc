#include "helpers/v8/v8_code.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "helpers/v8/v8_bytecode_sizes.h"
#include "helpers/v8/v8_code_table.h"
#include "helpers/v8/v8_layout_table.h"

namespace jprof::v8 {
namespace {

constexpr uint16_t kMaxFieldOffset = 256;
constexpr uint16_t kMaxCodeBytes = 128;  // of a Code object without its instructions
constexpr uint64_t kPage = 4096;
constexpr uint64_t kCodeAlignment = 32;
constexpr uint32_t kMaxInstructionBytes = 64u << 20;
constexpr size_t kMaxKnownMaps = 64;
constexpr size_t kMaxRememberedMisses = 1024;
constexpr int kMaxMapReads = 512;  // in one search

bool IsStrong(uint64_t word) { return (word & 3) == 1; }

// Takes values out of the metadata; remembers the first that makes no sense.
class Checked {
 public:
  explicit Checked(const CodeMetadata& metadata) : metadata_(metadata) {}

  // The first that the metadata has, else the table's.
  uint16_t Field(std::initializer_list<absl::string_view> names, uint16_t otherwise) {
    for (absl::string_view name : names) {
      if (auto value = metadata_.field(name)) {
        return static_cast<uint16_t>(Within(name, *value, 8, kMaxFieldOffset, 2));
      }
    }
    return otherwise;
  }
  uint8_t Index(std::initializer_list<absl::string_view> names, uint8_t otherwise) {
    for (absl::string_view name : names) {
      if (auto value = metadata_.constant(absl::StrCat("DeoptimizationData", name, "Index"))) {
        return static_cast<uint8_t>(Within(name, *value, 0, 31, 1));
      }
    }
    return otherwise;
  }
  uint8_t Number(absl::string_view name, uint8_t otherwise) {
    auto value = metadata_.constant(name);
    return value ? static_cast<uint8_t>(Within(name, *value, 0, 31, 1)) : otherwise;
  }
  // 0 when neither knows it.
  uint16_t Type(absl::string_view name, uint16_t otherwise) {
    auto value = metadata_.constant(absl::StrCat("type_", name));
    return value ? static_cast<uint16_t>(Within(name, *value, 1, 0xffff, 1)) : otherwise;
  }
  void Reject(absl::string_view what) {
    if (problem_.empty()) problem_ = std::string(what);
  }
  const std::string& problem() const { return problem_; }

 private:
  int32_t Within(absl::string_view name, int32_t value, int32_t min, int32_t max,
                 int32_t multiple) {
    if (value >= min && value <= max && value % multiple == 0) return value;
    Reject(absl::StrCat(name, " is ", value));
    return min;
  }

  const CodeMetadata& metadata_;
  std::string problem_;
};

const CodeFacts* FindCodeFacts(uint32_t version) {
  for (const CodeFacts& facts : kCodeFacts) {
    if (facts.first_version <= version && version <= facts.last_version) return &facts;
  }
  return nullptr;
}

// A size that no bytecode has means that this is not the table; then there is none.
void SetBytecodeSizes(const CodeMetadata& metadata, CodeLayout& l) {
  std::vector<int32_t> sizes;
  if (!metadata.bytecode_sizes.empty()) {
    // Bytes from V8 9 on, ints before.
    const size_t width = l.version >= kFirstVersionOfNewKinds ? 1 : sizeof(int32_t);
    for (size_t at = 0; at + width <= metadata.bytecode_sizes.size(); at += width) {
      int32_t size = 0;
      std::memcpy(&size, metadata.bytecode_sizes.data() + at, width);
      sizes.push_back(size);
    }
  } else {
    for (const BytecodeSizes& table : kBytecodeSizes) {
      if (table.version != l.version) continue;
      for (absl::string_view row : table.rows) {
        for (char c : row) sizes.push_back(c <= '9' ? c - '0' : c - 'a' + 10);
      }
    }
  }
  const size_t count = sizes.size() / 3;
  if (sizes.size() % 3 != 0 || count > CodeLayout::kMaxBytecodes) return;
  for (int32_t size : sizes) {
    if (size < 1 || size > 64) return;
  }
  l.bytecode_count = static_cast<uint16_t>(count);
  for (size_t i = 0; i < sizes.size(); ++i) {
    l.bytecode_sizes[i / count][i % count] = static_cast<uint8_t>(sizes[i]);
  }
}

void SetKinds(const CodeFacts& facts, Checked& metadata, CodeLayout& l) {
  if (l.version < kFirstVersionOfNewKinds) {
    l.kind_shift = 1;
    l.kind_mask = 15;
    l.kind_turbofan = 0;
    l.kind_bytecode_handler = 1;
    l.kind_builtin = 3;
    l.kind_regexp = 4;
    l.kind_first_wasm = 5;
    l.kind_last_wasm = 15;
    l.kind_baseline = l.kind_maglev = CodeLayout::kNoKind;
    return;
  }
  l.kind_shift = metadata.Number("CodeKindFieldShift", 0);
  l.kind_mask = metadata.Number("CodeKindFieldMask", 15);
  l.kind_bytecode_handler = metadata.Number("CodeKindBytecodeHandler", 0);
  l.kind_baseline = metadata.Number("CodeKindBaseline", facts.kind_baseline);
  l.kind_builtin = facts.kind_builtin;
  l.kind_regexp = static_cast<uint8_t>(l.kind_builtin + 1);
  l.kind_first_wasm = static_cast<uint8_t>(l.kind_builtin + 2);
  l.kind_last_wasm = static_cast<uint8_t>(l.kind_baseline - 2);  // then interpreted
  l.kind_maglev = static_cast<uint8_t>(l.kind_baseline + 1);
  l.kind_turbofan = static_cast<uint8_t>(l.kind_baseline + 2);
  if (l.kind_baseline < l.kind_builtin + 4 || l.kind_turbofan > l.kind_mask) {
    metadata.Reject("the code kinds");
  }
}

}  // namespace

absl::StatusOr<CodeLayout> MakeCodeLayout(uint32_t version, const CodeMetadata& metadata) {
  const CodeFacts* facts = FindCodeFacts(version);
  if (facts == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("V8 ", version / 100, ".", version % 100, ": layout of code is not known"));
  }
  const CodeTypes& types = facts->types;
  Checked checked(metadata);
  CodeLayout l;
  l.version = version;
  l.map_instance_type = checked.Field({"Map__instance_type"}, kMapInstanceType);
  l.map_type = checked.Type("Map__MAP_TYPE", types.map);
  l.code_type = checked.Type("Code__CODE_TYPE", types.code);
  l.stream_type = checked.Type("InstructionStream__INSTRUCTION_STREAM_TYPE", types.stream);
  l.bytecode_array_type = checked.Type("BytecodeArray__BYTECODE_ARRAY_TYPE", types.bytecode_array);
  l.interpreter_data_type =
      checked.Type("InterpreterData__INTERPRETER_DATA_TYPE", types.interpreter_data);
  l.baseline_data_type = checked.Type("BaselineData__BASELINE_DATA_TYPE", 0);
  l.shared_type = checked.Type("SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", types.shared);
  l.shared_wrapper_type = checked.Type(
      "SharedFunctionInfoWrapper__SHARED_FUNCTION_INFO_WRAPPER_TYPE", types.shared_wrapper);
  l.frame_cache_type = checked.Type(
      "SourcePositionTableWithFrameCache__SOURCE_POSITION_TABLE_WITH_FRAME_CACHE_TYPE", 0);
  l.byte_array_types[0] = checked.Type("ByteArray__BYTE_ARRAY_TYPE", types.byte_arrays[0]);
  l.byte_array_types[1] =
      checked.Type("TrustedByteArray__TRUSTED_BYTE_ARRAY_TYPE", types.byte_arrays[1]);
  static constexpr absl::string_view kArrays[] = {
      "FixedArray__FIXED_ARRAY_TYPE",
      "WeakFixedArray__WEAK_FIXED_ARRAY_TYPE",
      "TrustedFixedArray__TRUSTED_FIXED_ARRAY_TYPE",
      "ProtectedFixedArray__PROTECTED_FIXED_ARRAY_TYPE",
      "TrustedWeakFixedArray__TRUSTED_WEAK_FIXED_ARRAY_TYPE",
      "ProtectedWeakFixedArray__PROTECTED_WEAK_FIXED_ARRAY_TYPE"};
  for (size_t i = 0; i < std::size(kArrays); ++i) {
    l.array_types[i] = checked.Type(kArrays[i], types.arrays[i]);
  }

  const bool has_stream = facts->start != 0;
  if (has_stream) {
    l.header = checked.Field({"InstructionStream__instruction_start"}, facts->header);
    l.stream_code = kStreamCode;
    l.code_start = checked.Field({"Code__instruction_start"}, facts->start);
  } else {
    l.header = checked.Field({"Code__instruction_start"}, facts->header);
  }
  l.code_size = checked.Field({"Code__instruction_size"}, facts->size);
  l.code_flags = checked.Field({"Code__flags"}, facts->flags);
  l.code_deopt = checked.Field({"Code__deoptimization_data"}, facts->deopt);
  l.code_positions = checked.Field({"Code__source_position_table"}, facts->positions);
  l.bytecode_first = checked.Field({"BytecodeArray__data"}, facts->bytecode_first);
  l.bytecode_positions =
      checked.Field({"BytecodeArray__source_position_table"}, facts->bytecode_positions);
  l.baseline_has_bytecode = version >= kFirstVersionWithBytecodeInBaselineCode;
  l.deopt_inlined_count = checked.Index({"InlinedFunctionCount"}, facts->deopt_inlined_count);
  l.deopt_literals = checked.Index({"LiteralArray"}, facts->deopt_literals);
  l.deopt_shared = checked.Index(
      {"SharedFunctionInfo", "SharedFunctionInfoWrapper", "WrappedSharedFunctionInfo"},
      facts->deopt_shared);
  l.deopt_inlining = checked.Index({"InliningPositions"}, facts->deopt_inlining);
  l.has_plain_lengths = version >= kFirstVersionOfPlainLengths;
  l.has_positions_of_calls_only = version >= kFirstVersionWithPositionsOfCallsOnly;
  l.position_flag_bits = version >= kFirstVersionOfThreePositionFlags ? 3
                         : version >= kFirstVersionOfTwoPositionFlags ? 2
                                                                      : 0;
  SetKinds(*facts, checked, l);
  if (version < kFirstVersionWithMaglev) l.kind_maglev = CodeLayout::kNoKind;
  SetBytecodeSizes(metadata, l);

  const std::array<uint16_t, 7> needed = {l.map_type,
                                          l.code_type,
                                          has_stream ? l.stream_type : uint16_t{1},
                                          l.bytecode_array_type,
                                          l.shared_type,
                                          l.byte_array_types[0],
                                          l.array_types[0]};
  for (size_t i = 0; i < needed.size(); ++i) {
    if (needed[i] == 0) checked.Reject("an instance type is missing");
    for (size_t j = 0; j < i; ++j) {
      if (needed[i] == needed[j]) checked.Reject("two types with one number");
    }
  }
  if (!has_stream && l.stream_type != 0) checked.Reject("instructions of their own");
  const uint16_t code_fields[] = {l.code_start, l.code_deopt, l.code_positions};
  for (uint16_t field : code_fields) {
    if (field % 8 != 0 || field + 8 > kMaxCodeBytes) checked.Reject("a field of Code");
  }
  if (l.code_size % 4 != 0 || l.code_size + 4 > kMaxCodeBytes || l.code_flags % 4 != 0 ||
      l.code_flags + 4 > kMaxCodeBytes || l.header % 8 != 0 || l.map_instance_type % 2 != 0) {
    checked.Reject("a field of Code");
  }
  if (l.bytecode_positions % 8 != 0 || l.bytecode_positions + 8 > l.bytecode_first) {
    checked.Reject("a field of BytecodeArray");
  }
  if (!checked.problem().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("layout of V8's code does not fit: ", checked.problem()));
  }
  return l;
}

namespace {

bool HasOperands(const CodeLayout& layout, size_t bytecode) {
  return layout.bytecode_sizes[1][bytecode] != layout.bytecode_sizes[0][bytecode];
}

}  // namespace

void SetHandlers(std::span<const uint32_t> begins, CodeLayout& layout) {
  size_t expected = layout.bytecode_count;
  for (size_t i = 0; i < layout.bytecode_count; ++i) expected += HasOperands(layout, i) ? 2 : 0;
  const bool has_short_stars = begins.size() + kShortStars - 1 == expected;
  if (layout.bytecode_count <= kShortStars || (begins.size() != expected && !has_short_stars) ||
      begins.size() > CodeLayout::kMaxHandlers || !std::is_sorted(begins.begin(), begins.end())) {
    return;
  }
  layout.handler_count = static_cast<uint16_t>(begins.size());
  layout.has_short_stars = has_short_stars;
  std::copy(begins.begin(), begins.end(), layout.handlers);
}

std::optional<HandlerBytecodes> FindHandler(const CodeLayout& layout, uint32_t offset) {
  const auto begins = std::span(layout.handlers).first(layout.handler_count);
  auto index =
      static_cast<size_t>(std::upper_bound(begins.begin(), begins.end(), offset) - begins.begin());
  if (index == 0) return std::nullopt;
  --index;
  std::vector<uint8_t> with_operands;
  for (size_t i = 0; i < layout.bytecode_count; ++i) {
    if (HasOperands(layout, i)) with_operands.push_back(static_cast<uint8_t>(i));
  }
  const size_t single = begins.size() - 2 * with_operands.size();
  if (index >= single) {
    index -= single;
    const size_t wide = with_operands.size();
    return HandlerBytecodes{with_operands[index % wide], 1,
                            static_cast<uint8_t>(index < wide ? 1 : 2)};
  }
  if (!layout.has_short_stars || index + 2 < single) {
    return HandlerBytecodes{static_cast<uint8_t>(index)};
  }
  // The short stars, and behind them the last bytecode.
  if (index + 1 == single) return HandlerBytecodes{static_cast<uint8_t>(layout.bytecode_count - 1)};
  return HandlerBytecodes{static_cast<uint8_t>(index), kShortStars};
}

uint16_t HeapTypes::TypeOfMap(uint64_t map) {
  auto it = known_.find(map);
  if (it != known_.end()) return it->second;
  if (!IsStrong(map)) return 0;
  const Address object{map - 1};
  auto meta = memory_.ReadValue<uint64_t>(object);
  auto type = memory_.ReadValue<uint16_t>(object + layout_.map_instance_type);
  if (!meta || !type || !IsStrong(*meta)) return 0;
  if (memory_.ReadValue<uint16_t>(Address{*meta - 1 + layout_.map_instance_type}) !=
      layout_.map_type) {
    return 0;
  }
  // Only maps that cannot go away: not those of an application's objects.
  const CodeLayout& l = layout_;
  const uint16_t lasting[] = {
      l.code_type,           l.stream_type,         l.bytecode_array_type, l.interpreter_data_type,
      l.shared_type,         l.shared_wrapper_type, l.frame_cache_type,    l.byte_array_types[0],
      l.byte_array_types[1], l.baseline_data_type};
  if (*type != 0 &&
      (std::find(std::begin(lasting), std::end(lasting), *type) != std::end(lasting) ||
       std::find(std::begin(l.array_types), std::end(l.array_types), *type) !=
           std::end(l.array_types))) {
    if (known_.size() >= kMaxKnownMaps) known_.clear();
    known_.emplace(map, *type);
  }
  return *type;
}

uint16_t HeapTypes::TypeOf(uint64_t tagged) {
  if (!IsStrong(tagged)) return 0;
  auto map = memory_.ReadValue<uint64_t>(Address{tagged - 1});
  return map ? TypeOfMap(*map) : 0;
}

CodeKind CodeFinder::KindOf(uint32_t flags) const {
  const uint32_t kind = flags >> layout_.kind_shift & layout_.kind_mask;
  if (kind == layout_.kind_turbofan) return CodeKind::kTurbofan;
  if (kind == layout_.kind_baseline) return CodeKind::kBaseline;
  // V8 9 has another compiler at this place, whose code is read alike.
  if (kind == layout_.kind_baseline + 1u && layout_.version >= kFirstVersionOfNewKinds) {
    return CodeKind::kMaglev;
  }
  if (kind == layout_.kind_bytecode_handler) return CodeKind::kBytecodeHandler;
  if (kind == layout_.kind_builtin) return CodeKind::kBuiltin;
  if (kind == layout_.kind_regexp) return CodeKind::kRegExp;
  if (kind >= layout_.kind_first_wasm && kind <= layout_.kind_last_wasm) return CodeKind::kWasm;
  return CodeKind::kOther;
}

std::optional<CodeObject> CodeFinder::Verify(uint64_t header) {
  const uint16_t wanted = layout_.stream_type != 0 ? layout_.stream_type : layout_.code_type;
  const bool has_stream = layout_.stream_type != 0;
  std::array<std::byte, kMaxCodeBytes> bytes;
  auto read = [&](uint64_t address, size_t length) {
    return length <= bytes.size() &&
           memory_.ReadExactly(Address{address}, std::span(bytes.data(), length));
  };
  auto field = [&](size_t offset, auto value) {
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  };
  // What leads back from instructions of their own is the pointer to Code; of others it is the
  // first field, the relocation table, that has a type.
  const size_t leads_to = has_stream ? layout_.stream_code : kCodeRelocation;
  if (!read(header, leads_to + sizeof(uint64_t)) ||
      types_.TypeOfMap(field(0, uint64_t{})) != wanted) {
    return std::nullopt;
  }
  const uint64_t led_to = field(leads_to, uint64_t{});
  CodeObject result;
  result.code = has_stream ? led_to : header + 1;
  if (has_stream ? !IsStrong(led_to) : types_.TypeOf(led_to) != layout_.byte_array_types[0]) {
    return std::nullopt;
  }
  const size_t length =
      std::max({layout_.code_start + 8, layout_.code_size + 4, layout_.code_flags + 4,
                layout_.code_deopt + 8, layout_.code_positions + 8});
  if (!read(result.code - 1, length) ||
      types_.TypeOfMap(field(0, uint64_t{})) != layout_.code_type) {
    return std::nullopt;
  }
  const uint64_t start = header + layout_.header;
  if (layout_.code_start != 0 && field(layout_.code_start, uint64_t{}) != start) {
    return std::nullopt;
  }
  const uint32_t size = field(layout_.code_size, uint32_t{});
  if (size == 0 || size > kMaxInstructionBytes || start + size < start) return std::nullopt;
  result.instructions = {Address{start}, Address{start + size}};
  result.kind = KindOf(field(layout_.code_flags, uint32_t{}));
  result.deopt = field(layout_.code_deopt, uint64_t{});
  result.positions = field(layout_.code_positions, uint64_t{});
  return result;
}

std::optional<CodeObject> CodeFinder::Search(Address pc) {
  const uint16_t wanted = layout_.stream_type != 0 ? layout_.stream_type : layout_.code_type;
  if (pc.value < layout_.header) return std::nullopt;
  uint64_t end = ((pc.value - layout_.header) & ~uint64_t{7}) + 8;  // behind the first candidate
  const uint64_t limit = end > kMaxSearchBytes ? end - kMaxSearchBytes : 0;
  int map_reads = 0;
  absl::flat_hash_set<uint64_t> other_words;
  std::array<uint64_t, kPage / 8> words;
  while (end > limit) {
    const uint64_t begin = (end - 1) & ~(kPage - 1);
    const size_t count = (end - begin) / 8;
    if (!memory_.ReadExactly(Address{begin},
                             std::as_writable_bytes(std::span(words.data(), count)))) {
      return std::nullopt;
    }
    for (size_t i = count; i-- > 0;) {
      const uint64_t at = begin + i * 8, word = words[i];
      if ((at + layout_.header) % kCodeAlignment != 0 || !IsStrong(word)) continue;
      if (!types_.IsKnown(word)) {
        if (!other_words.insert(word).second) continue;
        if (++map_reads > kMaxMapReads) return std::nullopt;
      }
      if (types_.TypeOfMap(word) != wanted) continue;
      if (auto code = Verify(at)) return code;
    }
    end = begin;
  }
  return std::nullopt;
}

std::optional<CodeObject> CodeFinder::Find(Address pc) {
  auto next = by_begin_.upper_bound(pc.value);
  if (next != by_begin_.begin()) {
    auto it = std::prev(next);
    Entry& entry = it->second;
    if (entry.code.instructions.Contains(pc)) {
      if (entry.instant == instant_) return entry.code;
      if (Verify(it->first - layout_.header) == entry.code) {
        entry.instant = instant_;
        return entry.code;
      }
      by_begin_.erase(it);
    }
  }
  if (no_code_.contains(pc.value)) return std::nullopt;
  auto code = Search(pc);
  if (!code || !code->instructions.Contains(pc)) {
    if (no_code_.size() < kMaxRememberedMisses) no_code_.insert(pc.value);
    return std::nullopt;
  }
  // What was known to lie there is gone.
  const AddressRange& range = code->instructions;
  auto it = by_begin_.lower_bound(range.begin.value);
  if (it != by_begin_.begin() && std::prev(it)->second.code.instructions.Overlaps(range)) --it;
  while (it != by_begin_.end() && it->second.code.instructions.Overlaps(range)) {
    it = by_begin_.erase(it);
  }
  if (by_begin_.size() >= kMaxCodes) by_begin_.clear();
  by_begin_.emplace(range.begin.value, Entry{*code, instant_});
  return code;
}

void CodeFinder::Advance() {
  ++instant_;
  no_code_.clear();
}

}  // namespace jprof::v8
