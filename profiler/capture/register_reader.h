// The registers with which a thread that sleeps left user space. The kernel keeps all of them on
// the thread's kernel stack, and /proc/TID/syscall tells but a few. A BPF program of a few
// instructions copies them (an iterator over the threads of a process), and the thread notices
// nothing. Needs Linux 6.1, and what sampling by BPF needs.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class RegisterReader {
 public:
  // For threads of this process. An error where the kernel does not allow it, or is too old.
  static absl::StatusOr<RegisterReader> Make(Pid pid);

  // Of the thread if it left user space at `pc` with `sp`, as no other of the process did; all but
  // the segments. NotFound: it has run since then. That it does not run meanwhile is up to the
  // caller.
  absl::StatusOr<user_regs_struct> Read(Tid tid, uint64_t pc, uint64_t sp) const;

 private:
  RegisterReader(Pid pid, UniqueFd program, UniqueFd process)
      : pid_(pid), program_(std::move(program)), process_(std::move(process)) {}

  Pid pid_;
  UniqueFd program_;
  UniqueFd process_;  // the program, attached to all of its threads
};

}  // namespace jprof
