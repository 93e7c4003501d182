// Deals images out to threads.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "symbolize/symbolizer.h"

namespace jprof {

// Calls `work` on each of at most `max_threads` threads, the caller's among them, with a function
// that gives the number of an image that no other thread was given, those of the largest files
// first, and nullopt when there is none left. Returns when all calls have; fewer threads do it
// where there are none to be had.
using NextImage = absl::FunctionRef<std::optional<size_t>()>;
void ForImagesOnThreads(const std::vector<ImageQuery>& queries, int max_threads,
                        absl::FunctionRef<void(NextImage next)> work);

}  // namespace jprof
