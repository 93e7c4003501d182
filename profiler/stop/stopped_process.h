// All threads of a process, held still at one instant, with all their registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "profiler/core/ids.h"
#include "profiler/stop/stopped_thread.h"

namespace jprof {

struct ThreadRegisters {
  Tid tid = 0;
  user_regs_struct general = {};
  std::vector<std::byte> floating_point;  // as NT_PRFPREG has it
  std::vector<std::byte> extended;        // as NT_X86_XSTATE has it; empty: the machine has none
};

class StoppedProcess {
 public:
  // Those born meanwhile too. Fails as StoppedThread::Stop does, then all run on but for `late`:
  // those that have not come to their stop yet. `limit`, if not nullptr, counts from when none had.
  static absl::StatusOr<StoppedProcess> Stop(Pid pid, const Patience& patience, PauseLimit* limit,
                                             std::vector<StoppedThread>& late);

  // The main thread first.
  const std::vector<StoppedThread>& threads() const { return threads_; }
  std::vector<ThreadRegisters> ReadRegisters() const;
  // None stood before (NowNs()).
  uint64_t stands_since_ns() const { return stands_since_ns_; }

 private:
  // Takes those that have stopped out of `pending`, until there are none left.
  absl::Status Await(std::vector<StoppedThread>& pending, const Patience& patience,
                     PauseLimit* limit);

  std::vector<StoppedThread> threads_;
  uint64_t stands_since_ns_ = UINT64_MAX;
};

// How long threads that sleep uninterruptibly are waited for.
inline constexpr absl::Duration kMaxLate = absl::Seconds(5);

// Waits for threads that were told to stop, and lets each go as soon as it has. One whose tracer
// ended before that would find that its system call was interrupted. False: some have not stopped
// within the limit, and stay traced until the calling thread ends.
bool LetGo(std::vector<StoppedThread> late, absl::Duration limit = kMaxLate);

}  // namespace jprof
