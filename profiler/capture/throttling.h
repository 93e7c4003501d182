// For how long the kernel stopped sampling events.
#pragma once

#include <cstdint>

#include "profiler/capture/record_parser.h"

namespace jprof {

// Of the events of one ring.
class Throttling {
 public:
  void Take(const ThrottleRecord& record) {
    if (record.stopped) {
      ++times_;
      since_ns_ = record.time_ns;
    } else if (since_ns_ != 0 && record.time_ns > since_ns_) {
      ns_ += record.time_ns - since_ns_;
      since_ns_ = 0;
    }
  }

  uint64_t times() const { return times_; }
  uint64_t ns() const { return ns_; }

 private:
  uint64_t times_ = 0;
  uint64_t ns_ = 0;
  uint64_t since_ns_ = 0;  // 0: not stopped
};

}  // namespace jprof
