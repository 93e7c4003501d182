// What call-frame information says of one frame, all of it: where the caller's registers are. The
// row of a table (call_frame_builder.h) has the few that nearly all code needs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "profiler/process/memory_reader.h"
#include "profiler/unwind/call_frame_program.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

// Refers to the bytes of the programs that made it.
class FrameRow {
 public:
  // The registers of the caller. `keeps_scratch`: even those that a function need not preserve, of
  // which nothing is said. `steps`: that are left to expressions. nullopt: it cannot be told where
  // the caller is, or there is none.
  std::optional<FrameRegisters> CallerOf(const FrameRegisters& frame, const MemoryReader& memory,
                                         bool keeps_scratch, int& steps) const;

  // For cfi::RunProgram().
  void SetCfa(uint64_t reg, int64_t offset) { cfa_ = {How::kRegister, offset, reg, {}}; }
  bool SetCfaRegister(uint64_t reg) {
    cfa_.reg = reg;
    return cfa_.how == How::kRegister;
  }
  bool SetCfaOffset(int64_t offset) {
    cfa_.offset = offset;
    return cfa_.how == How::kRegister;
  }
  void SetCfaExpression(std::span<const uint8_t> bytes) {
    cfa_ = {How::kIsExpression, 0, 0, bytes};
  }
  void SetSaved(uint64_t reg, cfi::Saved saved, int64_t offset);
  void SetInRegister(uint64_t reg, uint64_t other) { Set(reg, {How::kRegister, 0, other, {}}); }
  void SetExpression(uint64_t reg, std::span<const uint8_t> bytes, bool is_value) {
    Set(reg, {is_value ? How::kIsExpression : How::kAtExpression, 0, 0, bytes});
  }
  void Restore(uint64_t reg, const FrameRow& initial) {
    if (reg < FrameRegisters::kCount) Set(reg, initial.registers_[reg]);
  }

 private:
  enum class How : uint8_t {
    kUnsaid,
    kSame,
    kUndefined,
    kAtCfa,
    kIsCfa,
    kRegister,
    kAtExpression,
    kIsExpression,
  };
  struct Rule {
    How how = How::kUnsaid;
    int64_t offset = 0;
    uint64_t reg = 0;
    std::span<const uint8_t> expression;
  };
  void Set(uint64_t reg, const Rule& rule) {
    if (reg < FrameRegisters::kCount) registers_[reg] = rule;
  }

  Rule cfa_;
  std::array<Rule, FrameRegisters::kCount> registers_;
};

}  // namespace jprof
