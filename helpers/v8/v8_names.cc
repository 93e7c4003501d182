// The user-space half of the V8 helper, one process. A symbol record holds all that names its
// function (v8_shared_functions.h), but for lines, which are in the script's text (v8_scripts.h).
// Where a frame executes is told by its code or bytecode (v8_code.h, v8_positions.h). What they
// answer is of one instant: this says how long that lasts.
#include "helpers/v8/v8_names.h"

#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_positions.h"
#include "helpers/v8/v8_scripts.h"
#include "helpers/v8/v8_shared_functions.h"
#include "helpers/v8/v8_type_reader.h"
#include "helpers/v8/v8_values.h"
#include "helpers/v8/v8_wasm.h"

namespace jprof::v8 {
namespace {

// Reads of the target count as one instant for so long.
constexpr auto kInstant = std::chrono::milliseconds(20);
constexpr size_t kMaxFunctions = 1 << 17;

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
    absl::StatusOr<NamedFunction> function = shared_functions_.Read(bytes);
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
  void WantScriptPlaces() override { scripts_.WantPlaces(); }
  std::string SourceMapUrl(uint32_t script) override { return scripts_.TakeSourceMapUrl(script); }
  std::optional<FrameName> NameCode(Address address) override;

 private:
  using Clock = std::chrono::steady_clock;

  void SeeInstant(Clock::time_point now);
  std::vector<ScriptPosition> Positions(const NamedFunction& function, const RawFrame& frame);
  std::optional<uint64_t> BytecodeOf(uint64_t shared);

  const RuntimeImage image_;
  const MemoryReader& memory_;
  jp_v8_layout layout_ = {};
  CodeLayout code_layout_ = {};
  bool has_code_layout_ = false;
  TypeReader types_{layout_, memory_};
  Scripts scripts_{layout_, memory_, types_};
  SharedFunctions shared_functions_{image_, layout_, memory_, types_, scripts_};
  CodeFinder finder_{code_layout_, memory_};
  CodePositions positions_{code_layout_, memory_};
  std::optional<WasmModules> wasm_;
  Clock::time_point instant_;
  absl::flat_hash_map<uint32_t, NamedFunction> functions_;  // by symbol number
};

// The BytecodeArray of a function that runs, or ran a moment ago.
std::optional<uint64_t> V8Instance::BytecodeOf(uint64_t shared) {
  if (types_.TypeOf(shared) != layout_.shared_type) return std::nullopt;
  auto data = memory_.ReadValue<uint64_t>(Address{shared - 1 + layout_.shared_data});
  // Baseline code and what the interpreter keeps beside the bytecode point to it.
  for (int hops = 0; data && hops < 3; ++hops) {
    const std::optional<uint16_t> type = types_.TypeOf(*data);
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
std::vector<ScriptPosition> V8Instance::Positions(const NamedFunction& function,
                                                  const RawFrame& frame) {
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

void V8Instance::SeeInstant(Clock::time_point now) {
  if (now - instant_ <= kInstant) return;
  instant_ = now;
  finder_.Advance();
  positions_.Advance();
  shared_functions_.Advance();
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
  if (!positions.empty() && !shared_functions_.IsStillThere(function->second.symbol)) {
    positions.clear();
  }
  for (const ScriptPosition& p : positions) {
    if (&p == &positions.back()) {
      lines.push_back(shared_functions_.LineOf(function->second, p.position));
    } else if (const NamedFunction* inlined = shared_functions_.Find(p.shared)) {
      if (!inlined->name.name.empty()) {
        lines.push_back(shared_functions_.LineOf(*inlined, p.position));
      }
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
