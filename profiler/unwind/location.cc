#include "profiler/unwind/location.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "profiler/core/address.h"
#include "symbolize/byte_cursor.h"

namespace jprof {
namespace {

constexpr int kMaxSteps = 1000;
constexpr size_t kMaxStack = 64;
constexpr uint64_t kMaxPieceBytes = 256;
constexpr uint64_t kWordBits = 64;
constexpr uint64_t kFirstVector = 17;  // DWARF's number of xmm0

// DW_OP_*, under the standard's names.
enum Operation : uint8_t {
  kAddr = 0x03,
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
  kReg0 = 0x50,
  kBreg0 = 0x70,
  kRegx = 0x90,
  kFbreg = 0x91,
  kBregx = 0x92,
  kPiece = 0x93,
  kDerefSize = 0x94,
  kNop = 0x96,
  kCallFrameCfa = 0x9c,
  kImplicitValue = 0x9e,
  kStackValue = 0x9f,
  kImplicitPointer = 0xa0,
  kEntryValue = 0xa3,
  kGnuImplicitPointer = 0xf2,
  kGnuEntryValue = 0xf3,
};

std::string BytesOf(uint64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

class Machine {
 public:
  Machine(absl::string_view expression, const LocationContext& context, bool is_frame_base)
      : c_({reinterpret_cast<const uint8_t*>(expression.data()), expression.size()}),
        context_(context),
        is_frame_base_(is_frame_base) {}

  void Push(uint64_t value) {
    if (stack_.size() >= kMaxStack) ok_ = false;
    if (ok_) stack_.push_back(value);
  }

  // What the value is in, or is.
  ValuePlace Run() {
    for (int i = 0; i < kMaxSteps && ok_ && c_.ok() && c_.left() > 0; ++i) {
      if (context_.steps != nullptr && --*context_.steps < 0) return {};
      Step();
    }
    if (!ok_ || !c_.ok() || c_.left() > 0) return {};
    if (has_pieces_) return std::move(pieces_);
    return Take();
  }

  // What it computes as a number.
  std::optional<uint64_t> Compute() {
    const ValuePlace result = Run();
    if (result.kind == ValuePlace::Kind::kMemory) return result.address;
    uint64_t value = 0;
    if (result.kind != ValuePlace::Kind::kBytes || result.bytes.size() != sizeof(value)) {
      return std::nullopt;
    }
    std::memcpy(&value, result.bytes.data(), sizeof(value));
    return value;
  }

 private:
  uint64_t Pop() {
    if (stack_.empty()) {
      ok_ = false;
      return 0;
    }
    const uint64_t value = stack_.back();
    stack_.pop_back();
    return value;
  }

  uint64_t RegisterAt(uint64_t number) {
    const std::optional<uint64_t> value = context_.registers.Get(number);
    if (!value) ok_ = false;
    return value.value_or(0);
  }

  // The value is in it.
  void TakeRegister(uint64_t number) {
    if (context_.vectors != nullptr && number >= kFirstVector &&
        number < kFirstVector + context_.vectors->size()) {
      const auto& bytes = (*context_.vectors)[number - kFirstVector];
      implicit_.emplace(bytes.data(), bytes.size());
    } else {
      in_register_ = RegisterAt(number);
    }
  }

  void Load(uint64_t size) {
    uint64_t value = 0;
    const Address at{Pop()};
    if (size == 0 || size > sizeof(value) ||
        !context_.memory.ReadExactly(at, {reinterpret_cast<std::byte*>(&value), size})) {
      ok_ = false;
    }
    Push(value);
  }

  void PushFrameBase() {
    std::optional<uint64_t> base;
    // One that is made of itself has no end.
    if (!is_frame_base_ && !context_.frame_base.empty()) {
      base = Machine(context_.frame_base, context_, true).Compute();
    }
    if (!base) ok_ = false;
    Push(base.value_or(0));
  }

  // Of a register when the function was called.
  void PushEntryValue() {
    const std::span<const uint8_t> place = c_.Bytes(c_.Uleb());
    std::optional<uint64_t> value;
    if (place.size() == 1 && place[0] >= kReg0 && place[0] < kBreg0 && context_.at_entry) {
      value = context_.at_entry(place[0] - uint64_t{kReg0});
    }
    if (!value) return EndNowhere();
    Push(*value);
  }

  void EndNowhere() {
    c_.Skip(c_.left());
    nowhere_ = true;
    pieces_.kind = ValuePlace::Kind::kNowhere;
  }

  // The location that has been described since the last piece.
  ValuePlace Take() {
    using Kind = ValuePlace::Kind;
    ValuePlace result;
    if (in_register_) {
      result = {Kind::kBytes, 0, BytesOf(*in_register_)};
    } else if (implicit_) {
      result = {Kind::kBytes, 0, *implicit_};
    } else if (nowhere_ || stack_.empty()) {
      result.kind = Kind::kNowhere;
    } else if (is_value_) {
      result = {Kind::kBytes, 0, BytesOf(stack_.back())};
    } else {
      result = {Kind::kMemory, stack_.back(), ""};
    }
    in_register_.reset();
    implicit_.reset();
    is_value_ = nowhere_ = false;
    stack_.clear();
    return result;
  }

  void TakePiece(uint64_t size) {
    using Kind = ValuePlace::Kind;
    if (!has_pieces_) pieces_.kind = Kind::kBytes;
    has_pieces_ = true;
    ValuePlace piece = Take();
    if (size > kMaxPieceBytes || pieces_.bytes.size() + size > kMaxPieceBytes) ok_ = false;
    if (!ok_) return;
    if (piece.kind == Kind::kMemory) {
      piece.bytes.resize(size);
      auto* to = reinterpret_cast<std::byte*>(piece.bytes.data());
      if (!context_.memory.ReadExactly(Address{piece.address}, {to, size})) ok_ = false;
    }
    if (piece.kind == Kind::kNowhere || piece.bytes.size() < size) pieces_.kind = Kind::kNowhere;
    pieces_.bytes.append(piece.bytes, 0, size);
  }

  void Step() {
    // Behind a place there is nothing but pieces.
    const uint8_t op = c_.U8();
    const bool done = in_register_ || implicit_ || is_value_ || nowhere_;
    if (done && op != kPiece && op != kNop) {
      ok_ = false;
    } else if (op >= kLit0 && op < kReg0) {
      Push(op - kLit0);
    } else if (op >= kReg0 && op < kBreg0) {
      TakeRegister(op - kReg0);
    } else if (op >= kBreg0 && op < kRegx) {
      const uint64_t base = RegisterAt(op - kBreg0);
      Push(base + static_cast<uint64_t>(c_.Sleb()));
    } else if (op >= kConst1u && op <= kConsts) {
      PushConstant(op);
    } else if (op >= kDup && op <= kRot) {
      MoveOnStack(op);
    } else if (op >= kAnd && op <= kNe && op != kBra && op != kNeg && op != kNot &&
               op != kPlusUconst) {
      Combine(op);
    } else {
      StepOther(op);
    }
  }

  void StepOther(uint8_t op) {
    switch (op) {
      case kAddr:
        if (!context_.bias) ok_ = false;
        Push(c_.U64() + context_.bias.value_or(0));
        break;
      case kDeref:
        Load(sizeof(uint64_t));
        break;
      case kDerefSize:
        Load(c_.U8());
        break;
      case kAbs: {
        const uint64_t value = Pop();
        Push(static_cast<int64_t>(value) < 0 ? uint64_t{0} - value : value);
        break;
      }
      case kNeg:
        Push(uint64_t{0} - Pop());
        break;
      case kNot:
        Push(~Pop());
        break;
      case kPlusUconst:
        Push(Pop() + c_.Uleb());
        break;
      case kSkip:
        Jump(true);
        break;
      case kBra:
        Jump(Pop() != 0);
        break;
      case kRegx:
        TakeRegister(c_.Uleb());
        break;
      case kBregx: {
        const uint64_t base = RegisterAt(c_.Uleb());
        Push(base + static_cast<uint64_t>(c_.Sleb()));
        break;
      }
      case kFbreg:
        PushFrameBase();
        Push(Pop() + static_cast<uint64_t>(c_.Sleb()));
        break;
      case kCallFrameCfa:
        if (!context_.cfa) ok_ = false;
        Push(context_.cfa.value_or(0));
        break;
      case kPiece:
        TakePiece(c_.Uleb());
        break;
      case kStackValue:
        is_value_ = true;
        if (stack_.empty()) ok_ = false;
        break;
      case kImplicitValue: {
        const std::span<const uint8_t> bytes = c_.Bytes(c_.Uleb());
        implicit_.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        break;
      }
      case kEntryValue:
      case kGnuEntryValue:
        PushEntryValue();
        break;
      case kImplicitPointer:
      case kGnuImplicitPointer:
        EndNowhere();
        break;  // it leads to what is in no memory
      case kNop:
        break;
      default:
        ok_ = false;  // typed values, what the caller passed, other threads' variables
    }
  }

  void PushConstant(uint8_t op) {
    auto widened = [](int64_t value) { return static_cast<uint64_t>(value); };
    switch (op) {
      case kConst1u:
        return Push(c_.U8());
      case kConst1s:
        return Push(widened(static_cast<int8_t>(c_.U8())));
      case kConst2u:
        return Push(c_.U16());
      case kConst2s:
        return Push(widened(static_cast<int16_t>(c_.U16())));
      case kConst4u:
        return Push(c_.U32());
      case kConst4s:
        return Push(widened(static_cast<int32_t>(c_.U32())));
      case kConstu:
        return Push(c_.Uleb());
      case kConsts:
        return Push(widened(c_.Sleb()));
      default:
        return Push(c_.U64());
    }
  }

  void MoveOnStack(uint8_t op) {
    const uint64_t depth = op == kDup ? 0 : op == kOver ? 1 : op == kPick ? c_.U8() : 0;
    const uint64_t needed = op == kSwap ? 2 : op == kRot ? 3 : depth + 1;
    if (stack_.size() < needed) {
      ok_ = false;
    } else if (op == kDrop) {
      stack_.pop_back();
    } else if (op == kSwap) {
      std::swap(stack_.back(), stack_[stack_.size() - 2]);
    } else if (op == kRot) {
      std::rotate(stack_.end() - 3, stack_.end() - 1, stack_.end());
    } else {
      Push(stack_[stack_.size() - 1 - depth]);
    }
  }

  void Combine(uint8_t op) {
    const uint64_t b = Pop();
    const uint64_t a = Pop();
    const auto signed_a = static_cast<int64_t>(a);
    const auto signed_b = static_cast<int64_t>(b);
    switch (op) {
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
        if (b == 0 || (signed_b == -1 && signed_a == INT64_MIN)) {
          ok_ = false;
          return;
        }
        return Push(static_cast<uint64_t>(signed_a / signed_b));
      case kMod:
        if (b == 0) ok_ = false;
        return Push(b == 0 ? 0 : a % b);
      case kShl:
        return Push(b < kWordBits ? a << b : 0);
      case kShr:
        return Push(b < kWordBits ? a >> b : 0);
      case kShra:
        return Push(static_cast<uint64_t>(signed_a >> std::min(b, kWordBits - 1)));
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
        ok_ = false;
    }
  }

  void Jump(bool taken) {
    const auto distance = static_cast<int16_t>(c_.U16());
    const auto to = static_cast<int64_t>(c_.position()) + distance;
    if (taken && (to < 0 || !c_.Seek(static_cast<uint64_t>(to)))) ok_ = false;
  }

  ByteCursor c_;
  const LocationContext& context_;
  const bool is_frame_base_;
  std::vector<uint64_t> stack_;
  bool ok_ = true;
  // The place that was described: a register, bytes, the value on the stack, none.
  std::optional<uint64_t> in_register_;
  std::optional<std::string> implicit_;
  bool is_value_ = false;
  bool nowhere_ = false;
  bool has_pieces_ = false;
  ValuePlace pieces_;
};

}  // namespace

ValuePlace Locate(absl::string_view expression, const LocationContext& context) {
  return Machine(expression, context, false).Run();
}

std::optional<uint64_t> Compute(absl::string_view expression, const LocationContext& context,
                                std::optional<uint64_t> begin) {
  if (expression.empty()) return std::nullopt;
  Machine machine(expression, context, /*is_frame_base=*/false);
  if (begin) machine.Push(*begin);
  return machine.Compute();
}

}  // namespace jprof
