// Makes a stopped thread of the target execute system calls, so that the target comes to no harm if
// this process dies at any instant of it.
//
// A tracer that changes a thread's registers and dies before it has put them back leaves a thread
// that runs astray. So the thread is given, on unused stack, what it takes to come back by itself:
// behind a call it returns into the C library's rt_sigreturn, which restores all its registers and
// its signal mask from a frame that lies there, as it does after a signal's handler. What the calls
// have changed is changed back the same way: a frame for each such call, which has the thread
// execute that call and return into the next one. Normally none of them is executed: the tracer
// sets the registers for each call, and in the end restores what was there before, bytes and
// registers. A child that a call makes has a stack of its own, on which it returns into the C
// library's exit.
//
//   sp of the thread -> 128 bytes that its code may use
//                       registers of the floating point unit, as rt_sigreturn reads them
//                       frame of rt_sigreturn: the thread as it was
//                       address of "rt_sigreturn"
//                       frame of rt_sigreturn: a call that undoes
//                    -> address of "rt_sigreturn"         where "syscall; ret" returns to
//                       address of "exit"                 where it does in a child
//
// The kernel must be able to tell that the memory is the stack's and is not used: so it is the main
// thread's, on the stack that the kernel made.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"

namespace jprof {

// Instructions in the target's own code.
struct CodePlaces {
  Address syscall_return;  // syscall; ret
  Address sigreturn;       // mov $15, %rax; syscall
  Address exit;            // mov $60 or $231, %eax; syscall
};
// nullopt: not all are there.
std::optional<CodePlaces> FindCodePlaces(const MemoryReader& memory,
                                         const std::vector<ProcMapping>& maps);

struct InjectedCall {
  int64_t number = 0;
  std::array<uint64_t, 5> arguments = {};
  bool makes_child = false;  // then the second argument is its stack, which it gets here
};

struct Injection {
  std::vector<InjectedCall> calls;
  // Made after them whatever they return, and whatever becomes of this process.
  std::vector<InjectedCall> undo;
  // Called when that is certain, before the first call; may be empty.
  std::function<void()> before;
  // Called with a child that one of them makes, as soon as there is one; may be empty.
  std::function<void(Pid)> made;
};

struct InjectedResult {
  std::vector<int64_t> values;  // of the calls, then of `undo`: as the kernel returns them, -errno
  Pid child = 0;  // that one of them made: traced, and it has not executed anything; 0: none
};

// `tid` is the process's main thread, seized, and stopped at an event stop of its own; it is again
// afterwards, as it was. `maps`: as of before the stop. FailedPrecondition: it is in no state in
// which that is safe, and nothing was done. Any other error: it has been left to come back by
// itself.
absl::StatusOr<InjectedResult> Inject(Tid tid, const std::vector<ProcMapping>& maps,
                                      const CodePlaces& places, const Injection& injection);

}  // namespace jprof
