// Names for file offsets, image by image, images in parallel. Knows files, not processes.
//
// Where a name is looked for, in this order, each only as long as some offset has none: the file's
// symbol table, its dynamic symbols, its .gnu_debugdata, its separate debug file on this host, the
// same from debuginfod. A debug file is believed if it has the file's build ID, or, of a file
// without one, the checksum of its debug link.
//
// One image takes 2 s at most, in steps and bytes that are counted (work_budget.h); what was not
// found by then has no name, or no lines, and is counted. Values may take 1.5 s more, and cost no
// names and lines. An image is not named by what was found for another one of the same build ID:
// the one who has made that file may have written the ID.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "profiler/core/address.h"
#include "profiler/core/unique_fd.h"
#include "symbolize/debug_file.h"
#include "symbolize/dwarf.h"
#include "symbolize/frame_values.h"

namespace jprof {

struct SymbolName {
  std::string name;         // demangled, without a version; "puts@plt" for a linkage stub;
                            // "" when no symbol covers the offset
  std::string system_name;  // as in the symbol table
  uint64_t address = 0;     // ELF address of the offset that was asked for, 0 if outside segments
};

// Whether a physical function is better called by its symbol than as DWARF has it. Without a
// linkage name it is of C, or local to its file, and the symbol knows the scope as well; a
// library's own name for what others call ("__GI___libc_malloc") gives way to that ("malloc").
bool IsBetterName(const SymbolName& symbol, const SourceFunction& function);

// One mapped file and what is to be named in it.
struct ImageQuery {
  // In.
  UniqueFd file;                    // opened for reading when the mapping was first seen
  std::string path;                 // for messages
  std::vector<FileOffset> offsets;  // sorted, distinct; already moved back for return addresses
  bool want_source = false;         // inlined functions and lines as well
  bool want_values = false;         // with them, what their parameters are read by

  // Out: filled by SymbolizeImages.
  std::vector<SymbolName> names;  // one for each offset
  std::string build_id;           // lower-case hex or ""
  bool is_stripped = false;       // it has names for exported functions at most
  SourceInfo source;         // for each offset, if wanted; names demangled where there are others
  FrameValues values;        // for each offset, if wanted and known
  bool lost = false;         // by symbolizer_process.h: whoever read it died of it
  // By the same: there was no process, or no time, to read it; `status` says why.
  bool unread = false;
  bool exhausted = false;    // names, lines or values are missing: they would have taken too long
  // Why names are missing that the file should have given: no ELF file, damaged, no symbols
  // (NotFound), more bytes of names than a file may have (ResourceExhausted). OK also when
  // single offsets are covered by no symbol.
  absl::Status status;
};

// Names every query, the ones with the largest files first, on at most `max_threads` threads.
// Returns when all are done. Each file is opened once and closed before the return. `finder` opens
// debug files; nullptr: none are used.
//
// The symbol of an offset is the innermost one (the one that begins last) whose size covers it;
// failing that, the nearest symbol of size 0 before it in the same section, if no other symbol
// ends between the two. Among several with the same range a global one comes before a local one
// before a weak one, a function before an untyped one, .symtab before .dynsym.
void SymbolizeImages(std::vector<ImageQuery>& queries, int max_threads,
                     DebugFileFinder* finder = nullptr);

}  // namespace jprof
