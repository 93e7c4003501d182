// The stacks of all threads of a live process, each at an instant of its own.
//
// A thread that sleeps need not be stopped: the kernel tells the stack pointer and the pc it left
// user space with, and by call-frame tables the walk finds the other registers on the stack. It is
// believed if the thread has not run from before the first read to behind the last (the kernel
// counts its turns on a CPU), and if the walk reached the root of the stack without the registers
// that nobody knew. So nearly all threads of a server are not disturbed at all, no call of theirs
// is interrupted, and not even a ptrace is needed.
//
// All others are interrupted, walked while they stand, and let go, one after the other. The
// helpers read the functions' names in that time, as they do in an interrupt: the heap's objects
// cannot move then, and it is a few page reads. What is not needed to know the functions, their
// lines, is read when the thread runs again, and what lies in files is read then alone
// (CapturedWalk::rest): nobody can say how long that takes. Or they are not touched at all, and
// CaptureOptions::sample finds their stacks by other means.
#pragma once

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
  char state = '?';                    // as in /proc/TID/stat
  std::optional<uint64_t> cpu_ns;      // on a CPU, since its start
  uint64_t stack_base = 0;             // as in Registers
  uint64_t pause_ns = 0;               // it stood still for us; 0: it was not stopped
  bool is_whole = false;               // read asleep, to the root
  std::optional<SystemCall> call;      // that it is in
  std::string kernel_function;         // that it sleeps in; "" when not known
  absl::Status status;                 // why there is no stack, or not all of it
  CapturedWalk walk;
};

// Walks a thread's stack from these registers.
using WalkFunction = std::function<CapturedWalk(const Registers& registers)>;

// Takes the stacks of threads that run without stopping them: fills `walk`, or `status`. `asleep`
// does so, and returns true, when the thread has come to sleep.
using SampleFunction = std::function<void(std::span<CapturedThread* const> threads,
                                          const std::function<bool(CapturedThread&)>& asleep)>;

struct CaptureOptions {
  bool may_stop = true;
  // Those that sleep are stopped as well, for their registers, if the kernel takes up the call
  // that they are in again as if nothing had been.
  bool wants_registers = false;
  SampleFunction sample = nullptr;  // used when it may not
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
