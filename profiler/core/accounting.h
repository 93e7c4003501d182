// Nothing vanishes: every sample that the kernel took is kept or dropped for a counted reason.
//
// Not in it are hits of the sampling event at which the kernel ran no program, because it throttled
// the event or another BPF program was active on that CPU: it counts neither. They cannot be had by
// subtraction either. The event's own count is time or cycles, not hits, and how many there are to
// a hit changes with the frequency that the kernel regulates; it is of all that ran on the CPU,
// where samples are of the target; and the ring's throttle records do not say what was missed.
#pragma once

#include <array>
#include <cstdint>

#include "profiler/core/frame.h"

namespace jprof {

struct Accounting {
  // Samples. taken == kept + the dropped_* below; ProfileBuilder::Build() checks it.
  uint64_t taken = 0;
  uint64_t kept = 0;
  uint64_t dropped_ring_full = 0;   // the kernel half found no room for the sample or its stack
  uint64_t dropped_no_stack = 0;    // its stack record never arrived
  uint64_t dropped_queue_full = 0;  // our own reader fell behind

  // Of the samples kept:
  uint64_t rooted = 0;  // the user stack reaches a thread's first function, or there is none
  uint64_t truncated_depth = 0;  // deeper than the walk's limit
  std::array<uint64_t, kWalkEndCount> walk_ends = {};
  uint64_t left_out = 0;  // their stacks, in part at least: more were new than there is room for

  // Frames of the samples kept (a frame counts once for each sample that it appears in).
  uint64_t frames = 0;
  uint64_t frames_unnamed = 0;         // shown as what is known: "[unknown] libx.so+0x12"
  uint64_t script_frames = 0;          // frames that belong to a runtime's functions
  uint64_t script_frames_unnamed = 0;  // of these, not resolved at the instant of the sample

  uint64_t sideband_lost = 0;  // mapping, exec, exit records lost
};

}  // namespace jprof
