// Entries of call-frame information, and the programs in them.
#include <algorithm>
#include <string>
#include <utility>

#include "profiler/unwind/call_frame_builder.h"

namespace jprof::cfi {
namespace {

constexpr size_t kMaxCies = 1 << 16;
constexpr size_t kMaxRemembered = 64;  // states
constexpr uint64_t kRaColumn = 16;     // of x86-64

// Pointer encodings, LSB 10.5.1.
constexpr uint8_t kEncodingOmit = 0xff;
constexpr uint8_t kEncodingPcRelative = 0x10;

// The expressions that are understood.
struct Expression {
  State::Cfa kind = State::Cfa::kOther;
  uint64_t base = 0;
  int64_t offset = 0;
  int64_t extra = 0;
};

Expression ParseExpression(std::span<const uint8_t> bytes) {
  constexpr uint8_t kDeref = 0x06, kPlusUconst = 0x23, kBreg0 = 0x70, kLit0 = 0x30;
  Reader in(bytes);
  Expression e;
  const uint8_t first = in.Take<uint8_t>();
  if (first < kBreg0 || first >= kBreg0 + JP_REGISTERS) return {};
  e.base = first - kBreg0;
  e.offset = in.TakeSleb();
  if (!in.ok()) return {};
  if (in.done()) {
    e.kind = State::Cfa::kOffset;
    return e;
  }
  uint8_t op = in.Take<uint8_t>();
  if (op == kDeref) {
    if (!in.done() && in.Take<uint8_t>() == kPlusUconst) {
      e.extra = static_cast<int64_t>(in.TakeUleb());
    }
    if (in.ok() && in.done()) e.kind = State::Cfa::kDeref;
    return e;
  }
  // rsp + N + ((rip & 15) >= M) * 8, as linkers write it for a linkage table.
  const uint8_t stub[] = {kBreg0 + kRaColumn, 0, kLit0 + 15, 0x1a /* and */, 0 /* lit M */,
                          0x2a /* ge */, kLit0 + 3, 0x24 /* shl */, 0x22 /* plus */};
  for (size_t i = 0; i < std::size(stub); ++i) {
    if (i > 0) op = in.Take<uint8_t>();
    if (i == 4 && op >= kLit0 && op < kLit0 + 16) {
      e.extra = op - kLit0;
    } else if (op != stub[i]) {
      return {};
    }
  }
  if (in.ok() && in.done() && e.base == JP_REGISTER_RSP) e.kind = State::Cfa::kPlt;
  return e;
}

}  // namespace

size_t Builder::AddEntry(size_t at) {
  Reader head(section_.bytes.subspan(at));
  uint64_t length = head.Take<uint32_t>();
  const bool wide = length == 0xffffffff;
  if (wide) length = head.Take<uint64_t>();
  if (length == 0) return section_.is_eh_frame ? 0 : at + 4;
  const size_t body = at + head.at();
  if (!head.ok() || length > section_.bytes.size() - body) return 0;
  const size_t end = body + length;
  Reader in(section_.bytes.subspan(body, length));
  const uint64_t id = wide && !section_.is_eh_frame ? in.Take<uint64_t>() : in.Take<uint32_t>();
  if (!in.ok()) return end;
  const uint64_t cie_id = section_.is_eh_frame ? 0 : wide ? ~uint64_t{0} : 0xffffffff;
  if (id == cie_id) return end;  // read when an FDE refers to it
  const uint64_t cie_at = section_.is_eh_frame ? body - id : id;
  if (const Cie* cie = FindCie(cie_at); cie != nullptr && cie->valid) AddFde(*cie, in, body);
  return end;
}

const Cie* Builder::FindCie(uint64_t at) {
  auto it = cies_.find(at);
  if (it == cies_.end()) {
    if (cies_.size() >= kMaxCies) return nullptr;
    it = cies_.try_emplace(at, ParseCie(at)).first;
  }
  return &it->second;
}

Cie Builder::ParseCie(uint64_t at) {
  Cie cie;
  if (at >= section_.bytes.size()) return cie;
  Reader head(section_.bytes.subspan(at));
  uint64_t length = head.Take<uint32_t>();
  const bool wide = length == 0xffffffff;
  if (wide) length = head.Take<uint64_t>();
  const size_t body = at + head.at();
  if (!head.ok() || length > section_.bytes.size() - body) return cie;
  Reader in(section_.bytes.subspan(body, length));
  const uint64_t id = wide && !section_.is_eh_frame ? in.Take<uint64_t>() : in.Take<uint32_t>();
  if (id != (section_.is_eh_frame ? 0 : wide ? ~uint64_t{0} : 0xffffffff)) return cie;
  const uint8_t version = in.Take<uint8_t>();
  const std::string augmentation = in.TakeString();
  if (version != 1 && version != 3 && version != 4) return cie;
  if (version == 4 && (in.Take<uint8_t>() != 8 || in.Take<uint8_t>() != 0)) return cie;
  cie.code_align = in.TakeUleb();
  cie.data_align = in.TakeSleb();
  const uint64_t ra = version == 1 ? in.Take<uint8_t>() : in.TakeUleb();
  if (!in.ok() || ra != kRaColumn) return cie;
  if (!augmentation.empty()) {
    if (augmentation[0] != 'z') return cie;
    cie.has_augmentation_data = true;
    Reader data(in.TakeBytes(in.TakeUleb()));
    for (char c : augmentation.substr(1)) {
      if (c == 'R') {
        cie.encoding = data.Take<uint8_t>();
      } else if (c == 'L') {
        data.Take<uint8_t>();
      } else if (c == 'P') {
        TakePointer(data, data.Take<uint8_t>(), 0);
      } else if (c == 'S') {
        cie.is_signal = true;
      } else {
        return cie;
      }
    }
    if (!data.ok()) return cie;
  }
  State state;
  cie.valid = in.ok() && Run(cie, in, 0, nullptr, state);
  cie.initial = state;
  return cie;
}

uint64_t Builder::TakePointer(Reader& in, uint8_t encoding, uint64_t address) {
  if (encoding == kEncodingOmit) return 0;
  uint64_t value = 0;
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
      value = in.Take<uint64_t>();
      break;
    case 0x01:
      value = in.TakeUleb();
      break;
    case 0x02:
      value = in.Take<uint16_t>();
      break;
    case 0x03:
      value = in.Take<uint32_t>();
      break;
    case 0x09:
      value = static_cast<uint64_t>(in.TakeSleb());
      break;
    case 0x0a:
      value = static_cast<uint64_t>(int64_t{in.Take<int16_t>()});
      break;
    case 0x0b:
      value = static_cast<uint64_t>(int64_t{in.Take<int32_t>()});
      break;
    default:
      in.Fail();
  }
  if ((encoding & 0x70) == kEncodingPcRelative) value += address;
  return value;
}

void Builder::AddFde(const Cie& cie, Reader in, size_t body) {
  const uint8_t encoding = section_.is_eh_frame ? cie.encoding : 0;
  // Absolute or relative to itself, and not the address of a pointer.
  if ((encoding & 0xf0) != 0 && (encoding & 0xf0) != kEncodingPcRelative) return;
  const uint64_t begin = TakePointer(in, encoding, section_.address + body + in.at());
  const uint64_t size = TakePointer(in, encoding & 0x0f, 0);
  if (cie.has_augmentation_data) in.TakeBytes(in.TakeUleb());
  // Functions that the linker dropped are at 0.
  if (!in.ok() || begin == 0 || size == 0 || begin + size < begin) return;
  const Piece piece = {begin, begin + size, rows_.size(), 0};
  State state = cie.initial;
  Range range = {begin, begin + size, &cie.initial};
  if (!Run(cie, in, begin, &range, state)) {
    rows_.resize(piece.first);
    return;
  }
  pieces_.push_back(piece);
  pieces_.back().count = rows_.size() - piece.first;
}

bool Builder::Run(const Cie& cie, Reader in, uint64_t location, const Range* range, State& state) {
  remembered_.clear();
  State emitted;
  bool any = false;
  auto emit = [&] {
    if (range == nullptr || location >= range->end) return;
    if (any && state == emitted) return;
    const uint32_t rule = RuleOf(state, cie.is_signal);
    if (any && rows_.back().begin == location) {
      rows_.back().rule = rule;
    } else {
      rows_.push_back({location, rule});
    }
    emitted = state;
    any = true;
  };
  auto advance = [&](uint64_t delta) {
    emit();
    uint64_t bytes;
    if (range == nullptr || __builtin_mul_overflow(delta, cie.code_align, &bytes) ||
        bytes > range->end - location) {
      in.Fail();
      return;
    }
    location += bytes;
  };
  auto factored = [&cie](int64_t n) {
    return static_cast<int64_t>(static_cast<uint64_t>(n) * static_cast<uint64_t>(cie.data_align));
  };
  auto set = [&](uint64_t reg, State::Saved saved, int64_t offset) {
    if (reg == JP_REGISTER_RBP) {
      state.fp = saved;
      state.fp_offset = offset;
    } else if (reg == kRaColumn) {
      state.ra = saved;
      state.ra_offset = offset;
    }
  };
  auto restore = [&](uint64_t reg) {
    const State initial = range == nullptr ? State() : *range->initial;
    if (reg == JP_REGISTER_RBP) set(reg, initial.fp, initial.fp_offset);
    if (reg == kRaColumn) set(reg, initial.ra, initial.ra_offset);
  };
  auto set_cfa = [&](State::Cfa kind, uint64_t base, int64_t offset, int64_t extra = 0) {
    state.cfa = kind;
    state.base = base;
    state.offset = offset;
    state.extra = extra;
  };
  while (!in.done()) {
    const uint8_t op = in.Take<uint8_t>();
    const uint64_t low = op & 0x3f;
    if (op >> 6 == 1) {
      advance(low);
      continue;
    }
    if (op >> 6 == 2) {
      set(low, State::Saved::kAtCfa, factored(static_cast<int64_t>(in.TakeUleb())));
      continue;
    }
    if (op >> 6 == 3) {
      restore(low);
      continue;
    }
    switch (op) {
      case 0x00:  // nop
        break;
      case 0x02:
        advance(in.Take<uint8_t>());
        break;
      case 0x03:
        advance(in.Take<uint16_t>());
        break;
      case 0x04:
        advance(in.Take<uint32_t>());
        break;
      case 0x05: {  // offset_extended
        const uint64_t reg = in.TakeUleb();
        set(reg, State::Saved::kAtCfa, factored(static_cast<int64_t>(in.TakeUleb())));
        break;
      }
      case 0x06:  // restore_extended
        restore(in.TakeUleb());
        break;
      case 0x07:  // undefined
        set(in.TakeUleb(), State::Saved::kUndefined, 0);
        break;
      case 0x08:  // same_value
        set(in.TakeUleb(), State::Saved::kSame, 0);
        break;
      case 0x09: {  // register
        const uint64_t reg = in.TakeUleb();
        in.TakeUleb();
        set(reg, State::Saved::kOther, 0);
        break;
      }
      case 0x0a:  // remember_state
        if (remembered_.size() == kMaxRemembered) return false;
        remembered_.push_back(state);
        break;
      case 0x0b:  // restore_state
        if (remembered_.empty()) return false;
        state = remembered_.back();
        remembered_.pop_back();
        break;
      case 0x0c: {  // def_cfa
        const uint64_t reg = in.TakeUleb();
        set_cfa(State::Cfa::kOffset, reg, static_cast<int64_t>(in.TakeUleb()));
        break;
      }
      case 0x0d:  // def_cfa_register
        if (state.cfa != State::Cfa::kOffset) return false;
        state.base = in.TakeUleb();
        break;
      case 0x0e:  // def_cfa_offset
        if (state.cfa != State::Cfa::kOffset) return false;
        state.offset = static_cast<int64_t>(in.TakeUleb());
        break;
      case 0x0f: {  // def_cfa_expression
        const Expression e = ParseExpression(in.TakeBytes(in.TakeUleb()));
        set_cfa(e.kind, e.base, e.offset, e.extra);
        break;
      }
      case 0x10: {  // expression
        const uint64_t reg = in.TakeUleb();
        const Expression e = ParseExpression(in.TakeBytes(in.TakeUleb()));
        const State::Saved saved =
            e.kind != State::Cfa::kOffset  ? State::Saved::kOther
            : e.base == JP_REGISTER_RBP    ? State::Saved::kAtFp
            : e.base == JP_REGISTER_RSP    ? State::Saved::kAtSp
                                           : State::Saved::kOther;
        set(reg, saved, e.offset);
        break;
      }
      case 0x11: {  // offset_extended_sf
        const uint64_t reg = in.TakeUleb();
        set(reg, State::Saved::kAtCfa, factored(in.TakeSleb()));
        break;
      }
      case 0x12: {  // def_cfa_sf
        const uint64_t reg = in.TakeUleb();
        set_cfa(State::Cfa::kOffset, reg, factored(in.TakeSleb()));
        break;
      }
      case 0x13:  // def_cfa_offset_sf
        if (state.cfa != State::Cfa::kOffset) return false;
        state.offset = factored(in.TakeSleb());
        break;
      case 0x14: {  // val_offset
        const uint64_t reg = in.TakeUleb();
        in.TakeUleb();
        set(reg, State::Saved::kOther, 0);
        break;
      }
      case 0x15: {  // val_offset_sf
        const uint64_t reg = in.TakeUleb();
        in.TakeSleb();
        set(reg, State::Saved::kOther, 0);
        break;
      }
      case 0x16: {  // val_expression
        const uint64_t reg = in.TakeUleb();
        in.TakeBytes(in.TakeUleb());
        set(reg, State::Saved::kOther, 0);
        break;
      }
      case 0x2e:  // GNU_args_size
        in.TakeUleb();
        break;
      case 0x2f: {  // GNU_negative_offset_extended
        const uint64_t reg = in.TakeUleb();
        set(reg, State::Saved::kAtCfa, -factored(static_cast<int64_t>(in.TakeUleb())));
        break;
      }
      default:
        return false;
    }
  }
  emit();
  return in.ok();
}

}  // namespace jprof::cfi
