#include "profiler/unwind/code_frames.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "profiler/unwind/x86_instruction.h"

namespace jprof {
namespace {

// As instructions number them.
constexpr uint8_t kRsp = 4;
constexpr uint8_t kRbp = 5;
constexpr int64_t kMaxDepth = 1 << 24;
constexpr size_t kMaxInstructions = 1 << 16;  // of one function
constexpr int kMaxEntryInstructions = 32;
// Of instructions followed, those of functions that fail included.
constexpr uint64_t kFirstSteps = 1 << 16;
constexpr uint64_t kStepsPerByte = 3;
constexpr uint64_t kMaxSteps = 6'000'000;
constexpr int kPasses = 3;

// Before an instruction.
struct State {
  bool sp_known = true;
  int32_t depth = 8;    // CFA - rsp, if that is known
  int32_t fp_depth = 0; // CFA - rbp; 0: rbp is no frame pointer
  int32_t saved = 0;    // the caller's rbp is at CFA - saved; 0: in rbp

  friend bool operator==(const State&, const State&) = default;
};

bool IsEntryState(const State& s) { return s == State(); }

jp_rule RuleOf(const State& s) {
  jp_rule rule = {.kind = JP_RULE_OFFSET};
  if (s.sp_known) {
    rule.base = JP_REGISTER_RSP;
    rule.cfa_offset = s.depth;
  } else {
    rule.base = JP_REGISTER_RBP;
    rule.cfa_offset = s.fp_depth;
  }
  if (s.saved != 0) {
    rule.fp = JP_FP_AT_CFA;
    rule.fp_offset = -s.saved;
  }
  return rule;
}

// What follows an instruction.
enum class Flow { kNext, kEnd, kJump, kBranch, kIndirect, kBad };

bool IsOpcode(const X86Instruction& i, uint8_t opcode) {
  return i.map == 0 && !i.is_vex && i.opcode == opcode;
}

// The general register that it writes all of, or kNone; of the instructions that compilers compute
// addresses and values with.
constexpr uint8_t kNoRegister = 0xff;
uint8_t Written(const X86Instruction& i) {
  if (i.is_vex) return kNoRegister;
  const uint8_t op = i.opcode;
  if (i.map == 1) {
    const bool to_reg = (op >= 0x40 && op <= 0x4f) || op == 0xaf || op == 0xb6 || op == 0xb7 ||
                        (op >= 0xb8 && op <= 0xbf && op != 0xba && op != 0xbb);
    return to_reg ? i.reg : op >= 0xc8 && op <= 0xcf ? i.opcode_register : kNoRegister;
  }
  if (i.map != 0) return kNoRegister;
  if (op >= 0xb8 && op <= 0xbf) return i.opcode_register;
  if (op >= 0x91 && op <= 0x97) return i.opcode_register;
  if (!i.has_modrm) return kNoRegister;
  const bool computes = op < 0x38;  // not cmp
  if ((computes && (op & 7) == 3) || op == 0x8b || op == 0x8d || op == 0x63 || op == 0x69 ||
      op == 0x6b) {
    return i.reg;
  }
  if (i.mod != 3) return kNoRegister;
  const bool group = (op == 0x81 || op == 0x83) && (i.reg & 7) != 7;
  const bool unary = (op == 0xf7 && ((i.reg & 7) == 2 || (i.reg & 7) == 3)) ||
                     (op == 0xff && (i.reg & 7) < 2);
  const bool shifts = op == 0xc1 || op == 0xd1 || op == 0xd3;
  if ((computes && (op & 7) == 1) || op == 0x89 || op == 0xc7 || op == 0x87 || group || unary ||
      shifts) {
    return i.rm;
  }
  return kNoRegister;
}

// Applies an instruction to `s`.
Flow Step(const X86Instruction& i, State& s) {
  auto push = [&](int32_t size) { s.depth += size; };
  auto plain = [&](uint8_t op) { return IsOpcode(i, op); };
  if (s.depth < 8 || s.depth > kMaxDepth) return Flow::kBad;
  if (i.map == 0 && !i.is_vex) {
    const uint8_t op = i.opcode;
    if (op >= 0x50 && op <= 0x57) {  // push
      if (i.operand_16) return Flow::kBad;
      push(8);
      if (i.opcode_register == kRbp && s.saved == 0) {
        if (!s.sp_known) return Flow::kBad;
        s.saved = s.depth;
      }
      return Flow::kNext;
    }
    if (op >= 0x58 && op <= 0x5f) {  // pop
      if (i.operand_16 || !s.sp_known || i.opcode_register == kRsp) return Flow::kBad;
      if (i.opcode_register == kRbp) {
        if (s.saved == s.depth) s.saved = 0;
        s.fp_depth = 0;
      } else if (s.saved == s.depth) {
        return Flow::kBad;  // what holds the caller's rbp is given up
      }
      s.depth -= 8;
      return s.depth < 8 ? Flow::kBad : Flow::kNext;
    }
    switch (op) {
      case 0x68:
      case 0x6a:
        push(8);
        return Flow::kNext;
      case 0x8f:  // pop to memory
        if (!s.sp_known) return Flow::kBad;
        s.depth -= 8;
        return s.depth < 8 ? Flow::kBad : Flow::kNext;
      case 0x9c:
        push(8);
        return Flow::kNext;
      case 0x9d:
        s.depth -= 8;
        return s.depth < 8 || !s.sp_known ? Flow::kBad : Flow::kNext;
      case 0xc2:
      case 0xc3:
        return s.sp_known && s.depth == 8 && s.saved == 0 ? Flow::kEnd : Flow::kBad;
      case 0xc8:
        return Flow::kBad;
      case 0xc9:  // leave
        if (s.fp_depth == 0 || s.saved != s.fp_depth) return Flow::kBad;
        s.sp_known = true;
        s.depth = s.fp_depth - 8;
        s.fp_depth = s.saved = 0;
        return s.depth < 8 ? Flow::kBad : Flow::kNext;
      case 0xcc:
      case 0xf4:
        return Flow::kEnd;
      case 0xe8:
        return i.operand_16 ? Flow::kBad : Flow::kNext;
      case 0xe9:
      case 0xeb:
        return i.operand_16 ? Flow::kBad : Flow::kJump;
      case 0xcf:
      case 0xca:
      case 0xcb:
        return Flow::kBad;
      case 0xff:
        if ((i.reg & 7) == 4) return Flow::kIndirect;
        if ((i.reg & 7) == 6) push(8);
        if ((i.reg & 7) == 5 || (i.reg & 7) == 3) return Flow::kBad;
        break;
      default:
        break;
    }
    if ((op >= 0x70 && op <= 0x7f) || (op >= 0xe0 && op <= 0xe3)) return Flow::kBranch;
  }
  if (i.map == 1 && !i.is_vex) {
    if (i.opcode == 0x0b) return Flow::kEnd;
    if (i.opcode >= 0x80 && i.opcode <= 0x8f) return Flow::kBranch;
  }

  const uint8_t written = Written(i);
  if (written == kRsp) {
    const bool to_rsp = i.wide && i.mod == 3 && i.rm == kRsp;
    if (to_rsp && (plain(0x83) || plain(0x81)) && ((i.reg & 7) == 0 || (i.reg & 7) == 5)) {
      const int64_t depth = s.depth + ((i.reg & 7) == 5 ? i.immediate : -i.immediate);
      if (depth < 8 || depth > kMaxDepth) return Flow::kBad;
      s.depth = static_cast<int32_t>(depth);
    } else if (plain(0x8d) && i.wide && i.plain_base && i.rm == kRsp) {
      const int64_t depth = int64_t{s.depth} - i.displacement;
      if (depth < 8 || depth > kMaxDepth) return Flow::kBad;
      s.depth = static_cast<int32_t>(depth);
    } else if (const bool from_rbp = i.wide && ((plain(0x89) && i.reg == kRbp) ||
                                                (plain(0x8b) && i.mod == 3 && i.rm == kRbp) ||
                                                (plain(0x8d) && i.plain_base && i.rm == kRbp));
               from_rbp && s.fp_depth != 0) {
      const int64_t depth = int64_t{s.fp_depth} - (plain(0x8d) ? i.displacement : 0);
      if (depth < 8 || depth > kMaxDepth) return Flow::kBad;
      s.sp_known = true;
      s.depth = static_cast<int32_t>(depth);
    } else {
      // Realigned, or room of a size that only the program knows.
      s.sp_known = false;
      s.depth = 8;
    }
  } else if (written == kRbp) {
    const bool from_rsp = i.wide && s.sp_known &&
                          ((plain(0x89) && i.reg == kRsp) ||
                           (plain(0x8b) && i.mod == 3 && i.rm == kRsp));
    if (s.saved == 0) return Flow::kBad;  // the caller's is gone, or saved in a way not seen
    s.fp_depth = from_rsp ? s.depth : 0;
  }
  return s.sp_known || s.fp_depth != 0 ? Flow::kNext : Flow::kBad;
}

class Analysis {
 public:
  Analysis(std::span<const uint8_t> code, uint64_t address, std::span<const CodeRange> described,
           std::span<const CodeRange> functions, uint64_t entry)
      : code_(code),
        address_(address),
        described_(code.size()),
        begins_(code.size()) {
    for (const CodeRange& range : described) {
      for (uint64_t at = std::max(range.begin, address_);
           at < range.end && at - address_ < code_.size(); ++at) {
        described_[at - address_] = true;
      }
      if (Has(range.begin)) begins_[range.begin - address_] = true;
    }
    done_ = described_;
    for (const CodeRange& range : described) LookThrough(range);
    if (entry != 0) LookAtEntry(entry);
    for (const CodeRange& function : functions) {
      Found(function.begin, strong_);
      if (Has(function.begin) && Has(function.end - 1)) ends_[function.begin] = function.end;
    }
    first_strong_ = strong_;
    first_weak_ = weak_;
  }

  std::vector<CodeFrame> Run() {
    // What a function does depends on which of those that it calls return.
    for (int pass = 0; pass < kPasses; ++pass) {
      const size_t known = never_return_.size() + return_.size();
      FollowAll();
      if (never_return_.size() + return_.size() == known) break;
    }
    std::sort(frames_.begin(), frames_.end(),
              [](const CodeFrame& a, const CodeFrame& b) { return a.begin < b.begin; });
    // Instructions may overlap: a jump behind another one's prefix.
    for (size_t i = 1; i < frames_.size(); ++i) {
      frames_[i - 1].end = std::min(frames_[i - 1].end, frames_[i].begin);
    }
    std::erase_if(frames_, [](const CodeFrame& frame) { return frame.begin == frame.end; });
    return std::move(frames_);
  }

 private:
  void FollowAll() {
    steps_left_ = std::min(kMaxSteps, kFirstSteps + kStepsPerByte * code_.size());
    done_ = described_;
    tried_.assign(code_.size(), false);
    strong_ = first_strong_;
    weak_ = first_weak_;
    frames_.clear();
    while (steps_left_ > 0 && (!strong_.empty() || !weak_.empty())) {
      std::vector<uint64_t>& from = strong_.empty() ? weak_ : strong_;
      const uint64_t function = from.back();
      from.pop_back();
      if (done_[function - address_] || tried_[function - address_]) continue;
      tried_[function - address_] = true;
      Follow(function);
    }
  }

  bool Has(uint64_t at) const { return at - address_ < code_.size(); }
  std::optional<X86Instruction> Decode(uint64_t at) const {
    return DecodeX86(code_.subspan(at - address_));
  }

  void Found(uint64_t function, std::vector<uint64_t>& where) {
    if (!Has(function)) return;
    if (&where == &strong_) begins_[function - address_] = true;
    if (!done_[function - address_]) where.push_back(function);
  }

  // Functions that an instruction calls or takes the address of.
  void Note(const X86Instruction& i, uint64_t next) {
    if (IsOpcode(i, 0xe8)) {
      Found(next + static_cast<uint64_t>(i.immediate), strong_);
    } else if (IsOpcode(i, 0x8d) && i.rip_relative) {
      Found(next + static_cast<uint64_t>(int64_t{i.displacement}), weak_);
    } else if (i.map == 0 && !i.is_vex && i.opcode >= 0xb8 && i.opcode <= 0xbf && !i.wide) {
      Found(static_cast<uint32_t>(i.immediate), weak_);
    } else if (IsOpcode(i, 0xc7) && i.wide && i.mod == 3) {
      Found(static_cast<uint64_t>(i.immediate), weak_);
    }
  }

  void LookThrough(const CodeRange& range) {
    for (uint64_t at = range.begin; at < range.end && Has(at);) {
      const std::optional<X86Instruction> i = Decode(at);
      if (!i) return;
      at += i->size;
      Note(*i, at);
      if (IsOpcode(*i, 0xe9)) Found(at + static_cast<uint64_t>(i->immediate), weak_);
    }
  }

  // Where the program starts, up to the first call, which need not return.
  void LookAtEntry(uint64_t at) {
    for (int left = kMaxEntryInstructions; left > 0 && Has(at); --left) {
      const std::optional<X86Instruction> i = Decode(at);
      if (!i) return;
      at += i->size;
      Note(*i, at);
      for (uint8_t away : {0xe8, 0xe9, 0xeb, 0xff, 0xc3}) {
        if (IsOpcode(*i, away)) return;
      }
    }
  }

  // One function; keeps its frames if all of it is as it should be.
  void Follow(uint64_t function) {
    visited_.clear();
    calls_.clear();
    targets_.clear();
    last_ = whole_to_ = function;
    if (auto end = ends_.find(function); end != ends_.end() && end->second > function) {
      last_ = end->second - 1;
    }
    std::vector<std::pair<uint64_t, State>> ways = {{function, State()}};
    std::optional<State> at_table;
    bool one_table_state = true;
    while (true) {
      while (!ways.empty()) {
        auto [at, state] = ways.back();
        ways.pop_back();
        if (!FollowWay(function, at, state, ways, at_table, one_table_state)) return;
      }
      // The targets of its tables.
      if (!at_table || !one_table_state) break;
      const std::optional<uint64_t> gap = NextGap();
      if (!gap) break;
      ways.emplace_back(*gap, *at_table);
      targets_.push_back(*gap);
    }
    if (LeavesAtAll()) {
      return_.insert(function);
      never_return_.erase(function);
      if (!DropWhatNeverLeaves()) return;
    } else {
      never_return_.insert(function);
      return_.erase(function);
      DropBehindUnknownCalls(function);
    }
    Keep();
  }

  bool FollowWay(uint64_t function, uint64_t at, State state,
                 std::vector<std::pair<uint64_t, State>>& ways, std::optional<State>& at_table,
                 bool& one_table_state) {
    while (true) {
      if (!Has(at)) return false;
      if (at != function && (done_[at - address_] || begins_[at - address_])) {
        // Another function: behind a call that never returns, or a jump to its begin.
        return true;
      }
      const std::optional<X86Instruction> i = Decode(at);
      if (!i) return false;
      auto [known, added] = visited_.try_emplace(at, Visited{.state = state, .size = i->size});
      if (!added) return known->second.state == state;
      Visited& visited = known->second;
      last_ = std::max(last_, at);
      if (visited_.size() > kMaxInstructions || !Spend(1)) return false;
      const uint64_t next = at + i->size;
      const uint64_t target = next + static_cast<uint64_t>(i->immediate);
      const State before = state;
      visited.next = next;
      if (!IsOpcode(*i, 0xff)) visited.target = target;
      switch (visited.flow = Step(*i, state)) {
        case Flow::kBad:
          return false;
        case Flow::kEnd:
          visited.leaves = IsOpcode(*i, 0xc3) || IsOpcode(*i, 0xc2);
          return true;
        case Flow::kIndirect:
          visited.leaves = IsEntryState(before);  // a tail call
          if (visited.leaves) return true;
          one_table_state &= !at_table || *at_table == before;
          at_table = before;
          return true;
        case Flow::kJump:
          if (IsEntryState(state) && (target < function || IsBegin(target))) {
            visited.leaves = !never_return_.contains(target);
            calls_.emplace_back(*i, next);  // a tail call
            return true;
          }
          at = target;
          continue;
        case Flow::kBranch:
          ways.emplace_back(target, state);
          break;
        case Flow::kNext:
          calls_.emplace_back(*i, next);
          visited.is_call = IsOpcode(*i, 0xe8) || (IsOpcode(*i, 0xff) && (i->reg & 7) == 2);
          if (visited.is_call && never_return_.contains(visited.target)) return true;
          break;
      }
      at = next;
    }
  }

  bool Spend(uint64_t steps) {
    if (steps > steps_left_) steps_left_ = 0;
    steps_left_ -= std::min(steps, steps_left_);
    return steps_left_ > 0;
  }

  bool IsBegin(uint64_t at) const { return Has(at) && begins_[at - address_]; }

  // The first code behind an instruction of the function that no way led to, before its last one.
  std::optional<uint64_t> NextGap() {
    while (whole_to_ < last_ && Spend(1)) {
      auto visited = visited_.find(whole_to_);
      if (visited == visited_.end()) {
        const uint64_t offset = whole_to_ - address_;
        if (!Has(whole_to_) || done_[offset] || begins_[offset]) return std::nullopt;
        return whole_to_;
      }
      whole_to_ += visited->second.size;
    }
    return std::nullopt;
  }

  bool LeavesAtAll() const {
    return std::any_of(visited_.begin(), visited_.end(),
                       [](const auto& entry) { return entry.second.leaves; });
  }

  // In a function that returns, what no way leads to a return from was not checked: it may lie
  // behind a call that does not return, and be another function's.
  bool DropWhatNeverLeaves() {
    std::vector<std::pair<uint64_t, Visited*>> backwards;
    for (auto& [at, visited] : visited_) backwards.emplace_back(at, &visited);
    std::sort(backwards.begin(), backwards.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    auto leaves = [this](uint64_t at) {
      auto found = visited_.find(at);
      return found != visited_.end() && found->second.leaves;
    };
    for (bool changed = true; changed;) {
      if (!Spend(backwards.size())) return false;
      changed = false;
      const bool table_leaves = std::any_of(targets_.begin(), targets_.end(), leaves);
      for (auto& [at, visited] : backwards) {
        if (visited->leaves) continue;
        const Flow flow = visited->flow;
        visited->leaves =
            ((flow == Flow::kNext || flow == Flow::kBranch) && leaves(visited->next)) ||
            ((flow == Flow::kJump || flow == Flow::kBranch) && leaves(visited->target)) ||
            (flow == Flow::kIndirect && table_leaves);
        changed |= visited->leaves;
      }
    }
    absl::erase_if(visited_, [](const auto& entry) { return !entry.second.leaves; });
    return true;
  }

  // A function that never returns was not checked at all. It is believed up to calls of what may
  // not return either: another function may begin behind them.
  void DropBehindUnknownCalls(uint64_t function) {
    std::vector<uint64_t> ways = {function};
    ways.insert(ways.end(), targets_.begin(), targets_.end());
    while (!ways.empty()) {
      auto found = visited_.find(ways.back());
      ways.pop_back();
      if (found == visited_.end() || std::exchange(found->second.leaves, true)) continue;
      const Visited& visited = found->second;
      if (visited.flow == Flow::kJump || visited.flow == Flow::kBranch) {
        ways.push_back(visited.target);
      }
      if (visited.flow == Flow::kBranch ||
          (visited.flow == Flow::kNext && (!visited.is_call || return_.contains(visited.target)))) {
        ways.push_back(visited.next);
      }
    }
    absl::erase_if(visited_, [](const auto& entry) { return !entry.second.leaves; });
  }

  void Keep() {
    for (const auto& [instruction, next] : calls_) {
      Note(instruction, next);
      if (IsOpcode(instruction, 0xe9) || IsOpcode(instruction, 0xeb)) {
        Found(next + static_cast<uint64_t>(instruction.immediate), strong_);
      }
    }
    for (const auto& [at, visited] : visited_) {
      frames_.push_back({at, at + visited.size, RuleOf(visited.state)});
      std::fill_n(done_.begin() + static_cast<ptrdiff_t>(at - address_), visited.size, true);
    }
  }

  struct Visited {
    State state;
    uint8_t size = 0;
    Flow flow = Flow::kNext;
    bool leaves = false;  // the function, or another way from here does; then: to be kept
    bool is_call = false;
    uint64_t next = 0;
    uint64_t target = 0;  // of a jump or call
  };

  const std::span<const uint8_t> code_;
  const uint64_t address_;
  uint64_t steps_left_ = 0;
  std::vector<bool> described_;  // by the offset in the code
  std::vector<bool> done_;       // has frames
  std::vector<bool> begins_;     // of functions
  std::vector<bool> tried_;      // followed from there
  std::vector<uint64_t> strong_;
  std::vector<uint64_t> weak_;  // what may be functions
  absl::flat_hash_map<uint64_t, uint64_t> ends_;  // of functions, as far as they are known
  std::vector<uint64_t> first_strong_;
  std::vector<uint64_t> first_weak_;
  absl::flat_hash_set<uint64_t> never_return_;
  absl::flat_hash_set<uint64_t> return_;
  absl::flat_hash_map<uint64_t, Visited> visited_;
  std::vector<std::pair<X86Instruction, uint64_t>> calls_;  // and all else, with what follows
  uint64_t last_ = 0;      // instruction of the function
  uint64_t whole_to_ = 0;  // all before it is visited
  std::vector<uint64_t> targets_;  // of tables, as far as they were found
  std::vector<CodeFrame> frames_;
};

}  // namespace

std::vector<CodeFrame> FramesOfCode(std::span<const uint8_t> code, uint64_t address,
                                    std::span<const CodeRange> described,
                                    std::span<const CodeRange> functions, uint64_t entry) {
  return Analysis(code, address, described, functions, entry).Run();
}

}  // namespace jprof
