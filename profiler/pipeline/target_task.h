// Work that may wait for a target, on a thread of its own: a file in its FUSE or network file
// system, memory behind its userfaultfd. Such a wait can last for ever, and nothing that we could
// do from outside ends it; so the caller, who watches the clock and the user's wish to stop, never
// waits itself, and at the end gives the work up.
//
// Work and waiting are told apart by CPU time: as long as the process uses any besides the caller's
// own, the work goes on, however slow the machine is. No other thread may run meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/time/time.h"

namespace jprof {

// Of the process without the calling thread.
int64_t CpuTimeOfOthersNs();
// The same with what is done in other processes, whose time is not seen, but their steps are
// (SymbolizerProcess::progress()).
int64_t WorkOfOthersNs(uint64_t steps);

class TargetTask {
 public:
  explicit TargetTask(std::function<void()> work);
  // Waits for the work, unless it was given up: then its thread is left behind, and what it uses
  // must never be freed.
  ~TargetTask();
  TargetTask(const TargetTask&) = delete;
  TargetTask& operator=(const TargetTask&) = delete;

  // Whether the work is done, after that time at most.
  bool WaitFor(absl::Duration timeout);

  // Waits until the work is done, or until it has used no CPU time for `patience`: then false, and
  // it is given up. Work that waits for a CPU uses none: on a busy machine, long, so be patient.
  bool WaitWhileItWorks(absl::Duration patience = absl::Seconds(10),
                        const std::function<int64_t()>& cpu_time_ns = CpuTimeOfOthersNs);

  // That its thread has used; 0 when it was given up.
  int64_t CpuTimeNs();

 private:
  struct Shared;
  // A shared_ptr since the thread may outlive us.
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace jprof
