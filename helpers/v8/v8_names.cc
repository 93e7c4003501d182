// The user-space half of the V8 helper: text and lines of what v8.helper.c read.
//
// The record holds all that names the function. Its line is not in it: V8 keeps a position in
// UTF-16 units, and lines only once a stack trace asked for them, so the source is read here, once
// for each script, and split. Script and source may be gone since the sample, and one of them still
// look whole while something else is in the other's place. Both are therefore checked before the
// source is read and after: type and id of the script, length and hash of the source must be those
// of the record. (V8 looks each source up in its compilation cache, which leaves the hash of the
// text in the string.)
#include "helpers/v8/v8_names.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_function.h"
#include "helpers/v8/v8_positions.h"
#include "helpers/v8/v8_source.h"
#include "helpers/v8/v8_values.h"
#include "helpers/v8/v8_wasm.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kMaxSourceUnits = uint64_t{16} << 20;
constexpr size_t kMaxScripts = 4096;
constexpr size_t kMaxLines = size_t{16} << 20;  // of all scripts: 64 MiB
constexpr int kMaxStringPieces = 1024;
constexpr size_t kMaxMapUrlBytes = size_t{64} << 20;  // of all scripts
// In front of a function's parameters its name is looked for in so much text.
constexpr uint32_t kNameUnits = 512;
constexpr size_t kReadUnits = 16384;
constexpr uint32_t kWholeSource = UINT32_MAX;

// Reads of the target count as one instant for so long.
constexpr auto kInstant = std::chrono::milliseconds(20);
constexpr size_t kMaxFunctions = 1 << 17;
constexpr size_t kMaxInlined = 1 << 14;  // functions that were met inlined
constexpr size_t kMaxLastingMaps = 64;
constexpr size_t kMaxScriptBytes = 256;  // up to its id
constexpr size_t kSharedWords = 7;  // that the helper believes in

// JP_V8_SOURCE_HASH.
struct SourceHash {
  explicit SourceHash(uint64_t word)
      : hash(static_cast<uint32_t>(word)), length(static_cast<uint32_t>(word >> 32)) {}
  // In all versions the lowest bit is set until V8 has computed the hash.
  bool Known() const { return (hash & 1) == 0; }
  bool Fits(SourceHash other) const {
    return length == other.length && (hash == other.hash || !Known() || !other.Known());
  }

  uint32_t hash;
  uint32_t length;
};

class V8Instance : public RuntimeInstance {
 public:
  V8Instance(const RuntimeImage& image, const MemoryReader& memory)
      : image_(image), memory_(memory) {
    std::memcpy(&layout_, image.layout.data(), sizeof(layout_));
    wasm_.emplace(layout_, memory_);
    if (image.user_layout.size() == sizeof(CodeLayout)) {
      std::memcpy(&code_layout_, image.user_layout.data(), sizeof(code_layout_));
      has_code_layout_ = true;
    }
  }

  absl::StatusOr<FrameName> Describe(std::span<const uint8_t> bytes) override {
    absl::StatusOr<Function> function = ReadRecord(bytes);
    if (!function.ok()) return function.status();
    FrameName name = function->name;
    if (functions_.size() >= kMaxFunctions) functions_.clear();
    functions_[function->symbol.number] = *std::move(function);
    return name;
  }

  std::vector<FrameLine> Locate(const RawFrame& frame) override;
  std::optional<std::vector<FrameArgument>> Arguments(const MemoryReader& memory, uint64_t identity,
                                                      Address fp) override;
  char Tier(const RawFrame& frame) override;
  void WantScriptPlaces() override { want_places_ = true; }
  std::string SourceMapUrl(uint32_t script) override;
  std::optional<FrameName> NameCode(Address address) override;

 private:
  using Clock = std::chrono::steady_clock;

  struct Function {
    jp_symbol symbol;
    FrameName name;
  };
  // The words of a SharedFunctionInfo that tell it from another one at the same address, as
  // jp_v8_content() has them.
  struct SharedWords {
    uint64_t name_or_scope_info = 0;
    uint64_t script = 0;
    uint64_t behind_script = 0;
    friend bool operator==(const SharedWords&, const SharedWords&) = default;
  };
  struct SharedFunction {
    Function function;
    SharedWords words;
    Clock::time_point instant;
    bool lasts = false;  // else it is read anew in another instant
  };

  void SeeInstant(Clock::time_point now);
  absl::StatusOr<Function> ReadRecord(std::span<const uint8_t> bytes);
  std::vector<ScriptPosition> Positions(const Function& function, const RawFrame& frame);
  std::optional<uint64_t> BytecodeOf(uint64_t shared);
  const Function* FindShared(uint64_t shared);
  FrameLine MakeLine(const Function& function, int32_t position);
  ScriptPlace PlaceOf(const Function& function);
  struct Script {
    LineTable lines;
    bool read = false;
    uint32_t requests = 0;  // while it was not read
    uint32_t number = 0;    // ScriptPlace::script
  };
  const Script* FindScript(const jp_symbol& symbol);
  std::optional<SharedWords> ReadShared(uint64_t shared);
  bool IsStillThere(const jp_symbol& symbol);
  bool IsOfScript(const SharedWords& shared, const jp_symbol& symbol);
  std::optional<uint64_t> ScriptId(uint64_t script);
  std::optional<uint64_t> SourceNow(const jp_symbol& symbol);
  std::optional<SourceHash> HashOf(uint64_t string) const;
  std::optional<uint16_t> TypeOf(uint64_t tagged);
  std::optional<uint16_t> TypeOfMap(uint64_t map);
  using TakeUnits = absl::FunctionRef<void(std::u16string_view)>;
  bool ReadSource(uint64_t tagged, SourceHash hash, uint32_t from_unit, uint32_t size,
                  TakeUnits take);

  const RuntimeImage image_;
  const MemoryReader& memory_;
  jp_v8_layout layout_ = {};
  CodeLayout code_layout_ = {};
  bool has_code_layout_ = false;
  CodeFinder finder_{code_layout_, memory_};
  CodePositions positions_{code_layout_, memory_};
  std::optional<WasmModules> wasm_;
  Clock::time_point instant_;
  absl::flat_hash_map<uint32_t, Function> functions_;  // by symbol number
  absl::flat_hash_map<uint64_t, SharedFunction> shared_;  // by SharedFunctionInfo
  absl::flat_hash_map<uint64_t, uint16_t> lasting_maps_;  // their types
  // By (script id, script address): two isolates of a process may use one id for two scripts.
  absl::flat_hash_map<std::pair<uint64_t, uint64_t>, Script> scripts_;
  size_t lines_kept_ = 0;  // in scripts_
  uint32_t last_script_ = 0;
  bool want_places_ = false;
  absl::flat_hash_map<uint32_t, std::string> map_urls_;  // by script; not asked for yet
  size_t map_url_bytes_ = 0;
};

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
      size == 0 ? name.kind == FrameKind::kBuiltin
                : size >= kHashDigits && name.file.find_first_not_of(
                                             "0123456789abcdef", size - kHashDigits) ==
                                             std::string::npos;
  return is_module && !name.name.empty() &&
         name.name.find_first_not_of("0123456789") == std::string::npos;
}

absl::StatusOr<V8Instance::Function> V8Instance::ReadRecord(std::span<const uint8_t> bytes) {
  auto record = ParseSymbolRecord(bytes);
  if (!record.ok()) return record.status();
  Function result{record->symbol, {}};
  if (record->symbol.words[JP_V8_WASM_INSTANCE] != 0) {
    result.name = {.name = "[unknown] [wasm]", .kind = FrameKind::kUnknown};
    return result;
  }
  // Functions without a script are V8's own.
  result.name.kind = record->symbol.words[JP_V8_SCRIPT_OBJECT] != 0 ? FrameKind::kScript
                                                                     : FrameKind::kBuiltin;
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
    result.name.start_line = MakeLine(result, StartOf(result.symbol)).line;
    if (want_places_ && result.name.start_line != 0) result.name.place = PlaceOf(result);
  } else if (IsWasmEntry(result.name)) {
    result.name.name.clear();
  }
  return result;
}

FrameLine V8Instance::MakeLine(const Function& function, int32_t position) {
  FrameLine result{function.name};
  if (!IsInside(position, function.symbol) || function.symbol.words[JP_V8_SCRIPT_OBJECT] == 0) {
    return result;
  }
  const Script* script = FindScript(function.symbol);
  if (script == nullptr) return result;
  const uint32_t at = static_cast<uint32_t>(position);
  const uint32_t line = script->lines.LineOf(at);
  if (line == 0) return result;
  result.line = line + static_cast<uint32_t>(function.symbol.words[JP_V8_LINE_OFFSET]);
  result.column = script->lines.ColumnOf(at);
  return result;
}

// The name need not be V8's own guess at one: it is believed where it is in the text.
ScriptPlace V8Instance::PlaceOf(const Function& function) {
  const Script* script = FindScript(function.symbol);
  if (script == nullptr) return {};
  const uint32_t start = static_cast<uint32_t>(StartOf(function.symbol));
  ScriptPlace place = {.script = script->number, .column = script->lines.ColumnOf(start)};
  const std::optional<uint64_t> source = SourceNow(function.symbol);
  const SourceHash hash(function.symbol.words[JP_V8_SOURCE_HASH]);
  const uint32_t from = start - std::min(start, kNameUnits);
  std::u16string before;
  const auto append = [&before](std::u16string_view units) { before += units; };
  if (!source || !ReadSource(*source, hash, from, start - from, append)) return place;
  const std::optional<size_t> name = FindName(before, function.name.name);
  if (!name) return place;
  const uint32_t at = from + static_cast<uint32_t>(*name);
  place.name_line = script->lines.LineOf(at) +
                    static_cast<uint32_t>(function.symbol.words[JP_V8_LINE_OFFSET]);
  place.name_column = script->lines.ColumnOf(at);
  return place;
}

std::string V8Instance::SourceMapUrl(uint32_t script) {
  auto found = map_urls_.find(script);
  if (found == map_urls_.end()) return "";
  std::string url = std::move(found->second);
  map_url_bytes_ -= url.size();
  map_urls_.erase(found);
  return url;
}

// The BytecodeArray of a function that runs, or ran a moment ago.
std::optional<uint64_t> V8Instance::BytecodeOf(uint64_t shared) {
  if (TypeOf(shared) != layout_.shared_type) return std::nullopt;
  auto data = memory_.ReadValue<uint64_t>(Address{shared - 1 + layout_.shared_data});
  // Baseline code and what the interpreter keeps beside the bytecode point to it.
  for (int hops = 0; data && hops < 3; ++hops) {
    const std::optional<uint16_t> type = TypeOf(*data);
    if (!type) return std::nullopt;
    if (*type == code_layout_.bytecode_array_type) return data;
    const Address object{*data - 1};
    if (*type == code_layout_.interpreter_data_type) {
      data = memory_.ReadValue<uint64_t>(object + 8);
    } else if (*type != 0 && *type == code_layout_.baseline_data_type) {
      data = memory_.ReadValue<uint64_t>(object + CodeLayout::kBaselineDataBytecode);
    } else if (*type == code_layout_.code_type && code_layout_.baseline_has_bytecode) {
      data = memory_.ReadValue<uint64_t>(object + code_layout_.code_deopt);
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// The positions of a frame, innermost first, the frame's own function last. Empty when what is in
// memory now is not what the sample met.
std::vector<ScriptPosition> V8Instance::Positions(const Function& function, const RawFrame& frame) {
  const uint64_t shared = function.symbol.identity;
  if (!has_code_layout_) return {};
  if (frame.detail == JP_V8_BYTECODE || frame.detail == JP_V8_HANDLER) {
    auto bytecode = BytecodeOf(shared);
    if (!bytecode) return {};
    auto position = frame.detail == JP_V8_HANDLER
                        ? positions_.InHandler(*bytecode, frame.address)
                        : positions_.Interpreted(*bytecode, frame.address << 32);
    if (!position) return {};
    return {{shared, *position}};
  }
  if (frame.detail != JP_V8_PC) return {};
  const Address pc{frame.address};
  const PcKind kind = frame.is_return_address ? PcKind::kReturnAddress : PcKind::kExact;
  auto code = finder_.Find(Address{frame.address - (frame.is_return_address ? 1 : 0)});
  if (!code) return {};
  if (IsOptimized(code->kind)) {
    std::vector<ScriptPosition> positions = positions_.Optimized(*code, pc, kind);
    if (positions.empty() || positions.back().shared != shared) return {};
    return positions;
  }
  if (code->kind == CodeKind::kBaseline) {
    auto bytecode = BytecodeOf(shared);
    auto owner = positions_.Owner(*code);
    if (!bytecode || (owner && *owner != *bytecode)) return {};
    auto position = positions_.Baseline(*code, *bytecode, pc, kind);
    if (!position) return {};
    return {{shared, *position}};
  }
  return {};
}

const V8Instance::Function* V8Instance::FindShared(uint64_t shared) {
  const std::optional<SharedWords> words = ReadShared(shared);
  auto it = shared_.find(shared);
  if (it != shared_.end()) {
    const SharedFunction& known = it->second;
    if (words == known.words && (known.lasts || known.instant == instant_) &&
        IsOfScript(*words, known.function.symbol)) {
      return &known.function;
    }
    shared_.erase(it);
  }
  if (!words) return nullptr;  // or it moves just now: then its caller stands for it
  std::optional<std::vector<uint8_t>> record = ReadFunction(image_, layout_, memory_, shared);
  if (!record) return nullptr;
  absl::StatusOr<Function> function = ReadRecord(*record);
  if (!function.ok()) return nullptr;
  // A source that cannot be read now may be there soon.
  const bool has_places =
      function->symbol.words[JP_V8_EXTENT] == ~uint64_t{0} ||
      (function->name.start_line != 0 && (!want_places_ || function->name.place.script != 0));
  const bool lasts = has_places && ReadShared(shared) == words;
  if (shared_.size() >= kMaxInlined) shared_.clear();
  return &shared_.emplace(shared, SharedFunction{*std::move(function), *words, instant_, lasts})
              .first->second.function;
}

void V8Instance::SeeInstant(Clock::time_point now) {
  if (now - instant_ <= kInstant) return;
  instant_ = now;
  finder_.Advance();
  positions_.Advance();
  wasm_->Advance();
}

// Regular expressions are compiled to code without a function of its own, and so are the ways into
// WebAssembly and out of it. A function of WebAssembly has no frame yet in its first instructions.
std::optional<FrameName> V8Instance::NameCode(Address address) {
  SeeInstant(Clock::now());
  if (auto name = wasm_->Find(address, 0)) return name;
  if (!has_code_layout_) return std::nullopt;
  auto code = finder_.Find(address);
  if (!code) return std::nullopt;
  if (code->kind == CodeKind::kRegExp) {
    return FrameName{.name = "(regular expression)", .kind = FrameKind::kBuiltin};
  }
  if (code->kind == CodeKind::kWasm) {
    return FrameName{.name = "(WebAssembly stub)", .kind = FrameKind::kBuiltin};
  }
  return std::nullopt;
}

std::vector<FrameLine> V8Instance::Locate(const RawFrame& frame) {
  auto function = functions_.find(frame.symbol);
  if (function == functions_.end() || function->second.name.name.empty()) return {};
  SeeInstant(Clock::now());
  std::vector<FrameLine> lines;
  if (frame.detail == JP_V8_WASM) {
    const Address pc{frame.address - (frame.is_return_address ? 1 : 0)};
    auto name = wasm_->Find(pc, function->second.symbol.words[JP_V8_WASM_INSTANCE]);
    if (name) lines.push_back({*std::move(name)});
  }
  std::vector<ScriptPosition> positions = Positions(function->second, frame);
  if (!positions.empty() && !IsStillThere(function->second.symbol)) positions.clear();
  for (const ScriptPosition& p : positions) {
    if (&p == &positions.back()) {
      lines.push_back(MakeLine(function->second, p.position));
    } else if (const Function* inlined = FindShared(p.shared)) {
      if (!inlined->name.name.empty()) lines.push_back(MakeLine(*inlined, p.position));
    } else {
      // Something was inlined here that has no name any more: its caller stands for it.
      lines.clear();
    }
  }
  return lines;
}

std::optional<std::vector<FrameArgument>> V8Instance::Arguments(const MemoryReader& memory,
                                                                uint64_t identity, Address fp) {
  if (!has_code_layout_ || !code_layout_.values.known) return std::nullopt;
  return ValueReader(image_, layout_, code_layout_, memory).Arguments(identity, fp);
}

char V8Instance::Tier(const RawFrame& frame) {
  if (frame.detail == JP_V8_BYTECODE || frame.detail == JP_V8_INTERPRETED ||
      frame.detail == JP_V8_HANDLER) {
    return '~';
  }
  if (frame.detail != JP_V8_PC || !has_code_layout_) return 0;
  SeeInstant(Clock::now());
  auto code = finder_.Find(Address{frame.address - (frame.is_return_address ? 1 : 0)});
  if (!code) return 0;
  switch (code->kind) {
    case CodeKind::kBuiltin:
      return '~';
    case CodeKind::kBaseline:
      return '^';
    case CodeKind::kMaglev:
      return '+';
    case CodeKind::kTurbofan:
      return '*';
    default:
      return 0;
  }
}

// Of an object that may be gone: where its map was may be a pointer to anything, and the type of
// that a string's. A map has a map, and that one is its own.
std::optional<uint16_t> V8Instance::TypeOfMap(uint64_t map) {
  if (auto it = lasting_maps_.find(map); it != lasting_maps_.end()) return it->second;
  const auto map_of = [this](uint64_t object) -> std::optional<uint64_t> {
    if ((object & 3) != 1) return std::nullopt;
    return memory_.ReadValue<uint64_t>(Address{object - 1});
  };
  const auto meta = map_of(map);
  if (!meta || map_of(*meta) != meta) return std::nullopt;
  const auto type = memory_.ReadValue<uint16_t>(Address{map - 1 + layout_.map_instance_type});
  // V8 makes these two once for each isolate.
  if (type == layout_.shared_type || type == layout_.script_type) {
    if (lasting_maps_.size() >= kMaxLastingMaps) lasting_maps_.clear();
    lasting_maps_.emplace(map, *type);
  }
  return type;
}

std::optional<uint16_t> V8Instance::TypeOf(uint64_t tagged) {
  if ((tagged & 3) != 1) return std::nullopt;
  const auto map = memory_.ReadValue<uint64_t>(Address{tagged - 1});
  return map ? TypeOfMap(*map) : std::nullopt;
}

// nullopt: it is none, or none any more.
std::optional<V8Instance::SharedWords> V8Instance::ReadShared(uint64_t shared) {
  std::array<uint64_t, kSharedWords> words;
  if ((shared & 3) != 1 ||
      !memory_.ReadExactly(Address{shared - 1}, std::as_writable_bytes(std::span(words))) ||
      TypeOfMap(words[0]) != layout_.shared_type) {
    return std::nullopt;
  }
  const size_t name = layout_.shared_name_or_scope_info / sizeof(uint64_t);
  const size_t script = layout_.shared_script / sizeof(uint64_t);
  if (name >= words.size() || script + 1 >= words.size()) return std::nullopt;
  return SharedWords{words[name], words[script], words[script + 1]};
}

// Whether the function's address is not another's by now: its script's id is given once.
bool V8Instance::IsStillThere(const jp_symbol& symbol) {
  const std::optional<SharedWords> shared = ReadShared(symbol.identity);
  return shared && IsOfScript(*shared, symbol);
}

bool V8Instance::IsOfScript(const SharedWords& shared, const jp_symbol& symbol) {
  return symbol.words[JP_V8_SCRIPT_OBJECT] == 0 ||
         ScriptId(shared.script) == symbol.words[JP_V8_SCRIPT_ID];
}

std::optional<uint64_t> V8Instance::ScriptId(uint64_t script) {
  // One read for both words: they are close together.
  std::array<std::byte, kMaxScriptBytes> bytes;
  const size_t id_at = layout_.script_id;
  uint64_t map, id;
  if ((script & 3) != 1 || id_at + sizeof(id) > bytes.size() ||
      !memory_.ReadExactly(Address{script - 1}, std::span(bytes.data(), id_at + sizeof(id)))) {
    return std::nullopt;
  }
  std::memcpy(&map, bytes.data(), sizeof(map));
  std::memcpy(&id, bytes.data() + id_at, sizeof(id));
  if (TypeOfMap(map) != layout_.script_type) return std::nullopt;
  return id >> 32;
}

// The source of the script as it is now. A script lives where it was made, in the old generation,
// but its source, when young, moves with the first collections after it was loaded: just when a
// busy program is first looked at.
std::optional<uint64_t> V8Instance::SourceNow(const jp_symbol& symbol) {
  const uint64_t script = symbol.words[JP_V8_SCRIPT_OBJECT];
  if (ScriptId(script) != symbol.words[JP_V8_SCRIPT_ID]) return std::nullopt;
  auto source = memory_.ReadValue<uint64_t>(Address{script - 1 + layout_.script_source});
  if (!source || (*source & 3) != 1) return std::nullopt;
  const std::optional<SourceHash> hash = HashOf(*source);
  if (!hash || !hash->Fits(SourceHash(symbol.words[JP_V8_SOURCE_HASH]))) return std::nullopt;
  return source;
}

std::optional<SourceHash> V8Instance::HashOf(uint64_t string) const {
  const uint64_t word = string - 1 + (layout_.string_length & ~7U);
  auto value = memory_.ReadValue<uint64_t>(Address{word});
  if (!value) return std::nullopt;
  return SourceHash(*value);
}

const V8Instance::Script* V8Instance::FindScript(const jp_symbol& symbol) {
  // Programs with so many scripts make them by eval; starting over keeps the memory bounded.
  const auto make_room = [this] {
    scripts_.clear();
    lines_kept_ = 0;
  };
  const std::pair key(symbol.words[JP_V8_SCRIPT_ID], symbol.words[JP_V8_SCRIPT_OBJECT]);
  if (scripts_.size() >= kMaxScripts && !scripts_.contains(key)) make_room();
  Script& script = scripts_[key];
  if (script.read) return &script;
  // A source that cannot be read may be there soon, or never: each further failure doubles the
  // number of requests until the next attempt, for an attempt may read megabytes.
  if (!std::has_single_bit(++script.requests)) return nullptr;
  LineTable lines;
  SourceMapComment comment;
  const auto append = [&](std::u16string_view units) {
    lines.Append(units);
    if (want_places_) comment.Append(units);
  };
  const std::optional<uint64_t> source = SourceNow(symbol);
  const SourceHash hash(symbol.words[JP_V8_SOURCE_HASH]);
  if (!source || !ReadSource(*source, hash, 0, kWholeSource, append) ||
      lines.length() != hash.length || SourceNow(symbol) != source) {
    return nullptr;
  }
  if (lines_kept_ + lines.size() > kMaxLines) make_room();
  lines_kept_ += lines.size();
  const uint32_t number = ++last_script_;
  if (std::string url = comment.Url();
      !url.empty() && map_url_bytes_ + url.size() <= kMaxMapUrlBytes) {
    map_url_bytes_ += url.size();
    map_urls_[number] = std::move(url);
  }
  Script found = {.lines = std::move(lines), .read = true, .number = number};
  return &scripts_.insert_or_assign(key, std::move(found)).first->second;
}

// Units [from_unit, from_unit + size) of a source, or up to its end. False unless the text is
// `hash`'s, as far as its pieces tell.
bool V8Instance::ReadSource(uint64_t tagged, SourceHash hash, uint32_t from_unit, uint32_t size,
                            TakeUnits take) {
  struct Piece {
    uint64_t string;
    uint32_t start;
    uint32_t length;
  };
  std::vector<Piece> pending = {{tagged, from_unit, size}};
  uint64_t budget = kMaxSourceUnits;
  for (int steps = 0; !pending.empty(); ++steps) {
    if (steps >= kMaxStringPieces) return false;
    Piece piece = pending.back();
    pending.pop_back();
    auto type = TypeOf(piece.string);
    if (!type || *type >= layout_.first_nonstring_type) return false;
    const Address object{piece.string - 1};
    auto own = memory_.ReadValue<int32_t>(object + layout_.string_length);
    if (!own || *own < 0 || piece.start > static_cast<uint32_t>(*own)) return false;
    const uint32_t rest = static_cast<uint32_t>(*own) - piece.start;
    const uint32_t length = std::min(rest, piece.length);
    auto field = [&](uint16_t offset) { return memory_.ReadValue<uint64_t>(object + offset); };

    const uint8_t tag = *type & layout_.representation_mask;
    if (tag == layout_.cons_tag) {
      auto first = field(layout_.cons_first), second = field(layout_.cons_second);
      if (!first || !second) return false;
      const bool whole = piece.start == 0 && length == static_cast<uint32_t>(*own);
      if (whole) pending.push_back({*second, 0, kWholeSource});
      pending.push_back({*first, piece.start, whole ? kWholeSource : length});
      continue;
    }
    if (tag == layout_.thin_tag) {
      auto actual = field(layout_.thin_actual);
      if (!actual) return false;
      pending.push_back({*actual, piece.start, piece.length});
      continue;
    }
    if (tag == layout_.sliced_tag) {
      auto parent = field(layout_.sliced_parent), offset = field(layout_.sliced_offset);
      if (!parent || !offset) return false;
      pending.push_back({*parent, piece.start + static_cast<uint32_t>(*offset >> 32), length});
      continue;
    }
    Address chars = object + layout_.string_chars;
    if (tag == layout_.external_tag) {
      auto data = field(layout_.external_data);
      if ((*type & layout_.uncached_external_bit) != 0) {
        auto resource = field(layout_.external_resource);
        if (!resource) return false;
        data = memory_.ReadValue<uint64_t>(Address{*resource + 8});  // behind its vtable
      }
      if (!data) return false;
      chars = Address{*data};
    } else if (tag != layout_.sequential_tag) {
      return false;
    }
    if (length > budget) return false;
    budget -= length;
    const std::optional<SourceHash> before = HashOf(piece.string);
    if (!before || (before->length == hash.length && !before->Fits(hash))) return false;
    const bool one_byte = (*type & layout_.one_byte_bit) != 0;
    std::vector<uint8_t> narrow;
    std::u16string units;
    for (uint32_t at = 0; at < length; at += kReadUnits) {
      const uint32_t count = std::min<uint32_t>(kReadUnits, length - at);
      const uint64_t from = uint64_t{piece.start} + at;
      units.resize(count);
      if (one_byte) {
        narrow.resize(count);
        if (!memory_.ReadExactly(chars + from, std::as_writable_bytes(std::span(narrow)))) {
          return false;
        }
        std::copy(narrow.begin(), narrow.end(), units.begin());
      } else if (!memory_.ReadExactly(chars + from * 2, std::as_writable_bytes(std::span(units)))) {
        return false;
      }
      take(units);
    }
    // What dies is written over from its beginning.
    const std::optional<SourceHash> after = HashOf(piece.string);
    if (!after || !after->Fits(*before) || TypeOf(piece.string) != type) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<RuntimeInstance> MakeV8Instance(const RuntimeImage& image,
                                                const MemoryReader& memory) {
  return std::make_unique<V8Instance>(image, memory);
}

std::optional<FrameName> DescribeV8Builtin(absl::string_view symbol) {
  absl::ConsumePrefix(&symbol, "Builtins_");
  if (absl::EndsWith(symbol, "Handler") || absl::StartsWith(symbol, "InterpreterEntryTrampoline") ||
      absl::StartsWith(symbol, "JSEntry") || absl::StartsWith(symbol, "JSConstructEntry") ||
      absl::StartsWith(symbol, "JSRunMicrotasksEntry") || absl::StartsWith(symbol, "CEntry") ||
      absl::StartsWith(symbol, "InterpreterPushArgsThen") ||
      absl::StartsWith(symbol, "InterpreterOnStackReplacement") ||
      symbol == "BaselineOutOfLinePrologue" || symbol == "BaselineOrInterpreterEnterAtBytecode" ||
      symbol == "ArgumentsAdaptorTrampoline") {
    return std::nullopt;
  }
  FrameName result;
  result.name = std::string(symbol);
  result.kind = FrameKind::kBuiltin;
  return result;
}

}  // namespace jprof::v8
