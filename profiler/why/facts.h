// All that `jprof why` saw of a process, as plain values: what it may claim follows from these and
// from nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "profiler/core/frame.h"
#include "profiler/core/ids.h"
#include "profiler/why/waits.h"

namespace jprof {

struct FrameFacts {
  std::string name;
  std::string place;  // file:line:column of what executes; "" when not known
  FrameKind kind = FrameKind::kUnknown;
  bool of_program = false;  // native code of the program's own file
  bool of_libc = false;     // of the C library, its loader or the vdso

  bool operator==(const FrameFacts&) const = default;
};

struct ThreadFacts {
  Tid tid = 0;
  std::string name;
  char state = '?';  // at the end of the time
  char first_state = '?';  // at its beginning
  // Within the time: on a CPU, waiting for one, and how often it went to sleep.
  uint64_t cpu_ns = 0;
  uint64_t queued_ns = 0;
  uint64_t sleeps = 0;
  bool was_there = true;  // since its beginning
  Wait wait;              // at its end
  WaitChain chain;        // from it
  std::vector<FrameFacts> frames;  // at its beginning, leaf first
  std::optional<SystemCall> first_call;  // that it was in then
};

// A process besides the one asked about.
struct OtherFacts {
  std::string name;
  std::string does;  // "sleeps in nanosleep(...)"
};

struct SampleFacts {
  Tid tid = 0;
  uint32_t stack = 0;  // in Facts::stacks
};

struct Facts {
  Pid pid = 0;
  std::string name;
  char state = '?';
  std::string ended;    // a zombie's: "exit status 3"; "" when not known
  Pid parent = 0;       // in others; 0: none
  Pid tracer = 0;       // the same
  double seconds = 0;   // that it was watched; 0: not at all
  std::vector<ThreadFacts> threads;  // the main one first
  std::vector<std::vector<FrameFacts>> stacks;  // leaf first
  std::vector<SampleFacts> samples;
  std::map<Pid, OtherFacts> others;
  std::vector<Pid> children;  // in others; some that live, when the main thread waits for one
};

}  // namespace jprof
