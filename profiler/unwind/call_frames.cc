#include "profiler/unwind/call_frames.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

// Another one when the same input gives another table: cached ones are not used then.
constexpr uint64_t kBuilderVersion = 2;

constexpr size_t kMaxSectionBytes = size_t{64} << 20;
constexpr size_t kMaxCies = 1 << 16;
constexpr size_t kMaxFdes = 2'000'000;
constexpr size_t kMaxRemembered = 64;  // states
constexpr uint64_t kRaColumn = 16;     // of x86-64
// Bytes between functions that are never executed, but would each need a row.
constexpr uint64_t kMaxPadding = 15;

// Pointer encodings, LSB 10.5.1.
constexpr uint8_t kEncodingOmit = 0xff;
constexpr uint8_t kEncodingPcRelative = 0x10;

// A cursor that never leaves its bytes: reads past the end give zeros, and ok() says so.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool done() const { return !ok_ || at_ == bytes_.size(); }
  size_t at() const { return at_; }
  void Fail() { ok_ = false; }

  template <typename T>
  T Take() {
    T value = {};
    if (!ok_ || bytes_.size() - at_ < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  uint64_t TakeUleb() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80) || !ok_) return value;
    }
  }
  int64_t TakeSleb() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80) || !ok_) {
        if (shift + 7 < 64 && byte & 0x40) value |= ~uint64_t{0} << (shift + 7);
        return static_cast<int64_t>(value);
      }
    }
  }
  std::span<const uint8_t> TakeBytes(uint64_t count) {
    if (!ok_ || count > bytes_.size() - at_) {
      ok_ = false;
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  // Without its NUL.
  std::string TakeString() {
    const auto* begin = bytes_.data() + at_;
    const void* nul = ok_ ? std::memchr(begin, 0, bytes_.size() - at_) : nullptr;
    if (nul == nullptr) {
      ok_ = false;
      return "";
    }
    std::string text(begin, static_cast<const uint8_t*>(nul));
    at_ += text.size() + 1;
    return text;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

// A row of DWARF's table, as far as it is followed.
struct State {
  enum class Cfa : uint8_t { kUnset, kOffset, kDeref, kPlt, kOther };
  enum class Saved : uint8_t { kSame, kAtCfa, kAtFp, kAtSp, kUndefined, kOther };

  Cfa cfa = Cfa::kUnset;
  uint64_t base = 0;
  int64_t offset = 0;
  int64_t extra = 0;
  Saved fp = Saved::kSame;
  int64_t fp_offset = 0;
  Saved ra = Saved::kSame;
  int64_t ra_offset = 0;

  friend bool operator==(const State&, const State&) = default;
};

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

struct Cie {
  bool valid = false;
  bool is_signal = false;
  bool has_augmentation_data = false;
  uint8_t encoding = 0;  // of an FDE's addresses
  uint64_t code_align = 1;
  int64_t data_align = 1;
  State initial;
};

// The code of one FDE: rows from `first` on in a common vector.
struct Piece {
  uint64_t begin;
  uint64_t end;
  size_t first;
  size_t count;
};

struct RuleHash {
  size_t operator()(const jp_rule& r) const {
    return absl::HashOf(r.cfa_offset, r.cfa_extra, r.fp_offset, r.kind, r.base, r.fp);
  }
};
struct RuleEqual {
  bool operator()(const jp_rule& a, const jp_rule& b) const {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  }
};

class Builder {
 public:
  Builder() { RuleOf(jp_rule{.kind = JP_RULE_NONE}); }

  absl::Status Add(const CallFrameSection& section) {
    if (section.bytes.size() > kMaxSectionBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(section.bytes.size(), " bytes of call-frame information"));
    }
    section_ = section;
    cies_.clear();
    const size_t first_piece = pieces_.size();
    for (size_t at = 0; at + 4 <= section.bytes.size();) {
      const size_t next = AddEntry(at);
      if (next <= at) break;
      at = next;
      if (rows_.size() > UnwindTable::kMaxRows || rules_.size() > UnwindTable::kMaxRules ||
          pieces_.size() > kMaxFdes) {
        return absl::ResourceExhaustedError("call-frame information of more rows than are kept");
      }
    }
    // Earlier sections come first among equals.
    std::stable_sort(pieces_.begin() + static_cast<ptrdiff_t>(first_piece), pieces_.end(),
                     [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
    sections_.push_back(first_piece);
    return absl::OkStatus();
  }

  // A single rule for some code, as if from a section of its own.
  void AddRule(uint64_t begin, uint64_t end, const jp_rule& rule) {
    sections_.push_back(pieces_.size());
    pieces_.push_back({begin, end, rows_.size(), 1});
    rows_.push_back({begin, RuleOf(rule)});
  }

  // What is described so far, sorted, without overlaps.
  std::vector<CodeRange> Described() const {
    std::vector<CodeRange> ranges;
    for (const Piece& piece : pieces_) ranges.push_back({piece.begin, piece.end});
    std::sort(ranges.begin(), ranges.end(),
              [](const CodeRange& a, const CodeRange& b) { return a.begin < b.begin; });
    std::vector<CodeRange> joined;
    for (const CodeRange& range : ranges) {
      if (!joined.empty() && range.begin < joined.back().end) {
        joined.back().end = std::max(joined.back().end, range.end);
      } else if (range.begin < range.end) {
        joined.push_back(range);
      }
    }
    return joined;
  }
  void AddFrames(const std::vector<CodeFrame>& frames) {
    sections_.push_back(pieces_.size());
    for (const CodeFrame& frame : frames) {
      pieces_.push_back({frame.begin, frame.end, rows_.size(), 1});
      rows_.push_back({frame.begin, RuleOf(frame.rule)});
    }
  }

  absl::StatusOr<UnwindTable> Build() const {
    // Each section in the gaps that those before it leave.
    std::vector<Piece> covered;
    for (size_t s = 0; s < sections_.size(); ++s) {
      const size_t end = s + 1 < sections_.size() ? sections_[s + 1] : pieces_.size();
      covered = FillGaps(covered, std::span(pieces_).subspan(sections_[s], end - sections_[s]));
    }
    std::vector<UnwindRow> rows;
    uint64_t at = 0;
    auto append = [&rows](uint64_t begin, uint32_t rule) {
      if (!rows.empty() && rows.back().rule == rule) return;
      rows.push_back({begin, rule});
    };
    for (const Piece& piece : covered) {
      if (!rows.empty() && piece.begin - at > kMaxPadding) append(at, 0);
      const std::span<const UnwindRow> own = std::span(rows_).subspan(piece.first, piece.count);
      // The rows of the piece may begin before what is left of it.
      auto row = std::upper_bound(own.begin(), own.end(), piece.begin,
                                  [](uint64_t b, const UnwindRow& r) { return b < r.begin; });
      append(piece.begin, row == own.begin() ? 0 : std::prev(row)->rule);
      for (; row != own.end() && row->begin < piece.end; ++row) append(row->begin, row->rule);
      at = piece.end;
      if (rows.size() > UnwindTable::kMaxRows) {
        return absl::ResourceExhaustedError("call-frame information of more rows than are kept");
      }
      if (at - rows.front().begin > UnwindTable::kMaxCode) {
        return absl::ResourceExhaustedError("call-frame information of too much code");
      }
    }
    if (rows.empty()) return UnwindTable();
    rows.push_back({at, 0});
    return UnwindTable(rows, rules_);
  }

 private:
  // `pieces` cut to what no earlier one covers, and those; both are sorted, `covered` has no
  // overlaps.
  static std::vector<Piece> FillGaps(const std::vector<Piece>& covered,
                                     std::span<const Piece> pieces) {
    std::vector<Piece> result;
    result.reserve(covered.size() + pieces.size());
    auto next = covered.begin();
    uint64_t end = 0;  // of what is covered so far
    for (const Piece& piece : pieces) {
      Piece rest = piece;
      while (rest.begin < rest.end) {
        while (next != covered.end() && next->begin <= rest.begin) {
          end = std::max(end, next->end);
          result.push_back(*next++);
        }
        rest.begin = std::max(rest.begin, end);
        Piece part = rest;
        if (next != covered.end()) part.end = std::min(part.end, next->begin);
        if (part.begin < part.end) result.push_back(part);
        end = std::max(end, part.end);
        rest.begin = std::max(rest.begin, part.end);
      }
    }
    result.insert(result.end(), next, covered.end());
    return result;
  }

  uint32_t RuleOf(const jp_rule& rule) {
    auto [it, added] = rule_numbers_.try_emplace(rule, static_cast<uint32_t>(rules_.size()));
    if (added) rules_.push_back(rule);
    return it->second;
  }

  uint32_t RuleOf(const State& s, bool is_signal) {
    jp_rule rule = {};
    auto fits = [](int64_t v) { return v == static_cast<int32_t>(v); };
    const bool offsets_fit = fits(s.offset) && fits(s.extra) && fits(s.fp_offset);
    rule.kind = JP_RULE_OTHER;
    if (s.ra == State::Saved::kUndefined) {
      rule.kind = JP_RULE_ROOT;
    } else if (is_signal) {
      // rt_sigframe: the kernel's struct ucontext is where rsp points at.
      constexpr int64_t kRbp = 120, kRsp = 160, kRip = 168;
      if (s.cfa == State::Cfa::kDeref && s.base == JP_REGISTER_RSP && s.offset == kRsp &&
          s.extra == 0 && s.ra == State::Saved::kAtSp && s.ra_offset == kRip &&
          s.fp == State::Saved::kAtSp && s.fp_offset == kRbp) {
        rule.kind = JP_RULE_SIGNAL;
      }
    } else if (offsets_fit && s.base < JP_REGISTERS && s.ra == State::Saved::kAtCfa &&
               s.ra_offset == -8 && s.cfa != State::Cfa::kUnset && s.cfa != State::Cfa::kOther &&
               (s.fp == State::Saved::kSame || s.fp == State::Saved::kAtCfa ||
                s.fp == State::Saved::kAtFp)) {
      rule.base = static_cast<__u8>(s.base);
      rule.cfa_offset = static_cast<__s32>(s.offset);
      rule.cfa_extra = static_cast<__s32>(s.extra);
      rule.kind = s.cfa == State::Cfa::kOffset  ? JP_RULE_OFFSET
                  : s.cfa == State::Cfa::kDeref ? JP_RULE_DEREF
                                                : JP_RULE_PLT;
      if (s.fp != State::Saved::kSame) {
        rule.fp = s.fp == State::Saved::kAtCfa ? JP_FP_AT_CFA : JP_FP_AT_FP;
        rule.fp_offset = static_cast<__s32>(s.fp_offset);
      }
      if (rule.kind == JP_RULE_OFFSET && rule.base == JP_REGISTER_RBP && rule.cfa_offset == 16 &&
          rule.fp == JP_FP_AT_CFA && rule.fp_offset == -16) {
        rule = {.kind = JP_RULE_FRAME};
      }
    }
    return RuleOf(rule);
  }

  // Returns where the next entry begins, 0 at the end.
  size_t AddEntry(size_t at) {
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

  const Cie* FindCie(uint64_t at) {
    auto it = cies_.find(at);
    if (it == cies_.end()) {
      if (cies_.size() >= kMaxCies) return nullptr;
      it = cies_.try_emplace(at, ParseCie(at)).first;
    }
    return &it->second;
  }

  Cie ParseCie(uint64_t at) {
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

  // An encoded pointer; `address` is where it lies.
  static uint64_t TakePointer(Reader& in, uint8_t encoding, uint64_t address) {
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

  void AddFde(const Cie& cie, Reader in, size_t body) {
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

  struct Range {
    uint64_t begin;
    uint64_t end;
    const State* initial;
  };

  // Runs a program from `location` on and appends its rows; those of a CIE (`range` null) have
  // none. False: it is damaged.
  bool Run(const Cie& cie, Reader in, uint64_t location, const Range* range, State& state) {
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

  CallFrameSection section_;
  absl::flat_hash_map<uint64_t, Cie> cies_;  // by where they begin in the section
  std::vector<State> remembered_;
  std::vector<UnwindRow> rows_;
  std::vector<jp_rule> rules_;
  absl::flat_hash_map<jp_rule, uint32_t, RuleHash, RuleEqual> rule_numbers_;
  std::vector<Piece> pieces_;
  std::vector<size_t> sections_;  // where the pieces of each begin
};

// mov $15 (rt_sigreturn), %rax; syscall. Where the kernel lets signal handlers return to.
constexpr uint8_t kSignalReturn[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
constexpr uint8_t kNop = 0x90;
constexpr uint64_t kMaxScannedCode = 4 << 20;
constexpr size_t kMaxSignalReturns = 16;

// Addresses of such code behind a nop, as C libraries have it.
std::vector<uint64_t> FindSignalReturns(const ElfFile& elf) {
  std::vector<uint64_t> found;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (!segment.executable || segment.file_size > kMaxScannedCode) continue;
    std::vector<uint8_t> code(segment.file_size);
    if (!elf.ReadAt(segment.begin, std::as_writable_bytes(std::span(code)))) continue;
    for (size_t at = 1; at < code.size() && found.size() < kMaxSignalReturns; ++at) {
      const void* match = ::memmem(code.data() + at, code.size() - at, kSignalReturn,
                                   sizeof(kSignalReturn));
      if (match == nullptr) break;
      at = static_cast<size_t>(static_cast<const uint8_t*>(match) - code.data());
      if (code[at - 1] == kNop) found.push_back(segment.begin.value + at);
    }
  }
  return found;
}

constexpr uint64_t kMaxFollowedCode = 8 << 20;
constexpr uint64_t kMinCodePerDescription = 64;

// Segments of code that may hold functions that no section describes, in numbers: of a file with
// hardly any sections, or a program without an interpreter, which has a C library in it. Go's
// programs are like that and keep frame pointers.
std::vector<ElfFile::Section> CodeToFollow(const ElfFile& elf, uint64_t described_bytes) {
  uint64_t size = 0;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (segment.executable) size += segment.file_size;
  }
  constexpr absl::string_view kNames[] = {".interp", ".gopclntab"};
  const auto places = elf.FindSections(kNames);
  Elf64_Ehdr header = {};
  const bool has_header =
      elf.ReadFile({0}, std::span(reinterpret_cast<uint8_t*>(&header), sizeof(header)));
  const bool is_static = has_header && header.e_entry != 0 && !places[0];
  if (size > kMaxFollowedCode || places[1] ||
      (!is_static && described_bytes * kMinCodePerDescription > size)) {
    return {};
  }
  std::vector<ElfFile::Section> result;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (!segment.executable) continue;
    ElfFile::Section code = {.address = segment.begin};
    code.bytes.resize(segment.file_size);
    if (elf.ReadAt(segment.begin, std::as_writable_bytes(std::span(code.bytes)))) {
      result.push_back(std::move(code));
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<UnwindTable> BuildUnwindTable(std::span<const CallFrameSection> sections) {
  Builder builder;
  for (const CallFrameSection& section : sections) {
    if (absl::Status added = builder.Add(section); !added.ok()) return added;
  }
  return builder.Build();
}

CallFrames::CallFrames(const ElfFile& elf) {
  if (!elf.is_x86_64()) return;
  bool signals = false;
  for (const char* name : {".eh_frame", ".debug_frame"}) {
    std::optional<ElfFile::Section> section = elf.ReadSection(name, kMaxSectionBytes);
    if (!section) continue;
    // Who describes some signal frame describes this one.
    signals |= ::memmem(section->bytes.data(), section->bytes.size(), "zRS", 4) != nullptr;
    sections_.push_back({*std::move(section), name[1] == 'e'});
  }
  if (!signals) signal_returns_ = FindSignalReturns(elf);
  uint64_t described_bytes = 0;
  for (const Section& section : sections_) described_bytes += section.content.bytes.size();
  code_ = CodeToFollow(elf, described_bytes);
  if (code_.empty()) return;
  for (ElfFile::Table table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
    // A damaged table has what it has.
    elf.ForEachSymbolEntry(table, [this](const ElfFile::SymbolEntry& symbol) {
         const uint64_t begin = symbol.address.value;
         if (symbol.type == STT_FUNC) functions_.push_back({begin, begin + symbol.size});
         return functions_.size() < kMaxFollowedCode;
       }).IgnoreError();
  }
}

Fingerprint CallFrames::FingerprintWith(const FingerprintKey& key) const {
  Fingerprinter fingerprinter(key);
  fingerprinter.AddValue(kBuilderVersion);
  for (const Section& section : sections_) {
    fingerprinter.AddValue(section.content.address.value).AddValue(uint64_t{section.is_eh_frame});
    fingerprinter.Add(std::as_bytes(std::span(section.content.bytes)));
  }
  fingerprinter.Add(std::as_bytes(std::span(signal_returns_)));
  for (const ElfFile::Section& code : code_) {
    fingerprinter.AddValue(code.address.value).Add(std::as_bytes(std::span(code.bytes)));
  }
  fingerprinter.Add(std::as_bytes(std::span(functions_)));
  return fingerprinter.Finish();
}

absl::StatusOr<UnwindTable> CallFrames::Build() const {
  Builder builder;
  for (const Section& section : sections_) {
    absl::Status added = builder.Add(
        {section.content.bytes, section.content.address.value, section.is_eh_frame});
    if (!added.ok()) return added;
  }
  for (uint64_t address : signal_returns_) {
    // What returns to the first instruction is looked up by the byte before it.
    builder.AddRule(address - 1, address + sizeof(kSignalReturn), {.kind = JP_RULE_SIGNAL});
  }
  const std::vector<CodeRange> described = builder.Described();
  for (const ElfFile::Section& code : code_) {
    builder.AddFrames(FramesOfCode(code.bytes, code.address.value, described, functions_));
  }
  return builder.Build();
}

}  // namespace jprof
