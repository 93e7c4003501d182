// V8's embedded builtins in a binary without symbols for them, found by what they are.
//
// The snapshot of a V8 build is two blobs, their instructions in executable memory and a table of
// them in read-only memory (before V8 8.6 both in one, the table first):
//
//   table         hashes | offset, length, ... of each builtin, by its number | more
//                            |
//   instructions  +----------v------+----+--------------------+----+-----
//                 | builtin 0       | cc | builtin 1          | cc | ...
//                 +-----------------+----+--------------------+----+-----
//
// Offsets are aligned and rise, each behind the last builtin's end and not far from it: nothing
// else looks like a thousand of these. The instructions are where every gap that the table tells of
// is filled with breakpoints. What does not fit throughout is not found.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "profiler/core/address.h"
#include "symbolize/elf_file.h"

namespace jprof::v8 {

struct EmbeddedBlob {
  ElfAddress begin;     // of the first builtin
  ElfAddress handlers;  // of the first bytecode handler: they are the last in the blob
  ElfAddress end;
  std::vector<ElfAddress> begins;  // of all builtins, in order
};

// `version`: major * 100 + minor. `handlers`: how many of the builtins are bytecode handlers. Reads
// the file's constants and its code once at most, some 12 ms for a node of 110 MB.
std::optional<EmbeddedBlob> FindEmbeddedBlob(const ElfFile& image, uint32_t version,
                                             size_t handlers);

}  // namespace jprof::v8
