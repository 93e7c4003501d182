// Interactive flame graph: one self-contained SVG file. svg.cc opens with what is in it and why.
#pragma once

#include <cstdint>
#include <memory>

#include "export/exporter.h"

namespace jprof {

// A flame graph is never larger than this, and what it leaves out to stay so is said in it.
inline constexpr int64_t kMaxSvgBytes = 10'000'000;

// Frames further from the root are not drawn: the picture ends at some 8,000 pixels.
inline constexpr uint32_t kMaxSvgDepth = 512;

// A profile that has a sample type of this name beside its first is compared with another: the first
// type is the width (after), this one the same of the other (before). The colour then tells the
// difference of the shares, red for more and blue for less, and so does the title: "; +1.23%".
inline constexpr char kBaseType[] = "base";

std::unique_ptr<Exporter> MakeSvgExporter();

}  // namespace jprof
