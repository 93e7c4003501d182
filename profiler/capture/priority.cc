#include "profiler/capture/priority.h"

#include <sys/resource.h>

namespace jprof {

// In Linux these are of a thread; 0: the calling one.
int Niceness() { return ::getpriority(PRIO_PROCESS, 0); }
void SetNiceness(int niceness) { ::setpriority(PRIO_PROCESS, 0, niceness); }

}  // namespace jprof
