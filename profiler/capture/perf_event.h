// Opening perf events. Descriptors only: rings, programs and enabling are the caller's.
// Clock of all time stamps: CLOCK_MONOTONIC.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

struct SamplingEvent {
  UniqueFd fd;
  bool hardware = false;  // CPU cycles; else the CPU clock's timer
};

enum class SamplingSource {
  kBest,       // hardware cycles where the CPU has them, else the clock
  kCpuClock,   // the clock, for when the cycles turn out not to count, or not on every CPU
  kTaskClock,  // the kernel's other clock, for when that one does not fire
};

// Whether an event of the kind takes samples: it counts the calling thread, which is busy until the
// first one or for 50 ms of CPU time. True as well where that cannot be tried. `hardware`: cycles.
bool EventFires(SamplingSource source, bool hardware);
using EventTrial = std::function<bool(SamplingSource, bool hardware)>;
// That no kind of event does.
absl::Status NoEventFires();
std::string ClockName(SamplingSource clock);  // "cpu-clock"
// The first of the two clocks that takes samples; `silent` gets the names of those that do not.
// FailedPrecondition: none does.
absl::StatusOr<SamplingSource> ChooseClock(const EventTrial& fires,
                                           std::vector<std::string>& silent);

// A disabled sampling event for everything that runs on `cpu`, idle excluded. It is meant to run a
// program on each hit, and to have no samples in a ring; in that of a side-band event of the CPU
// (RedirectEvent) it tells when it is throttled (ParseThrottleRecord). Enable with EnableEvent.
// PermissionDenied and ResourceExhausted carry the observed limit and a hint; InvalidArgument: the
// frequency is above the kernel's maximum, which the message names.
absl::StatusOr<SamplingEvent> OpenSamplingEvent(int cpu, uint64_t frequency_hz,
                                                SamplingSource source = SamplingSource::kBest);

// A disabled event that reports executable mappings, command names, forks and exits of whatever
// runs on `cpu`, in the records that record_parser.h reads. It costs nothing between them, and
// wakes a poll() when `wakeup_bytes` of them wait in its ring.
absl::StatusOr<UniqueFd> OpenSidebandEvent(int cpu, uint32_t wakeup_bytes);

// What the events of single threads have in common.
struct TaskEventOptions {
  uint64_t frequency_hz = 99;
  uint32_t stack_bytes = 0;      // of the copy in each sample; a multiple of 8
  bool kernel = false;           // sample in the kernel too, with its frames: takes a privilege
  bool inherit = true;           // to the threads that the thread starts
  bool inherit_children = true;  // and to processes
  SamplingSource clock = SamplingSource::kCpuClock;
};

// Disabled events of one thread while it runs on `cpu`: one of samples with registers and a copy of
// the stack, by a clock (ParseTaskRecord), and one that reports mappings, names, forks and
// exits (ParseSidebandRecord). An unprivileged user may have them of own processes. NotFound: there
// is no such thread; PermissionDenied and others as above.
absl::StatusOr<UniqueFd> OpenTaskSamplingEvent(Tid tid, int cpu, const TaskEventOptions& options);
absl::StatusOr<UniqueFd> OpenTaskSidebandEvent(Tid tid, int cpu, const TaskEventOptions& options);

// An event of the calling thread that counts nothing, for a ring that others put their records in
// (RedirectEvent), and that remains when their threads are gone. It wakes a poll() when
// `wakeup_bytes` wait, or, if that is 0, when those events say so: each of their samples does.
absl::StatusOr<UniqueFd> OpenRingEvent(int cpu, uint32_t wakeup_bytes);
absl::Status RedirectEvent(const UniqueFd& event, const UniqueFd& ring_event);
// The number that samples name the event by.
absl::StatusOr<uint64_t> EventNumber(const UniqueFd& event);

struct EventReading {
  uint64_t value = 0;
  // How long it was enabled, while its CPU was online, and for how much of that it had a counter.
  uint64_t enabled_ns = 0;
  uint64_t running_ns = 0;
  // Its records, and those of events that inherited it, that found no room in its ring, told there
  // or not; nullopt: a kernel before 6.0 does not count them.
  std::optional<uint64_t> lost;
};
absl::StatusOr<EventReading> ReadEvent(const UniqueFd& event);
// EventReading::lost, and 0 where nobody counts.
uint64_t LostRecords(const UniqueFd& event);

// The rate above which the kernel refuses events, and throttles them: it lowers it itself when
// they take too long.
absl::StatusOr<uint64_t> MaxSampleRate();

// Samples so often from now on, at once; `hardware` as SamplingEvent has it.
absl::Status SetEventFrequency(const UniqueFd& event, bool hardware, uint64_t frequency_hz);

absl::Status EnableEvent(const UniqueFd& event);
absl::Status DisableEvent(const UniqueFd& event);

// "0-3,8,10-11" -> numbers, ascending. DataLoss: something else.
absl::StatusOr<std::vector<int>> ParseCpuList(absl::string_view text);
// The CPUs that are online now.
absl::StatusOr<std::vector<int>> OnlineCpus();

// Whether jprof has the capability to sample what it likes.
bool MaySampleAll();

// The status for a perf_event_open that failed with `err`, with what the kernel's settings say
// about it. `what` names the attempt: "cannot sample cpu 0".
enum class PerfScope { kCpu, kOwnThread };
absl::Status PerfOpenStatus(int err, absl::string_view what, PerfScope scope = PerfScope::kCpu,
                            bool capable = MaySampleAll());

}  // namespace jprof
