// The names that a WebAssembly module gives to its functions: its custom section "name".
//
// The module's bytes are read where they lie, in the target: the headers of its sections, then that
// one section and the imports. Any bytes: all sizes and counts are checked against what is there,
// and bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

class WasmNames {
 public:
  static constexpr uint64_t kMaxSectionBytes = uint64_t{16} << 20;
  static constexpr int kMaxSections = 4096;
  static constexpr size_t kMaxFunctions = size_t{1} << 20;
  static constexpr size_t kMaxNameBytes = 1024;  // of a name; the rest is cut

  // nullopt: no module lies there. A module whose names are absent, damaged or too many has none,
  // or those before the damage.
  static std::optional<WasmNames> Read(const MemoryReader& memory, Address wire, uint64_t size);

  // Of the function with this number, imported ones counted; "" where it has none. UTF-8,
  // unchecked.
  std::string Find(uint32_t function) const;
  // The first functions are imported ones.
  uint32_t imported() const { return imported_; }
  size_t size() const { return names_.size(); }
  size_t bytes() const { return text_.size() + names_.size() * sizeof(Name); }

 private:
  struct Name {
    uint32_t function;
    uint32_t begin;  // in text_
    uint32_t bytes;
  };
  void ReadFunctionNames(absl::string_view section);

  uint32_t imported_ = 0;
  std::string text_;
  std::vector<Name> names_;  // ascending
};

}  // namespace jprof::v8
