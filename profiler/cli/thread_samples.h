// The stacks of threads that run, without a stop: each from the first sample that the kernel takes
// of it.
#pragma once

#include <functional>
#include <span>

#include "helpers/native_runner.h"
#include "profiler/capture/record_parser.h"
#include "profiler/stop/thread_capture.h"

namespace jprof {

using WalkSampleFunction = std::function<CapturedWalk(const TaskSample& sample)>;

// As SampleFunction has it. Takes a second at most; of a thread that was met neither running nor
// asleep the status says so.
void SampleThreads(std::span<CapturedThread* const> threads,
                   const std::function<bool(CapturedThread&)>& asleep,
                   const WalkSampleFunction& walk);

}  // namespace jprof
