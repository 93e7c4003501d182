#include "profiler/unwind/frame_expression.h"

#include <cstddef>
#include <limits>
#include <vector>

#include "profiler/unwind/call_frame_reader.h"

namespace jprof {
namespace {

constexpr size_t kMaxStack = 64;
constexpr int kMaxSteps = 1024;

// Operations, without DW_OP_.
enum : uint8_t {
  kDeref = 0x06,
  kConst1u = 0x08,
  kConst1s = 0x09,
  kConst2u = 0x0a,
  kConst2s = 0x0b,
  kConst4u = 0x0c,
  kConst4s = 0x0d,
  kConst8u = 0x0e,
  kConst8s = 0x0f,
  kConstu = 0x10,
  kConsts = 0x11,
  kDup = 0x12,
  kDrop = 0x13,
  kOver = 0x14,
  kPick = 0x15,
  kSwap = 0x16,
  kRot = 0x17,
  kAbs = 0x19,
  kAnd = 0x1a,
  kDiv = 0x1b,
  kMinus = 0x1c,
  kMod = 0x1d,
  kMul = 0x1e,
  kNeg = 0x1f,
  kNot = 0x20,
  kOr = 0x21,
  kPlus = 0x22,
  kPlusUconst = 0x23,
  kShl = 0x24,
  kShr = 0x25,
  kShra = 0x26,
  kXor = 0x27,
  kBra = 0x28,
  kEq = 0x29,
  kGe = 0x2a,
  kGt = 0x2b,
  kLe = 0x2c,
  kLt = 0x2d,
  kNe = 0x2e,
  kSkip = 0x2f,
  kLit0 = 0x30,
  kLit31 = 0x4f,
  kBreg0 = 0x70,
  kBreg31 = 0x8f,
  kBregx = 0x92,
  kDerefSize = 0x94,
  kNop = 0x96,
};

class Machine {
 public:
  Machine(std::span<const uint8_t> expression, const FrameRegisters& registers,
          const MemoryReader& memory)
      : bytes_(expression), in_(expression), registers_(registers), memory_(memory) {}

  std::optional<uint64_t> Run(std::optional<uint64_t> first) {
    if (first) Push(*first);
    for (int steps = 0; ok_ && in_.ok() && !in_.done(); ++steps) {
      if (steps == kMaxSteps) return std::nullopt;
      Step(in_.Take<uint8_t>());
    }
    if (!ok_ || !in_.ok() || stack_.empty()) return std::nullopt;
    return stack_.back();
  }

 private:
  void Fail() { ok_ = false; }
  void Push(uint64_t value) {
    if (stack_.size() == kMaxStack) return Fail();
    stack_.push_back(value);
  }
  uint64_t Pop() {
    if (stack_.empty()) {
      Fail();
      return 0;
    }
    const uint64_t value = stack_.back();
    stack_.pop_back();
    return value;
  }
  void PushPicked(size_t from_top) {
    if (from_top >= stack_.size()) return Fail();
    Push(stack_[stack_.size() - 1 - from_top]);
  }
  template <typename T>
  void PushConstant() {
    Push(static_cast<uint64_t>(static_cast<int64_t>(in_.Take<T>())));
  }
  void PushRegister(uint64_t number) {
    const int64_t offset = in_.TakeSleb();
    const std::optional<uint64_t> value = registers_.Get(number);
    if (!value) return Fail();
    Push(*value + static_cast<uint64_t>(offset));
  }
  void Dereference(size_t size) {
    uint64_t value = 0;
    const uint64_t address = Pop();
    if (!ok_ || size == 0 || size > sizeof(value) ||
        !memory_.ReadExactly(Address{address},
                             std::as_writable_bytes(std::span(&value, 1)).first(size))) {
      return Fail();
    }
    Push(value);
  }
  void Jump(bool is_taken) {
    const int16_t distance = in_.Take<int16_t>();
    if (!is_taken || !in_.ok()) return;
    const int64_t to = static_cast<int64_t>(at()) + distance;
    if (to < 0 || to > static_cast<int64_t>(bytes_.size())) return Fail();
    begin_ = static_cast<size_t>(to);
    in_ = cfi::Reader(bytes_.subspan(begin_));
  }
  size_t at() const { return begin_ + in_.at(); }

  void Step(uint8_t op) {
    if (op >= kLit0 && op <= kLit31) return Push(op - kLit0);
    if (op >= kBreg0 && op <= kBreg31) return PushRegister(op - kBreg0);
    switch (op) {
      case kNop:
        return;
      case kDeref:
        return Dereference(sizeof(uint64_t));
      case kDerefSize:
        return Dereference(in_.Take<uint8_t>());
      case kConst1u:
        return PushConstant<uint8_t>();
      case kConst1s:
        return PushConstant<int8_t>();
      case kConst2u:
        return PushConstant<uint16_t>();
      case kConst2s:
        return PushConstant<int16_t>();
      case kConst4u:
        return PushConstant<uint32_t>();
      case kConst4s:
        return PushConstant<int32_t>();
      case kConst8u:
      case kConst8s:
        return PushConstant<int64_t>();
      case kConstu:
        return Push(in_.TakeUleb());
      case kConsts:
        return Push(static_cast<uint64_t>(in_.TakeSleb()));
      case kBregx:
        return PushRegister(in_.TakeUleb());
      case kDup:
        return PushPicked(0);
      case kOver:
        return PushPicked(1);
      case kPick:
        return PushPicked(in_.Take<uint8_t>());
      case kDrop:
        Pop();
        return;
      case kPlusUconst:
        return Push(Pop() + in_.TakeUleb());
      case kNeg:
        return Push(-Pop());
      case kNot:
        return Push(~Pop());
      case kAbs: {
        const uint64_t value = Pop();
        return Push(static_cast<int64_t>(value) < 0 ? -value : value);
      }
      case kSkip:
        return Jump(true);
      case kBra:
        return Jump(Pop() != 0);
      case kRot: {
        const uint64_t top = Pop(), second = Pop(), third = Pop();
        Push(top);
        Push(third);
        return Push(second);
      }
      default:
        return StepOnTwo(op);
    }
  }

  void StepOnTwo(uint8_t op) {
    const uint64_t b = Pop(), a = Pop();
    const auto signed_a = static_cast<int64_t>(a), signed_b = static_cast<int64_t>(b);
    switch (op) {
      case kSwap:
        Push(b);
        return Push(a);
      case kAnd:
        return Push(a & b);
      case kOr:
        return Push(a | b);
      case kXor:
        return Push(a ^ b);
      case kPlus:
        return Push(a + b);
      case kMinus:
        return Push(a - b);
      case kMul:
        return Push(a * b);
      case kDiv:
        if (b == 0 || (signed_a == std::numeric_limits<int64_t>::min() && signed_b == -1)) {
          return Fail();
        }
        return Push(static_cast<uint64_t>(signed_a / signed_b));
      case kMod:
        return b == 0 ? Fail() : Push(a % b);
      case kShl:
        return Push(b < 64 ? a << b : 0);
      case kShr:
        return Push(b < 64 ? a >> b : 0);
      case kShra:
        return Push(static_cast<uint64_t>(signed_a >> (b < 64 ? b : 63)));
      case kEq:
        return Push(a == b);
      case kNe:
        return Push(a != b);
      case kGe:
        return Push(signed_a >= signed_b);
      case kGt:
        return Push(signed_a > signed_b);
      case kLe:
        return Push(signed_a <= signed_b);
      case kLt:
        return Push(signed_a < signed_b);
      default:
        return Fail();
    }
  }

  const std::span<const uint8_t> bytes_;
  size_t begin_ = 0;  // of in_, in bytes_
  cfi::Reader in_;
  const FrameRegisters& registers_;
  const MemoryReader& memory_;
  std::vector<uint64_t> stack_;
  bool ok_ = true;
};

}  // namespace

std::optional<uint64_t> EvaluateFrameExpression(std::span<const uint8_t> expression,
                                                const FrameRegisters& registers,
                                                const MemoryReader& memory,
                                                std::optional<uint64_t> first) {
  return Machine(expression, registers, memory).Run(first);
}

}  // namespace jprof
