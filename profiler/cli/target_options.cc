#include "profiler/cli/target_options.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "helpers/perfmap/map_folders.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr int kMaxFrequency = 50000;
constexpr size_t kMaxPids = 1024;

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

}  // namespace

absl::StatusOr<int> ParsePositive(absl::string_view option, absl::string_view text, int max,
                                  absl::string_view what) {
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 1 || value > max) {
    return Usage(absl::StrCat(option, " takes ", what, " from 1 to ", max, ", not '", text, "'"));
  }
  return value;
}

absl::Status TakePids(absl::string_view value, TargetOptions& out) {
  for (absl::string_view word : absl::StrSplit(value, ',')) {
    JPROF_ASSIGN_OR_RETURN(const Pid pid, ParsePositive("--pid", word, INT32_MAX, "a number"));
    out.pids.push_back(pid);
  }
  std::sort(out.pids.begin(), out.pids.end());
  out.pids.erase(std::unique(out.pids.begin(), out.pids.end()), out.pids.end());
  if (out.pids.size() <= kMaxPids) return absl::OkStatus();
  return Usage(absl::StrCat("--pid takes at most ", kMaxPids, " processes, not ", out.pids.size(),
                            "; -a profiles all"));
}

absl::Status TakeTid(absl::string_view value, TargetOptions& out) {
  JPROF_ASSIGN_OR_RETURN(out.tid, ParsePositive("--tid", value, INT32_MAX, "a number"));
  return absl::OkStatus();
}

absl::Status TakeFrequency(absl::string_view value, TargetOptions& out) {
  JPROF_ASSIGN_OR_RETURN(
      out.frequency, ParsePositive("--frequency", value, kMaxFrequency, "samples per second,"));
  return absl::OkStatus();
}

absl::Status TakeLevel(absl::string_view value, TargetOptions& out) {
  if (value != "kernel" && value != "ring") {
    return Usage(absl::StrCat("--level takes kernel or ring, not '", value, "'"));
  }
  out.level = value == "ring" ? CaptureLevel::kRing : CaptureLevel::kKernel;
  return absl::OkStatus();
}

absl::Status TakePerfMapFolder(absl::string_view value, TargetOptions& out) {
  if (!absl::StartsWith(value, "/") || value.size() > kMaxFolderBytes) {
    return Usage(absl::StrCat(
        "--perf-map-dir takes an absolute path, in the root of the process, not '", value, "'"));
  }
  out.perf_map_folder = std::string(value);
  return absl::OkStatus();
}

constexpr size_t kMaxCommBytes = 15;  // TASK_COMM_LEN - 1

absl::Status CheckTargetOptions(const Arguments& arguments, const TargetOptions& o, bool commands) {
  for (absl::string_view name : {"--cgroup", "--comm"}) {
    const auto given = arguments.given.find(name);
    if (given != arguments.given.end() && given->second.empty()) {
      return Usage(absl::StrCat(name, " takes a name, not ''"));
    }
  }
  if (o.comm.size() > kMaxCommBytes) {
    return Usage(absl::StrCat("--comm: the kernel keeps ", kMaxCommBytes,
                              " bytes of a name: --comm '", o.comm.substr(0, kMaxCommBytes), "'"));
  }
  const int targets = !o.pids.empty() + (o.tid != 0) + o.all + !o.command.empty();
  if (!o.cgroup.empty() && targets > o.all) {
    return Usage(absl::StrCat("--cgroup says which processes to profile: it goes without -p",
                              commands ? ", -t and a command" : " and -t"));
  }
  if (targets == 0 && o.cgroup.empty() && o.comm.empty()) {
    return Usage(absl::StrCat(
        "nothing to profile: name a process with -p PID, a thread with -t TID, a cgroup with -G, a "
        "command name with --comm, ",
        commands ? "all with -a, or a command to start behind --" : "or all with -a"));
  }
  if (targets > 1) {
    return Usage(absl::StrCat("-p, -t", commands ? ", -a and a command" : " and -a",
                              " exclude each other: give one of them"));
  }
  if ((o.all || !o.cgroup.empty() || !o.comm.empty()) && o.level == CaptureLevel::kRing) {
    return Usage(
        "-a, --cgroup and --comm take the level kernel: the level ring is of single processes, named "
        "with -p");
  }
  if (o.children && o.pids.empty()) {
    return Usage(o.command.empty()
                     ? "--children goes with -p PID"
                     : "--children goes with -p PID; a command's are recorded anyway");
  }
  return absl::OkStatus();
}

}  // namespace jprof
