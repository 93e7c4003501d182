// Source maps of version 3 (ECMA-426), index maps included: from positions in a script that a
// compiler or bundler wrote to those in what it was made of.
//
// A map is foreign: it is read with a budget (work_budget.h), in one pass over its mappings, of
// which no more is kept than those of one line. Damage anywhere before the last position that is
// asked for means that the whole map is not believed.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// In a generated script; both 1-based, columns in UTF-16 units.
struct GeneratedPosition {
  uint32_t line = 0;
  uint32_t column = 0;
  friend auto operator<=>(const GeneratedPosition&, const GeneratedPosition&) = default;
};

struct OriginalPosition {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t source = kNone;  // into SourceMapQuery::sources; kNone: no original is known
  uint32_t line = 0;        // 1-based
  uint32_t column = 0;      // 1-based
  // What the original calls the identifier that begins at the very position; into
  // SourceMapQuery::names. kNone: the map does not say.
  uint32_t name = kNone;
  friend bool operator==(const OriginalPosition&, const OriginalPosition&) = default;
};

// One map and what is asked of it.
struct SourceMapQuery {
  // In.
  UniqueFd file;     // opened for reading, a regular file
  std::string path;  // for messages
  std::vector<GeneratedPosition> positions;  // sorted, distinct

  // Out: filled by ReadSourceMap().
  std::vector<OriginalPosition> originals;  // one for each position
  std::vector<std::string>
      sources;  // as the map has them, behind its sourceRoot: URLs, or relative
  std::vector<bool> ignored;         // as sources: those of others, which debuggers step over
  std::vector<std::string> names;
  // Not OK: there are no originals. DataLoss: damaged, or no source map; ResourceExhausted: too
  // large, or not read in time; others: whoever was to read it did not (symbolizer_process.h).
  absl::Status status;
};

// Closes the file. Takes 2 s at most.
void ReadSourceMap(SourceMapQuery& query);
// The same from the text of the map.
void ReadSourceMapText(absl::string_view text, SourceMapQuery& query);

}  // namespace jprof
