#include "profiler/cli/probe_run.h"

#include <signal.h>

#include <atomic>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/stack_report.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/runner.h"
#include "profiler/pipeline/target_files.h"
#include "profiler/stop/thread_capture.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

constexpr int64_t kWaitingNs = 10'000'000;

std::atomic<bool> g_stop_asked{false};

// The second signal ends the program at once.
void OnStopSignal(int number) {
  if (g_stop_asked.exchange(true)) ::signal(number, SIG_DFL);
}

void InstallSignals() {
  for (int number : {SIGINT, SIGTERM, SIGHUP}) ::signal(number, OnStopSignal);
  for (int number : {SIGPIPE, SIGXFSZ}) ::signal(number, SIG_IGN);
}

}  // namespace

bool ProbeRunInterrupted() { return g_stop_asked.load(); }

absl::StatusOr<ProbeRunResult> RunProbe(const ProbeRunOptions& options,
                                        const RuntimeSet& runtimes) {
  const Pid pid = options.probe->pid;
  if (pid != 0) JPROF_RETURN_IF_ERROR(CheckTarget(pid));
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(std::shared_ptr<SymbolizerProcess> symbolizer, StartFileReaders());
  InstallSignals();
  std::vector<Pid> pids;
  if (pid != 0) pids.push_back(pid);
  RecordingOptions recording = {.targets = {.pids = std::move(pids)},
                                .level = CaptureLevel::kKernel,
                                .duration_ns = options.duration_ns,
                                .probe = options.probe,
                                .symbolizer = std::move(symbolizer)};
  if (options.processes_wait) recording.go_on_every_ns = kWaitingNs;
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<Runner> runner,
                         Runner::Attach(std::move(recording), runtimes));
  BpfProbe& probe = *runner->probe();
  if (options.prepare) JPROF_RETURN_IF_ERROR(options.prepare(probe.state()));
  ProbeRunResult result;
  auto take = [&](std::vector<jp_probe_hit>& hits) {
    return probe.Drain([&](const jp_probe_hit& hit) { hits.push_back(hit); });
  };
  absl::Status drained;
  bool armed = false;
  auto ended = runner->Record([&](const RecordingProgress&) {
    if (!std::exchange(armed, true)) PrintNote(options.armed);
    std::vector<jp_probe_hit> hits;
    drained = take(hits);
    result.hits.insert(result.hits.end(), hits.begin(), hits.end());
    return drained.ok() && options.go_on(hits, probe.state()) && !g_stop_asked.load();
  });
  JPROF_RETURN_IF_ERROR(ended.status());
  JPROF_RETURN_IF_ERROR(drained);
  std::vector<jp_probe_hit> last;
  JPROF_RETURN_IF_ERROR(take(last));
  options.go_on(last, probe.state());
  result.hits.insert(result.hits.end(), last.begin(), last.end());
  result.state = probe.state();
  result.misses = probe.misses();
  result.stacks.resize(result.hits.size());
  auto profile = runner->Finish();
  if (absl::IsNotFound(profile.status())) return result;  // nothing was hit
  if (!profile.ok()) return profile.status();
  result.profile = *std::move(profile);
  result.warnings = runner->Warnings();
  // A thread's hits and its samples come in the same order, unless one of them was lost.
  std::map<Tid, std::vector<StackId>> of_thread;
  for (const ProfileSample& sample : result.profile.samples) {
    of_thread[result.profile.threads[sample.thread.value].tid].push_back(sample.stack);
  }
  std::map<Tid, size_t> hits_of, next;
  for (const jp_probe_hit& hit : result.hits) ++hits_of[static_cast<Tid>(hit.tid)];
  for (size_t i = 0; i < result.hits.size(); ++i) {
    const Tid tid = static_cast<Tid>(result.hits[i].tid);
    const std::vector<StackId>& stacks = of_thread[tid];
    if (stacks.size() == hits_of[tid]) result.stacks[i] = stacks[next[tid]++];
  }
  return result;
}

std::string StackText(const Profile& profile, StackId stack) {
  std::string text;
  size_t number = 0;
  for (const StackFrame& frame : FramesOf(profile, stack)) {
    const bool marker = frame.function->kind == FrameKind::kMarker;
    absl::StrAppend(&text, marker ? "      " : absl::StrFormat("  #%-2d ", number),
                    FrameText(profile, frame), "\n");
    number += !marker;
  }
  return text;
}

std::string StackJson(const Profile& profile, StackId stack) {
  std::vector<std::string> frames;
  for (const StackFrame& frame : FramesOf(profile, stack)) {
    frames.push_back(FrameJson(profile, frame));
  }
  return absl::StrCat("[", absl::StrJoin(frames, ","), "]");
}

std::vector<std::string> ProbeWarnings(const ProbeRunResult& result) {
  std::vector<std::string> warnings = result.warnings;
  auto warn = [&](uint64_t count, absl::string_view what) {
    if (count != 0) warnings.push_back(absl::StrCat(count, " ", what));
  };
  warn(result.state.unreadable,
       "times a path or data could not be read, and was taken as not equal");
  warn(result.state.lost, "hits found no room, or the probe in use on their CPU");
  warn(result.misses, "calls were not looked at, since the probe was in use on their CPU");
  return warnings;
}

}  // namespace jprof
