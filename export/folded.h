// Folded stacks: "process;outer;inner 12", one line for each stack, sorted bytewise, weights are
// those of SummedType (export/tracks.h). flamegraph.pl, speedscope, Pyroscope and inferno read it.
//
// Of a comparison (BaseType) there are two weights, "process;outer 7 12": before, scaled to the
// total of after, and after.
//
// Suffixes: _[k] kernel, _[j] script, builtin and JIT code, _[i] inlined. What a reader would take
// for structure is written otherwise: ';' as ':', the blank before a trailing number as '_' (it
// would be a second weight), a name that is only dashes (a separator) or that ends like one of
// the suffixes with a backslash before the part that misleads.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "export/exporter.h"

namespace jprof {

// Pyroscope's reader stops without a word at a line of 64 KiB. Of a longer stack both ends are
// kept, with "[frames left out]" between them.
inline constexpr size_t kMaxFoldedLineBytes = 65'000;

std::unique_ptr<Exporter> MakeFoldedExporter();

}  // namespace jprof
