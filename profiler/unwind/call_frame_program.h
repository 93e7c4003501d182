// The programs of call-frame information (DWARF 5, section 6.4.2), for whatever a row is to be:
// those of tables, which hold a few rules, and those of one frame, which hold all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "profiler/unwind/call_frame_entry.h"
#include "profiler/unwind/call_frame_reader.h"

namespace jprof::cfi {

inline constexpr size_t kMaxRemembered = 64;  // states

// Where a register of the caller's is, if no expression says so.
enum class Saved : uint8_t {
  kSame,       // where it was
  kUndefined,  // nowhere
  kAtCfa,      // in memory, at CFA + offset
  kIsCfa,      // it is CFA + offset
};

// Runs a program on `row`, which has
//   SetCfa(reg, offset), SetCfaExpression(bytes)
//   SetCfaRegister(reg), SetCfaOffset(offset): false if there is nothing to change
//   SetSaved(reg, Saved, offset), SetInRegister(reg, other), SetExpression(reg, bytes, is_value)
//   Restore(reg, initial)
// `initial`: the row that the CIE's program made, for the program of an FDE; nullptr: it is the
// CIE's, and at no location. `on_row(location)` is told where the row as it is now holds from on,
// before each step forward; when it returns false, the program is at its end. False: the program is
// damaged; it goes beyond `end`, or is nested too deeply.
template <typename Row, typename OnRow>
bool RunProgram(const CieHead& cie, Reader in, uint64_t location, uint64_t end, const Row* initial,
                std::vector<Row>& remembered, Row& row, OnRow on_row) {
  remembered.clear();
  bool ended = false;
  auto advance = [&](uint64_t delta) {
    if (initial != nullptr && !on_row(location)) ended = true;
    uint64_t bytes;
    if (initial == nullptr || __builtin_mul_overflow(delta, cie.code_align, &bytes) ||
        bytes > end - location) {
      in.Fail();
      return;
    }
    location += bytes;
  };
  auto factored = [&cie](int64_t n) {
    return static_cast<int64_t>(static_cast<uint64_t>(n) * static_cast<uint64_t>(cie.data_align));
  };
  auto unsigned_factored = [&] { return factored(static_cast<int64_t>(in.TakeUleb())); };
  auto restore = [&](uint64_t reg) { row.Restore(reg, initial == nullptr ? Row() : *initial); };
  while (!in.done()) {
    const uint8_t op = in.Take<uint8_t>();
    const uint64_t low = op & 0x3f;
    uint64_t reg = 0;
    switch (op >> 6 != 0 ? op & 0xc0 : op) {
      case 0x40:
        advance(low);
        break;
      case 0x80:  // offset
        row.SetSaved(low, Saved::kAtCfa, unsigned_factored());
        break;
      case 0xc0:
        restore(low);
        break;
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
      case 0x05:  // offset_extended
        reg = in.TakeUleb();
        row.SetSaved(reg, Saved::kAtCfa, unsigned_factored());
        break;
      case 0x06:  // restore_extended
        restore(in.TakeUleb());
        break;
      case 0x07:  // undefined
        row.SetSaved(in.TakeUleb(), Saved::kUndefined, 0);
        break;
      case 0x08:  // same_value
        row.SetSaved(in.TakeUleb(), Saved::kSame, 0);
        break;
      case 0x09:  // register
        reg = in.TakeUleb();
        row.SetInRegister(reg, in.TakeUleb());
        break;
      case 0x0a:  // remember_state
        if (remembered.size() == kMaxRemembered) return false;
        remembered.push_back(row);
        break;
      case 0x0b:  // restore_state
        if (remembered.empty()) return false;
        row = remembered.back();
        remembered.pop_back();
        break;
      case 0x0c:  // def_cfa
        reg = in.TakeUleb();
        row.SetCfa(reg, static_cast<int64_t>(in.TakeUleb()));
        break;
      case 0x0d:  // def_cfa_register
        if (!row.SetCfaRegister(in.TakeUleb())) return false;
        break;
      case 0x0e:  // def_cfa_offset
        if (!row.SetCfaOffset(static_cast<int64_t>(in.TakeUleb()))) return false;
        break;
      case 0x0f:  // def_cfa_expression
        row.SetCfaExpression(in.TakeBytes(in.TakeUleb()));
        break;
      case 0x10:  // expression
        reg = in.TakeUleb();
        row.SetExpression(reg, in.TakeBytes(in.TakeUleb()), /*is_value=*/false);
        break;
      case 0x11:  // offset_extended_sf
        reg = in.TakeUleb();
        row.SetSaved(reg, Saved::kAtCfa, factored(in.TakeSleb()));
        break;
      case 0x12:  // def_cfa_sf
        reg = in.TakeUleb();
        row.SetCfa(reg, factored(in.TakeSleb()));
        break;
      case 0x13:  // def_cfa_offset_sf
        if (!row.SetCfaOffset(factored(in.TakeSleb()))) return false;
        break;
      case 0x14:  // val_offset
        reg = in.TakeUleb();
        row.SetSaved(reg, Saved::kIsCfa, unsigned_factored());
        break;
      case 0x15:  // val_offset_sf
        reg = in.TakeUleb();
        row.SetSaved(reg, Saved::kIsCfa, factored(in.TakeSleb()));
        break;
      case 0x16:  // val_expression
        reg = in.TakeUleb();
        row.SetExpression(reg, in.TakeBytes(in.TakeUleb()), /*is_value=*/true);
        break;
      case 0x2e:  // GNU_args_size
        in.TakeUleb();
        break;
      case 0x2f:  // GNU_negative_offset_extended
        reg = in.TakeUleb();
        row.SetSaved(reg, Saved::kAtCfa,
                     static_cast<int64_t>(-static_cast<uint64_t>(unsigned_factored())));
        break;
      default:
        return false;
    }
    if (ended) return in.ok();
  }
  if (initial != nullptr) on_row(location);
  return in.ok();
}

}  // namespace jprof::cfi
