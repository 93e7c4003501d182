// One thread of another process, held still for as long as the object lives.
//
// Only PTRACE_SEIZE and PTRACE_INTERRUPT are used: they leave nothing behind that outlives their
// tracer, so the thread runs on if this process dies at any instant, and a process that its owner
// had stopped stays stopped.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "helpers/native_runner.h"
#include "profiler/core/ids.h"
#include "profiler/stop/guard.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

// How long a thread that was told to stop is waited for. Nothing stands for as long as it has not,
// and a system call that it was woken up from fails if the wait ends before: so one that waits for
// a CPU has time.
struct Patience {
  absl::Duration longest = absl::Seconds(2);
  // When it sleeps uninterruptibly, maybe for ever; or when other threads stand meanwhile.
  absl::Duration shortest = absl::Milliseconds(100);
};

class StoppedThread {
 public:
  // Waits for the thread to stop. NotFound: it has exited; PermissionDenied: it may not be traced,
  // or is traced already; DeadlineExceeded: it did not stop in `patience`, as one in
  // uninterruptible sleep does not, or one that gets no CPU: it will be let go when the calling
  // thread ends, and not before.
  static absl::StatusOr<StoppedThread> Stop(Tid tid, const Patience& patience = {});
  // The same in steps, so that many threads stop at once. `limit`, if not nullptr, counts from when
  // it was last seen to run.
  static absl::StatusOr<StoppedThread> Seize(Tid tid);
  absl::Status Interrupt();
  absl::Status AwaitStop(const Patience& patience, PauseLimit* limit);
  // One look.
  absl::StatusOr<bool> HasStopped();
  // DeadlineExceeded: it has been waited for, since then, for as long as `patience` lasts.
  absl::Status CheckPatience(uint64_t since_ns, const Patience& patience) const;

  StoppedThread(StoppedThread&& other) noexcept
      : tid_(std::exchange(other.tid_, 0)),
        stopped_(std::exchange(other.stopped_, false)),
        stands_since_ns_(other.stands_since_ns_),
        registers_(other.registers_) {}
  StoppedThread& operator=(StoppedThread&& other) noexcept {
    std::swap(tid_, other.tid_);
    std::swap(stopped_, other.stopped_);
    std::swap(stands_since_ns_, other.stands_since_ns_);
    std::swap(registers_, other.registers_);
    return *this;
  }
  ~StoppedThread();  // it runs on

  Tid tid() const { return tid_; }  // 0: it has exited
  const user_regs_struct& registers() const { return registers_; }
  std::optional<VectorRegisters> ReadVectors() const;
  // It stood no longer than since then (NowNs()): it was seen to run.
  uint64_t stands_since_ns() const { return stands_since_ns_; }
  bool is_32_bit() const { return registers_.cs == 0x23; }

 private:
  explicit StoppedThread(Tid tid) : tid_(tid) {}
  // A few system calls fail when a thread was stopped within, though no signal came (signal(7)):
  // the one at hand is made once more, if that changes nothing else.
  void RestartSystemCall();

  Tid tid_;  // 0: moved from
  bool stopped_ = false;
  uint64_t stands_since_ns_ = 0;
  user_regs_struct registers_ = {};
};

// Until it is time for another look at who has been told to stop, and has not since then. On a busy
// CPU, who looks all the time keeps it from whom it waits for: the spans grow with the time waited.
void SleepTillNextLook(uint64_t since_ns);

VectorRegisters VectorsOf(const user_fpregs_struct& state);

// As the walk wants them.
Registers ToRegisters(const user_regs_struct& registers, Tid tid, uint64_t stack_base);

}  // namespace jprof
