// When a recording that goes on for long takes too much itself: its rate is to be halved.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace jprof {

class Governor {
 public:
  // `max_percent` of one CPU; 0: as much as it likes.
  explicit Governor(double max_percent) : max_percent_(max_percent) {}

  // To be asked some times a second; `cpu_ns`: CPU time that was used so far, asked for once a
  // second. True: in each of the last ten seconds it was more than is allowed. Then they are
  // counted anew.
  bool TakesTooMuch(uint64_t now_ns, absl::FunctionRef<uint64_t()> cpu_ns);

 private:
  const double max_percent_;
  uint64_t second_ns_ = 0;  // when it began; 0: none did
  uint64_t cpu_ns_ = 0;     // then
  int above_ = 0;           // of the seconds before
};

}  // namespace jprof
