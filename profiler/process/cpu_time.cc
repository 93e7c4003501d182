#include "profiler/process/cpu_time.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxSchedstatBytes = 4096;
constexpr size_t kMaxCpuStatBytes = 1 << 16;
// It has a line for each CPU, and a number for each interrupt.
constexpr size_t kMaxStatBytes = 16 << 20;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// The line that begins with `key` and a blank, without them; false: there is none.
bool FindLine(absl::string_view text, absl::string_view key, absl::string_view& line) {
  for (absl::string_view candidate : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(candidate, key) || candidate.size() == key.size() ||
        candidate[key.size()] != ' ') {
      continue;
    }
    line = candidate.substr(key.size() + 1);
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<uint64_t> CpuTimeOfProcess(Pid pid) {
  clockid_t clock;
  timespec t;
  if (const int err = ::clock_getcpuclockid(pid, &clock); err != 0) {
    return ErrnoStatus(err, absl::StrCat("CPU time of process ", pid));
  }
  // EINVAL: it ended in between.
  if (::clock_gettime(clock, &t) != 0) {
    return absl::NotFoundError(absl::StrCat("CPU time of process ", pid));
  }
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSecond + static_cast<uint64_t>(t.tv_nsec);
}

absl::StatusOr<uint64_t> CpuTimeOfThread(Pid pid, Tid tid) {
  JPROF_ASSIGN_OR_RETURN(
      std::string text,
      ReadProcFile(absl::StrCat("/proc/", pid, "/task/", tid, "/schedstat"), kMaxSchedstatBytes));
  return ParseSchedstat(text);
}

absl::StatusOr<uint64_t> CpuTimeWithChildren(Pid pid) {
  const std::string list = absl::StrCat("/proc/", pid, "/task/", pid, "/children");
  // One that is waited for between the readings would count twice, or not at all.
  constexpr int kTries = 10;
  std::string children, children_after;
  uint64_t ns = 0;
  for (int i = 0; i < kTries && (i == 0 || children != children_after); ++i) {
    // Not every kernel has it; then those that live do not count.
    children = ReadProcFile(list, kMaxStatBytes).value_or("");
    JPROF_ASSIGN_OR_RETURN(ns, CpuTimeOfProcess(pid));
    for (absl::string_view word : absl::StrSplit(children, ' ', absl::SkipWhitespace())) {
      Pid child = 0;
      if (absl::SimpleAtoi(word, &child)) ns += CpuTimeOfProcess(child).value_or(0);
    }
    JPROF_ASSIGN_OR_RETURN(const ProcStat stat, ReadProcStat(pid));
    ns += stat.children_cpu_ticks * (kNsPerSecond / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
    children_after = ReadProcFile(list, kMaxStatBytes).value_or("");
  }
  return ns;
}

uint64_t CpuTimeOfThisThread() {
  timespec t;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSecond + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t OwnCpuTime(Pid reader) {
  const uint64_t own_ns = CpuTimeOfProcess(::getpid()).value_or(0);
  return reader == 0 ? own_ns : own_ns + CpuTimeWithChildren(reader).value_or(0);
}

absl::StatusOr<uint64_t> CpuTimeOfCgroup(const Cgroup& cgroup) {
  JPROF_ASSIGN_OR_RETURN(std::string text,
                         ReadProcFile(cgroup.directory, "cpu.stat", kMaxCpuStatBytes));
  return ParseCgroupCpuStat(text);
}

absl::StatusOr<uint64_t> CpuTimeOfHost() {
  JPROF_ASSIGN_OR_RETURN(std::string text, ReadProcFile("/proc/stat", kMaxStatBytes));
  return ParseProcStatBusy(text, static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
}

absl::StatusOr<uint64_t> ParseSchedstat(absl::string_view text) {
  const std::vector<absl::string_view> fields = absl::StrSplit(text, ' ');
  uint64_t ns = 0;
  if (fields.size() < 3 || !absl::SimpleAtoi(fields[0], &ns)) {
    return absl::DataLossError("not the text of a schedstat");
  }
  return ns;
}

absl::StatusOr<uint64_t> ParseCgroupCpuStat(absl::string_view text) {
  absl::string_view line;
  uint64_t us = 0;
  if (!FindLine(text, "usage_usec", line) || !absl::SimpleAtoi(line, &us) ||
      us > UINT64_MAX / 1000) {
    return absl::DataLossError("not the text of a cgroup's cpu.stat");
  }
  return us * 1000;
}

absl::StatusOr<uint64_t> ParseProcStatBusy(absl::string_view text, uint64_t ticks_per_second) {
  absl::string_view line;
  if (!FindLine(text, "cpu", line) || ticks_per_second == 0) {
    return absl::DataLossError("not the text of /proc/stat");
  }
  // user, nice, system
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
  uint64_t ticks = 0;
  for (size_t i = 0; i < 3; ++i) {
    uint64_t some = 0;
    if (i >= fields.size() || !absl::SimpleAtoi(fields[i], &some) || some > UINT64_MAX / 16) {
      return absl::DataLossError("not the text of /proc/stat");
    }
    ticks += some;
  }
  const double ns_per_tick =
      static_cast<double>(kNsPerSecond) / static_cast<double>(ticks_per_second);
  return static_cast<uint64_t>(static_cast<double>(ticks) * ns_per_tick);
}

}  // namespace jprof
