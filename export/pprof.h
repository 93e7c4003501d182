// pprof: export/profile.proto, serialized and compressed with gzip. Of a comparison (BaseType),
// what `pprof -proto -normalize -diff_base` writes: the base's samples are negative and labelled
// pprof::base.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakePprofExporter();

}  // namespace jprof
