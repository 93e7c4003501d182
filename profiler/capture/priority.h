// Whom the scheduler lets go first. Where hundreds of threads are runnable, one of ordinary
// priority gets its turn every few seconds: the rings would run over, and a recording of 30 seconds
// would end, and be written, minutes later.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace jprof {

inline constexpr int kFirstNiceness = -20;

// Of the calling thread: from -20, which goes first, to 19.
int Niceness();
// Threads and processes that it starts later have the same. Without the privilege to raise it
// (root, or CAP_SYS_NICE) nothing changes.
void SetNiceness(int niceness);

// A thread of ordinary priority, for one that goes first and comes to wait for it. Thread-safe.
class AwaitedThread {
 public:
  // The calling thread is it, until End().
  void Begin();
  void End();
  // It has the caller's niceness from now on, if it is still there.
  void LendPriority();

 private:
  absl::Mutex mutex_;
  int tid_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: not there
};

}  // namespace jprof
