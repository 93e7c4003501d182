// Entries of call-frame information, CIEs and FDEs, without the programs in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "profiler/unwind/call_frame_reader.h"

namespace jprof::cfi {

inline constexpr uint64_t kRaColumn = 16;  // of x86-64
inline constexpr size_t kMaxCies = 1 << 16;  // of one section

struct Entry {
  bool is_cie = false;
  uint64_t cie = 0;  // where that of an FDE begins, which may be outside of the bytes
  size_t body = 0;   // where `content` begins
  Reader content;    // of all behind the length; its cursor is behind the CIE's id or pointer
};

// The entry that begins at `at`; nullopt: none, or a damaged one. `next`: where the next one
// begins, 0 at the end.
std::optional<Entry> TakeEntry(std::span<const uint8_t> bytes, size_t at, bool is_eh_frame,
                               size_t& next);

// An encoded pointer; `address` is where it lies. LSB 10.5.1.
uint64_t TakePointer(Reader& in, uint8_t encoding, uint64_t address);

// What a CIE says of its FDEs.
struct CieHead {
  bool is_signal = false;
  bool has_augmentation_data = false;
  uint8_t encoding = 0;  // of an FDE's addresses
  uint64_t code_align = 1;
  int64_t data_align = 1;
};
// Up to the program. nullopt: it is damaged, or of another machine.
std::optional<CieHead> TakeCieHead(Reader& in);

// CIEs do not overlap, so that all together are not larger than their section. Who reads those that
// FDEs refer to stops there: the same bytes could be called thousands of CIEs.
class CieBudget {
 public:
  explicit CieBudget(size_t section_bytes) : left_(section_bytes) {}
  // False: this one is not to be read.
  bool Spend(const Entry& cie) {
    if (cie.content.size() > left_) return false;
    left_ -= cie.content.size();
    return true;
  }

 private:
  size_t left_;
};

struct CodeSpan {
  uint64_t begin;
  uint64_t end;
};
// What code an FDE is about, up to the program. `address`: where the reader's bytes begin. nullopt:
// it is damaged, or about none.
std::optional<CodeSpan> TakeFdeHead(const CieHead& cie, Reader& in, uint64_t address,
                                    bool is_eh_frame);

// How much code the entries of a section at `address` are about, each by itself.
uint64_t DescribedBytes(std::span<const uint8_t> bytes, uint64_t address, bool is_eh_frame);

}  // namespace jprof::cfi
