// What is said of a recording: the verdict, in one line, the comments of its profile, and what will be
// missing in the picture.
#pragma once

#include <string>
#include <vector>

#include "profiler/capture/live_source.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/pipeline.h"

namespace jprof {

// What was taken, lost, rooted, named, and by what: LevelText(), RuntimeTable::recognised(). `cpu_s`: that
// it took of our own.
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

// What will be missing and why, one line each. `has_rate`: samples were not hits of a probe.
std::vector<std::string> WarningsOf(const LiveSource& source, const Pipeline& pipeline,
                                    uint64_t started_ns, bool has_rate);

}  // namespace jprof
