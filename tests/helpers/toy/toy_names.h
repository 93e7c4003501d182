#pragma once

#include <memory>

#include "helpers/runtime.h"

namespace jprof::toy {

std::unique_ptr<RuntimeInstance> MakeToyInstance();

}  // namespace jprof::toy
