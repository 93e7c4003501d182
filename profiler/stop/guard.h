// Death is the undo: what stands still for jprof runs on when the process that stopped it is gone,
// however it went. So the work that stops threads is done in a child, which cannot outlive its
// parent, and which the kernel kills when a pause becomes too long.
#pragma once

#include <cstdint>
#include <ctime>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jprof {

// CLOCK_MONOTONIC.
uint64_t NowNs();

// No pause is longer, unless its PauseLimit says so: then the process that makes it is killed.
inline constexpr absl::Duration kMaxPause = absl::Milliseconds(250);

// Runs `work` in a child, until its end, and returns what it returns (0 to 255). The child is
// killed when this process dies. To be called while there is one thread. Unavailable: the child was
// killed; DeadlineExceeded: by a PauseLimit; Cancelled: since a signal asks this process to end
// (SIGINT, SIGTERM, SIGHUP), which it is still to do.
absl::StatusOr<int> RunGuarded(absl::FunctionRef<int()> work);
// Of a Cancelled: by the signal that asked for it.
[[noreturn]] void EndBySignal(const absl::Status& cancelled);

// The kernel kills this process, even one that is stopped itself, when the object lives longer than
// the limit.
class PauseLimit {
 public:
  explicit PauseLimit(absl::Duration longest = kMaxPause);
  ~PauseLimit();
  PauseLimit(const PauseLimit&) = delete;
  PauseLimit& operator=(const PauseLimit&) = delete;

  bool armed() const { return armed_; }
  // It lives from then on (NowNs()): nothing stood before.
  void CountFrom(uint64_t ns);

 private:
  const absl::Duration longest_;
  timer_t timer_ = {};
  bool armed_ = false;
};

}  // namespace jprof
