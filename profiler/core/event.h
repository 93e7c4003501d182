// The stream that every source of samples delivers and the pipeline consumes. Plain values: nothing
// here knows perf, ELF or BPF. Times are CLOCK_MONOTONIC nanoseconds.
//
// Order: events come in time order, except StackEvent, KernelStackEvent and SymbolEvent, which have
// no time and come before the first event that refers to them by number.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "profiler/core/address.h"
#include "profiler/core/frame.h"
#include "profiler/core/ids.h"
#include "profiler/core/image.h"

namespace jprof {

// One hit of the sampling event. Stack numbers are the source's; 0 means "no such stack".
struct SampleEvent {
  uint64_t time_ns = 0;
  Pid pid = 0;
  Tid tid = 0;
  uint32_t cpu = 0;
  uint32_t user_stack = 0;
  uint32_t kernel_stack = 0;
};

// A user stack at its first sight, leaf first.
struct StackEvent {
  uint32_t number = 0;
  Pid pid = 0;
  WalkEnd end = WalkEnd::kRoot;
  std::vector<RawFrame> frames;
};

// A kernel stack at its first sight: addresses, leaf first.
struct KernelStackEvent {
  uint32_t number = 0;
  std::vector<uint64_t> addresses;
};

// What a runtime helper read about one function, at first sight. `record` is opaque to all but the
// runtime that wrote it (helpers/abi/records.h gives its frame).
struct SymbolEvent {
  uint32_t number = 0;
  Pid pid = 0;
  uint8_t runtime = 0;
  std::vector<uint8_t> record;
};

// A new executable mapping.
struct MapEvent {
  uint64_t time_ns = 0;
  Pid pid = 0;
  AddressRange range;
  FileOffset offset;  // file offset of range.begin; 0 for anonymous memory
  FileIdentity file;  // all zero for anonymous memory
  std::string path;   // as the kernel prints it: a path in the target's root, "//anon", "[vdso]"
};

// The command name of a thread; `exec` when it comes from execve, which replaces the address space.
struct CommEvent {
  uint64_t time_ns = 0;
  Pid pid = 0;
  Tid tid = 0;
  bool exec = false;
  std::string comm;
};

// A new thread (pid == parent_pid) or process.
struct ForkEvent {
  uint64_t time_ns = 0;
  Pid pid = 0;
  Tid tid = 0;
  Pid parent_pid = 0;
  Tid parent_tid = 0;
};

struct ExitEvent {
  uint64_t time_ns = 0;
  Pid pid = 0;
  Tid tid = 0;
};

// Records that could not be delivered. Later events may refer to the stacks and symbols that were
// lost.
struct LostEvent {
  enum class What : uint8_t { kSamples, kSideband, kStacks, kSymbols };
  What what = What::kSamples;
  uint64_t count = 0;
};

using Event = std::variant<SampleEvent, StackEvent, KernelStackEvent, SymbolEvent, MapEvent,
                           CommEvent, ForkEvent, ExitEvent, LostEvent>;

}  // namespace jprof
