#include "helpers/v8/v8_positions.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/functional/function_ref.h"
#include "helpers/v8/v8_code_table.h"
#include "helpers/v8/v8_deopt.h"
#include "helpers/v8/v8_numbers.h"

namespace jprof::v8 {
namespace {

constexpr size_t kLength = 8;     // in arrays of all kinds
constexpr size_t kElements = 16;  // in all but BytecodeArrays
constexpr size_t kFirstReadBytes = 512;
constexpr size_t kMaxAnswers = 4096;  // remembered of one table, or of one instant
constexpr size_t kInliningBytes = 16;
constexpr size_t kSafepointReadBytes = 4096;
constexpr size_t kMaxSafepointBytes = size_t{256} << 10;
constexpr size_t kMaxScannedBytes = size_t{256} << 10;  // of instructions
constexpr int kMaxTries = 64;                           // of points that may know more
constexpr size_t kMaxPointLists = 64;
constexpr size_t kJumpBytes = 5;  // of a near jump, without a prefix
constexpr uint8_t kPrefixes = 4;  // bytecodes
// An entry of the deoptimization data: bytecode offset, index in the translations, pc.
constexpr size_t kDeoptEntryWords = 3;
constexpr uint16_t kWrapped = 8;  // first field of a wrapper or of InterpreterData

bool IsSmi(uint64_t word) { return (word & 0xffffffff) == 0; }
int32_t SmiValue(uint64_t word) { return static_cast<int32_t>(word >> 32); }

CodePosition FromRaw(uint64_t raw) {
  // Bit 0: a position outside the script. Then 30 bits position + 1, 16 bits inlining id.
  CodePosition result;
  result.inlining_id = static_cast<uint32_t>(raw >> 31 & 0xffff);
  if ((raw & 1) == 0) result.position = static_cast<int32_t>(raw >> 1 & 0x3fffffff) - 1;
  return result;
}

// The table's entries in order, until `visit` says no. False: the table is damaged there.
bool ForEachPosition(std::span<const std::byte> table, uint32_t flag_bits,
                     absl::FunctionRef<bool(int64_t code_offset, CodePosition)> visit) {
  NumberReader numbers(table);
  uint64_t raw = 0;
  int64_t code = -1;  // the function's entry
  while (!numbers.AtEnd()) {
    int64_t delta = 0;
    if (flag_bits != 0) {
      // Its low bits are flags: a statement's place, where a debugger may break.
      auto value = numbers.Unsigned();
      if (!value) return false;
      delta = static_cast<int64_t>(*value >> flag_bits);
    } else {
      // Negative for the place of an expression.
      auto value = numbers.Signed();
      if (!value) return false;
      delta = *value >= 0 ? *value : -(*value + 1);
    }
    auto source = numbers.Signed();
    if (!source || delta > INT32_MAX || code + delta > INT32_MAX) return false;
    code += delta;
    raw += static_cast<uint64_t>(*source);
    if (!visit(code, FromRaw(raw))) return true;
  }
  return true;
}

}  // namespace

std::optional<CodePosition> FindPosition(std::span<const std::byte> table, uint32_t code_offset,
                                         uint32_t flag_bits) {
  std::optional<CodePosition> last;
  const bool is_whole =
      ForEachPosition(table, flag_bits, [&](int64_t offset, CodePosition position) {
        if (offset > int64_t{code_offset}) return false;
        last = position;
        return true;
      });
  return is_whole ? last : std::nullopt;
}

namespace {

// A bytecode, or a prefix of one.
struct BytecodeUnit {
  uint32_t start = 0;  // of the bytecode, its prefix included
  uint32_t begin = 0;
  uint32_t end = 0;
  uint8_t opcode = 0;
  uint8_t width = 0;  // row of CodeLayout::bytecode_sizes
};

// The unit behind `last`, or at the beginning. nullopt: the end, or damaged.
std::optional<BytecodeUnit> NextUnit(std::span<const std::byte> bytecodes, const CodeLayout& layout,
                                     const std::optional<BytecodeUnit>& last) {
  BytecodeUnit unit;
  unit.start = unit.begin = last ? last->end : 0;
  if (unit.begin >= bytecodes.size()) return std::nullopt;
  unit.opcode = std::to_integer<uint8_t>(bytecodes[unit.begin]);
  if (last && last->opcode < kPrefixes) {
    // Operands of the next bytecode are wide (0, 2) or extra wide (1, 3).
    unit.start = last->start;
    unit.width = last->opcode % 2 == 0 ? 1 : 2;
    if (unit.opcode < kPrefixes) return std::nullopt;
  }
  if (unit.opcode >= layout.bytecode_count) return std::nullopt;
  unit.end = unit.begin + layout.bytecode_sizes[unit.width][unit.opcode];
  return unit;
}

}  // namespace

std::optional<uint32_t> FindBytecode(std::span<const std::byte> table,
                                     std::span<const std::byte> bytecodes, const CodeLayout& layout,
                                     uint32_t code_offset) {
  if (layout.bytecode_count == 0) return std::nullopt;
  NumberReader sizes(table);
  auto prologue = sizes.Unsigned();
  if (!prologue || code_offset < *prologue) return std::nullopt;
  uint64_t end = *prologue;
  std::optional<BytecodeUnit> unit;
  while ((unit = NextUnit(bytecodes, layout, unit))) {
    if (unit->opcode < kPrefixes) continue;
    auto size = sizes.Unsigned();
    if (!size || *size > INT32_MAX) return std::nullopt;
    end += *size;
    if (code_offset < end) return unit->start;
  }
  return std::nullopt;
}

std::vector<uint32_t> FindInHandler(std::span<const std::byte> bytecodes, const CodeLayout& layout,
                                    HandlerBytecodes handler, uint32_t index) {
  std::optional<BytecodeUnit> before_last, last, unit = NextUnit(bytecodes, layout, {});
  while (unit && unit->begin < index) {
    before_last = std::exchange(last, unit);
    unit = NextUnit(bytecodes, layout, unit);
  }
  const uint32_t at = unit ? unit->begin : last ? last->end : 0;
  if (at != index) return {};
  auto fits = [handler](const std::optional<BytecodeUnit>& u) {
    return u && u->width == handler.width && handler.first <= u->opcode &&
           u->opcode < handler.first + handler.count;
  };
  std::vector<uint32_t> found;
  if (fits(unit)) found.push_back(unit->start);
  if (fits(last)) found.push_back(last->start);
  const int first_short_star = layout.bytecode_count - 1 - kShortStars;
  if (fits(before_last) && layout.has_short_stars && last->opcode >= first_short_star &&
      last->opcode < first_short_star + kShortStars) {
    found.push_back(before_last->start);
  }
  return found;
}

std::optional<uint64_t> CodePositions::Copy::Word(size_t offset) const {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(uint64_t)) return std::nullopt;
  uint64_t word;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

bool CodePositions::Fits(uint16_t type, Shape shape) const {
  if (type == 0) return false;
  auto among = [type](const auto& types) {
    return std::find(std::begin(types), std::end(types), type) != std::end(types);
  };
  switch (shape) {
    case Shape::kBytes:
      return among(layout_.byte_array_types);
    case Shape::kWords:
      return among(layout_.array_types);
    case Shape::kBytecode:
      return type == layout_.bytecode_array_type;
  }
  return false;
}

CodePositions::Copy* CodePositions::Read(uint64_t tagged, Shape shape) {
  if ((tagged & 3) != 1) return nullptr;
  auto it = copies_.find(tagged);
  Copy* known = it != copies_.end() ? it->second.get() : nullptr;
  auto forget = [&] {
    if (known == nullptr) return;
    bytes_ -= known->bytes.size();
    copies_.erase(it);
  };
  // Bytes that were kept answer only for the same shape.
  auto fits = [&](std::span<const std::byte> bytes) {
    uint64_t map;
    std::memcpy(&map, bytes.data(), sizeof(map));
    return Fits(types_.TypeOfMap(map), shape);
  };
  if (known != nullptr && known->instant == instant_) {
    return fits(known->bytes) ? known : nullptr;
  }

  if (bytes_ > 2 * kMaxBytes) return nullptr;
  const size_t first = shape == Shape::kBytecode ? layout_.bytecode_first : kElements;
  std::vector<std::byte> bytes(
      std::max(known != nullptr ? known->bytes.size() : kFirstReadBytes, first));
  size_t got = memory_.Read(Address{tagged - 1}, bytes);
  if (got < first || !fits(bytes)) {
    forget();
    return nullptr;
  }
  uint64_t length;
  std::memcpy(&length, bytes.data() + kLength, sizeof(length));
  const bool is_smi = shape == Shape::kBytecode || !layout_.has_plain_lengths;
  const size_t unit = shape == Shape::kWords ? sizeof(uint64_t) : 1;
  const uint32_t count = static_cast<uint32_t>(is_smi ? length >> 32 : length);
  if ((is_smi && !IsSmi(length)) || count > (kMaxObjectBytes - first) / unit) {
    forget();
    return nullptr;
  }
  const size_t size = first + count * unit;
  bytes.resize(size);
  if (got < size &&
      !memory_.ReadExactly(Address{tagged - 1 + got}, std::span(bytes).subspan(got))) {
    forget();
    return nullptr;
  }
  if (known != nullptr && known->bytes == bytes) {
    known->instant = instant_;
    return known;
  }
  forget();
  bytes_ += size;
  auto copy = std::make_unique<Copy>();
  copy->bytes = std::move(bytes);
  copy->instant = instant_;
  copy->version = next_version_++;
  return (copies_[tagged] = std::move(copy)).get();
}

void CodePositions::Advance() {
  ++instant_;
  shared_.clear();
  points_.clear();
}

void CodePositions::Trim() {
  if (bytes_ <= kMaxBytes) return;
  copies_.clear();
  bytes_ = 0;
}

uint64_t CodePositions::TableIn(uint64_t slot) {
  if (layout_.frame_cache_type == 0 || types_.TypeOf(slot) != layout_.frame_cache_type) return slot;
  return memory_.ReadValue<uint64_t>(Address{slot - 1 + kWrapped}).value_or(0);
}

std::optional<CodePosition> CodePositions::Lookup(uint64_t table, uint32_t code_offset) {
  Copy* copy = Read(TableIn(table), Shape::kBytes);
  if (copy == nullptr) return std::nullopt;
  auto it = copy->positions.find(code_offset);
  if (it != copy->positions.end()) return it->second;
  auto position = FindPosition(copy->Contents(kElements), code_offset, layout_.position_flag_bits);
  if (copy->positions.size() >= kMaxAnswers) copy->positions.clear();
  copy->positions.emplace(code_offset, position);
  return position;
}

std::optional<uint64_t> CodePositions::SharedIn(uint64_t word) {
  if ((word & 3) == 3) word &= ~uint64_t{2};  // a weak reference
  auto it = shared_.find(word);
  if (it != shared_.end()) return it->second;
  auto shared = ReadShared(word);
  if (shared_.size() >= kMaxAnswers) shared_.clear();
  shared_.emplace(word, shared);
  return shared;
}

std::optional<uint64_t> CodePositions::ReadShared(uint64_t word) {
  const uint16_t type = types_.TypeOf(word);
  if (type == 0) return std::nullopt;
  if (type == layout_.shared_type) return word;
  if (type != layout_.shared_wrapper_type) return std::nullopt;
  auto inner = memory_.ReadValue<uint64_t>(Address{word - 1 + kWrapped});
  if (!inner || types_.TypeOf(*inner) != layout_.shared_type) return std::nullopt;
  return inner;
}

std::optional<uint64_t> CodePositions::Owner(const CodeObject& code) {
  Trim();
  return OwnerOf(code);
}

std::optional<uint64_t> CodePositions::OwnerOf(const CodeObject& code) {
  if (IsOptimized(code.kind)) {
    Copy* data = Read(code.deopt, Shape::kWords);
    if (data == nullptr) return std::nullopt;
    auto word = data->Word(kElements + 8 * size_t{layout_.deopt_shared});
    return word ? SharedIn(*word) : std::nullopt;
  }
  if (code.kind != CodeKind::kBaseline || !layout_.baseline_has_bytecode) return std::nullopt;
  uint64_t owner = code.deopt;
  uint16_t type = types_.TypeOf(owner);
  if (type != 0 && type == layout_.interpreter_data_type) {
    owner = memory_.ReadValue<uint64_t>(Address{owner - 1 + kWrapped}).value_or(0);
    type = types_.TypeOf(owner);
  }
  if (type != layout_.bytecode_array_type) return std::nullopt;
  return owner;
}

std::optional<uint64_t> CodePositions::BytecodeOf(uint64_t shared) {
  uint64_t data = memory_.ReadValue<uint64_t>(Address{shared - 1 + kSharedData}).value_or(0);
  // Baseline code and what the interpreter keeps beside the bytecode lead to it.
  for (int hops = 0; hops < 3; ++hops) {
    const uint16_t type = types_.TypeOf(data);
    if (type == 0) return std::nullopt;
    if (type == layout_.bytecode_array_type) return data;
    uint16_t field = kWrapped;
    if (type == layout_.code_type && layout_.baseline_has_bytecode) {
      field = layout_.code_deopt;
    } else if (type == layout_.baseline_data_type) {
      field = CodeLayout::kBaselineDataBytecode;
    } else if (type != layout_.interpreter_data_type) {
      return std::nullopt;
    }
    data = memory_.ReadValue<uint64_t>(Address{data - 1 + field}).value_or(0);
  }
  return std::nullopt;
}

std::vector<DeoptCall> CodePositions::DeoptCalls(const CodeObject& code,
                                                 const DeoptCoding& coding) {
  Address begin = code.instructions.end;
  if (coding.code_safepoints != 0) {
    auto offset = memory_.ReadValue<uint32_t>(Address{code.code - 1} + coding.code_safepoints);
    if (!offset) return {};
    begin = code.instructions.begin + *offset;
  }
  std::vector<std::byte> bytes(kSafepointReadBytes);
  bytes.resize(memory_.Read(begin, bytes));
  auto table = ReadSafepointHeader(bytes, coding, code.kind == CodeKind::kMaglev);
  if (!table || table->size() > kMaxSafepointBytes) return {};
  if (const size_t got = bytes.size(); got < table->size()) {
    bytes.resize(table->size());
    if (!memory_.ReadExactly(begin + got, std::span(bytes).subspan(got))) return {};
  }
  return ReadDeoptCalls(bytes, *table);
}

std::vector<ScriptPosition> CodePositions::AtDeoptEntry(const CodeObject& code,
                                                        const DeoptCoding& coding, uint32_t entry) {
  Copy* data = Read(code.deopt, Shape::kWords);
  if (data == nullptr) return {};
  auto word = [&](size_t index) { return data->Word(kElements + 8 * index).value_or(0); };
  const size_t first = size_t{layout_.deopt_inlining} + coding.scalars + 1;
  const uint64_t index = word(first + size_t{entry} * kDeoptEntryWords + 1);
  if (!IsSmi(index) || SmiValue(index) < 0) return {};
  Copy* translations = Read(word(0), Shape::kBytes);
  Copy* literals = Read(word(layout_.deopt_literals), Shape::kWords);
  if (translations == nullptr || literals == nullptr) return {};
  const std::vector<DeoptFrame> frames = ReadTranslation(
      translations->Contents(kElements), static_cast<uint32_t>(SmiValue(index)), coding);

  std::vector<ScriptPosition> result;
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
    auto literal = literals->Word(kElements + 8 * size_t{frame->function});
    auto shared = literal ? SharedIn(*literal) : std::nullopt;
    if (!shared) return {};
    ScriptPosition position{*shared};
    auto bytecode = frame->bytecode_offset >= 0 ? BytecodeOf(*shared) : std::nullopt;
    if (bytecode) {
      position.position = AtBytecode(*bytecode, static_cast<uint32_t>(frame->bytecode_offset))
                              .value_or(kNoPosition);
    }
    result.push_back(position);
  }
  if (!result.empty() && result.back().shared != OwnerOf(code)) return {};
  return result;
}

std::vector<CodePositions::TablePosition> CodePositions::Inlined(const CodeObject& code,
                                                                 CodePosition at) {
  std::vector<TablePosition> result;
  auto owner = OwnerOf(code);
  Copy* data = Read(code.deopt, Shape::kWords);
  if (!owner || data == nullptr) return {};
  auto word = [&](uint8_t index) { return data->Word(kElements + 8 * size_t{index}).value_or(0); };
  // Ids of call sites only go down: what an inlined function inlines was inlined after it.
  uint32_t last_id = UINT32_MAX;
  while (at.inlining_id != 0) {
    if (at.inlining_id >= last_id || result.size() >= kMaxInlined) return {};
    last_id = at.inlining_id;
    Copy* inlining = Read(word(layout_.deopt_inlining), Shape::kBytes);
    const size_t entry = kElements + (at.inlining_id - 1) * kInliningBytes;
    if (inlining == nullptr || entry + kInliningBytes > inlining->bytes.size()) return {};
    const uint64_t call_site = *inlining->Word(entry);
    // The upper half of the second word is not written.
    const auto function = static_cast<int32_t>(*inlining->Word(entry + 8));
    std::optional<uint64_t> shared = owner;  // -1: the outer function, in itself
    if (function != -1) {
      if (function < 0) return {};
      Copy* literals = Read(word(layout_.deopt_literals), Shape::kWords);
      if (literals == nullptr) return {};
      auto literal = literals->Word(kElements + 8 * static_cast<size_t>(function));
      shared = literal ? SharedIn(*literal) : std::nullopt;
    }
    if (!shared) return {};
    result.push_back({{*shared, at.position}, at.inlining_id});
    at = FromRaw(call_site);
  }
  result.push_back({{*owner, at.position}, 0});
  return result;
}

const std::vector<CodePositions::DeoptPoint>& CodePositions::DeoptPoints(
    const CodeObject& code, const DeoptCoding& coding) {
  if (points_.size() >= kMaxPointLists && !points_.contains(code.code)) points_.clear();
  auto [known, is_new] = points_.try_emplace(code.code);
  std::vector<DeoptPoint>& points = known->second;
  if (!is_new) return points;
  for (const DeoptCall& call : DeoptCalls(code, coding)) {
    if (call.return_offset > 0) points.push_back({call.return_offset - 1, call.entry});
  }
  // Elsewhere the code jumps to an exit of its own, the one of an entry.
  std::vector<std::pair<int64_t, uint32_t>> exits;
  if (Copy* data = Read(code.deopt, Shape::kWords)) {
    const size_t first = size_t{layout_.deopt_inlining} + coding.scalars + 1;
    for (uint32_t entry = 0;; ++entry) {
      auto exit = data->Word(kElements + 8 * (first + size_t{entry} * kDeoptEntryWords + 2));
      if (!exit) break;
      if (IsSmi(*exit) && SmiValue(*exit) > 0) exits.emplace_back(SmiValue(*exit), entry);
    }
  }
  std::sort(exits.begin(), exits.end());
  std::vector<std::byte> bytes(
      exits.empty() ? 0 : std::min<uint64_t>(code.instructions.size(), kMaxScannedBytes));
  bytes.resize(memory_.Read(code.instructions.begin, bytes));
  for (size_t i = 1; i + kJumpBytes <= bytes.size(); ++i) {
    const auto before = std::to_integer<uint8_t>(bytes[i - 1]);
    const auto opcode = std::to_integer<uint8_t>(bytes[i]);
    if (opcode != 0xe9 && (before != 0x0f || (opcode & 0xf0) != 0x80)) continue;  // jmp, jcc
    int32_t distance;
    std::memcpy(&distance, &bytes[i + 1], sizeof(distance));
    const int64_t target = static_cast<int64_t>(i + kJumpBytes) + distance;
    auto exit = std::lower_bound(exits.begin(), exits.end(), std::pair(target, uint32_t{0}));
    if (exit != exits.end() && exit->first == target) {
      points.push_back({static_cast<uint32_t>(i), exit->second});
    }
  }
  std::sort(points.begin(), points.end(),
            [](const DeoptPoint& a, const DeoptPoint& b) { return a.code_offset < b.code_offset; });
  return points;
}

void CodePositions::CorrectCallSites(const CodeObject& code, const DeoptCoding& coding,
                                     std::vector<TablePosition>& chain) {
  Copy* table = Read(TableIn(code.positions), Shape::kBytes);
  if (table == nullptr) return;
  const std::vector<DeoptPoint>& points = DeoptPoints(code, coding);
  const uint32_t wanted = chain.front().inlining_id;
  CodePosition last;
  auto point = points.begin();
  int tries = 0;
  bool is_done = false;
  auto visit = [&](int64_t offset, CodePosition position) {
    for (; point != points.end() && int64_t{point->code_offset} < offset; ++point) {
      if (last.inlining_id < wanted) continue;
      const std::vector<TablePosition> by_table = Inlined(code, last);
      if (by_table.size() < chain.size()) continue;
      const size_t inner = by_table.size() - chain.size();
      if (by_table[inner].inlining_id != wanted || ++tries > kMaxTries) continue;
      const std::vector<ScriptPosition> by_deopt = AtDeoptEntry(code, coding, point->entry);
      // The table is of use here only if both agree on where it is.
      is_done = std::equal(by_table.begin(), by_table.end(), by_deopt.begin(), by_deopt.end(),
                           [](const TablePosition& a, const ScriptPosition& b) {
                             return a.at.shared == b.shared;
                           }) &&
                by_table[0].at.position == by_deopt[0].position;
      if (!is_done) continue;
      for (size_t i = 1; i < chain.size(); ++i) chain[i].at.position = by_deopt[inner + i].position;
      return false;
    }
    last = position;
    return point != points.end();
  };
  if (ForEachPosition(table->Contents(kElements), layout_.position_flag_bits, visit) && !is_done) {
    visit(INT64_MAX, {});
  }
}

std::vector<ScriptPosition> CodePositions::Optimized(const CodeObject& code, Address pc,
                                                     PcKind kind) {
  Trim();
  std::vector<ScriptPosition> result;
  const bool is_return = kind == PcKind::kReturnAddress;
  const uint64_t key = pc.value - (is_return ? 1 : 0);
  if (!IsOptimized(code.kind) || !code.instructions.Contains(Address{key})) return {};
  const DeoptCoding* coding = FindDeoptCoding(layout_.version);
  if (is_return && coding != nullptr) {
    const auto offset = static_cast<uint32_t>(pc.value - code.instructions.begin.value);
    for (const DeoptCall& call : DeoptCalls(code, *coding)) {
      if (call.return_offset != offset && call.trampoline != offset) continue;
      result = AtDeoptEntry(code, *coding, call.entry);
      if (!result.empty()) return result;
      break;
    }
  }
  // The nearest call is not where the code is.
  if (!is_return && layout_.has_positions_of_calls_only) return {};
  const auto offset = static_cast<uint32_t>(key - code.instructions.begin.value);
  std::vector<TablePosition> chain =
      Inlined(code, Lookup(code.positions, offset).value_or(CodePosition{}));
  if (chain.size() > 1 && code.kind == CodeKind::kMaglev && coding != nullptr) {
    CorrectCallSites(code, *coding, chain);
  }
  for (const TablePosition& position : chain) result.push_back(position.at);
  return result;
}

std::optional<int32_t> CodePositions::AtBytecode(uint64_t bytecode_array, uint32_t index) {
  Copy* bytecode = Read(bytecode_array, Shape::kBytecode);
  if (bytecode == nullptr || index >= bytecode->bytes.size() - layout_.bytecode_first) {
    return std::nullopt;
  }
  auto table = bytecode->Word(layout_.bytecode_positions);
  auto at = table ? Lookup(*table, index) : std::nullopt;
  if (!at || at->position == kNoPosition || at->inlining_id != 0) return std::nullopt;
  return at->position;
}

std::optional<int32_t> CodePositions::Interpreted(uint64_t bytecode_array, uint64_t offset) {
  Trim();
  // The slot counts from the tagged address.
  const int64_t index = int64_t{SmiValue(offset)} - (int64_t{layout_.bytecode_first} - 1);
  if (!IsSmi(offset) || index < 0) return std::nullopt;
  return AtBytecode(bytecode_array, static_cast<uint32_t>(index));
}

std::optional<int32_t> CodePositions::InHandler(uint64_t bytecode_array, uint64_t address) {
  Trim();
  const int64_t index = static_cast<int64_t>(address >> 32) - (int64_t{layout_.bytecode_first} - 1);
  const auto handler = FindHandler(layout_, static_cast<uint32_t>(address));
  Copy* bytecode = handler && index >= 0 ? Read(bytecode_array, Shape::kBytecode) : nullptr;
  if (bytecode == nullptr) return std::nullopt;
  std::optional<int32_t> result;
  for (uint32_t at : FindInHandler(bytecode->Contents(layout_.bytecode_first), layout_, *handler,
                                   static_cast<uint32_t>(index))) {
    auto position = AtBytecode(bytecode_array, at);
    if (!position || (result && result != position)) return std::nullopt;
    result = position;
  }
  return result;
}

std::optional<int32_t> CodePositions::Baseline(const CodeObject& code, uint64_t bytecode_array,
                                               Address pc, PcKind kind) {
  Trim();
  const uint64_t key = pc.value - (kind == PcKind::kReturnAddress ? 1 : 0);
  if (code.kind != CodeKind::kBaseline || !code.instructions.Contains(Address{key})) {
    return std::nullopt;
  }
  const auto offset = static_cast<uint32_t>(key - code.instructions.begin.value);
  Copy* bytecode = Read(bytecode_array, Shape::kBytecode);
  Copy* table = Read(code.positions, Shape::kBytes);
  if (bytecode == nullptr || table == nullptr) return std::nullopt;
  if (table->bytecodes_of != bytecode_array || table->bytecodes_version != bytecode->version) {
    table->bytecodes.clear();
    table->bytecodes_of = bytecode_array;
    table->bytecodes_version = bytecode->version;
  }
  auto it = table->bytecodes.find(offset);
  if (it == table->bytecodes.end()) {
    if (table->bytecodes.size() >= kMaxAnswers) table->bytecodes.clear();
    auto index = FindBytecode(table->Contents(kElements),
                              bytecode->Contents(layout_.bytecode_first), layout_, offset);
    it = table->bytecodes.emplace(offset, index).first;
  }
  return it->second ? AtBytecode(bytecode_array, *it->second) : std::nullopt;
}

}  // namespace jprof::v8
