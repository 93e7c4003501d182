// Recognises V8 in a binary and makes the helper's layout for it.
//
// A binary holds V8 when it defines v8dbg_* symbols: V8's post-mortem metadata, one 4-byte integer
// for each offset, type number or constant, in .symtab and in every official node in .dynsym too;
// or, without those, the data symbols v8::internal::Version; or, without any symbol, V8's literals
// (v8_literals.h). One that defines v8::V8::GetVersion and none of these holds a V8 that cannot be
// read. The file's name plays no part. What the metadata does not tell comes from one table by
// version (v8_layout_table.h), and all of it does for a binary without metadata of a version in the
// table.
//
// The metadata is as hostile as the rest of the file: every value is checked for its range, the
// types for being distinct, before the layout is believed. The helper then checks each object's
// type as it goes, so a layout that passes here and is wrong all the same names nothing.
#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_await_table.h"
#include "helpers/v8/v8_blob.h"
#include "helpers/v8/v8_builtins.h"
#include "helpers/v8/v8_check.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_isolate.h"
#include "helpers/v8/v8_layout.h"
#include "helpers/v8/v8_layout_table.h"
#include "helpers/v8/v8_literals.h"
#include "helpers/v8/v8_names.h"
#include "helpers/v8/v8_values.h"
#include "profiler/core/status.h"

namespace jprof::v8 {
namespace {

constexpr absl::string_view kMetadataPrefix = "v8dbg_";
constexpr absl::string_view kBuiltinPrefix = "Builtins_";
constexpr absl::string_view kMicrotasksSymbol = "Builtins_RunMicrotasks";
constexpr size_t kMaxBuiltins = 10'000;  // there are some 2,500
constexpr absl::string_view kHandlerSuffix = "Handler";
constexpr absl::string_view kFirstHandler = "Builtins_WideHandler";
constexpr size_t kMaxHandlerSymbols = 10000;
constexpr absl::string_view kBytecodeSizesSymbol =
    "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE";
constexpr uint64_t kMaxBytecodeSizesBytes = 4096;
constexpr absl::string_view kVersionPrefix = "_ZN2v88internal7Version";
// Behind it: length, name, end.
constexpr std::array<absl::string_view, 4> kVersionParts = {"6major_E", "6minor_E", "6build_E",
                                                            "6patch_E"};
// Programs with a V8 export it, those that use another's import it.
constexpr absl::string_view kGetVersionSymbol = "_ZN2v82V810GetVersionEv";
constexpr size_t kMaxMetadataSymbols = 10000;
constexpr uint64_t kMaxBuiltinBytes = uint64_t{64} << 20;
// The last builtin of a blob whose symbols have no sizes (V8 before 8.0).
constexpr uint64_t kBuiltinBytesWithoutSize = 4096;
constexpr int32_t kMaxFrameTypes = 64;
constexpr int32_t kSmiShiftSize = 31;  // where a tagged word is 8 bytes
constexpr int32_t kMaxContextSlots = 8;
constexpr uint16_t kContextFirstSlot = 16;
constexpr uint16_t kMaxFieldOffset = 256;
constexpr int64_t kMaxFunctionTypes = 64;

// What the symbol tables say of V8.
struct Symbols {
  absl::flat_hash_map<std::string, ElfAddress> metadata;  // without the prefix
  absl::flat_hash_map<std::string, ElfAddress> version;   // "major", "minor", ...
  bool get_version = false;
  ElfAddress bytecode_sizes;
  uint64_t bytecode_sizes_bytes = 0;
  std::vector<ElfAddress> handlers;  // of bytecodes, and other builtins of such names
  ElfAddress first_handler{UINT64_MAX};
  ElfAddress builtins_begin{UINT64_MAX};
  ElfAddress builtins_end{0};
  ElfAddress microtasks{0};  // of the builtins, the loop over the microtasks; 0: not met
  ElfAddress microtasks_end{UINT64_MAX};
};

Symbols CollectSymbols(const ElfFile& image) {
  Symbols symbols;
  std::vector<ElfAddress> builtins;
  auto visit = [&symbols, &builtins](const ElfFile::Symbol& s) {
    absl::string_view name = s.name;
    if (absl::ConsumePrefix(&name, kMetadataPrefix)) {
      if (symbols.metadata.size() < kMaxMetadataSymbols) {
        symbols.metadata.try_emplace(std::string(name), s.address);
      }
    } else if (absl::StartsWith(name, kBuiltinPrefix)) {
      if (absl::EndsWith(name, kHandlerSuffix) && symbols.handlers.size() < kMaxHandlerSymbols) {
        symbols.handlers.push_back(s.address);
      }
      if (name == kFirstHandler) symbols.first_handler = s.address;
      symbols.builtins_begin = std::min(symbols.builtins_begin, s.address);
      symbols.builtins_end =
          std::max(symbols.builtins_end,
                   ElfAddress{s.address.value + (s.size != 0 ? s.size : kBuiltinBytesWithoutSize)});
      if (name == kMicrotasksSymbol) symbols.microtasks = s.address;
      if (builtins.size() < kMaxBuiltins) builtins.push_back(s.address);
    } else if (name == kBytecodeSizesSymbol) {
      symbols.bytecode_sizes = s.address;
      symbols.bytecode_sizes_bytes = std::min(s.size, kMaxBytecodeSizesBytes);
    } else if (name == kGetVersionSymbol) {
      symbols.get_version = true;
    } else if (absl::ConsumePrefix(&name, kVersionPrefix)) {
      for (absl::string_view part : kVersionParts) {
        if (name == part) symbols.version.try_emplace(std::string(part.substr(1, 5)), s.address);
      }
    }
    return true;
  };
  // A damaged table leaves what was read before the damage; the checks below decide.
  image.ForEachSymbol(ElfFile::Table::kSymtab, visit).IgnoreError();
  // A linker's .symtab has all that .dynsym has, and node's tables are of some hundred thousands.
  const bool whole = !symbols.metadata.empty() && symbols.version.size() == kVersionParts.size() &&
                     !builtins.empty();
  if (!whole) image.ForEachSymbol(ElfFile::Table::kDynsym, visit).IgnoreError();
  for (ElfAddress address : builtins) {
    if (address > symbols.microtasks) {
      symbols.microtasks_end = std::min(symbols.microtasks_end, address);
    }
  }
  return symbols;
}

std::optional<int32_t> ReadInt(const ElfFile& image, ElfAddress address) {
  int32_t value = 0;
  if (!image.ReadAt(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
  return value;
}

// Reads metadata constants; remembers the first one that is missing or out of range.
class Metadata {
 public:
  // Both outlive this. `version`: major * 100 + minor.
  Metadata(const ElfFile& image, const Symbols& symbols, uint32_t version)
      : image_(image), symbols_(symbols), version_(version) {}

  // The first of several spellings that exists (field types change between versions, and with them
  // the symbols' names).
  std::optional<int32_t> Find(std::initializer_list<absl::string_view> names) const {
    for (absl::string_view name : names) {
      auto it = symbols_.metadata.find(name);
      if (it == symbols_.metadata.end()) continue;
      if (auto value = ReadInt(image_, it->second)) return Note(name, *value, Source::kSymbol);
    }
    for (absl::string_view name : names) {
      if (auto value = FindStripped(name)) return Note(name, *value, Source::kTable);
    }
    return std::nullopt;
  }

  // The symbol "class_CLASS__FIELD__TYPE" whatever TYPE is.
  std::optional<int32_t> FindField(absl::string_view class_and_field) const {
    const std::string prefix = absl::StrCat("class_", class_and_field, "__");
    std::optional<std::pair<absl::string_view, ElfAddress>> first;
    for (const auto& [name, address] : symbols_.metadata) {
      // In name order, so that the answer does not depend on the hash table's.
      if (absl::StartsWith(name, prefix) && (!first || name < first->first)) {
        first = {name, address};
      }
    }
    const std::optional<int32_t> value =
        first ? ReadInt(image_, first->second) : FindStripped(absl::StripSuffix(prefix, "__"));
    if (!value) return std::nullopt;
    return Note(class_and_field, *value, first ? Source::kSymbol : Source::kTable);
  }

  // A number that no symbol tells.
  template <typename T>
  T Table(absl::string_view name, T value) const {
    Note(name, value, Source::kTable);
    return value;
  }

  uint16_t Field(absl::string_view class_and_field, std::optional<uint16_t> otherwise = {}) {
    auto value = FindField(class_and_field);
    if (!value && otherwise) value = Table(class_and_field, *otherwise);
    // Fields are behind the map word; the helper reads them in 4 or 8 bytes.
    return Checked(class_and_field, value, 8, kMaxFieldOffset, 4);
  }
  uint16_t Type(absl::string_view name) { return Checked(name, Find({name}), 1, 0xffff, 1); }
  uint8_t Constant(absl::string_view name, int32_t otherwise) {
    auto value = Find({name});
    if (!value) value = Table(name, otherwise);
    return static_cast<uint8_t>(Checked(name, value, 0, 0xff, 1));
  }
  // 0, which is no frame's type, where it is not told: such frames then have no names.
  uint16_t FrameType(std::initializer_list<absl::string_view> names) const {
    const int32_t type = Find(names).value_or(0);
    return type > 0 && type < kMaxFrameTypes ? static_cast<uint16_t>(type) : 0;
  }
  void Reject(absl::string_view what) {
    if (problem_.empty()) problem_ = std::string(what);
  }
  const std::string& problem() const { return problem_; }

  std::vector<LayoutFact> facts() const {
    std::vector<LayoutFact> result;
    for (const auto& [name, fact] : facts_) result.push_back(fact);
    return result;
  }

 private:
  using Source = LayoutFact::Source;

  int32_t Note(absl::string_view name, int32_t value, Source source) const {
    facts_.try_emplace(std::string(name), LayoutFact{std::string(name), value, source});
    return value;
  }
  std::optional<int32_t> FindStripped(absl::string_view name) const {
    if (!symbols_.metadata.empty()) return std::nullopt;
    for (size_t i = 0; i < std::size(kStrippedVersions); ++i) {
      if (kStrippedVersions[i] != version_) continue;
      for (const StrippedMetadata& row : kStrippedMetadata) {
        if (row.name == name) return row.values[i];
      }
    }
    return std::nullopt;
  }
  uint16_t Checked(absl::string_view name, std::optional<int32_t> value, int32_t min, int32_t max,
                   int32_t multiple) {
    if (!value) {
      Reject(absl::StrCat(name, " is missing"));
      return 0;
    }
    if (*value < min || *value > max || *value % multiple != 0) {
      Reject(absl::StrCat(name, " is ", *value));
      return 0;
    }
    return static_cast<uint16_t>(*value);
  }

  const ElfFile& image_;
  const Symbols& symbols_;
  const uint32_t version_;
  std::string problem_;
  mutable std::map<std::string, LayoutFact> facts_;  // what was asked for and is known
};

const VersionFacts* FindFacts(uint32_t version) {
  for (const VersionFacts& facts : kVersionFacts) {
    if (facts.first_version <= version && version <= facts.last_version) return &facts;
  }
  return nullptr;
}

// Offsets that the helper turns into an index into the words it read at once.
bool IsWordWithin(uint16_t offset, int words) { return offset % 8 == 0 && offset / 8 < words; }

jp_v8_layout MakeLayout(Metadata& metadata, const VersionFacts& facts) {
  jp_v8_layout l = {};
  l.map_instance_type = metadata.Field("Map__instance_type", kMapInstanceType);
  int64_t first = metadata.Type("type_JSFunction__JS_FUNCTION_TYPE");
  int64_t last = first - 1;
  auto named_first = metadata.Find({"FirstJSFunctionType"});
  auto named_last = metadata.Find({"LastJSFunctionType"});
  if (named_first && named_last) {
    first = *named_first;
    last = *named_last;
  } else {
    last += metadata.Table("JSFunction types", facts.js_function_types);
  }
  if (first < 1 || last < first || last - first > kMaxFunctionTypes || last > 0xffff) {
    metadata.Reject("the range of JSFunction types");
  }
  l.first_js_function_type = static_cast<uint16_t>(first);
  l.last_js_function_type = static_cast<uint16_t>(last);
  l.shared_type = metadata.Type("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE");
  l.scope_info_type = metadata.Type("type_ScopeInfo__SCOPE_INFO_TYPE");
  l.script_type = metadata.Type("type_Script__SCRIPT_TYPE");
  l.first_nonstring_type = metadata.Type("FirstNonstringType");

  const auto bytecode_slot = metadata.Find({"off_fp_bytecode_offset"});
  l.frame_bytecode_offset = static_cast<int16_t>(
      bytecode_slot ? *bytecode_slot
                    : metadata.Table("off_fp_bytecode_offset", facts.frame_bytecode_offset));
  if (l.frame_bytecode_offset != -32 && l.frame_bytecode_offset != -40) {
    metadata.Reject("the bytecode offset's slot");
  }

  l.frame_builtin_exit = metadata.FrameType({"frametype_BuiltinExitFrame"});
  l.frame_wasm = metadata.FrameType({"frametype_WasmFrame", "frametype_WasmCompiledFrame"});
  l.frame_wasm_to_js = metadata.FrameType({"frametype_WasmToJsFrame"});
  l.frame_js_to_wasm = metadata.FrameType({"frametype_JsToWasmFrame"});

  l.function_shared = metadata.Field("JSFunction__shared");
  l.shared_data = metadata.Field("SharedFunctionInfo__function_data", facts.shared_data);
  l.shared_data_2 = metadata.Table("SharedFunctionInfo__function_data_2", facts.shared_data_2);
  l.shared_name_or_scope_info = metadata.Field("SharedFunctionInfo__name_or_scope_info");
  auto script = metadata.FindField("SharedFunctionInfo__script_or_debug_info");
  l.shared_script =
      script ? static_cast<uint16_t>(*script) : metadata.Field("SharedFunctionInfo__script");

  // Once an array with its length in front (V8 up to 9.0), later an object of its own.
  const bool scope_is_array =
      metadata.Find({"parent_ScopeInfo__FixedArray", "parent_ScopeInfo__FixedArrayBase"})
          .has_value();
  l.scope_slots = scope_is_array ? 16 : 8;
  l.scope_base = metadata.Table("ScopeInfo slots before the names", facts.scope_base);
  l.scope_module_type = metadata.Table("ScopeInfo type of modules", facts.scope_module_type);
  l.scope_position_slot = metadata.Table("ScopeInfo slot of positions", facts.scope_position_slot);
  l.scope_hashed_locals =
      metadata.Table("ScopeInfo locals in one table", facts.scope_hashed_locals);

  l.script_source = metadata.Field("Script__source", kScriptSource);
  l.script_name = metadata.Field("Script__name", kScriptName);
  l.script_line_offset = metadata.Table("Script__line_offset", kScriptLineOffset);
  l.script_id = metadata.Table("Script__id", kScriptId);

  l.string_length = metadata.Field("String__length");
  l.string_chars = metadata.Field("SeqOneByteString__chars");
  l.cons_first = metadata.Field("ConsString__first", kStringFirstField);
  l.cons_second = metadata.Field("ConsString__second", kStringSecondField);
  l.thin_actual = metadata.Field("ThinString__actual", kStringFirstField);
  l.sliced_parent = metadata.Field("SlicedString__parent", kStringFirstField);
  l.sliced_offset = metadata.Field("SlicedString__offset", kStringSecondField);
  l.external_resource = metadata.Field("ExternalString__resource");
  l.external_data = l.external_resource + 8;
  l.representation_mask = metadata.Constant("StringRepresentationMask", 7);
  l.sequential_tag = metadata.Constant("SeqStringTag", 0);
  l.cons_tag = metadata.Constant("ConsStringTag", 1);
  l.external_tag = metadata.Constant("ExternalStringTag", 2);
  l.sliced_tag = metadata.Constant("SlicedStringTag", 3);
  l.thin_tag = metadata.Constant("ThinStringTag", 5);
  l.one_byte_bit = metadata.Constant("OneByteStringTag", 8);
  l.uncached_external_bit = kUncachedExternalBit;

  if (!IsWordWithin(l.function_shared, 6) || !IsWordWithin(l.shared_data, 7) ||
      !IsWordWithin(l.shared_name_or_scope_info, 7) || !IsWordWithin(l.shared_script, 6) ||
      !IsWordWithin(l.script_source, 5) || !IsWordWithin(l.script_name, 5)) {
    metadata.Reject("an offset beyond the object");
  }
  absl::flat_hash_set<uint16_t> types = {l.shared_type, l.scope_info_type, l.script_type,
                                         l.first_js_function_type};
  if (types.size() != 4) metadata.Reject("two types with one number");
  for (uint16_t type : types) {
    if (type < l.first_nonstring_type) metadata.Reject("a type among the strings");
  }
  absl::flat_hash_set<uint8_t> tags = {l.sequential_tag, l.cons_tag, l.external_tag, l.sliced_tag,
                                       l.thin_tag};
  if (tags.size() != 5) metadata.Reject("two string representations with one tag");
  if (metadata.Find({"SmiShiftSize"}).value_or(kSmiShiftSize) != kSmiShiftSize) {
    metadata.Reject("compressed pointers");
  }
  if (metadata.Find({"off_fp_context"}).value_or(-8) != -8 ||
      metadata.Find({"off_fp_function"}).value_or(-16) != -16) {
    metadata.Reject("the frame's slots");
  }
  return l;
}

// What it takes to find who awaits an asynchronous function. Left out where it does not fit
// together: then none are shown.
void AddAwaitLayout(const Metadata& metadata, uint32_t version, jp_v8_layout& l) {
  const AwaitFacts* facts = nullptr;
  for (const AwaitFacts& f : kAwaitFacts) {
    if (f.first_version <= version && version <= f.last_version) facts = &f;
  }
  if (facts == nullptr) return;
  auto type = [&metadata](absl::string_view name, uint16_t otherwise) {
    std::optional<int32_t> found = metadata.Find({name});
    const int32_t value = found ? *found : metadata.Table(name, otherwise);
    return static_cast<uint16_t>(0 < value && value <= 0xffff ? value : 0);
  };
  const AwaitTypes types = {
      .async_function = type("type_JSAsyncFunctionObject__JS_ASYNC_FUNCTION_OBJECT_TYPE",
                             facts->types.async_function),
      .async_generator = type("type_JSAsyncGeneratorObject__JS_ASYNC_GENERATOR_OBJECT_TYPE",
                              facts->types.async_generator),
      .promise = type("type_JSPromise__JS_PROMISE_TYPE", facts->types.promise),
      .reaction = type("type_PromiseReaction__PROMISE_REACTION_TYPE", facts->types.reaction),
      .capability =
          type("type_PromiseCapability__PROMISE_CAPABILITY_TYPE", facts->types.capability),
      .request =
          type("type_AsyncGeneratorRequest__ASYNC_GENERATOR_REQUEST_TYPE", facts->types.request),
      .fulfill_task =
          type("type_PromiseFulfillReactionJobTask__PROMISE_FULFILL_REACTION_JOB_TASK_TYPE",
               facts->types.fulfill_task),
      .reject_task =
          type("type_PromiseRejectReactionJobTask__PROMISE_REJECT_REACTION_JOB_TASK_TYPE",
               facts->types.reject_task),
      .thenable_task =
          type("type_PromiseResolveThenableJobTask__PROMISE_RESOLVE_THENABLE_JOB_TASK_TYPE",
               facts->types.thenable_task)};
  absl::flat_hash_set<uint16_t> distinct = {types.async_function, types.async_generator,
                                            types.promise,        types.reaction,
                                            types.capability,     types.request,
                                            types.fulfill_task,   types.reject_task,
                                            types.thenable_task};
  const int32_t slots = metadata.Find({"context_min_slots"}).value_or(facts->context_slots);
  const int32_t context = metadata.FindField("JSFunction__context").value_or(l.function_shared + 8);
  if (distinct.size() != 9 || distinct.contains(0) || slots < 0 || slots > kMaxContextSlots ||
      context < 8 || context >= 6 * 8 || context % 8 != 0) {
    return;
  }
  l.async_function_type = types.async_function;
  l.async_generator_type = types.async_generator;
  l.promise_type = types.promise;
  l.reaction_type = types.reaction;
  l.capability_type = types.capability;
  l.request_type = types.request;
  l.fulfill_task_type = types.fulfill_task;
  l.reject_task_type = types.reject_task;
  l.thenable_task_type = types.thenable_task;
  l.function_context = static_cast<uint16_t>(context);
  l.context_slots = static_cast<uint16_t>(kContextFirstSlot + 8 * slots);
  l.reaction_next = metadata.Table("PromiseReaction__next", facts->reaction_next);
  l.isolate_microtask = facts->microtask_slot;
}

// What the user-space side reads code with. nullopt when this build's code cannot be read, which
// leaves names without lines.
std::optional<CodeLayout> MakeUserLayout(const ElfFile& image, const Symbols& symbols,
                                         const Metadata& metadata, uint32_t version) {
  std::vector<std::byte> sizes(symbols.bytecode_sizes_bytes);
  if (!image.ReadAt(symbols.bytecode_sizes, sizes)) sizes.clear();
  auto constant = [&](absl::string_view name) { return metadata.Find({name}); };
  auto by_prefix = [&](absl::string_view name) { return metadata.FindField(name); };
  const CodeMetadata names = {constant, by_prefix, sizes};
  auto layout = MakeCodeLayout(version, names);
  if (!layout.ok()) return std::nullopt;
  layout->values = MakeValueLayout(version, names);
  return *layout;
}

// The bytecode handlers by their symbols, in order.
std::vector<ElfAddress> NamedHandlers(const Symbols& symbols) {
  std::vector<ElfAddress> handlers = symbols.handlers;
  std::sort(handlers.begin(), handlers.end());
  handlers.erase(std::unique(handlers.begin(), handlers.end()), handlers.end());
  handlers.erase(handlers.begin(),
                 std::lower_bound(handlers.begin(), handlers.end(), symbols.first_handler));
  return handlers;
}

void AddHandlers(std::span<const ElfAddress> handlers, ElfAddress begin, jp_v8_layout& layout,
                 CodeLayout& code) {
  std::vector<uint32_t> offsets;
  for (ElfAddress handler : handlers) {
    offsets.push_back(static_cast<uint32_t>(handler.value - begin.value));
  }
  SetHandlers(offsets, code);
  if (code.handler_count > 0) layout.handlers = code.handlers[0];
}

void AddRange(const ElfFile& image, ElfAddress begin, ElfAddress end,
              std::vector<FileRange>& ranges) {
  if (begin >= end || end.value - begin.value >= kMaxBuiltinBytes) return;
  auto first = image.ToFileOffset(begin);
  auto last = image.ToFileOffset(ElfAddress{end.value - 1});
  if (first && last && *first < *last) ranges.push_back({*first, FileOffset{last->value + 1}});
}

void AddIsolateSlots(const ElfFile& image, const Symbols& symbols, ElfAddress begin, ElfAddress end,
                     jp_v8_layout& layout, std::vector<LayoutFact>& facts) {
  using Source = LayoutFact::Source;
  if (begin >= end || end.value - begin.value > kMaxBuiltinBytes) return;
  std::vector<std::byte> bytes(end.value - begin.value);
  if (!image.ReadAt(begin, bytes)) return;
  const std::span<const std::byte> builtins(bytes);
  if (const std::optional<IsolateSlots> slots = FindIsolateSlots(builtins)) {
    layout.isolate_exit_frame = slots->exit_frame;
    layout.isolate_fast_call = slots->fast_call;
    facts.push_back({"Isolate exit frame", slots->exit_frame, Source::kDerived});
    facts.push_back({"Isolate fast call", slots->fast_call, Source::kDerived});
  }
  if (symbols.microtasks < begin || symbols.microtasks_end > end ||
      symbols.microtasks >= symbols.microtasks_end) {
    return;
  }
  const uint64_t first = symbols.microtasks.value - begin.value;
  const uint64_t last = symbols.microtasks_end.value - begin.value;
  Source source = Source::kTable;
  if (layout.isolate_microtask == 0) {
    const auto slot = FindMicrotaskSlot(builtins, builtins.subspan(first, last - first));
    if (!slot) return;
    layout.isolate_microtask = *slot;
    source = Source::kDerived;
  }
  layout.builtins_bytes = static_cast<uint32_t>(builtins.size());
  layout.microtasks_begin = static_cast<uint32_t>(first);
  layout.microtasks_end = static_cast<uint32_t>(last);
  facts.push_back({"Isolate microtask", layout.isolate_microtask, source});
}

// The builtins' symbols, as the file itself would have them. False: their names were not found.
bool NameBuiltins(const ElfFile& image, const EmbeddedBlob& blob, size_t handlers, Symbols& symbols,
                  std::vector<NamedCode>& result) {
  const std::vector<std::string> names = FindBuiltinNames(image, blob.begins.size(), handlers);
  for (size_t i = 0; i < names.size(); ++i) {
    const ElfAddress begin = blob.begins[i];
    const ElfAddress end = i + 1 < names.size() ? blob.begins[i + 1] : blob.end;
    const auto first = image.ToFileOffset(begin), last = image.ToFileOffset({end.value - 1});
    if (!first || !last || *last < *first) continue;
    result.push_back({{*first, {last->value + 1}}, absl::StrCat(kBuiltinPrefix, names[i])});
    if (result.back().symbol != kMicrotasksSymbol) continue;
    symbols.microtasks = begin;
    symbols.microtasks_end = end;
  }
  return !names.empty();
}

// The embedded builtins, by their symbols or by what they are, and what their code tells.
void SetCode(const ElfFile& image, Symbols& symbols, uint32_t version,
             const VersionFacts& facts, jp_v8_layout& layout, std::optional<CodeLayout>& code,
             RuntimeImage& result) {
  using Source = LayoutFact::Source;
  ElfAddress begin = symbols.builtins_begin, end = symbols.builtins_end;
  std::vector<ElfAddress> handlers = NamedHandlers(symbols);
  const bool named = begin.value != UINT64_MAX;
  if (!named) {
    auto blob = FindEmbeddedBlob(image, version, facts.handlers);
    if (!blob) return;
    begin = blob->begin;
    end = blob->end;
    handlers.assign(blob->begins.end() - facts.handlers, blob->begins.end());
    if (!NameBuiltins(image, *blob, facts.handlers, symbols, result.named_code)) {
      AddRange(image, blob->handlers, blob->end, result.plumbing);
    }
    result.facts.push_back(
        {"bytecode handlers begin", static_cast<int64_t>(blob->handlers.value), Source::kDerived});
  }
  AddRange(image, begin, end, result.code);
  if (code && end.value - begin.value < kMaxBuiltinBytes)
    AddHandlers(handlers, begin, layout, *code);
  const Source source = named ? Source::kSymbol : Source::kDerived;
  result.facts.push_back({"builtins begin", static_cast<int64_t>(begin.value), source});
  result.facts.push_back({"builtins end", static_cast<int64_t>(end.value), source});
  AddIsolateSlots(image, symbols, begin, end, layout, result.facts);
}

class V8Runtime : public Runtime {
 public:
  absl::string_view name() const override { return "v8"; }

  absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& image) const override {
    Symbols symbols = CollectSymbols(image);
    auto part = [&](absl::string_view name) -> std::optional<int32_t> {
      auto it = symbols.version.find(name);
      return it == symbols.version.end() ? std::nullopt : ReadInt(image, it->second);
    };
    std::optional<int32_t> major = part("major"), minor = part("minor");
    RuntimeImage result;
    if (symbols.metadata.empty() && symbols.version.empty()) {
      const std::optional<V8Literals> literals = FindV8Literals(image);
      if (!literals && !symbols.get_version) return std::optional<RuntimeImage>();
      if (!literals || literals->version.empty()) {
        return absl::FailedPreconditionError(
            "V8 that tells neither its version nor its layout (stripped, or of an embedder such as "
            "Electron)");
      }
      major = static_cast<int32_t>(literals->major);
      minor = static_cast<int32_t>(literals->minor);
      result.version = absl::StrCat("V8 ", literals->version);
    } else if (!major || !minor || *major < 0 || *major > 255 || *minor < 0 || *minor > 99) {
      return absl::FailedPreconditionError(
          "V8 of unknown version (its version symbols are missing)");
    } else {
      result.version = absl::StrCat("V8 ", *major, ".", *minor, ".", part("build").value_or(0), ".",
                                    part("patch").value_or(0));
    }
    const uint32_t number = static_cast<uint32_t>(*major * 100 + *minor);
    const VersionFacts* facts = FindFacts(number);
    if (facts == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(result.version, " has no layout in jprof"));
    }
    if (symbols.metadata.empty() &&
        std::find(std::begin(kStrippedVersions), std::end(kStrippedVersions), number) ==
            std::end(kStrippedVersions)) {
      return absl::FailedPreconditionError(
          absl::StrCat(result.version, " without metadata has no layout in jprof"));
    }
    Metadata metadata(image, symbols, number);
    jp_v8_layout layout = MakeLayout(metadata, *facts);
    if (!metadata.problem().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(result.version, ": metadata does not fit: ", metadata.problem()));
    }
    layout.version = static_cast<uint32_t>(*major << 24 | *minor << 16);
    AddAwaitLayout(metadata, number, layout);

    result.owns_anonymous_code = true;
    result.layout.resize(sizeof(layout));
    std::optional<CodeLayout> code = MakeUserLayout(image, symbols, metadata, number);
    result.is_partial = !code.has_value();
    result.facts = metadata.facts();
    SetCode(image, symbols, number, *facts, layout, code, result);
    if (code) {
      layout.bytecode_array_type = code->bytecode_array_type;
      const auto bytes = std::as_bytes(std::span(&*code, 1));
      result.user_layout.assign(bytes.begin(), bytes.end());
    }
    std::memcpy(result.layout.data(), &layout, sizeof(layout));
    if (result.code.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(result.version, ": the embedded builtins were not found"));
    }
    return std::optional<RuntimeImage>(std::move(result));
  }

  std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage& image,
                                          const MemoryReader& memory) const override {
    return MakeV8Instance(image, memory);
  }

  Fit Check(const RuntimeImage& image, const MemoryReader& memory,
            AddressRange stack) const override {
    jp_v8_layout layout;
    std::memcpy(&layout, image.layout.data(), sizeof(layout));
    return CheckHeap(image, layout, memory, stack);
  }

  std::optional<FrameName> DescribeBuiltin(absl::string_view symbol) const override {
    return DescribeV8Builtin(symbol);
  }
};

}  // namespace

const Runtime& GetRuntime() {
  static const V8Runtime& runtime = *new V8Runtime;
  return runtime;
}

}  // namespace jprof::v8
