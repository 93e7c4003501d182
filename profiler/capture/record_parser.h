// Bytes of a perf ring -> Event. Bounds-checked; no state.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "profiler/core/event.h"

namespace jprof {

// The sample_type of the events whose records are parsed here; each record ends in these fields.
// (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU, with sample_id_all.)
inline constexpr size_t kSampleIdBytes = 24;

// `record` is one record with its header. MapEvent for executable mappings, CommEvent, ForkEvent,
// ExitEvent, LostEvent{kSideband}. nullopt: a record of another kind, or about a process that has
// no number in our pid namespace. DataLoss: the record does not hold what its kind demands.
absl::StatusOr<std::optional<Event>> ParseSidebandRecord(std::span<const std::byte> record);

}  // namespace jprof
