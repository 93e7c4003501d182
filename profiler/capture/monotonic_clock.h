// The clock of all events.
#pragma once

#include <time.h>

#include <cstdint>

namespace jprof {

// Nanoseconds of CLOCK_MONOTONIC.
inline uint64_t MonotonicNow() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace jprof
