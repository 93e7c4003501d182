// What takes samples, at whichever level of capture: it learns of processes, layouts and call-frame
// tables as a LayoutSink and an UnwindSink, and delivers samples with the stacks and names that
// they refer to.
//
// Threads: the sinks from any; Drain from any, one at a time.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/abi/records.h"
#include "helpers/layout_sink.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"
#include "profiler/unwind/unwind_tables.h"

namespace jprof {

class Sampler : public LayoutSink, public UnwindSink {
 public:
  // Hands out every record that is there now.
  virtual absl::Status Drain(absl::FunctionRef<void(Event)> sink) = 0;

  // Whether samples of a process are left out. They may come nevertheless.
  virtual void SetForeign(Pid pid, bool foreign) = 0;

  virtual absl::StatusOr<jp_counters> ReadCounters() const = 0;
};

}  // namespace jprof
