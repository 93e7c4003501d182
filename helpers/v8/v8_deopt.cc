#include "helpers/v8/v8_deopt.h"

#include <algorithm>
#include <cstring>

#include "helpers/v8/v8_numbers.h"

namespace jprof::v8 {
namespace {

constexpr DeoptCoding kCodings[] = {
    // versions, old, operands of opcodes, begin, frames, scalars, safepoint tables: field, length,
    // sizes
    {704, 704, true, "353333211111111111111111112", 0, 1, 0, 48, 0, 8, 8},  // Node 12.0
    {708, 801, true, "353333211111111111111111112", 0, 1, 1, 48, 0, 8, 8},  // Node 12, 13, 14.0
    {1103, 1103, false, "103311313111112111111115333401111121", 2, 23, 3, 0, 0, 8, 16},  // 20
    {1108, 1204, false, "5333213432103311111111111111111101111121", 12, 0, 3, 0, 0, 8,
     16},  // 21, 22
    {1209, 1209, false, "53332134332100331111111111111111111101111121", 14, 0, 3, 0, 0, 8,
     16},  // 23
    {1306, 1406, false, "643321343331003311101111111111111111101111121", 14, 0, 3, 0, 4, 12,
     16},  // 24 to 26
    {1500, 1500, false, "643321343331003311101111111111111111101111121", 14, 0, 3, 0, 4, 12,
     16}};  // Deno 2.9

// The bits of an old entry's index, all of them set where there is none; flags are above.
constexpr uint32_t kOldNoIndex = 0x0fffffff;

// Opcodes of one translation, those it takes from an earlier one included.
class TranslationReader {
 public:
  TranslationReader(std::span<const std::byte> bytes, const DeoptCoding& coding)
      : bytes_(bytes), coding_(coding), own_(bytes), earlier_(bytes) {}

  // To the translation at `index`; how many frames it has that run bytecode or go on in a builtin.
  std::optional<int64_t> Begin(uint64_t index) {
    own_ = NumberReader(bytes_, index);
    auto opcode = Opcode(own_);
    auto distance = coding_.is_old ? 0 : own_.Unsigned();
    auto frames = Operand();
    auto js_frames = Operand();
    if (coding_.is_old) Operand();  // how much feedback there is
    if (!opcode || !IsBegin(*opcode) || !distance || !frames || !js_frames || *distance > index) {
      return std::nullopt;
    }
    has_earlier_ = *distance != 0;
    earlier_ = NumberReader(bytes_, index - *distance);
    if (has_earlier_) {
      // The earlier one takes from none.
      NumberReader check = earlier_;
      auto earlier_opcode = check.Byte();
      if (!earlier_opcode || !IsBegin(*earlier_opcode) || check.Unsigned() != 0u) {
        return std::nullopt;
      }
    }
    not_skipped_ = 1;  // its beginning
    return js_frames;
  }

  // The next opcode. Its operands are to be read or skipped.
  std::optional<uint8_t> Next() {
    if (repeats_ > 0 && --repeats_ > 0) return Earlier();
    operands_ = &own_;
    auto opcode = Opcode(own_);
    if (!opcode) return std::nullopt;
    const size_t repeat_opcode = coding_.operands.size() - (coding_.is_old ? 0 : 1);
    if (*opcode < repeat_opcode) {
      ++not_skipped_;
      return IsBegin(*opcode) ? std::nullopt : opcode;
    }
    auto repeats = *opcode == repeat_opcode ? own_.Unsigned() : *opcode - coding_.operands.size();
    if (!repeats || *repeats == 0 || !has_earlier_) return std::nullopt;
    repeats_ = *repeats;
    for (; not_skipped_ > 0; --not_skipped_) {
      auto skipped = earlier_.Byte();
      if (!skipped || !SkipOperands(*skipped, 0, earlier_)) return std::nullopt;
    }
    return Earlier();
  }

  std::optional<int64_t> Operand() {
    auto bits = Bits(*operands_);
    if (!bits) return std::nullopt;
    const auto magnitude = static_cast<int64_t>(*bits >> 1);
    return (*bits & 1) != 0 ? -magnitude : magnitude;
  }
  bool SkipOperands(uint8_t opcode, int already_read) {
    return SkipOperands(opcode, already_read, *operands_);
  }

 private:
  bool IsBegin(uint8_t opcode) const {
    return opcode == coding_.begin || (opcode == coding_.begin + 1 && !coding_.is_old);
  }
  std::optional<uint64_t> Bits(NumberReader& from) const {
    return coding_.is_old ? from.UnsignedFlagLast() : from.Unsigned();
  }
  std::optional<uint8_t> Opcode(NumberReader& from) const {
    if (!coding_.is_old) return from.Byte();
    auto bits = Bits(from);  // with a sign
    if (!bits || *bits % 2 != 0 || *bits / 2 > 0xff) return std::nullopt;
    return static_cast<uint8_t>(*bits / 2);
  }
  bool SkipOperands(uint8_t opcode, int already_read, NumberReader& from) const {
    if (opcode >= coding_.operands.size()) return false;
    for (int i = coding_.operands[opcode] - '0'; i > already_read; --i) {
      if (!Bits(from)) return false;
    }
    return true;
  }
  std::optional<uint8_t> Earlier() {
    operands_ = &earlier_;
    auto opcode = earlier_.Byte();
    if (!opcode || *opcode >= coding_.operands.size() - 1 || IsBegin(*opcode)) return std::nullopt;
    return opcode;
  }

  std::span<const std::byte> bytes_;
  const DeoptCoding& coding_;
  NumberReader own_;
  NumberReader earlier_;
  NumberReader* operands_ = &own_;
  bool has_earlier_ = false;
  uint64_t repeats_ = 0;      // opcodes still to be taken from the earlier one, this one included
  uint64_t not_skipped_ = 0;  // own opcodes that stand for as many of the earlier one
};

uint32_t LittleEndian(std::span<const std::byte> bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

}  // namespace

const DeoptCoding* FindDeoptCoding(uint32_t version) {
  for (const DeoptCoding& coding : kCodings) {
    if (coding.first_version <= version && version <= coding.last_version) return &coding;
  }
  return nullptr;
}

std::optional<SafepointTable> ReadSafepointHeader(std::span<const std::byte> bytes,
                                                  const DeoptCoding& coding, bool maglev) {
  SafepointTable table;
  table.header = maglev ? coding.maglev_safepoint_header : coding.safepoint_header;
  if (bytes.size() < std::max<size_t>(table.header, coding.safepoint_length + 8u))
    return std::nullopt;
  table.length = LittleEndian(bytes.subspan(coding.safepoint_length, 4));
  if (coding.is_old) {
    table.pc = table.deopt_index = 4;
    table.entry = 12;
    table.has_flags = true;
    return table;
  }
  const uint32_t configuration = LittleEndian(bytes.subspan(coding.safepoint_length + 4, 4));
  // Bit 0: there are deoptimization entries; then sizes of three bits each.
  const size_t registers = configuration >> 1 & 7;
  table.pc = configuration >> 4 & 7;
  table.deopt_index = configuration >> 7 & 7;
  if (table.pc > 4 || table.pc == 0 || registers > 4 || table.deopt_index > 4) return std::nullopt;
  table.entry = table.pc + registers + (maglev ? 1 : 0);  // a byte: pushed registers
  if ((configuration & 1) != 0) {
    table.entry += table.deopt_index + table.pc;  // and where the call returns to then
  } else {
    table.deopt_index = 0;
  }
  return table;
}

std::vector<DeoptCall> ReadDeoptCalls(std::span<const std::byte> bytes,
                                      const SafepointTable& table) {
  std::vector<DeoptCall> calls;
  if (table.deopt_index == 0 || bytes.size() < table.size()) return calls;
  for (size_t i = 0; i < table.length; ++i) {
    auto entry = bytes.subspan(table.header + i * table.entry, table.entry);
    const uint32_t pc = LittleEndian(entry.first(table.pc));
    const uint32_t index = LittleEndian(entry.subspan(table.pc, table.deopt_index));
    const uint32_t trampoline = LittleEndian(entry.subspan(table.pc + table.deopt_index, table.pc));
    if (table.has_flags) {
      if ((index & kOldNoIndex) != kOldNoIndex) {
        calls.push_back({pc, trampoline, index & kOldNoIndex});
      }
    } else if (index != 0) {
      calls.push_back({pc, trampoline - 1, index - 1});  // both count from 1
    }
  }
  return calls;
}

std::vector<DeoptFrame> ReadTranslation(std::span<const std::byte> translations, uint64_t index,
                                        const DeoptCoding& coding) {
  std::vector<DeoptFrame> frames;
  TranslationReader reader(translations, coding);
  auto left = reader.Begin(index);
  if (!left || *left < 1 || *left > static_cast<int64_t>(kMaxDeoptFrames)) return {};
  for (size_t steps = 0; steps < kMaxTranslationOpcodes; ++steps) {
    auto opcode = reader.Next();
    if (!opcode) return {};
    const int frame = *opcode - coding.js_frame;
    int already_read = 0;
    const bool has_bytecode = frame == 0 || (frame == 1 && !coding.is_old);
    if (has_bytecode) {
      auto offset = reader.Operand();
      auto function = reader.Operand();
      if (!offset || *offset < -1 || *offset > INT32_MAX || !function || *function < 0 ||
          *function > INT32_MAX) {
        return {};
      }
      frames.push_back({static_cast<uint32_t>(*function), static_cast<int32_t>(*offset)});
      already_read = 2;
    }
    if ((has_bytecode || frame == 2 || frame == 3) && --*left == 0) return frames;
    if (!reader.SkipOperands(*opcode, already_read)) return {};
  }
  return {};
}

}  // namespace jprof::v8
