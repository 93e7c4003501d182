#include "symbolize/register_rows.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/debug_section.h"

namespace jprof {
namespace {

constexpr uint64_t kMaxSectionBytes = uint64_t{128} << 20;
constexpr uint32_t kRegisters = 17;  // of x86-64, with the return address
constexpr size_t kMaxRemembered = 64;
constexpr size_t kMaxCies = 1 << 16;  // that are known at a time
constexpr size_t kMaxExpressionBytes = 1024;

// Pointer encodings, LSB 10.5.1.
constexpr uint8_t kOmit = 0xff;
constexpr uint8_t kPcRelative = 0x10;
constexpr uint8_t kApplication = 0xf0;  // the part that says how the number is to be taken

enum Instruction : uint8_t {
  kNop = 0x00,
  kSetLoc = 0x01,
  kAdvanceLoc1 = 0x02,
  kAdvanceLoc2 = 0x03,
  kAdvanceLoc4 = 0x04,
  kOffsetExtended = 0x05,
  kRestoreExtended = 0x06,
  kUndefined = 0x07,
  kSameValue = 0x08,
  kRegister = 0x09,
  kRememberState = 0x0a,
  kRestoreState = 0x0b,
  kDefCfa = 0x0c,
  kDefCfaRegister = 0x0d,
  kDefCfaOffset = 0x0e,
  kDefCfaExpression = 0x0f,
  kExpression = 0x10,
  kOffsetExtendedSf = 0x11,
  kDefCfaSf = 0x12,
  kDefCfaOffsetSf = 0x13,
  kValOffset = 0x14,
  kValOffsetSf = 0x15,
  kValExpression = 0x16,
  kGnuArgsSize = 0x2e,
  // With an operand in the lower six bits.
  kAdvanceLoc = 0x40,
  kOffset = 0x80,
  kRestore = 0xc0,
};

struct State {
  uint64_t cfa_register = UINT64_MAX;
  int64_t cfa_offset = 0;
  std::string cfa_expression;  // "": by register and offset
  std::array<RegisterRule, kRegisters> rules;
  std::array<bool, kRegisters> said = {};
};

struct Cie {
  bool valid = false;
  uint8_t encoding = 0;
  bool has_augmentation = false;
  uint64_t code_align = 1;
  int64_t data_align = 1;
  std::span<const uint8_t> program;
};

void AppendSleb(int64_t value, std::string& out) {
  for (;;) {
    const auto byte = static_cast<uint8_t>(value & 0x7f);
    value >>= 7;
    const bool last = (value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40));
    out += static_cast<char>(last ? byte : byte | 0x80);
    if (last) return;
  }
}

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, uint64_t address, bool is_eh_frame,
         std::span<const ElfAddress> addresses, WorkBudget& budget, std::vector<RegisterRow>& rows)
      : bytes_(bytes),
        address_(address),
        is_eh_frame_(is_eh_frame),
        addresses_(addresses),
        budget_(budget),
        rows_(rows) {}

  void Run() {
    for (uint64_t at = 0; at < bytes_.size() && budget_.Spend();) {
      const uint64_t next = ReadEntry(at);
      if (next <= at) return;
      at = next;
    }
  }

 private:
  // The head of a CIE or an FDE.
  struct Entry {
    uint64_t begin = 0;  // behind the length
    uint64_t body = 0;   // behind the id
    uint64_t end = 0;
    uint64_t id = 0;  // of an FDE: where its CIE is
    bool is_cie = false;
  };

  std::optional<Entry> EntryAt(uint64_t at) const {
    ByteCursor c(bytes_);
    c.Seek(at);
    uint64_t length = c.U32();
    const bool wide = length == UINT32_MAX;
    if (wide) length = c.U64();
    Entry entry = {.begin = c.position()};
    if (!c.ok() || length > bytes_.size() - entry.begin) return std::nullopt;
    entry.body = entry.end = entry.begin + length;
    if (length == 0) return entry;
    // In .eh_frame it has four bytes whatever the length has.
    entry.id = wide && !is_eh_frame_ ? c.U64() : c.U32();
    entry.body = c.position();
    entry.is_cie = is_eh_frame_ ? entry.id == 0 : entry.id == (wide ? UINT64_MAX : UINT32_MAX);
    return entry;
  }

  // What follows the entry; 0: nothing that can be read.
  uint64_t ReadEntry(uint64_t at) {
    const std::optional<Entry> entry = EntryAt(at);
    if (!entry) return 0;
    if (entry->begin == entry->end) return is_eh_frame_ ? 0 : entry->end;
    if (entry->is_cie) return entry->end;
    const Cie& cie = CieAt(is_eh_frame_ ? entry->begin - entry->id : entry->id);
    if (cie.valid) ReadFde(cie, ByteCursor(bytes_.subspan(0, entry->end)), entry->body);
    return entry->end;
  }

  const Cie& CieAt(uint64_t at) {
    if (cies_.size() > kMaxCies) cies_.clear();
    auto [it, added] = cies_.try_emplace(at);
    if (added && at < bytes_.size()) it->second = ReadCie(at);
    return it->second;
  }

  Cie ReadCie(uint64_t at) {
    const std::optional<Entry> entry = EntryAt(at);
    if (!entry || !entry->is_cie) return {};
    ByteCursor c(bytes_.subspan(0, entry->end));
    c.Seek(entry->body);
    Cie cie;
    const uint8_t version = c.U8();
    const absl::string_view augmentation = c.String();
    if (version != 1 && version != 3 && version != 4) return {};
    if (version == 4 && (c.U8() != 8 || c.U8() != 0)) return {};  // bytes of addresses, segments
    cie.code_align = c.Uleb();
    cie.data_align = c.Sleb();
    const uint64_t return_column = version == 1 ? c.U8() : c.Uleb();
    uint64_t program = c.position();
    if (!augmentation.empty()) {
      if (augmentation[0] != 'z') return {};
      cie.has_augmentation = true;
      const uint64_t size = c.Uleb();
      program = c.position() + size;
      for (char letter : augmentation.substr(1)) {
        if (letter == 'L') c.U8();
        if (letter == 'R') cie.encoding = c.U8();
        if (letter == 'P') Pointer(c, c.U8());
      }
    }
    if (!c.ok() || return_column != kRegisters - 1 || !c.Seek(program)) return {};
    cie.program = c.Bytes(c.left());
    cie.valid = true;
    return cie;
  }

  // The number at the cursor; what is not encoded plainly makes the cursor fail.
  uint64_t Pointer(ByteCursor& c, uint8_t encoding) const {
    if (encoding == kOmit) return 0;
    const uint64_t place = address_ + c.position();
    uint64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        value = c.U64();
        break;
      case 0x01:
        value = c.Uleb();
        break;
      case 0x02:
        value = c.U16();
        break;
      case 0x03:
        value = c.U32();
        break;
      case 0x09:
        value = static_cast<uint64_t>(c.Sleb());
        break;
      case 0x0a:
        value = static_cast<uint64_t>(int64_t{static_cast<int16_t>(c.U16())});
        break;
      case 0x0b:
        value = static_cast<uint64_t>(int64_t{static_cast<int32_t>(c.U32())});
        break;
      default:
        c.Skip(UINT64_MAX);
    }
    if ((encoding & kApplication) == kPcRelative) value += place;
    return value;
  }

  void ReadFde(const Cie& cie, ByteCursor c, uint64_t position) {
    c.Seek(position);
    // Absolute or relative to itself; and not the address of a pointer.
    const uint8_t application = cie.encoding & kApplication;
    if (application != 0 && application != kPcRelative) return;
    const uint64_t begin = Pointer(c, cie.encoding);
    const uint64_t size = Pointer(c, cie.encoding & 0x0f);
    // Functions that the linker dropped are at 0.
    if (!c.ok() || begin == 0) return;
    const auto first = std::lower_bound(addresses_.begin(), addresses_.end(), begin,
                                        [](ElfAddress a, uint64_t b) { return a.value < b; });
    if (first == addresses_.end() || first->value - begin >= size) return;
    if (cie.has_augmentation) c.Skip(c.Uleb());
    const std::span<const uint8_t> program = c.Bytes(c.left());
    if (!c.ok()) return;
    for (auto it = first; it != addresses_.end() && it->value - begin < size; ++it) {
      RegisterRow& row = rows_[static_cast<size_t>(it - addresses_.begin())];
      if (!row.known && budget_.Spend()) MakeRow(cie, program, begin, it->value, row);
    }
  }

  void MakeRow(const Cie& cie, std::span<const uint8_t> program, uint64_t begin, uint64_t address,
               RegisterRow& row) {
    State state;
    if (!Execute(cie, cie.program, begin, UINT64_MAX, State(), state)) return;
    const State initial = state;
    if (!Execute(cie, program, begin, address, initial, state)) return;
    if (!state.cfa_expression.empty()) {
      row.cfa = state.cfa_expression;
    } else if (state.cfa_register < kRegisters) {
      constexpr uint8_t kBreg0 = 0x70;
      row.cfa += static_cast<char>(kBreg0 + state.cfa_register);
      AppendSleb(state.cfa_offset, row.cfa);
    } else {
      return;
    }
    for (uint32_t i = 0; i < kRegisters; ++i) {
      if (!state.said[i]) continue;
      state.rules[i].number = i;
      row.rules.push_back(std::move(state.rules[i]));
    }
    row.known = true;
  }

  // Runs the instructions up to the row of `address`. False: something is not understood.
  bool Execute(const Cie& cie, std::span<const uint8_t> program, uint64_t at, uint64_t address,
               const State& initial, State& state) {
    std::vector<State> remembered;
    ByteCursor c(program);
    while (c.left() > 0) {
      if (!budget_.Spend()) return false;
      const uint8_t byte = c.U8();
      const uint8_t high = byte & 0xc0;
      const uint8_t op = high == 0 ? byte : high;
      uint64_t advance = 0;
      switch (op) {
        case kAdvanceLoc:
          advance = byte & 0x3f;
          break;
        case kAdvanceLoc1:
          advance = c.U8();
          break;
        case kAdvanceLoc2:
          advance = c.U16();
          break;
        case kAdvanceLoc4:
          advance = c.U32();
          break;
        case kSetLoc:
          at = Pointer(c, cie.encoding);
          break;
        case kRememberState:
          if (remembered.size() >= kMaxRemembered) return false;
          remembered.push_back(state);
          break;
        case kRestoreState:
          if (remembered.empty()) return false;
          state = std::move(remembered.back());
          remembered.pop_back();
          break;
        default:
          if (!SetCfa(cie, op, c, state) && !SetRule(cie, byte, op, c, initial, state))
            return false;
      }
      at += advance * cie.code_align;
      if (!c.ok()) return false;
      if (at > address) return true;
    }
    return true;
  }

  // False: the instruction is about something else.
  bool SetCfa(const Cie& cie, uint8_t op, ByteCursor& c, State& state) {
    switch (op) {
      case kDefCfa:
        state.cfa_register = c.Uleb();
        state.cfa_offset = static_cast<int64_t>(c.Uleb());
        break;
      case kDefCfaSf:
        state.cfa_register = c.Uleb();
        state.cfa_offset = Factored(cie, c.Sleb());
        break;
      case kDefCfaRegister:
        state.cfa_register = c.Uleb();
        return true;
      case kDefCfaOffset:
        state.cfa_offset = static_cast<int64_t>(c.Uleb());
        return true;
      case kDefCfaOffsetSf:
        state.cfa_offset = Factored(cie, c.Sleb());
        return true;
      case kDefCfaExpression:
        state.cfa_expression = TakeExpression(c);
        return true;
      default:
        return false;
    }
    state.cfa_expression.clear();
    return true;
  }

  bool SetRule(const Cie& cie, uint8_t byte, uint8_t op, ByteCursor& c, const State& initial,
               State& state) {
    if (op == kNop) return true;
    if (op == kGnuArgsSize) {
      c.Uleb();
      return true;
    }
    const bool is_short = op == kOffset || op == kRestore;
    const uint64_t number = is_short ? byte & 0x3f : c.Uleb();
    RegisterRule rule;
    using Kind = RegisterRule::Kind;
    bool said = true;
    switch (op) {
      case kOffset:
      case kOffsetExtended:
        rule = {0, Kind::kAtCfa, Factored(cie, static_cast<int64_t>(c.Uleb())), ""};
        break;
      case kOffsetExtendedSf:
        rule = {0, Kind::kAtCfa, Factored(cie, c.Sleb()), ""};
        break;
      case kValOffset:
        rule = {0, Kind::kCfaPlus, Factored(cie, static_cast<int64_t>(c.Uleb())), ""};
        break;
      case kValOffsetSf:
        rule = {0, Kind::kCfaPlus, Factored(cie, c.Sleb()), ""};
        break;
      case kUndefined:
        rule.kind = Kind::kUndefined;
        break;
      case kSameValue:
        rule.kind = Kind::kSame;
        break;
      case kRegister:
        rule = {0, Kind::kRegister, static_cast<int64_t>(c.Uleb()), ""};
        break;
      case kExpression:
        rule = {0, Kind::kAtExpression, 0, TakeExpression(c)};
        break;
      case kValExpression:
        rule = {0, Kind::kExpression, 0, TakeExpression(c)};
        break;
      case kRestore:
      case kRestoreExtended:
        if (number >= kRegisters) return true;
        rule = initial.rules[number];
        said = initial.said[number];
        break;
      default:
        return false;
    }
    if (number >= kRegisters) return true;  // of no interest here
    state.rules[number] = std::move(rule);
    state.said[number] = said;
    return true;
  }

  // Wraps around as the file may have it.
  static int64_t Factored(const Cie& cie, int64_t value) {
    return static_cast<int64_t>(static_cast<uint64_t>(value) *
                                static_cast<uint64_t>(cie.data_align));
  }

  std::string TakeExpression(ByteCursor& c) {
    const std::span<const uint8_t> bytes = c.Bytes(c.Uleb());
    if (bytes.empty() || bytes.size() > kMaxExpressionBytes) c.Skip(UINT64_MAX);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  const std::span<const uint8_t> bytes_;
  const uint64_t address_;
  const bool is_eh_frame_;
  const std::span<const ElfAddress> addresses_;
  WorkBudget& budget_;
  std::vector<RegisterRow>& rows_;
  absl::flat_hash_map<uint64_t, Cie> cies_;
};

}  // namespace

void FindRegisterRows(const ElfFile& file, std::span<const ElfAddress> addresses,
                      WorkBudget& budget, std::vector<RegisterRow>& rows) {
  rows.resize(addresses.size());
  if (!file.is_x86_64()) return;
  constexpr absl::string_view kNames[] = {".eh_frame", ".debug_frame"};
  const auto places = file.FindSections(kNames);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (!places[i] || places[i]->size > kMaxSectionBytes) continue;
    const DebugSection section(file, *places[i], budget);
    if (section.size() > kMaxSectionBytes || !budget.Reserve(section.size())) continue;
    std::vector<uint8_t> buffer;
    Reader(section.Read(0, section.size(), buffer), places[i]->address.value, i == 0, addresses,
           budget, rows)
        .Run();
    budget.Release(section.size());
  }
}

}  // namespace jprof
