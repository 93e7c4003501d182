// Whether a thread that waits for events is an event loop with nothing to do, or hangs: from its
// stack. A loop is named only where nothing else can have made it wait.
#pragma once

#include <vector>

#include "profiler/why/facts.h"

namespace jprof {

// What called is not seen, or not all of it.
bool IsCut(const std::vector<FrameFacts>& frames);

// A known loop's function on a whole stack, once; it calls nothing but what waits for events, and
// is called by native code alone.
bool IsEventLoop(const std::vector<FrameFacts>& frames);

// A child is waited for in a loop of its own, as by node's execFileSync().
bool RunsChild(const std::vector<FrameFacts>& frames);

// Node's inspector keeps the thread until a debugger tells it to go on.
bool IsHeldByInspector(const std::vector<FrameFacts>& frames);

}  // namespace jprof
