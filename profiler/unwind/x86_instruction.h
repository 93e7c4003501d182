// How long an instruction of x86-64 is, and the parts of it that tell what it does to the stack. No
// disassembler: of all else only the length is right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace jprof {

struct X86Instruction {
  uint8_t size = 0;
  // 0: one byte; 1: behind 0f; 2: behind 0f 38; 3: behind 0f 3a; or what VEX and EVEX say.
  uint8_t map = 0;
  uint8_t opcode = 0;
  bool is_vex = false;         // or EVEX
  bool operand_16 = false;     // prefix 66
  bool wide = false;           // REX.W
  bool has_modrm = false;
  uint8_t mod = 0;
  uint8_t reg = 0;             // with REX.R
  uint8_t rm = 0;              // with REX.B; of a memory operand its base register
  uint8_t opcode_register = 0; // the lower bits of the opcode, with REX.B
  bool rip_relative = false;
  bool plain_base = false;     // a memory operand of a base register and a displacement alone
  int32_t displacement = 0;
  int64_t immediate = 0;       // sign-extended; of branches the distance from the next instruction
};

// The first instruction of `code`. nullopt: none, or not all of it is there.
std::optional<X86Instruction> DecodeX86(std::span<const uint8_t> code);

}  // namespace jprof
