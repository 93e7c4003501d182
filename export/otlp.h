// OpenTelemetry profiles: export/otlp.proto, plain protobuf, as a collector takes it by HTTP.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakeOtlpExporter();

}  // namespace jprof
