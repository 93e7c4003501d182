// Signals as flags, and a descriptor that wakes who waits for one. There is one set of them in a process.
#pragma once

#include "absl/status/status.h"

namespace jprof {

enum class SignalFlag : unsigned {
  kStop = 1,       // SIGINT, SIGTERM, SIGHUP
  kSuspend = 2,    // SIGTSTP
  kContinued = 4,  // SIGCONT
  kResized = 8,    // SIGWINCH
};

// A second stop signal, 50 ms later or more, ends the process at once, and so does SIGQUIT and what a bug
// raises; `before_end` is called first, in the handler.
absl::Status InstallSignals(void (*before_end)());

// Whether it came; kStop stays, the others are taken.
bool TakeSignal(SignalFlag flag);

// Readable when a flag was raised since the last DrainSignals(). -1: not installed.
int SignalDescriptor();
void DrainSignals();

// Stops the process as SIGTSTP would have, and returns when it goes on.
void StopSelf();

}  // namespace jprof
