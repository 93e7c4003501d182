// Runs a recording: the threads, the queue between them, the stop and the last drain around a
// LiveSource and a Pipeline.
//
//   reader thread:    rings -> batches -> queue (never waits for the pipeline)
//   pipeline thread:  queue -> Pipeline, and at the end the naming; may wait for the target
//   main thread:      watches the clock, the target and the caller's wish to stop
//
// A target whose files or memory do not answer costs its own names (target_files.h,
// resident_memory.h). Where the pipeline's or the reader's thread waits for ever all the same
// (target_task.h), a recording still ends when it should: what follows its end is then given up
// with DeadlineExceeded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/capture/live_source.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/checkpoints.h"
#include "profiler/pipeline/governor.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/pipeline/target_files.h"
#include "profiler/pipeline/target_task.h"
#include "profiler/pipeline/targets.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {

struct RecordingOptions {
  Targets::Options targets;
  CaptureLevel level = CaptureLevel::kBest;
  uint64_t frequency_hz = 99;
  // Of one CPU, by our own threads, the processes that read files for us and, where the kernel
  // counts it, the sampling: when it takes more for ten seconds, the rate is halved. 0: it is not.
  double max_cpu_percent = 0;
  int64_t duration_ns = 0;  // 0: until stopped or the target exits
  // Live: so often what was sampled is named, handed to `on_snapshot` and forgotten, and there is
  // nothing to Finish(). It is called on the pipeline's thread, which may be left behind: what it
  // uses must be its own. An interval without samples is an empty profile. 0: no.
  int64_t snapshot_ns = 0;
  std::function<void(Profile)> on_snapshot;
  // Not live: gets the profile so far, now and then; it says so in its comments. Empty: it is not
  // made.
  Checkpoints::Sink on_checkpoint;
  bool tiers = false;
  bool inlines = false;
  bool lines = false;
  // "auto": functions of scripts are shown by their originals, by the source maps that the scripts
  // name; else by those in this directory; "": not.
  std::string source_maps;
  bool async = false;
  std::string perf_map_folder;  // as PerfMapOptions has it
  // Samples are its hits, and not of CPU time; nullptr: none. Outlives the runner.
  const Probe* probe = nullptr;
  int64_t go_on_every_ns = 100'000'000;  // how often the caller of Record() is asked
  std::string command_line;
  // Of what may take long and can wait, while it is recorded; all else has the caller's
  // (priority.h).
  int niceness = 0;
  // Reads the mapped files for their names, and opens them if it has stand-ins (target_files.h);
  // nullptr: this process does. Shared with the thread that is left behind when it hangs.
  std::shared_ptr<SymbolizerProcess> symbolizer;
};

struct RecordingProgress {
  int64_t elapsed_ns = 0;
  uint64_t samples = 0;
  std::string news;  // that the user is to be told now; "": none
};

class Runner {
 public:
  enum class Ended { kTime, kStopped, kTargetExited };

  // Checks the target, loads the sampler, learns the target's mappings and runtimes: all that
  // comes before the first sample. NotFound, PermissionDenied and FailedPrecondition carry a hint.
  // DeadlineExceeded here and below: the target's files or memory do not answer.
  static absl::StatusOr<std::unique_ptr<Runner>> Attach(const RecordingOptions& options,
                                                        const RuntimeSet& runtimes);
  ~Runner();

  // Samples until the time is over, the target exits, or `go_on` returns false; it is called some
  // ten times a second, and of a live recording all the time: it waits itself.
  absl::StatusOr<Ended> Record(const std::function<bool(const RecordingProgress&)>& go_on);

  // Between Attach() and Finish(); nullptr: RecordingOptions had none.
  BpfProbe* probe();

  // Names everything and builds the profile. Call once, after a Record() that was OK. NotFound: not
  // one sample was taken; says why.
  absl::StatusOr<Profile> Finish();

  // The verdict on a finished profile in one line: what was taken, lost, rooted, named, and by
  // what.
  std::string Verdict(const Profile& profile) const;
  // What will be missing in the picture and why, one line each.
  std::vector<std::string> Warnings() const;

 private:
  // What the threads work on.
  struct Work;
  struct SoFar;
  // What is done behind each batch of events, and at their end; empty: nothing. Knows no Runner.
  using Periodic = std::function<absl::Status(Work&, bool last)>;
  Periodic Snapshots() const;
  Periodic CheckpointsOf() const;
  Runner(const RecordingOptions& options, Targets targets);

  void StartReading();
  // DeadlineExceeded: it waits for a target, and was left behind.
  absl::Status StopReading();
  // CPU time besides the caller's and the reader's.
  int64_t CpuTimeOfWorkNs();
  absl::Status Seed();
  // Does `work` on a thread of its own; DeadlineExceeded: it was given up.
  absl::Status Await(std::function<void(Work&)> work);
  absl::Status GiveUp();
  absl::Status NoSamples(int64_t duration_ns) const;
  // As far as it can be told, and samples can be compared with it.
  std::optional<uint64_t> CpuTimeOfTargets() const;
  // News, if it was time to halve the rate.
  std::string Govern(Governor& governor, uint64_t now_ns);
  SamplingRate Rate() const;

  const RecordingOptions options_;
  Targets targets_;
  std::string access_warning_;  // "" for none
  DescribeFunction describe_;
  std::shared_ptr<TargetFiles> files_;  // nullptr: this process opens them
  std::unique_ptr<Work> work_;
  std::unique_ptr<TargetTask> reader_;  // at the level ring it reads memory of targets
  bool given_up_ = false;  // a thread was left behind, and work_ is its own
  uint64_t started_ns_ = 0;
  uint64_t stopped_ns_ = 0;
  int64_t started_unix_ns_ = 0;
  std::optional<uint64_t> target_cpu_before_ns_;
  std::optional<uint64_t> target_cpu_after_ns_;
  uint64_t max_rate_hz_ = 0;  // at the end; 0: not known
  double cpu_before_s_ = 0;
  double cpu_recording_s_ = 0;
};

}  // namespace jprof
