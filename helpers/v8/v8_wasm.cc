#include "helpers/v8/v8_wasm.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jprof::v8 {
namespace {

constexpr size_t kInstanceWords = 64;
constexpr size_t kNativeModuleWords = 256;
constexpr uint64_t kObjectOfInstance = 32;  // its module object, in V8 12 and later
constexpr uint64_t kNativeOfModule = 24;
constexpr uint64_t kForeignAddress = 8;
constexpr uint64_t kSharedPointer = 24;  // in the record that a Foreign leads to
constexpr uint64_t kScriptOfModule[] = {32, 40, 48};
constexpr uint64_t kMaxUrlBytes = 256;

// libstdc++'s std::map: header {colour, root, first, last, count}, node {colour, parent, left,
// right, key, value}; a vector of what is not in it yet follows.
constexpr uint64_t kTreeRoot = 8;
constexpr uint64_t kVectorBehindTree = 40;
constexpr int kMaxTreeDepth = 64;
constexpr size_t kNodeWords = 6;
constexpr size_t kParent = 1, kLeft = 2, kRight = 3, kKey = 4, kValue = 5;

constexpr uint64_t kNearBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxCodeBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxModuleBytes = uint64_t{1} << 32;
constexpr size_t kPointersAtOnce = 2048;
constexpr uint32_t kNoFunction = UINT32_MAX;
constexpr size_t kCodeWords = 8;

// Modules that one search may look at before it gives up, and for how many instants it then rests.
constexpr int kModulesPerSearch = 8;
constexpr uint64_t kRestInstants = 50;

bool IsPointer(uint64_t word) { return word >= 4096 && word < uint64_t{1} << 47 && word % 8 == 0; }
bool IsObject(uint64_t word) { return (word & 3) == 1 && IsPointer(word - 1); }

template <typename T, size_t kSize>
T Field(const std::array<uint64_t, kSize>& words, size_t offset) {
  T value;
  std::memcpy(&value, reinterpret_cast<const std::byte*>(words.data()) + offset, sizeof(value));
  return value;
}

template <size_t kSize>
bool ReadWords(const MemoryReader& memory, uint64_t address, std::array<uint64_t, kSize>& words) {
  return memory.ReadExactly(Address{address}, std::as_writable_bytes(std::span(words)));
}

}  // namespace

// Members of WasmCode (src/wasm/wasm-code-manager.h), by the first V8 that has them there.
const WasmModules::CodeFields WasmModules::kCodeFields[] = {
    // first version | module, start, size, function
    {704, 48, 0, 8, 56},   // Node 12 to 14.0
    {804, 0, 8, 32, 48},   // Node 14 to 19
    {1103, 0, 8, 24, 44},  // Node 20 to 22
    {1209, 0, 8, 24, 48},  // Node 23
    {1306, 0, 8, 32, 56},  // Node 24 to 26
};

WasmModules::WasmModules(const jp_v8_layout& layout, const MemoryReader& memory)
    : layout_(layout), memory_(memory) {
  const uint32_t version = (layout.version >> 24) * 100 + (layout.version >> 16 & 0xff);
  for (const CodeFields& fields : kCodeFields) {
    if (fields.first_version <= version) fields_ = &fields;
  }
}

void WasmModules::Advance() {
  ++instant_;
  instances_.clear();
}

// A module's code lies together.
bool WasmModules::IsNear(const Codes& codes, uint64_t pc) {
  return !codes.empty() && codes.begin()->first < pc + kNearBytes &&
         pc < codes.rbegin()->second.end + kNearBytes;
}

std::optional<FrameName> WasmModules::Find(Address pc, uint64_t instance) {
  Module* module = nullptr;
  const Code* code = nullptr;
  if (instance != 0) {
    module = FindModule(instance);
    if (module != nullptr) code = FindCode(*module, pc.value);
  } else {
    for (auto& [native, known] : modules_) {
      if (!IsNear(known->codes, pc.value) || !IsAlive(*known)) continue;
      module = known.get();
      code = FindCode(*module, pc.value);
      if (code != nullptr) break;
    }
  }
  if (code == nullptr) return std::nullopt;
  // Code of an imported function is the way to what is outside.
  if (code->function == kNoFunction || code->function < module->names.imported()) {
    return FrameName{.name = "(WebAssembly stub)", .kind = FrameKind::kBuiltin};
  }
  FrameName result;
  result.kind = FrameKind::kWasm;
  result.name = module->names.Find(code->function);
  if (result.name.empty()) result.name = absl::StrCat("wasm-function[", code->function, "]");
  result.file = module->url.empty() ? "[wasm]" : module->url;
  return result;
}

// --- Modules -------------------------------------------------------------------------------------

WasmModules::Module* WasmModules::FindModule(uint64_t instance) {
  if (fields_ == nullptr || !IsObject(instance)) return nullptr;
  if (auto known = instances_.find(instance); known != instances_.end()) {
    auto module = modules_.find(known->second);
    return module == modules_.end() ? nullptr : module->second.get();
  }
  auto stranger = strangers_.find(instance);
  if (stranger != strangers_.end() && instant_ < stranger->second + kRestInstants) return nullptr;

  int budget = kModulesPerSearch;
  Module* module = route_ ? ModuleBehind(instance, *route_, budget) : nullptr;
  for (uint16_t offset = 8; module == nullptr && offset < 8 * kInstanceWords; offset += 8) {
    for (bool through_object : {false, true}) {
      const Route route{offset, through_object};
      if (route == route_) continue;
      module = ModuleBehind(instance, route, budget);
      if (module == nullptr) continue;
      route_ = route;
      break;
    }
  }
  if (module == nullptr) {
    if (strangers_.size() >= kMaxInstances) strangers_.clear();
    strangers_[instance] = instant_;
    return nullptr;
  }
  strangers_.erase(instance);
  if (instances_.size() >= kMaxInstances) instances_.clear();
  instances_[instance] = module->native;
  return module;
}

WasmModules::Module* WasmModules::ModuleBehind(uint64_t instance, Route route, int& budget) {
  auto module_object = Word(instance - 1 + route.offset);
  if (!module_object || !IsObject(*module_object)) return nullptr;
  if (route.through_object) {
    module_object = Word(*module_object - 1 + kObjectOfInstance);
    if (!module_object || !IsObject(*module_object)) return nullptr;
  }
  auto foreign = Word(*module_object - 1 + kNativeOfModule);
  if (!foreign || !IsObject(*foreign)) return nullptr;
  auto at = Word(*foreign - 1 + kForeignAddress);
  for (uint64_t offset : {kSharedPointer, uint64_t{0}}) {
    if (!at || !IsPointer(*at)) return nullptr;
    at = Word(*at + offset);
  }
  if (!at || !IsPointer(*at)) return nullptr;
  auto known = modules_.find(*at);
  if (known != modules_.end() && IsAlive(*known->second)) return known->second.get();
  if (budget-- <= 0) return nullptr;
  return MakeModule(*at, *module_object);
}

WasmModules::Module* WasmModules::MakeModule(uint64_t native, uint64_t module_object) {
  auto module = std::make_unique<Module>();
  module->native = native;
  if (!FindMembers(*module)) return nullptr;
  auto names = WasmNames::Read(memory_, Address{module->wire.begin}, module->wire.size);
  if (!names) return nullptr;
  if (modules_.size() >= kMaxModules || name_bytes_ + names->bytes() > kMaxNameBytes) {
    modules_.clear();
    name_bytes_ = 0;
  }
  name_bytes_ += names->bytes();
  module->names = *std::move(names);
  module->url = UrlOf(module_object);
  module->checked = instant_;
  auto [it, is_new] = modules_.try_emplace(native);
  if (!is_new) name_bytes_ -= it->second->names.bytes();
  it->second = std::move(module);
  return it->second.get();
}

// Whether it still is the module that was read; another one may have come to lie there.
bool WasmModules::IsAlive(Module& module) const {
  if (module.checked == instant_) return true;
  if (ReadWire(module.wire_slot) != module.wire) return false;
  module.checked = instant_;
  return true;
}

std::optional<WasmModules::Span> WasmModules::ReadWire(uint64_t slot) const {
  auto holder = Word(slot);
  if (!holder || !IsPointer(*holder)) return std::nullopt;
  std::array<uint64_t, 2> span;
  if (!ReadWords(memory_, *holder, span)) return std::nullopt;
  return Span{span[0], span[1]};
}

bool WasmModules::FindMembers(Module& module) const {
  std::array<uint64_t, kNativeModuleWords> words = {};
  const size_t read =
      memory_.Read(Address{module.native}, std::as_writable_bytes(std::span(words))) / 8;
  const auto address_of = [&](size_t i) { return module.native + 8 * i; };
  for (size_t i = 0; i < read; ++i) {
    if (module.wire_slot == 0 && IsPointer(words[i])) {
      auto wire = ReadWire(address_of(i));
      if (wire && wire->size >= 8 && wire->size <= kMaxModuleBytes &&
          memory_.ReadValue<uint64_t>(Address{wire->begin}) == 0x0000'0001'6d73'6100) {
        module.wire_slot = address_of(i);
        module.wire = *wire;
      }
    }
    // A tree whose root says that its parent is this header.
    if (module.tree == 0 && i + kTreeRoot / 8 < read && IsPointer(words[i + kTreeRoot / 8])) {
      std::array<uint64_t, kNodeWords> node;
      if (ReadWords(memory_, words[i + kTreeRoot / 8], node) && node[kParent] == address_of(i)) {
        auto code = ReadCode(module.native, node[kValue]);
        if (code && code->first == node[kKey]) {
          module.tree = address_of(i);
          module.vector = module.tree + kVectorBehindTree;
        }
      }
    }
  }
  // All code may still be in the vector.
  for (size_t i = 0; module.tree == 0 && module.vector == 0 && i + 2 < read; ++i) {
    if (!IsPointer(words[i]) || words[i] >= words[i + 1] || words[i + 1] > words[i + 2]) continue;
    auto first = Word(words[i]);
    if (!first || !ReadCode(module.native, *first)) continue;
    module.vector = address_of(i);
    // The tree's header, while it is empty, leads to itself.
    const size_t header = i - kVectorBehindTree / 8;
    if (i >= kVectorBehindTree / 8 && words[header + kLeft] == address_of(header) &&
        words[header + kRight] == address_of(header)) {
      module.tree = address_of(header);
    }
  }
  return module.wire_slot != 0 && module.vector != 0;
}

// The name of the module's script: a flat string.
std::string WasmModules::UrlOf(uint64_t module_object) const {
  for (uint64_t offset : kScriptOfModule) {
    auto script = Word(module_object - 1 + offset);
    if (!script || TypeOf(*script) != layout_.script_type) continue;
    auto name = Word(*script - 1 + layout_.script_name);
    if (!name) return "";
    auto type = TypeOf(*name);
    if (type && *type < layout_.first_nonstring_type &&
        (*type & layout_.representation_mask) == layout_.thin_tag) {
      name = Word(*name - 1 + layout_.thin_actual);
      type = name ? TypeOf(*name) : std::nullopt;
    }
    if (!type || *type >= layout_.first_nonstring_type ||
        (*type & layout_.representation_mask) != layout_.sequential_tag ||
        (*type & layout_.one_byte_bit) == 0) {
      return "";
    }
    auto length = memory_.ReadValue<uint32_t>(Address{*name - 1 + layout_.string_length});
    if (!length || *length > kMaxUrlBytes) return "";
    std::string url(*length, '\0');
    const Address chars{*name - 1 + layout_.string_chars};
    if (!memory_.ReadExactly(chars, std::as_writable_bytes(std::span(url)))) return "";
    // V8 8 left out what it shows in front of the hash.
    return absl::StartsWith(url, "wasm") ? url : absl::StrCat("wasm://wasm/", url);
  }
  return "";
}

// --- Code ----------------------------------------------------------------------------------------

const WasmModules::Code* WasmModules::FindCode(Module& module, uint64_t pc) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto next = module.codes.upper_bound(pc);
    if (next != module.codes.begin() && pc < std::prev(next)->second.end) {
      auto found = std::prev(next);
      Code& code = found->second;
      if (code.instant == instant_) return &code;
      auto now = ReadCode(module.native, code.object);
      if (now && now->first == found->first && now->second.end == code.end &&
          now->second.function == code.function) {
        code.instant = instant_;
        return &code;
      }
      DropCode(module, found);
    }
    if (attempt == 0) {
      SearchTree(module, pc);
    } else if (attempt == 1) {
      if (module.searched == instant_) return nullptr;
      module.searched = instant_;
      SearchVector(module);
    }
  }
  return nullptr;
}

void WasmModules::SearchTree(Module& module, uint64_t pc) {
  if (module.tree == 0) return;
  auto at = Word(module.tree + kTreeRoot);
  uint64_t best = 0;
  for (int depth = 0; at && IsPointer(*at) && depth < kMaxTreeDepth; ++depth) {
    std::array<uint64_t, kNodeWords> node;
    if (!ReadWords(memory_, *at, node)) break;
    if (node[kKey] <= pc) best = node[kValue];
    at = node[kKey] <= pc ? node[kRight] : node[kLeft];
  }
  if (best != 0) AddCode(module, best);
}

// Reads what is new in the vector, the newest first.
void WasmModules::SearchVector(Module& module) {
  std::array<uint64_t, 2> bounds;
  if (!ReadWords(memory_, module.vector, bounds)) return;
  const auto [begin, end] = bounds;
  if (!IsPointer(begin) || !IsPointer(end) || begin >= end || (end - begin) / 8 > kMaxCodes) return;
  std::vector<uint64_t> pointers;
  int budget = kMaxCodesPerSearch;
  for (uint64_t left = (end - begin) / 8; left > 0;) {
    pointers.resize(std::min<uint64_t>(left, kPointersAtOnce));
    left -= pointers.size();
    const auto bytes = std::as_writable_bytes(std::span(pointers));
    if (!memory_.ReadExactly(Address{begin + 8 * left}, bytes)) {
      return;
    }
    for (auto object = pointers.rbegin(); object != pointers.rend(); ++object) {
      if (module.objects.contains(*object)) continue;
      if (budget-- <= 0) return;
      AddCode(module, *object);
    }
  }
}

void WasmModules::AddCode(Module& module, uint64_t object) {
  auto read = ReadCode(module.native, object);
  if (!read) return;
  if (module.codes.size() >= kMaxCodes) {
    module.codes.clear();
    module.objects.clear();
  }
  auto& [begin, code] = *read;
  auto next = module.codes.lower_bound(begin);
  if (next != module.codes.begin() && std::prev(next)->second.end > begin) --next;
  while (next != module.codes.end() && next->first < code.end) next = DropCode(module, next);
  module.objects.insert(object);
  module.codes.emplace(begin, code);
}

WasmModules::Codes::iterator WasmModules::DropCode(Module& module, Codes::iterator code) {
  module.objects.erase(code->second.object);
  return module.codes.erase(code);
}

std::optional<std::pair<uint64_t, WasmModules::Code>> WasmModules::ReadCode(uint64_t native,
                                                                            uint64_t object) const {
  std::array<uint64_t, kCodeWords> words;
  if (!IsPointer(object) || !ReadWords(memory_, object, words)) return std::nullopt;
  const auto begin = Field<uint64_t>(words, fields_->start);
  const auto size = Field<uint32_t>(words, fields_->size);
  if (Field<uint64_t>(words, fields_->module) != native || !IsPointer(begin) || size == 0 ||
      size > kMaxCodeBytes) {
    return std::nullopt;
  }
  return std::pair(begin, Code{.object = object,
                               .end = begin + size,
                               .function = Field<uint32_t>(words, fields_->function),
                               .instant = instant_});
}

std::optional<uint64_t> WasmModules::Word(uint64_t address) const {
  return memory_.ReadValue<uint64_t>(Address{address});
}

std::optional<uint16_t> WasmModules::TypeOf(uint64_t tagged) const {
  if (!IsObject(tagged)) return std::nullopt;
  auto map = Word(tagged - 1);
  if (!map || !IsObject(*map)) return std::nullopt;
  return memory_.ReadValue<uint16_t>(Address{*map - 1 + layout_.map_instance_type});
}

}  // namespace jprof::v8
