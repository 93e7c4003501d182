// A profile as formats with a time line have it: thread by thread, each sample from an instant on
// for as long as it weighs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

// The sample type that such formats show: the last one, as in pprof; of a comparison, the first.
size_t ShownType(const Profile& profile);

// The one that pictures and folded stacks sum up: samples if all of them weigh alike, else
// ShownType().
size_t SummedType(const Profile& profile);
// What its values are: "samples", "alloc_objects", "bytes".
std::string SummedUnit(const Profile& profile);

// Whether the samples have instants.
bool HasInstants(const Profile& profile);
// Whether the samples have instants, and weigh nanoseconds.
bool HasTime(const Profile& profile);

// Threads that differ in their labels alone are one.
struct DistinctThreads {
  std::vector<ThreadId> first;   // of each, as they come
  std::vector<uint32_t> number;  // into `first`, by thread of the profile
};
DistinctThreads DistinctThreadsOf(const Profile& profile);

struct Span {
  int64_t start = 0;  // nanoseconds since the start; without time, what came before has weighed
  int64_t weight = 0;
  StackId stack;
  uint32_t sample = 0;  // of the profile
};

struct Track {
  ThreadId thread;  // one of DistinctThreads::first
  // In order; none overlaps the one before it. Samples that weigh nothing, or less, are not there.
  std::vector<Span> spans;
  int64_t end() const { return spans.empty() ? 0 : spans.back().start + spans.back().weight; }
};

// By pid, then tid, then as they come.
std::vector<Track> TracksOf(const Profile& profile);

// InvalidArgument: there are samples, but nothing of them would be on a time line.
absl::Status CheckTracks(const Profile& profile, const std::vector<Track>& tracks);

// "node 4711/4712 worker".
std::string TrackName(const Profile& profile, const Thread& thread);

// The image that a function was first seen in, by function; invalid: none.
std::vector<ImageId> ImagesOfFunctions(const Profile& profile);

}  // namespace jprof
