// speedscope's own format: one "sampled" profile for each thread, frames of the stacks with their
// files. Where the samples have instants, what lies between them is an empty stack, so that the
// time order is to scale.
#pragma once

#include <memory>

#include "export/exporter.h"

namespace jprof {

std::unique_ptr<Exporter> MakeSpeedscopeExporter();

}  // namespace jprof
