// Samples on their way to a profile: all is there but names of files' and the kernel's functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/accounting.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/frame_table.h"
#include "profiler/pipeline/image_table.h"
#include "profiler/pipeline/kept_samples.h"
#include "profiler/pipeline/kernel_names.h"
#include "profiler/pipeline/namer.h"

namespace jprof {

// What only the source knows, at the end.
struct RecordingEnd {
  uint64_t samples_taken = 0;
  uint64_t samples_lost = 0;        // of these, no room in the ring
  int64_t start_time_ns = 0;        // Unix time
  uint64_t start_monotonic_ns = 0;  // the same instant on the events' clock
  int64_t duration_ns = 0;
  SamplingRate rate;
};

struct Sampled {
  const FrameTable& frames;
  const PinnedImages& images;
  const std::vector<std::string>& comms;  // names of threads, processes and control groups
  const BuiltinCodes& builtins;
  std::vector<KeptSamples::Sample> samples;
  Accounting accounting;
};

struct NamedProfile {
  Profile profile;
  std::vector<std::string> troubles;  // of naming, for the user
  std::vector<StackId> places;        // if wanted, by node of the frame table; invalid: not shown
};

// Names the frames of `sampled`, by way of `kernel` and `namer`, and builds the profile. Internal:
// our bug.
absl::StatusOr<NamedProfile> BuildProfile(Sampled sampled, const RecordingEnd& end,
                                          int64_t period_ns, KernelNames& kernel,
                                          const NamerOptions& namer, bool places = false);

// What was sampled so far, by itself: to be built on any thread, while the recording goes on.
class ProfileDraft {
 public:
  absl::StatusOr<Profile> Build();

 private:
  friend class Pipeline;
  explicit ProfileDraft(KernelNames& kernel) : kernel_(&kernel) {}

  FrameTable frames_;
  PinnedImages images_;
  std::vector<std::string> comms_;
  BuiltinCodes builtins_;
  std::vector<KeptSamples::Sample> samples_;
  Accounting accounting_;
  RecordingEnd end_;
  int64_t period_ns_ = 0;
  KernelNames* kernel_;
  NamerOptions namer_;
};

}  // namespace jprof
