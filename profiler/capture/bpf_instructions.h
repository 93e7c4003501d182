// Instructions of BPF programs that are so small that they are written out, as
// include/linux/filter.h of the kernel has them for its own.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

namespace jprof {

constexpr bpf_insn Instruction(uint8_t code, uint8_t to, uint8_t from, int16_t offset,
                               int32_t value) {
  return {.code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = value};
}

constexpr bpf_insn Set(uint8_t to, int32_t value) {
  return Instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}

constexpr bpf_insn Copy(uint8_t to, uint8_t from) {
  return Instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

constexpr bpf_insn Add(uint8_t to, int32_t value) {
  return Instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value);
}

// The 8 bytes at `from` + `offset`.
constexpr bpf_insn Load(uint8_t to, uint8_t from, int16_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_DW, to, from, offset, 0);
}

constexpr bpf_insn Call(int32_t helper) { return Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }

constexpr bpf_insn Exit() { return Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

}  // namespace jprof
