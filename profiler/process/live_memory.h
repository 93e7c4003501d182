// The memory of a live process, read from outside with process_vm_readv.
#pragma once

#include <cstddef>
#include <span>

#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

// Needs what ptrace needs: the same user, or CAP_SYS_PTRACE. A process that is gone or not
// permitted reads as nothing. A read can wait for the target's page faults, so it does not belong
// on a path that must not wait. Thread-safe. Holds a number, not the process: when the process may
// have ended, compare its start time before and after a batch of reads.
class LiveMemory : public MemoryReader {
 public:
  explicit LiveMemory(Pid pid) : pid_(pid) {}

  size_t Read(Address address, std::span<std::byte> out) const override;

  Pid pid() const { return pid_; }

 private:
  Pid pid_;
};

}  // namespace jprof
