// Interactive flame graph: one self-contained SVG file. svg.cc opens with what is in it and why.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "export/exporter.h"
#include "export/picture_tree.h"

namespace jprof {

// A flame graph is never larger than this, and what it leaves out to stay so is said in it.
inline constexpr int64_t kMaxSvgBytes = 10'000'000;

// Frames further from the root are not drawn: the picture ends at some 8,000 pixels.
inline constexpr uint32_t kMaxSvgDepth = 512;

// Of a comparison (BaseType) the colour tells the difference of the shares, red for more and blue
// for less, and so does the title: "; +1.23%". The width is the mean of both shares, so that what
// vanished can be seen; the samples and the share of the title are those of the profile itself.
std::unique_ptr<Exporter> MakeSvgExporter();

// The same of a tree that was made otherwise; of `profile` come title, comments and the unit.
absl::Status WriteSvg(const Profile& profile, const PictureTree& picture, OutputSink& sink);

}  // namespace jprof
