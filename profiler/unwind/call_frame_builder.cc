#include "profiler/unwind/call_frame_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace jprof::cfi {
namespace {

constexpr size_t kMaxFdes = 2'000'000;
// Bytes between functions that are never executed, but would each need a row.
constexpr uint64_t kMaxPadding = 15;

}  // namespace

absl::Status Builder::Add(const CallFrameSection& section) {
  if (section.bytes.size() > kMaxSectionBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(section.bytes.size(), " bytes of call-frame information"));
  }
  section_ = section;
  cies_.clear();
  cie_budget_ = CieBudget(section.bytes.size());
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

void Builder::AddRule(uint64_t begin, uint64_t end, const jp_rule& rule) {
  sections_.push_back(pieces_.size());
  pieces_.push_back({begin, end, rows_.size(), 1});
  rows_.push_back({begin, RuleOf(rule)});
}

std::vector<CodeRange> Builder::Described() const {
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

void Builder::AddFrames(const std::vector<CodeFrame>& frames) {
  sections_.push_back(pieces_.size());
  for (const CodeFrame& frame : frames) {
    pieces_.push_back({frame.begin, frame.end, rows_.size(), 1});
    rows_.push_back({frame.begin, RuleOf(frame.rule)});
  }
}

absl::StatusOr<UnwindTable> Builder::Build() const {
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

std::vector<Piece> Builder::FillGaps(const std::vector<Piece>& covered,
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

uint32_t Builder::RuleOf(const jp_rule& rule) {
  auto [it, added] = rule_numbers_.try_emplace(rule, static_cast<uint32_t>(rules_.size()));
  if (added) rules_.push_back(rule);
  return it->second;
}

uint32_t Builder::RuleOf(const State& s, bool is_signal) {
  jp_rule rule = {};
  auto fits = [](int64_t v) { return v == static_cast<int32_t>(v); };
  const bool offsets_fit = fits(s.offset) && fits(s.extra) && fits(s.fp_offset);
  rule.kind = JP_RULE_OTHER;
  if (s.ra == State::Place::kUndefined) {
    rule.kind = JP_RULE_ROOT;
  } else if (is_signal) {
    // rt_sigframe: the kernel's struct ucontext is where rsp points at.
    constexpr int64_t kRbp = 120, kRsp = 160, kRip = 168;
    if (s.cfa == State::Cfa::kDeref && s.base == JP_REGISTER_RSP && s.offset == kRsp &&
        s.extra == 0 && s.ra == State::Place::kAtSp && s.ra_offset == kRip &&
        s.fp == State::Place::kAtSp && s.fp_offset == kRbp) {
      rule.kind = JP_RULE_SIGNAL;
    }
  } else if (offsets_fit && s.base < JP_REGISTERS && s.ra == State::Place::kAtCfa &&
             s.ra_offset == -8 && s.cfa != State::Cfa::kUnset && s.cfa != State::Cfa::kOther &&
             (s.fp == State::Place::kSame || s.fp == State::Place::kAtCfa ||
              s.fp == State::Place::kAtFp)) {
    rule.base = static_cast<__u8>(s.base);
    rule.cfa_offset = static_cast<__s32>(s.offset);
    rule.cfa_extra = static_cast<__s32>(s.extra);
    rule.kind = s.cfa == State::Cfa::kOffset  ? JP_RULE_OFFSET
                : s.cfa == State::Cfa::kDeref ? JP_RULE_DEREF
                                              : JP_RULE_PLT;
    if (s.fp != State::Place::kSame) {
      rule.fp = s.fp == State::Place::kAtCfa ? JP_FP_AT_CFA : JP_FP_AT_FP;
      rule.fp_offset = static_cast<__s32>(s.fp_offset);
    }
    if (rule.kind == JP_RULE_OFFSET && rule.base == JP_REGISTER_RBP && rule.cfa_offset == 16 &&
        rule.fp == JP_FP_AT_CFA && rule.fp_offset == -16) {
      rule = {.kind = JP_RULE_FRAME};
    }
  }
  return RuleOf(rule);
}

}  // namespace jprof::cfi
