#include "helpers/v8/v8_shared_functions.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_function.h"
#include "profiler/core/address.h"

namespace jprof::v8 {
namespace {

constexpr size_t kSharedWords = 7;  // that the helper believes in

int32_t StartOf(const jp_symbol& symbol) {
  return static_cast<int32_t>(symbol.words[JP_V8_EXTENT]);
}

// Whether a position can be the function's. What the collector freed since the sample may have
// been another function's by the time that it was read.
bool IsInside(int32_t position, const jp_symbol& symbol) {
  return position >= 0 && position >= StartOf(symbol) &&
         static_cast<uint32_t>(position) <= symbol.words[JP_V8_EXTENT] >> 32;
}

// Whether a function without a position is the one that JavaScript calls to get into WebAssembly:
// its name is the number of the function there, its script's name, if it has one, ends in the
// module's hash.
bool IsWasmEntry(const FrameName& name) {
  constexpr size_t kHashDigits = 8;
  const size_t size = name.file.size();
  const bool is_module =
      size == 0
          ? name.kind == FrameKind::kBuiltin
          : size >= kHashDigits && name.file.find_first_not_of(
                                       "0123456789abcdef", size - kHashDigits) == std::string::npos;
  return is_module && !name.name.empty() &&
         name.name.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

absl::StatusOr<NamedFunction> SharedFunctions::Read(std::span<const uint8_t> bytes) {
  auto record = ParseSymbolRecord(bytes);
  if (!record.ok()) return record.status();
  NamedFunction result{record->symbol, {}};
  if (record->symbol.words[JP_V8_WASM_INSTANCE] != 0) {
    result.name = {.name = "[unknown] [wasm]", .kind = FrameKind::kUnknown};
    return result;
  }
  // Functions without a script are V8's own.
  result.name.kind =
      record->symbol.words[JP_V8_SCRIPT_OBJECT] != 0 ? FrameKind::kScript : FrameKind::kBuiltin;
  if (const uint64_t word = result.symbol.words[JP_V8_COMBINATOR]; word != 0) {
    const uint64_t which = word & ((1 << JP_V8_NUMBER_SHIFT) - 1);
    const uint64_t number = word >> JP_V8_NUMBER_SHIFT;
    result.name.name = which == JP_V8_PROMISE_ALL           ? "Promise.all"
                       : which == JP_V8_PROMISE_ALL_SETTLED ? "Promise.allSettled"
                                                            : "Promise.any";
    if (number != 0) absl::StrAppend(&result.name.name, " (index ", number - 1, ")");
    return result;
  }
  result.name.name = record->Text(JP_V8_NAME);
  if (result.name.name.empty()) result.name.name = record->Text(JP_V8_INFERRED);
  if (result.name.name.empty()) result.name.name = "(anonymous)";
  result.name.file = record->Text(JP_V8_SCRIPT);
  if (result.symbol.words[JP_V8_EXTENT] != ~uint64_t{0}) {
    result.name.start_line = LineOf(result, StartOf(result.symbol)).line;
    if (scripts_.wants_places() && result.name.start_line != 0) {
      result.name.place = scripts_.PlaceOf(result.symbol, result.name.name);
    }
  } else if (IsWasmEntry(result.name)) {
    result.name.name.clear();
  }
  return result;
}

FrameLine SharedFunctions::LineOf(const NamedFunction& function, int32_t position) {
  FrameLine result{function.name};
  if (!IsInside(position, function.symbol) || function.symbol.words[JP_V8_SCRIPT_OBJECT] == 0) {
    return result;
  }
  const LineAndColumn at = scripts_.Locate(function.symbol, static_cast<uint32_t>(position));
  result.line = at.line;
  result.column = at.column;
  return result;
}

const NamedFunction* SharedFunctions::Find(uint64_t shared) {
  const std::optional<Words> words = ReadWords(shared);
  auto it = kept_.find(shared);
  if (it != kept_.end()) {
    const Kept& known = it->second;
    if (words == known.words && (known.lasts || known.instant == instant_) &&
        IsOfScript(*words, known.function.symbol)) {
      return &known.function;
    }
    kept_.erase(it);
  }
  if (!words) return nullptr;  // or it moves just now: then its caller stands for it
  std::optional<std::vector<uint8_t>> record = ReadFunction(image_, layout_, memory_, shared);
  if (!record) return nullptr;
  absl::StatusOr<NamedFunction> function = Read(*record);
  if (!function.ok()) return nullptr;
  // A source that cannot be read now may be there soon.
  const bool has_places = function->symbol.words[JP_V8_EXTENT] == ~uint64_t{0} ||
                          (function->name.start_line != 0 &&
                           (!scripts_.wants_places() || function->name.place.script != 0));
  const bool lasts = has_places && ReadWords(shared) == words;
  if (kept_.size() >= max_kept_) kept_.clear();
  return &kept_.emplace(shared, Kept{*std::move(function), *words, instant_, lasts})
              .first->second.function;
}

// nullopt: it is none, or none any more.
std::optional<SharedFunctions::Words> SharedFunctions::ReadWords(uint64_t shared) {
  std::array<uint64_t, kSharedWords> words;
  if ((shared & 3) != 1 ||
      !memory_.ReadExactly(Address{shared - 1}, std::as_writable_bytes(std::span(words))) ||
      types_.TypeOfMap(words[0]) != layout_.shared_type) {
    return std::nullopt;
  }
  const size_t name = layout_.shared_name_or_scope_info / sizeof(uint64_t);
  const size_t script = layout_.shared_script / sizeof(uint64_t);
  if (name >= words.size() || script + 1 >= words.size()) return std::nullopt;
  return Words{words[name], words[script], words[script + 1]};
}

bool SharedFunctions::IsStillThere(const jp_symbol& symbol) {
  const std::optional<Words> words = ReadWords(symbol.identity);
  return words && IsOfScript(*words, symbol);
}

bool SharedFunctions::IsOfScript(const Words& words, const jp_symbol& symbol) {
  return symbol.words[JP_V8_SCRIPT_OBJECT] == 0 ||
         scripts_.IdOf(words.script) == symbol.words[JP_V8_SCRIPT_ID];
}

}  // namespace jprof::v8
