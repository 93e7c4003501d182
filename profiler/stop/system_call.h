// The system call that a thread is in, for people: name, arguments, and what its descriptor is.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

struct SystemCall {
  int64_t number = 0;
  std::array<uint64_t, 6> arguments = {};
  friend bool operator==(const SystemCall&, const SystemCall&) = default;
};

// nullopt: they are of a thread that is not in one.
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

// "epoll_wait(13, 0x7ffe..., 1024, -1)", descriptors spelled out by `describe_fd`, which may
// return "". A futex's owner is told where it can be: `memory` is the process's, `is_thread` says
// whether a number is one of its threads.
struct CallContext {
  const MemoryReader* memory = nullptr;           // nullptr: none
  std::string (*describe_fd)(Pid pid, int fd) = nullptr;
  bool (*is_thread)(Pid pid, Tid tid) = nullptr;
  Pid pid = 0;
};
std::string DescribeCall(const SystemCall& call, const CallContext& context);

// The thread that holds what a futex call waits for; 0 where that cannot be told: a
// priority-inheriting futex says it in its word, and the C library's mutex, when it is contended
// (2), in the second word behind.
Tid LockOwner(const SystemCall& call, const CallContext& context);

// What a descriptor of a live process is: a file's path, a socket with its ends, a pipe, an epoll
// set with the number of what it watches. "" when that cannot be told.
std::string DescribeFd(Pid pid, int fd);
bool IsThreadOf(Pid pid, Tid tid);

}  // namespace jprof
