// The picture of stacks that are too many to keep: pruned_tree.cc opens with how.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "export/picture_tree.h"
#include "profiler/core/stack_source.h"

namespace jprof {

// The tree without most of what is too thin for a flame graph to draw, of the stacks of all sources
// (one or more); what is left out is counted nearly, all else is as of the whole tree. Reads each
// source twice, in a thread of its own. Unimplemented: not for these stacks. Other errors: those of
// reading.
absl::StatusOr<PictureTree> PruneStacks(std::span<StackSource* const> sources);

}  // namespace jprof
