// Bytes of a perf ring -> Event, or a sample with the thread's registers and stack. Bounds-checked;
// no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "helpers/native_runner.h"
#include "profiler/core/event.h"

namespace jprof {

// The sample_type of the events whose records are parsed here; each record ends in these fields.
// (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU, with sample_id_all.)
inline constexpr size_t kSampleIdBytes = 24;

// `record` is one record with its header. MapEvent for executable mappings, CommEvent, ForkEvent,
// ExitEvent, LostEvent{kSideband}. nullopt: a record of another kind, or about a process that has
// no number in our pid namespace. DataLoss: the record does not hold what its kind demands.
absl::StatusOr<std::optional<Event>> ParseSidebandRecord(std::span<const std::byte> record);

// The kernel stopped a sampling event for the rest of a clock tick, since it took too many samples
// or too much time; or let it go on.
struct ThrottleRecord {
  uint64_t time_ns = 0;
  bool stopped = false;
};
// nullopt: a record of another kind.
absl::StatusOr<std::optional<ThrottleRecord>> ParseThrottleRecord(
    std::span<const std::byte> record);

// A sample of an event whose sample_type is kTaskSampleType, with kTaskSampleRegisters. What it
// points to is the record's.
struct TaskSample {
  uint64_t time_ns = 0;
  Pid pid = 0;
  Tid tid = 0;
  uint64_t event = 0;  // number of the event that was opened, whichever thread inherited it
  uint32_t cpu = 0;
  std::vector<uint64_t> kernel_chain;  // leaf first
  bool has_user = false;               // else there are no registers and no stack
  bool is_64_bit = false;              // the user's code at hand
  Registers registers;                 // tid and stack_base are not filled
  std::span<const std::byte> stack;    // from the stack pointer on
  bool whole_stack = false;            // the memory ends there
};

extern const uint64_t kTaskSampleType;
extern const uint64_t kTaskSampleRegisters;

// What a record of such an event's ring says; neither: a record of another kind.
struct TaskRecord {
  std::optional<TaskSample> sample;
  uint64_t lost = 0;  // samples that found no room
};

// `kernel_chain`: PERF_SAMPLE_CALLCHAIN is in sample_type as well, users' frames excluded.
// DataLoss: the record does not hold what its kind demands.
absl::StatusOr<TaskRecord> ParseTaskRecord(std::span<const std::byte> record, bool kernel_chain);

}  // namespace jprof
