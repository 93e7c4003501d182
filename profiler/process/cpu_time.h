// CPU time that processes have used so far, user and kernel, in nanoseconds.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/process/cgroup.h"

namespace jprof {

// Of all its threads, those that ended too. NotFound: no such process; a zombie still is one.
absl::StatusOr<uint64_t> CpuTimeOfProcess(Pid pid);
absl::StatusOr<uint64_t> CpuTimeOfThread(Pid pid, Tid tid);
// Of a process, of its children, and of those that it has waited for; of the last in steps of a
// clock tick. NotFound as above.
absl::StatusOr<uint64_t> CpuTimeWithChildren(Pid pid);
// jprof's own: this process's, and CpuTimeWithChildren() of the one that has foreign files read
// (SymbolizerProcess::pid()), 0 for none. What cannot be had counts as nothing.
uint64_t OwnCpuTime(Pid reader);
// Of the calling thread.
uint64_t CpuTimeOfThisThread();
// Of all that are or were in the group or below it.
absl::StatusOr<uint64_t> CpuTimeOfCgroup(const Cgroup& cgroup);
// Of all processes on all CPUs, idle time and interrupts' own left out; in steps of a clock tick.
absl::StatusOr<uint64_t> CpuTimeOfHost();

// What these read. DataLoss: another text. In /proc/stat times are ticks, of which a second has
// `ticks_per_second`.
absl::StatusOr<uint64_t> ParseSchedstat(absl::string_view text);
absl::StatusOr<uint64_t> ParseCgroupCpuStat(absl::string_view text);
absl::StatusOr<uint64_t> ParseProcStatBusy(absl::string_view text, uint64_t ticks_per_second);

}  // namespace jprof
