#include "profiler/capture/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace jprof {

// In Linux these are of a thread; 0: the calling one.
int Niceness() { return ::getpriority(PRIO_PROCESS, 0); }
void SetNiceness(int niceness) { ::setpriority(PRIO_PROCESS, 0, niceness); }

void AwaitedThread::Begin() {
  absl::MutexLock lock(&mutex_);
  tid_ = ::gettid();
}

void AwaitedThread::End() {
  absl::MutexLock lock(&mutex_);
  tid_ = 0;
}

void AwaitedThread::LendPriority() {
  absl::MutexLock lock(&mutex_);  // while it is held, the number is no other thread's
  if (tid_ != 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(tid_), Niceness());
}

}  // namespace jprof
