// What is sampled, and how: options that `record` and `top` share. The commands' own options derive
// from TargetOptions, and their tables begin with these rows.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/capture/live_source.h"
#include "profiler/cli/command_syntax.h"
#include "profiler/core/ids.h"

namespace jprof {

struct TargetOptions {
  std::vector<Pid> pids;
  bool children = false;
  std::vector<std::string> command;  // to start, with its arguments
  Tid tid = 0;              // 0: not given
  bool all = false;         // every process
  std::string cgroup;       // of every process those in this group, or container; "": any
  std::string comm;         // those of this command name; "": any
  CaptureLevel level = CaptureLevel::kBest;
  int frequency = 99;       // samples per second of CPU time
  int64_t duration_ns = 0;  // 0: until interrupted, or until the process exits
  bool use_helpers = true;
  bool tiers = false;
  std::string perf_map_folder;  // "": none besides those that processes name, and /tmp
};

// For tables of options. InvalidArgument: what is wrong and what would be right.
absl::Status TakePids(absl::string_view value, TargetOptions& out);
absl::Status TakeTid(absl::string_view value, TargetOptions& out);
absl::Status TakeFrequency(absl::string_view value, TargetOptions& out);
absl::Status TakeLevel(absl::string_view value, TargetOptions& out);
absl::Status TakePerfMapFolder(absl::string_view value, TargetOptions& out);
absl::StatusOr<int> ParsePositive(absl::string_view option, absl::string_view text, int max,
                                  absl::string_view what);

// `arguments` gave them: whether they go together, and name something. `commands`: a command to
// start may be what is named.
absl::Status CheckTargetOptions(const Arguments& arguments, const TargetOptions& options,
                                bool commands);

// Of a T that derives from TargetOptions: what is sampled, and how often and long.
template <typename T>
std::vector<Option<T>> TargetRows() {
  return {
      {{"-p", "--pid", "PID", "profile this process, all its threads; or some: 1,2,3"},
       [](absl::string_view value, T& out) { return TakePids(value, out); }},
      {{"", "--children", "", "and all that it has started and starts (-p)"}, &T::children},
      {{"-t", "--tid", "TID", "profile this thread alone"},
       [](absl::string_view value, T& out) { return TakeTid(value, out); }},
      {{"-a", "--all", "", "profile every process"}, &T::all},
      {{"-G", "--cgroup", "CGROUP",
        "profile the processes of a cgroup v2, or container: path or id"},
       &T::cgroup},
      {{"", "--comm", "NAME", "only threads and processes of this command name"}, &T::comm},
      {{"-F", "--frequency", "HZ", "samples per second of CPU time (default 99)"},
       [](absl::string_view value, T& out) { return TakeFrequency(value, out); }},
      {{"-d", "--duration", "TIME",
        "stop after 30, 30s, 5m, 1h (default: Ctrl-C, or the process's end)"},
       &T::duration_ns},
  };
}

// And how it is looked at.
template <typename T>
std::vector<Option<T>> CaptureRows() {
  return {
      {{"", "--no-helpers", "", "name JIT code by jitdumps and perf maps alone"},
       [](absl::string_view, T& out) {
         out.use_helpers = false;
         return absl::OkStatus();
       }},
      {{"", "--perf-map-dir", "FOLDER", "look for perf-PID.map there first, in the process's root"},
       [](absl::string_view value, T& out) { return TakePerfMapFolder(value, out); }},
      {{"", "--tiers", "", "mark functions by their code: ~ interpreted, ^ + * compiled"},
       &T::tiers},
      {{"", "--level", "kernel|ring", "capture by BPF, or without it (own processes)"},
       [](absl::string_view value, T& out) { return TakeLevel(value, out); }},
  };
}

}  // namespace jprof
