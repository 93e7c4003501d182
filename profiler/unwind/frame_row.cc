#include "profiler/unwind/frame_row.h"

#include "helpers/abi/unwind_table.h"
#include "profiler/unwind/location.h"

namespace jprof {
namespace {

constexpr uint32_t kPreserved = 0xf048;  // rbx, rbp, r12 to r15

absl::string_view Text(std::span<const uint8_t> expression) {
  return {reinterpret_cast<const char*>(expression.data()), expression.size()};
}

}  // namespace

void FrameRow::SetSaved(uint64_t reg, cfi::Saved saved, int64_t offset) {
  switch (saved) {
    case cfi::Saved::kSame:
      return Set(reg, {How::kSame, 0, 0, {}});
    case cfi::Saved::kUndefined:
      return Set(reg, {How::kUndefined, 0, 0, {}});
    case cfi::Saved::kAtCfa:
      return Set(reg, {How::kAtCfa, offset, 0, {}});
    case cfi::Saved::kIsCfa:
      return Set(reg, {How::kIsCfa, offset, 0, {}});
  }
}

std::optional<FrameRegisters> FrameRow::CallerOf(const FrameRegisters& frame,
                                                 const MemoryReader& memory,
                                                 bool keeps_scratch, int& steps) const {
  const LocationContext context = {.registers = frame, .memory = memory, .steps = &steps};
  std::optional<uint64_t> cfa;
  if (cfa_.how == How::kRegister) {
    cfa = frame.Get(cfa_.reg);
    if (cfa) *cfa += static_cast<uint64_t>(cfa_.offset);
  } else if (cfa_.how == How::kIsExpression) {
    cfa = Compute(Text(cfa_.expression), context);
  }
  if (!cfa) return std::nullopt;
  FrameRegisters caller;
  for (uint64_t number = 0; number < FrameRegisters::kCount; ++number) {
    const Rule& rule = registers_[number];
    const uint64_t at_cfa = *cfa + static_cast<uint64_t>(rule.offset);
    std::optional<uint64_t> value;
    switch (rule.how) {
      case How::kUnsaid:
        if (number == JP_REGISTER_RSP) {
          value = cfa;
        } else if (number != FrameRegisters::kPc && (keeps_scratch || kPreserved >> number & 1)) {
          value = frame.Get(number);
        }
        break;
      case How::kSame:
        value = frame.Get(number);
        break;
      case How::kUndefined:
        break;
      case How::kAtCfa:
        value = memory.ReadValue<uint64_t>(Address{at_cfa});
        break;
      case How::kIsCfa:
        value = at_cfa;
        break;
      case How::kRegister:
        value = frame.Get(rule.reg);
        break;
      case How::kAtExpression:
        value = Compute(Text(rule.expression), context, cfa);
        if (value) value = memory.ReadValue<uint64_t>(Address{*value});
        break;
      case How::kIsExpression:
        value = Compute(Text(rule.expression), context, cfa);
        break;
    }
    caller.Set(number, value);
  }
  if (!caller.Get(FrameRegisters::kPc) || !caller.Get(JP_REGISTER_RSP)) return std::nullopt;
  return caller;
}

}  // namespace jprof
