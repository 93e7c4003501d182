#include "profiler/cli/native_arguments.h"

#include <algorithm>
#include <optional>

#include "profiler/unwind/location.h"
#include "profiler/cli/value_text.h"

namespace jprof {
namespace {

constexpr uint32_t kRbp = 6, kRsp = 7;
constexpr uint32_t kPreserved[] = {3, kRbp, 12, 13, 14, 15};  // rbx, rbp, r12 to r15
constexpr size_t kMaxParameters = 16;
constexpr int kMaxAsked = 10'000;

FrameRegisters LeafRegisters(const Registers& registers) {
  FrameRegisters result;
  for (uint32_t i = 0; registers.all_known && i < JP_REGISTERS; ++i) {
    result.Set(i, registers.others[i]);
  }
  return result;
}

// The registers of the caller, but for those that the walk knows.
FrameRegisters CallerRegisters(const RegisterRow& row, const LocationContext& frame) {
  FrameRegisters caller;
  if (!row.known || !frame.cfa) return caller;
  for (uint32_t number : kPreserved) caller.Set(number, frame.registers.Get(number));
  for (const RegisterRule& rule : row.rules) {
    if (rule.number >= FrameRegisters::kCount) continue;
    std::optional<uint64_t> value;
    const uint64_t beside_cfa = *frame.cfa + static_cast<uint64_t>(rule.offset);
    switch (rule.kind) {
      case RegisterRule::Kind::kSame:
        value = frame.registers.Get(rule.number);
        break;
      case RegisterRule::Kind::kUndefined:
        break;
      case RegisterRule::Kind::kAtCfa:
        value = frame.memory.ReadValue<uint64_t>({beside_cfa});
        break;
      case RegisterRule::Kind::kCfaPlus:
        value = beside_cfa;
        break;
      case RegisterRule::Kind::kRegister:
        value = frame.registers.Get(static_cast<uint64_t>(rule.offset));
        break;
      case RegisterRule::Kind::kAtExpression:
      case RegisterRule::Kind::kExpression:
        value = Compute(rule.expression, frame, frame.cfa);
        if (value && rule.kind == RegisterRule::Kind::kAtExpression) {
          value = frame.memory.ReadValue<uint64_t>({*value});
        }
        break;
    }
    caller.Set(rule.number, value);
  }
  return caller;
}

std::vector<FrameArgument> ReadFunction(const FrameFunction& function, const FrameValues& values,
                                        const LocationContext& frame) {
  std::vector<FrameArgument> arguments;
  for (const Parameter& parameter : function.parameters) {
    if (arguments.size() == kMaxParameters) {
      arguments.push_back({"", "…"});
      break;
    }
    const ValuePlace location = Locate(parameter.location, frame);
    arguments.push_back(
        {parameter.name, ValueText(values.types, parameter.type, location, frame.memory)});
  }
  return arguments;
}

// The frames of one stack, leaf first.
class Frames {
 public:
  Frames(const CapturedWalk& walk, const std::vector<Pipeline::NativeValues>& values)
      : walk_(walk), values_(values) {
    FrameRegisters registers = LeafRegisters(walk.registers);
    for (size_t i = 0; i < walk.places.size(); ++i) {
      Frame& frame = frames_.emplace_back();
      frame.registers = registers;
      TakeFromWalk(i, frame);
      registers = {};
      if (frame.at.of_image == nullptr) continue;
      const RegisterRow& row = ValueOf(frame).row;
      if (row.known) frame.cfa = Compute(row.cfa, ContextOf(i));
      // The walk has seen where the caller's frame is.
      if (i + 1 < walk.places.size() && frame.cfa != walk.places[i + 1].sp) frame.cfa.reset();
      registers = CallerRegisters(row, ContextOf(i));
    }
  }

  NativeArguments Read() const {
    NativeArguments result;
    for (size_t i = 0; i < frames_.size(); ++i) {
      const Frame& frame = frames_[i];
      if (frame.at.of_image == nullptr) continue;
      const std::vector<FrameFunction>& functions = ValueOf(frame).functions;
      for (uint32_t level = 0; level < functions.size(); ++level) {
        if (!functions[level].known) continue;
        result[{walk_.places[i].first, level}] =
            ReadFunction(functions[level], *frame.at.of_image, ContextOf(i));
      }
    }
    return result;
  }

 private:
  struct Frame {
    Pipeline::NativeValues at;  // of no image: not a native one, or nothing is known
    FrameRegisters registers;
    std::optional<uint64_t> cfa;
  };

  static const FrameValue& ValueOf(const Frame& frame) {
    return frame.at.of_image->at[frame.at.at];
  }

  void TakeFromWalk(size_t i, Frame& frame) const {
    const FramePlace& place = walk_.places[i];
    frame.registers.Set(kRsp, place.sp);
    frame.registers.Set(FrameRegisters::kPc, place.pc);
    // It has followed rbp, from what stands for it where that is not known.
    const bool knows_fp = walk_.registers.all_known || place.fp != walk_.registers.fp;
    frame.registers.Set(kRbp, knows_fp ? std::optional(place.fp) : std::nullopt);
    const bool is_one =
        i + 1 == walk_.places.size() || walk_.places[i + 1].first == place.first + 1;
    if (is_one && place.first < values_.size()) frame.at = values_[place.first];
  }

  LocationContext ContextOf(size_t i) const {
    const Frame& frame = frames_[i];
    return {.registers = frame.registers,
            .cfa = frame.cfa,
            .frame_base = ValueOf(frame).frame_base,
            .bias = frame.at.bias,
            .memory = *walk_.memory,
            .vectors = i == 0 && walk_.vectors ? &*walk_.vectors : nullptr,
            .at_entry = [this, i](uint64_t number) { return AtEntry(i, number); }};
  }

  // What the caller says that it passed, if this is the function that it called: another one may
  // have taken its place (a tail call).
  std::optional<uint64_t> AtEntry(size_t i, uint64_t number) const {
    if (i + 1 >= frames_.size() || frames_[i + 1].at.of_image == nullptr || asked_ >= kMaxAsked) {
      return std::nullopt;
    }
    ++asked_;
    const FrameValue& caller = ValueOf(frames_[i + 1]);
    if (caller.callee.empty() || caller.callee != ValueOf(frames_[i]).function) return std::nullopt;
    for (const PassedValue& passed : caller.passed) {
      if (passed.number == number) return Compute(passed.expression, ContextOf(i + 1));
    }
    return std::nullopt;
  }

  const CapturedWalk& walk_;
  const std::vector<Pipeline::NativeValues>& values_;
  std::vector<Frame> frames_;
  mutable int asked_ = 0;  // what was passed; the answers may ask in their turn
};

}  // namespace

NativeArguments ReadNativeArguments(const CapturedWalk& walk,
                                    const std::vector<Pipeline::NativeValues>& values) {
  if (walk.memory == nullptr) return {};
  return Frames(walk, values).Read();
}

}  // namespace jprof
