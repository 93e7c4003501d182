#include "symbolize/frame_values_message.h"

#include <cstddef>
#include <cstdint>

namespace jprof {
namespace {

uint32_t Size(size_t size) { return static_cast<uint32_t>(size); }

void WriteType(const NativeType& type, MessageWriter& w) {
  w.U32(static_cast<uint32_t>(type.kind)).U64(type.size).U32(type.target).U64(type.count);
  w.U32(Size(type.members.size()));
  for (const NativeType::Member& m : type.members) {
    w.Text(m.name).U32(m.type).U64(m.offset).U32(m.bits).U32(m.first_bit);
  }
  w.U32(Size(type.enumerators.size()));
  for (const NativeType::Enumerator& e : type.enumerators) w.Text(e.name).U64(e.value);
}

void WriteRow(const RegisterRow& row, MessageWriter& w) {
  w.U32(row.known).Text(row.cfa).U32(Size(row.rules.size()));
  for (const RegisterRule& rule : row.rules) {
    w.U32(rule.number).U32(static_cast<uint32_t>(rule.kind));
    w.U64(static_cast<uint64_t>(rule.offset)).Text(rule.expression);
  }
}

// Numbers that are out of range make it fail.
class Decoder {
 public:
  explicit Decoder(ByteCursor& c) : c_(c) {}

  bool Read(FrameValues& values) {
    values.types.resize(Count(c_, 32));
    types_ = values.types.size();
    for (NativeType& type : values.types) ReadType(type);
    values.at.resize(Count(c_, 32));
    for (FrameValue& value : values.at) {
      value.frame_base = Text(c_);
      value.functions.resize(Count(c_, 8));
      for (FrameFunction& function : value.functions) {
        function.known = c_.U32() != 0;
        function.parameters.resize(Count(c_, 12));
        for (Parameter& parameter : function.parameters) {
          parameter.name = Text(c_);
          parameter.type = Type();
          parameter.location = Text(c_);
        }
      }
      ReadRow(value.row);
      value.function = Text(c_);
      value.callee = Text(c_);
      value.passed.resize(Count(c_, 8));
      for (PassedValue& passed : value.passed) {
        passed.number = c_.U32();
        passed.expression = Text(c_);
      }
    }
    return c_.ok() && ok_;
  }

 private:
  uint32_t Type() {
    const uint32_t number = c_.U32();
    ok_ &= number == kNoType || number < types_;
    return number;
  }
  template <typename Kind>
  Kind KindUpTo(Kind last) {
    const uint32_t kind = c_.U32();
    ok_ &= kind <= static_cast<uint32_t>(last);
    return static_cast<Kind>(kind);
  }

  void ReadType(NativeType& type) {
    type.kind = KindUpTo(NativeType::kLastKind);
    type.size = c_.U64();
    type.target = Type();
    type.count = c_.U64();
    type.members.resize(Count(c_, 24));
    for (NativeType::Member& m : type.members) {
      m.name = Text(c_);
      m.type = Type();
      m.offset = c_.U64();
      m.bits = c_.U32();
      m.first_bit = c_.U32();
    }
    ok_ &= type.kind != NativeType::Kind::kText || type.members.size() == 2;
    type.enumerators.resize(Count(c_, 12));
    for (NativeType::Enumerator& e : type.enumerators) {
      e.name = Text(c_);
      e.value = c_.U64();
    }
  }

  void ReadRow(RegisterRow& row) {
    row.known = c_.U32() != 0;
    row.cfa = Text(c_);
    row.rules.resize(Count(c_, 20));
    for (RegisterRule& rule : row.rules) {
      rule.number = c_.U32();
      rule.kind = KindUpTo(RegisterRule::kLastKind);
      rule.offset = static_cast<int64_t>(c_.U64());
      rule.expression = Text(c_);
    }
  }

  ByteCursor& c_;
  size_t types_ = 0;
  bool ok_ = true;
};

}  // namespace

void WriteFrameValues(const FrameValues& values, MessageWriter& w) {
  w.U32(Size(values.types.size()));
  for (const NativeType& type : values.types) WriteType(type, w);
  w.U32(Size(values.at.size()));
  for (const FrameValue& value : values.at) {
    w.Text(value.frame_base).U32(Size(value.functions.size()));
    for (const FrameFunction& function : value.functions) {
      w.U32(function.known).U32(Size(function.parameters.size()));
      for (const Parameter& p : function.parameters) w.Text(p.name).U32(p.type).Text(p.location);
    }
    WriteRow(value.row, w);
    w.Text(value.function).Text(value.callee).U32(Size(value.passed.size()));
    for (const PassedValue& passed : value.passed) w.U32(passed.number).Text(passed.expression);
  }
}

bool ReadFrameValues(ByteCursor& c, FrameValues& values) { return Decoder(c).Read(values); }

}  // namespace jprof
