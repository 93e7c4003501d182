// What is said of a recording: the verdict, in one line, the comments of its profile, and what will
// be missing in the picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "profiler/capture/live_source.h"
#include "profiler/core/accounting.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/pipeline.h"

namespace jprof {

// What was taken, lost, rooted, named, and by what: LevelText(), RuntimeTable::recognised().
// `cpu_s`: that it took of our own.
std::string VerdictText(const Profile& profile, const std::string& level,
                        const std::vector<std::string>& runtimes, double cpu_s);

// Each sample is kept or dropped for a reason.
std::string SamplesText(const Accounting& a);
std::string RateText(const Accounting& a);
std::string LevelText(const LiveSource& source);
// How the rate was lowered, and which CPUs went and came; one line each, none if nothing changed.
std::vector<std::string> ChangesText(const LiveSource& source, uint64_t started_ns);
// What the level ring cost in exactness.
std::string RingQualityText(const RingSampler& ring);

// What a recording lacks.
struct Shortcomings {
  absl::Status kernel_level;  // why it is not that one
  bool ring_has_kernel = false;
  std::vector<std::string> silent_events;
  std::string event_name;  // of the one that was used
  Accounting accounting;
  bool has_rate = true;    // samples were not hits of a probe
  bool is_steady = true;   // the rate was the same all the time
  std::vector<std::string> changes;           // as ChangesText() has them
  std::vector<std::string> refused_runtimes;  // each with its reason; so are those that follow
  std::vector<Pid> jvms_without_map;
  std::vector<std::string> perf_maps;
  std::vector<std::string> jit_dumps;
  std::vector<std::string> symbols;  // of files and servers
  uint64_t damaged_records = 0;
  uint64_t unopened_images = 0;
  uint64_t images_over_limit = 0;
  uint64_t names_dropped = 0;
  uint64_t names_lost = 0;
  uint64_t processes_without_room = 0;
  uint64_t ranges_without_room = 0;
  uint64_t tables_without_room = 0;
  uint64_t walks_without_room = 0;
  uint64_t no_rule = 0;       // stacks that end where no table says how to go on
  uint64_t time_step_ns = 0;  // 0: each sample has its own time
  bool processes_by_name = false;
  bool threads_by_name = false;
};
Shortcomings ShortcomingsOf(const LiveSource& source, const Pipeline& pipeline,
                            uint64_t started_ns, bool has_rate);

// What will be missing and why, one line each.
std::vector<std::string> WarningTexts(const Shortcomings& shortcomings);

}  // namespace jprof
