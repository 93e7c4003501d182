// Signals as flags, and a descriptor that wakes who waits for one. There is one set of them in a
// process.
#pragma once

#include <memory>

#include "absl/status/status.h"

namespace jprof {

enum class SignalFlag : unsigned {
  kStop = 1,       // SIGINT, SIGTERM, SIGHUP
  kSuspend = 2,    // SIGTSTP
  kContinued = 4,  // SIGCONT
  kResized = 8,    // SIGWINCH
};

// A second stop signal, 50 ms later or more, ends the process at once, and so does SIGQUIT and what
// a bug raises; `before_end` is called first, in the handler. This thread gets a SignalStack.
absl::Status InstallSignals(void (*before_end)());

// Where handlers run, so that they do when the thread has no stack left.
class SignalStack {
 public:
  // From the first call to the thread's end. A thread that has one already keeps it.
  static void OfThisThread();
  ~SignalStack();
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  SignalStack();

  std::unique_ptr<char[]> memory_;  // none: not ours
};

// Whether it came; kStop stays, the others are taken.
bool TakeSignal(SignalFlag flag);

// Readable when a flag was raised since the last DrainSignals(). -1: not installed.
int SignalDescriptor();
void DrainSignals();

// Stops the process as SIGTSTP would have, and returns when it goes on.
void StopSelf();

}  // namespace jprof
