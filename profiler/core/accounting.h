// Nothing vanishes: every sample that the kernel took is kept or dropped for a counted reason.
//
// Not in it are hits of the sampling event at which the kernel ran no program, because it throttled
// the event or another BPF program was active on that CPU: it counts neither, and the event's own
// count is time or cycles, not hits. They show in SamplingRate: samples taken, beside the CPU time
// that the target used at the rate that was granted.
#pragma once

#include <array>
#include <cstdint>

#include "profiler/core/frame.h"

namespace jprof {

struct SamplingRate {
  double asked_hz = 0;
  double granted_hz = 0;     // the kernel's maximum, if that was less
  double lowered_to_hz = 0;  // the maximum at the end, if it is below what was granted; else 0
  // Of the time that it was sampled, the part in which the event counted: less than all where
  // others use the CPU's counters too and the kernel lets them take turns. Samples' CPU times are
  // scaled.
  double counted_share = 1;
  uint64_t target_cpu_ns = 0;  // CPU time that the target used meanwhile; 0: not known
  uint64_t throttled_times = 0;
  uint64_t throttled_ns = 0;  // of all CPUs together

  // Samples taken in a second of the target's CPU time; 0 where that is not known.
  double AchievedHz(uint64_t taken) const {
    return target_cpu_ns == 0
               ? 0
               : static_cast<double>(taken) * 1e9 / static_cast<double>(target_cpu_ns);
  }
};

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
  // Of those, by reason; for others there is no name of their JIT code.
  uint64_t script_frames_unreadable = 0;  // their objects were not in memory
  uint64_t script_frames_corrupt = 0;     // their objects made no sense
  uint64_t script_frames_stale = 0;       // read so late that what was there is not believed

  uint64_t sideband_lost = 0;  // mapping, exec, exit, symbol records lost
  uint64_t silent_processes = 0;  // whose files or mappings could not be had: something hangs

  SamplingRate rate;
};

}  // namespace jprof
