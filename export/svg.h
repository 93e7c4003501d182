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

std::unique_ptr<Exporter> MakeSvgExporter();

}  // namespace jprof
