// The table that sections of call-frame information, and code beside them, make: a part of
// call_frames.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/unwind/call_frame_entry.h"
#include "profiler/unwind/call_frame_program.h"
#include "profiler/unwind/call_frame_reader.h"
#include "profiler/unwind/call_frames.h"
#include "profiler/unwind/code_frames.h"
#include "profiler/unwind/unwind_table.h"

namespace jprof::cfi {

inline constexpr size_t kMaxSectionBytes = size_t{64} << 20;

// A row of DWARF's table, as far as tables have it.
struct State {
  enum class Cfa : uint8_t { kUnset, kOffset, kDeref, kPlt, kOther };
  enum class Place : uint8_t { kSame, kAtCfa, kAtFp, kAtSp, kUndefined, kOther };

  Cfa cfa = Cfa::kUnset;
  uint64_t base = 0;
  int64_t offset = 0;
  int64_t extra = 0;
  Place fp = Place::kSame;
  int64_t fp_offset = 0;
  Place ra = Place::kSame;
  int64_t ra_offset = 0;

  friend bool operator==(const State&, const State&) = default;

  // For RunProgram().
  void SetCfa(uint64_t reg, int64_t to) {
    cfa = Cfa::kOffset;
    base = reg;
    offset = to;
    extra = 0;
  }
  bool SetCfaRegister(uint64_t reg) {
    base = reg;
    return cfa == Cfa::kOffset;
  }
  bool SetCfaOffset(int64_t to) {
    offset = to;
    return cfa == Cfa::kOffset;
  }
  void SetCfaExpression(std::span<const uint8_t> bytes);
  void SetSaved(uint64_t reg, Saved saved, int64_t at);
  void SetInRegister(uint64_t reg, uint64_t) { Set(reg, Place::kOther, 0); }
  void SetExpression(uint64_t reg, std::span<const uint8_t> bytes, bool is_value);
  void Restore(uint64_t reg, const State& initial);

 private:
  void Set(uint64_t reg, Place place, int64_t at);
};

struct Cie {
  bool valid = false;
  CieHead head;
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

  // Everything that the section describes. ResourceExhausted: more than is kept.
  absl::Status Add(const CallFrameSection& section);
  // A single rule for some code, as if from a section of its own.
  void AddRule(uint64_t begin, uint64_t end, const jp_rule& rule);
  // What is described so far, sorted, without overlaps.
  std::vector<CodeRange> Described() const;
  void AddFrames(const std::vector<CodeFrame>& frames);

  absl::StatusOr<UnwindTable> Build() const;

 private:
  // call_frame_builder.cc
  // `pieces` cut to what no earlier one covers, and those; both are sorted, `covered` has no
  // overlaps.
  static std::vector<Piece> FillGaps(const std::vector<Piece>& covered,
                                     std::span<const Piece> pieces);
  uint32_t RuleOf(const jp_rule& rule);
  uint32_t RuleOf(const State& s, bool is_signal);

  // call_frame_program.cc
  // Returns where the next entry begins, 0 at the end.
  size_t AddEntry(size_t at);
  const Cie* FindCie(uint64_t at);
  Cie ParseCie(uint64_t at);
  void AddFde(const Cie& cie, Reader in, uint64_t address);

  CallFrameSection section_;
  absl::flat_hash_map<uint64_t, Cie> cies_;  // by where they begin in the section
  CieBudget cie_budget_{0};
  std::vector<State> remembered_;
  std::vector<UnwindRow> rows_;
  std::vector<jp_rule> rules_;
  absl::flat_hash_map<jp_rule, uint32_t, RuleHash, RuleEqual> rule_numbers_;
  std::vector<Piece> pieces_;
  std::vector<size_t> sections_;  // where the pieces of each begin
};

}  // namespace jprof::cfi
