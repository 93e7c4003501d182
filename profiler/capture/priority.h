// Whom the scheduler lets go first. Where hundreds of threads are runnable, one of ordinary priority
// gets its turn every few seconds: the rings would run over, and a recording of 30 seconds would end,
// and be written, minutes later.
#pragma once

namespace jprof {

inline constexpr int kFirstNiceness = -20;

// Of the calling thread: from -20, which goes first, to 19.
int Niceness();
// Threads and processes that it starts later have the same. Without the privilege to raise it (root, or
// CAP_SYS_NICE) nothing changes.
void SetNiceness(int niceness);

}  // namespace jprof
