// The system call that a thread is in, for people: name, arguments, and what its descriptor is.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

struct SystemCall {
  int64_t number = 0;
  std::array<uint64_t, 6> arguments = {};
  uint64_t pc = 0;  // behind the instruction that made it; 0: not known
  friend bool operator==(const SystemCall&, const SystemCall&) = default;
};

// nullopt: they are of a thread that is not in one. What they say is to be believed as AsMade() has
// it.
std::optional<SystemCall> CallOf(const user_regs_struct& registers);

// What /proc/PID/task/TID/syscall says of a thread that is not running. `call` is missing where it
// is not in one.
struct SleepingThread {
  std::optional<SystemCall> call;
  uint64_t sp = 0;
  uint64_t pc = 0;
};
// nullopt: it runs, or the text is none of that file.
std::optional<SleepingThread> ParseSyscallFile(absl::string_view text);

// The call as the process made it, by the code in front of its pc. nullopt: there is no instruction
// that makes one, so that the registers are those of a signal's handler, which the thread is about
// to begin. restart_syscall, by which the kernel goes on with a call that was interrupted, becomes
// that call. Code that cannot be read says nothing.
std::optional<SystemCall> AsMade(const SystemCall& call, const MemoryReader& memory);

// Whether the kernel goes on with it, once it was interrupted, by another call, restart_syscall, for
// the time that is left (those that set a restart block: fs/select.c, kernel/futex, kernel/time).
bool RestartsByAnotherCall(const SystemCall& call);

// "epoll_wait(13, 0x7ffe..., 1024, -1)", descriptors spelled out by `describe_fd`, which may
// return "". A futex's owner is told where it can be: `memory` is the process's, `is_thread` says
// whether a number is one of its threads. `now_ns` is a clock as the process sees it.
struct CallContext {
  const MemoryReader* memory = nullptr;           // nullptr: none
  std::string (*describe_fd)(Pid pid, int fd) = nullptr;
  bool (*is_thread)(Pid pid, Tid tid) = nullptr;
  std::optional<int64_t> (*now_ns)(Pid pid, int clock) = nullptr;
  Pid pid = 0;
};
std::string DescribeCall(const SystemCall& call, const CallContext& context);

// Of a process that lives.
CallContext LiveContext(Pid pid, const MemoryReader& memory);

// The thread that holds what a futex call waits for; 0 where that cannot be told: a
// priority-inheriting futex says it in its word, and the C library's mutex, when it is contended
// (2), in the second word behind.
Tid LockOwner(const SystemCall& call, const CallContext& context);

// What a poll() or select() waits for. Empty for any other, and where the sets cannot be read.
struct PolledFd {
  int fd = -1;
  int16_t events = 0;  // POLLIN, ...
  friend bool operator==(const PolledFd&, const PolledFd&) = default;
};
std::vector<PolledFd> PolledFds(const SystemCall& call, const CallContext& context);

bool IsThreadOf(Pid pid, Tid tid);

// nullopt: of a clock that is not the same in all processes.
std::optional<int64_t> ClockOf(Pid pid, int clock);

}  // namespace jprof
