#include "profiler/unwind/x86_instruction.h"

#include <algorithm>
#include <cstddef>

namespace jprof {
namespace {

constexpr size_t kMaxSize = 15;

class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> code)
      : code_(code.first(std::min(code.size(), kMaxSize))) {}

  uint8_t Peek() const { return at_ < code_.size() ? code_[at_] : 0; }
  uint8_t Take() {
    ok_ = ok_ && at_ < code_.size();
    return ok_ ? code_[at_++] : 0;
  }
  int64_t TakeSigned(size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{Take()} << (8 * i);
    if (size == 0 || size == 8) return static_cast<int64_t>(value);
    const uint64_t sign = uint64_t{1} << (8 * size - 1);
    return static_cast<int64_t>((value ^ sign) - sign);
  }
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  uint8_t at() const { return static_cast<uint8_t>(at_); }

 private:
  std::span<const uint8_t> code_;
  size_t at_ = 0;
  bool ok_ = true;
};

bool Among(uint8_t op, std::initializer_list<int> list) {
  return std::find(list.begin(), list.end(), op) != list.end();
}
bool Within(uint8_t op, int first, int last) { return op >= first && op <= last; }

// What follows the opcode.
struct Form {
  bool valid = true;
  bool modrm = false;
  uint8_t immediate = 0;  // bytes
};

// Of one-byte opcodes. `z`: the size of an immediate that is never of eight bytes.
Form FormOf(uint8_t op, uint8_t z, bool wide, uint8_t modrm) {
  if (op < 0x40) {
    const uint8_t low = op & 7;
    if (low < 4) return {.modrm = true};
    if (low == 4) return {.immediate = 1};
    if (low == 5) return {.immediate = z};
    return {.valid = false};
  }
  if (Among(op, {0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea})) return {.valid = false};
  if (op == 0x63) return {.modrm = true};
  if (op == 0x68) return {.immediate = z};
  if (op == 0x69 || op == 0x81 || op == 0xc7) return {.modrm = true, .immediate = z};
  if (Among(op, {0x6b, 0x80, 0x83, 0xc0, 0xc1, 0xc6})) return {.modrm = true, .immediate = 1};
  if (op == 0x6a || Within(op, 0x70, 0x7f) || op == 0xa8 || Within(op, 0xb0, 0xb7) || op == 0xcd ||
      Within(op, 0xe0, 0xe7) || op == 0xeb) {
    return {.immediate = 1};
  }
  if (Within(op, 0x84, 0x8f) || Within(op, 0xd0, 0xd3) || Within(op, 0xd8, 0xdf) || op == 0xfe ||
      op == 0xff) {
    return {.modrm = true};
  }
  if (Within(op, 0xa0, 0xa3)) return {.immediate = 8};
  if (op == 0xa9) return {.immediate = z};
  if (Within(op, 0xb8, 0xbf)) return {.immediate = wide ? uint8_t{8} : z};
  if (op == 0xc2 || op == 0xca) return {.immediate = 2};
  if (op == 0xc8) return {.immediate = 3};
  if (op == 0xe8 || op == 0xe9) return {.immediate = 4};
  if (op == 0xf6 || op == 0xf7) {
    const bool tests = (modrm >> 3 & 7) < 2;
    return {.modrm = true, .immediate = !tests ? uint8_t{0} : op == 0xf6 ? uint8_t{1} : z};
  }
  return {};
}

// Of opcodes behind 0f; those of VEX and EVEX are like these.
Form FormOfMap(uint8_t map, uint8_t op) {
  if (map == 2) return {.modrm = true};
  if (map == 3) return {.modrm = true, .immediate = 1};
  if (map != 1) return {.modrm = true};
  if (Within(op, 0x80, 0x8f)) return {.immediate = 4};
  if (Among(op, {0x04, 0x0a, 0x0c, 0x36, 0x39}) || Within(op, 0x24, 0x27) ||
      Within(op, 0x3b, 0x3f)) {
    return {.valid = false};
  }
  if (Within(op, 0x05, 0x0b) || op == 0x0e || Within(op, 0x30, 0x37) || op == 0x77 ||
      Within(op, 0xa0, 0xa2) || Within(op, 0xa8, 0xaa) || Within(op, 0xc8, 0xcf)) {
    return {};
  }
  if (Within(op, 0x70, 0x73) || Among(op, {0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6})) {
    return {.modrm = true, .immediate = 1};
  }
  return {.modrm = true};
}

}  // namespace

std::optional<X86Instruction> DecodeX86(std::span<const uint8_t> code) {
  Bytes in(code);
  X86Instruction result;
  uint8_t op = in.Take();
  while (Among(op, {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0xf0, 0xf2, 0xf3})) {
    result.operand_16 |= op == 0x66;
    op = in.Take();
  }
  if (op == 0x67) return std::nullopt;  // addresses of 32 bits: no compiler makes them
  uint8_t rex = 0;
  if (op >> 4 == 4) {
    rex = op;
    op = in.Take();
  }
  result.wide = (rex & 8) != 0;
  if (op == 0x0f) {
    op = in.Take();
    result.map = 1;
    if (op == 0x38 || op == 0x3a) {
      result.map = op == 0x38 ? 2 : 3;
      op = in.Take();
    }
  } else if (op == 0xc4 || op == 0xc5 || op == 0x62) {
    const uint8_t payload = in.Take();
    result.is_vex = true;
    result.map = op == 0xc5 ? 1 : op == 0xc4 ? payload & 0x1f : payload & 7;
    rex = static_cast<uint8_t>((~payload >> 5) & (op == 0xc5 ? 4 : 7));
    if (op == 0xc4) in.Take();
    if (op == 0x62) {
      in.Take();
      in.Take();
    }
    if (result.map == 0) return std::nullopt;
    op = in.Take();
  }
  result.opcode = op;
  result.opcode_register = static_cast<uint8_t>((op & 7) | (rex & 1) << 3);
  const uint8_t z = result.operand_16 && !result.wide ? 2 : 4;
  const Form form =
      result.map == 0 ? FormOf(op, z, result.wide, in.Peek()) : FormOfMap(result.map, op);
  if (!form.valid) return std::nullopt;
  if (form.modrm) {
    const uint8_t modrm = in.Take();
    result.has_modrm = true;
    result.mod = modrm >> 6;
    result.reg = static_cast<uint8_t>((modrm >> 3 & 7) | (rex & 4) << 1);
    uint8_t base = modrm & 7;
    bool has_index = false;
    if (result.mod != 3 && base == 4) {
      const uint8_t sib = in.Take();
      base = sib & 7;
      has_index = (sib >> 3 & 7) != 4 || (rex & 2) != 0;
      if (result.mod == 0 && base == 5) {
        result.displacement = static_cast<int32_t>(in.TakeSigned(4));
        has_index = true;  // no base at all
      }
    } else if (result.mod == 0 && base == 5) {
      result.rip_relative = true;
      result.displacement = static_cast<int32_t>(in.TakeSigned(4));
    }
    if (result.mod == 1) result.displacement = static_cast<int32_t>(in.TakeSigned(1));
    if (result.mod == 2) result.displacement = static_cast<int32_t>(in.TakeSigned(4));
    result.rm = static_cast<uint8_t>(base | (rex & 1) << 3);
    result.plain_base = result.mod != 3 && !has_index && !result.rip_relative;
  }
  result.immediate = in.TakeSigned(form.immediate);
  if (!in.ok()) return std::nullopt;
  result.size = in.at();
  return result;
}

}  // namespace jprof
