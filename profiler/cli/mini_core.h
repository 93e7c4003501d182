// What a small core keeps of memory, so that `jprof stacks` prints of it what it prints of a whole
// one, but for values of native functions' parameters that lie beside the stacks.
//
// Which pages that takes only the walk and the helpers know. So they are run: over a core without
// memory, as they will be over the small one, with the process's memory in its place; what they
// read is kept. For debuggers there are the stacks, what files have of memory that the process has
// written, and the list of its libraries.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/core/ids.h"
#include "profiler/corefile/core_areas.h"
#include "profiler/corefile/core_writer.h"

namespace jprof {

struct MiniCorePages {
  PageSet pages;
  bool complete = true;  // false: they were too many
};

// `source` stands still and has `areas`: the process or a copy of it.
absl::StatusOr<MiniCorePages> PagesOfMiniCore(const CoreProcess& process, Pid source,
                                              const std::vector<CoreArea>& areas,
                                              const RuntimeSet& runtimes);

}  // namespace jprof
