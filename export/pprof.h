// pprof: export/profile.proto, serialized and compressed with gzip.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakePprofExporter();

}  // namespace jprof
