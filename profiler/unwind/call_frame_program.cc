// Entries of call-frame information, and the programs in them.
#include <iterator>
#include <optional>

#include "profiler/unwind/call_frame_builder.h"

namespace jprof::cfi {
namespace {

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

void State::SetCfaExpression(std::span<const uint8_t> bytes) {
  const Expression e = ParseExpression(bytes);
  cfa = e.kind;
  base = e.base;
  offset = e.offset;
  extra = e.extra;
}

void State::Set(uint64_t reg, Place place, int64_t at) {
  if (reg == JP_REGISTER_RBP) {
    fp = place;
    fp_offset = at;
  } else if (reg == kRaColumn) {
    ra = place;
    ra_offset = at;
  }
}

void State::SetSaved(uint64_t reg, Saved saved, int64_t at) {
  switch (saved) {
    case Saved::kSame:
      return Set(reg, Place::kSame, 0);
    case Saved::kUndefined:
      return Set(reg, Place::kUndefined, 0);
    case Saved::kAtCfa:
      return Set(reg, Place::kAtCfa, at);
    case Saved::kIsCfa:
      return Set(reg, Place::kOther, 0);
  }
}

void State::SetExpression(uint64_t reg, std::span<const uint8_t> bytes, bool is_value) {
  const Expression e = is_value ? Expression() : ParseExpression(bytes);
  Set(reg,
      e.kind != Cfa::kOffset      ? Place::kOther
      : e.base == JP_REGISTER_RBP ? Place::kAtFp
      : e.base == JP_REGISTER_RSP ? Place::kAtSp
                                  : Place::kOther,
      e.offset);
}

void State::Restore(uint64_t reg, const State& initial) {
  if (reg == JP_REGISTER_RBP) Set(reg, initial.fp, initial.fp_offset);
  if (reg == kRaColumn) Set(reg, initial.ra, initial.ra_offset);
}

size_t Builder::AddEntry(size_t at) {
  size_t next;
  const std::optional<Entry> entry = TakeEntry(section_.bytes, at, section_.is_eh_frame, next);
  if (!entry || entry->is_cie) return next;  // CIEs are read when an FDE refers to them
  if (const Cie* cie = FindCie(entry->cie); cie != nullptr && cie->valid) {
    AddFde(*cie, entry->content, section_.address + entry->body);
  }
  return next;
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
  size_t next;
  std::optional<Entry> entry = TakeEntry(section_.bytes, at, section_.is_eh_frame, next);
  if (!entry || !entry->is_cie || !cie_budget_.Spend(*entry)) return cie;
  const std::optional<CieHead> head = TakeCieHead(entry->content);
  if (!head) return cie;
  cie.head = *head;
  cie.valid = RunProgram<State>(cie.head, entry->content, 0, 0, nullptr, remembered_, cie.initial,
                                [](uint64_t) { return true; });
  return cie;
}

void Builder::AddFde(const Cie& cie, Reader in, uint64_t address) {
  const std::optional<CodeSpan> code = TakeFdeHead(cie.head, in, address, section_.is_eh_frame);
  if (!code) return;
  const Piece piece = {code->begin, code->end, rows_.size(), 0};
  State state = cie.initial, emitted;
  bool any = false;
  auto emit = [&](uint64_t location) {
    if (location >= code->end || (any && state == emitted)) return true;
    const uint32_t rule = RuleOf(state, cie.head.is_signal);
    if (any && rows_.back().begin == location) {
      rows_.back().rule = rule;
    } else {
      rows_.push_back({location, rule});
    }
    emitted = state;
    any = true;
    return true;
  };
  if (!RunProgram(cie.head, in, code->begin, code->end, &cie.initial, remembered_, state, emit)) {
    rows_.resize(piece.first);
    return;
  }
  pieces_.push_back(piece);
  pieces_.back().count = rows_.size() - piece.first;
}

}  // namespace jprof::cfi
