// .cpuprofile: what Chrome's DevTools, VS Code and node itself read and write. It knows one thread
// and no weights but time, so: a profile of one thread is shown in its own time, "(idle)" between
// its samples; threads of a profile of several follow one another, each below a node that names it.
// What does not weigh nanoseconds is shown as microseconds, one for each sample or byte.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakeCpuprofileExporter();

}  // namespace jprof
