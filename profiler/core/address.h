// The three address spaces that a code address passes through, as types that do not mix.
// Only Mapping (profiler/process) and ElfFile (symbolize) convert between them.
#pragma once

#include <compare>
#include <cstdint>

namespace jprof {

// A virtual address in a process, or in the kernel.
struct Address {
  uint64_t value = 0;
  friend auto operator<=>(const Address&, const Address&) = default;
};

// An address as an ELF file's own symbol table counts it (st_value, before any load bias).
struct ElfAddress {
  uint64_t value = 0;
  friend auto operator<=>(const ElfAddress&, const ElfAddress&) = default;
};

// A byte offset in a file.
struct FileOffset {
  uint64_t value = 0;
  friend auto operator<=>(const FileOffset&, const FileOffset&) = default;
};

inline Address operator+(Address a, uint64_t bytes) { return {a.value + bytes}; }

// Half-open: `begin` is inside, `end` is not.
struct AddressRange {
  Address begin;
  Address end;

  uint64_t size() const { return end.value - begin.value; }
  bool empty() const { return end <= begin; }
  bool Contains(Address a) const { return begin <= a && a < end; }
  bool Overlaps(const AddressRange& other) const { return begin < other.end && other.begin < end; }
  friend auto operator<=>(const AddressRange&, const AddressRange&) = default;
};

}  // namespace jprof
