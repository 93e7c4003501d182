// The stacks of all threads of a live process, each at an instant of its own.
//
// A thread that sleeps is not stopped: some calls would end early, as by a signal. The kernel tells
// the stack pointer and the pc it left user space with, and by call-frame tables the walk finds the
// other registers on the stack. If it does not come to the root of the stack without those that
// nobody knew, they are read too (CaptureOptions::read_registers), and it is walked again. It is
// believed if the thread has not run from before the first read to behind the last: the kernel
// counts its turns on a CPU. Where the registers cannot be read, a thread is stopped if the call
// that it sleeps in is taken up again as if nothing had been, or if its owner has stopped it
// already; else its stack is cut.
//
// Those that run are interrupted, walked while they stand, and let go, one after the other. The
// helpers read the functions' names in that time, as they do in an interrupt: the heap's objects
// cannot move then, and it is a few page reads. What is not needed to know the functions, their
// lines, is read when the thread runs again, and what lies in files is read then alone
// (CapturedWalk::rest): nobody can say how long that takes. Or they are not touched at all, and
// CaptureOptions::sample finds their stacks by other means.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/native_runner.h"
#include "profiler/core/frame.h"
#include "profiler/core/ids.h"
#include "profiler/stop/stopped_thread.h"
#include "profiler/stop/system_call.h"

namespace jprof {

struct CapturedWalk : NativeRunner::Result {
  CapturedWalk() = default;
  CapturedWalk(NativeRunner::Result result) : NativeRunner::Result(std::move(result)) {}  // NOLINT

  // `whole` is the same walk over a copy, and goes further. What was told of frames while they
  // stood stays: of those before, and, where a runtime knew how to go on, of those behind.
  void GoOnAs(CapturedWalk whole);

  // Values of runtimes' functions' parameters, by index of the frame; only where asked for.
  absl::flat_hash_map<uint32_t, std::vector<FrameArgument>> arguments;
  // Where it began, and memory as it was then; nullptr: not kept.
  Registers registers;
  std::optional<VectorRegisters> vectors;  // nullopt: not known
  std::shared_ptr<const MemoryReader> memory;
  // What is left to be done when the thread runs again, and soon; empty: nothing.
  std::function<void(CapturedWalk&)> rest;
};

struct CapturedThread {
  Tid tid = 0;
  std::string name;
  char state = '?';                // as in /proc/TID/stat
  std::optional<uint64_t> cpu_ns;  // on a CPU, since its start
  uint64_t stack_base = 0;         // as in Registers
  uint64_t pause_ns = 0;           // it stood still for us; 0: it was not stopped
  bool is_whole = false;           // read asleep: more cannot be had
  absl::Status registers;          // why those are not known that the walk of a sleeper needs
  std::optional<SystemCall> call;  // that it is in
  std::string kernel_function;     // that it sleeps in; "" when not known
  absl::Status status;             // why there is no stack, or not all of it
  CapturedWalk walk;
};

// Walks a thread's stack from these registers. `stands`: it is held for that, and no longer.
using WalkFunction = std::function<CapturedWalk(const Registers& registers, bool stands)>;

// The registers with which a thread that sleeps left user space; an error: they cannot be read.
using RegistersFunction =
    std::function<absl::StatusOr<user_regs_struct>(Tid tid, const SleepingThread& asleep)>;

// Takes the stacks of threads that run without stopping them: fills `walk`, or `status`. `asleep`
// does so, and returns true, when the thread has come to sleep.
using SampleFunction = std::function<void(std::span<CapturedThread* const> threads,
                                          const std::function<bool(CapturedThread&)>& asleep)>;

struct CaptureOptions {
  bool may_stop = true;
  bool wants_registers = false;                // also where the walk does not need them
  RegistersFunction read_registers = nullptr;  // nullptr: cannot be read
  SampleFunction sample = nullptr;             // used when it may not
};

// All threads, those too that are born meanwhile; one that exits meanwhile is left out. In the
// order of their numbers.
std::vector<CapturedThread> CaptureThreads(Pid pid, const WalkFunction& walk,
                                           const CaptureOptions& options);

// Whether a process is one that stacks can be read of: NotFound: none, or a zombie;
// FailedPrecondition: a kernel thread, 32 bits, or as CheckProcFileSystem(); InvalidArgument: this
// process, or a thread of a process; PermissionDenied.
absl::Status CheckTarget(Pid pid);

// Why a thread, or the main one, could not be stopped, for people.
absl::Status ExplainStop(Pid pid, const absl::Status& status, Tid tid = 0);

}  // namespace jprof
