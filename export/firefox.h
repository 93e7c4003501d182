// Firefox Profiler's processed format, version 48 (newer viewers upgrade it): a thread for each
// thread, its samples in time with their weights, categories by kind of code.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakeFirefoxExporter();

}  // namespace jprof
