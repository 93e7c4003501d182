// The picture of stacks that are too many to keep: pruned_tree.cc opens with how.
#pragma once

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"
#include "export/picture_tree.h"
#include "profiler/core/stack_source.h"

namespace jprof {

inline constexpr size_t kMaxPrunedNodes = 4'000'000;

// The tree without most of what is too thin for a flame graph to draw, of the stacks of all sources
// (one or more); what is left out is counted nearly, all else is as of the whole tree. Reads each
// source twice, in a thread of its own where there is one. Unimplemented: not for these stacks, of
// which too many nodes would be kept among others. Other errors: those of reading.
absl::StatusOr<PictureTree> PruneStacks(std::span<StackSource* const> sources,
                                        size_t max_nodes = kMaxPrunedNodes);

}  // namespace jprof
