// V8 in a binary that has no symbol of it, as embedders build it: told by its literals.
//
// Every V8 has the names of its builtins in it, and its version as text, "15.0.245.2", with or
// without what the embedder adds ("-electron.0"). Only a file that has both is said to hold V8; one
// with several texts that may be the version holds a V8 of unknown version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "symbolize/elf_file.h"

namespace jprof::v8 {

struct V8Literals {
  // All 0 where the version is not known.
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string version;  // "15.0.245.2"
};

// Reads the file's constants once, twice if V8 is in them: some 10 ms for 60 MB. Files with less
// than kMinCodeBytes of code are too small for a V8, and not read at all.
std::optional<V8Literals> FindV8Literals(const ElfFile& image);

inline constexpr uint64_t kMinV8CodeBytes = uint64_t{4} << 20;

// Calls `visit` with pieces of what is not code, in the file's order, until it returns false. Each
// begins with the end of the one before, as long as the names of builtins are. `writable`: also of
// what is written when the file is loaded, or later.
void ForEachPieceOfData(const ElfFile& image, bool writable,
                        absl::FunctionRef<bool(ElfAddress, absl::string_view)> visit);

}  // namespace jprof::v8
