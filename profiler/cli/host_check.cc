#include "profiler/cli/host_check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "export/text.h"
#include "profiler/capture/bpf_sampler.h"
#include "profiler/capture/kernel_lookup.h"
#include "profiler/capture/perf_event.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"
#include "symbolize/sandbox.h"

namespace jprof {
namespace {

constexpr uint64_t kUsualHz = 99;
constexpr uint32_t kWakeupBytes = 4096;
constexpr char kLostWithoutKernelLevel[] =
    "the level kernel: names of the very instant, other users' processes, -a";
constexpr rlim_t kUsualMappedFiles = 1024;

// "kernel.NAME is VALUE"
std::string Setting(absl::string_view name) {
  std::string path = absl::StrCat("/proc/sys/kernel/", name);
  absl::StatusOr<std::string> text = ReadProcFile(path, 64);
  return absl::StrCat("kernel.", absl::StrJoin(absl::StrSplit(name, '/'), "."),
                      absl::IsNotFound(text.status()) ? " is not there"
                      : text.ok() ? absl::StrCat(" is ", absl::StripAsciiWhitespace(*text))
                                  : " is unknown");
}

// Of the filter that a container's runtime puts on system calls.
std::string Seccomp() {
  absl::StatusOr<std::string> text = ReadProcFile("/proc/self/status", 64 << 10);
  if (!text.ok()) return "";
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (line == "Seccomp:\t2") return ", a seccomp filter is on";
  }
  return "";
}

HostCheck CheckProc() {
  return {.what = "a /proc of jprof's own pid namespace",
          .status = CheckProcFileSystem(),
          .observed = "mounted",
          .lost = "any profile",
          .required = HostCheck::Required::kByEachLevel};
}

HostCheck CheckSamples() {
  HostCheck check{.what = "samples of a CPU",
                  .lost = kLostWithoutKernelLevel,
                  .required = HostCheck::Required::kByLevelKernel};
  absl::StatusOr<SamplingEvent> event = OpenSamplingEvent(0, kUsualHz);
  check.status = event.status();
  if (event.ok()) {
    check.observed = absl::StrCat(event->hardware ? "hardware cycles" : "the CPU clock, no cycles",
                                  "; ", Setting("perf_event_paranoid"));
  }
  return check;
}

HostCheck CheckSideband() {
  return {.what = "mappings, forks and exits",
          .status = OpenSidebandEvent(0, kWakeupBytes).status(),
          .observed = "of every process",
          .lost = kLostWithoutKernelLevel,
          .required = HostCheck::Required::kByLevelKernel};
}

HostCheck CheckTypes() {
  constexpr char kPath[] = "/sys/kernel/btf/vmlinux";
  const UniqueFd file(::open(kPath, O_RDONLY | O_CLOEXEC));
  return {.what = "the kernel's types (BTF)",
          .status = file.valid()
                        ? absl::OkStatus()
                        : WithHint(ErrnoStatus(errno, kPath),
                                   "use a kernel with CONFIG_DEBUG_INFO_BTF, and mount sysfs"),
          .observed = kPath,
          .lost = kLostWithoutKernelLevel,
          .required = HostCheck::Required::kByLevelKernel};
}

HostCheck CheckBpf(const RuntimeSet& runtimes) {
  HostCheck check{.what = "loading the sampler",
                  .lost = kLostWithoutKernelLevel,
                  .required = HostCheck::Required::kByLevelKernel};
  check.status = BpfSampler::Load(runtimes.bpf_object, {}).status();
  rlimit locked = {};
  ::getrlimit(RLIMIT_MEMLOCK, &locked);
  check.observed = absl::StrCat(
      Setting("unprivileged_bpf_disabled"), ", memory that may be locked: ",
      locked.rlim_cur == RLIM_INFINITY ? "any" : absl::StrCat(locked.rlim_cur >> 10, " KiB"),
      Seccomp());
  return check;
}

HostCheck CheckOwnThreads(const EventTrial& event_fires) {
  HostCheck check{.what = "samples of one's own threads, with their stacks",
                  .lost = "the level ring: any profile without BPF",
                  .required = HostCheck::Required::kByLevelRing};
  std::vector<std::string> silent;
  const absl::StatusOr<SamplingSource> clock = ChooseClock(event_fires, silent);
  if (!clock.ok()) {
    check.status = clock.status();
    return check;
  }
  absl::StatusOr<TaskEvents> events =
      TaskEvents::Open({.frequency_hz = kUsualHz, .clock = *clock});
  check.status = events.ok() ? events->AddThread(::gettid()) : events.status();
  if (events.ok()) {
    check.observed =
        absl::StrCat(ClockName(*clock), ", ", events->stack_bytes() >> 10, " KiB of a stack, ",
                     events->kernel() ? "and of the kernel" : "nothing of the kernel", "; ",
                     Setting("perf_event_mlock_kb"));
  }
  return check;
}

// Tries all of them: a single one, such as the first, may be closed to root as well.
HostCheck CheckProcesses() {
  HostCheck check{.what = "looking into other users' processes",
                  .lost = "profiles of processes that are not yours"};
  const absl::StatusOr<std::vector<Pid>> processes = ListProcesses();
  if (!processes.ok()) {
    check.status = processes.status();
    return check;
  }
  size_t others = 0, open = 0;
  absl::Status denied;
  for (Pid pid : *processes) {
    const absl::StatusOr<ProcStat> stat = ReadProcStat(pid);
    const absl::StatusOr<ProcStatus> status = ReadProcStatus(pid);
    if (!stat.ok() || !status.ok() || stat->kernel_thread || stat->dead() ||
        status->effective_uid == ::geteuid()) {
      continue;
    }
    ++others;
    if (absl::Status access = CheckAccess(pid, /*memory_too=*/true); access.ok()) {
      ++open;
    } else {
      denied = std::move(access);
    }
  }
  if (open == 0) check.status = denied;
  check.observed = absl::StrCat(others == 0 ? "none is shown"
                                            : absl::StrCat(open, " of ", others, " that are shown"),
                                "; ", Setting("yama/ptrace_scope"));
  return check;
}

HostCheck CheckKernelNames() {
  HostCheck check{.what = "names of kernel functions",
                  .observed = Setting("kptr_restrict"),
                  .lost = "names of kernel frames"};
  if (KernelLookup::Make().ok()) return check;
  const UniqueFd file(::open("/proc/kallsyms", O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t n = ::read(file.get(), text.data(), text.size());
  if (n <= 0) {
    check.status = ErrnoStatus(n < 0 ? errno : ENODATA, "/proc/kallsyms");
    return check;
  }
  text.resize(static_cast<size_t>(n));
  // Hidden, all of them are 0; else the first may be, where the data of each CPU begins.
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.find_first_not_of('0') < line.find(' ')) return check;
  }
  check.status = WithHint(
      absl::PermissionDeniedError(absl::StrCat("addresses are hidden, ", check.observed)),
      "run as root, give jprof CAP_SYSLOG, or sysctl kernel.kptr_restrict=0 "
      "kernel.perf_event_paranoid=1");
  return check;
}

HostCheck CheckOpenFiles() {
  rlimit files = {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  HostCheck check{.what = "keeping mapped files open",
                  .observed = absl::StrCat("up to ", files.rlim_max),
                  .lost = "with -a, names in the files beyond that"};
  if (files.rlim_max < kUsualMappedFiles) {
    check.status = WithHint(absl::ResourceExhaustedError(check.observed), "raise ulimit -Hn");
  }
  return check;
}

HostCheck CheckSandbox() {
  const uint32_t parts = TrySandbox();
  HostCheck check{.what = "giving up rights to read foreign files",
                  .observed = SandboxText(parts),
                  .lost = "protection from a file that is made to harm who reads its names"};
  if (parts != kWholeSandbox) {
    check.status =
        WithHint(absl::FailedPreconditionError(check.observed),
                 "use a kernel with CONFIG_SECCOMP_FILTER, and a container that permits prctl");
  }
  return check;
}

}  // namespace

std::vector<HostCheck> CheckHost(const RuntimeSet& runtimes, const EventTrial& event_fires) {
  return {CheckProc(),          CheckSamples(),    CheckSideband(),
          CheckTypes(),         CheckBpf(runtimes), CheckOwnThreads(event_fires),
          CheckProcesses(),     CheckKernelNames(), CheckOpenFiles(),
          CheckSandbox()};
}

std::string HostText(const std::vector<HostCheck>& checks) {
  std::string text;
  for (const HostCheck& check : checks) {
    const std::string hint = HintOf(check.status);
    const std::string line =
        check.status.ok()
            ? absl::StrCat("yes  ", check.what, ": ", check.observed)
            : absl::StrCat("no   ", check.what, ": ", check.status.message(), "; lost without it: ",
                           check.lost, hint.empty() ? "" : "; ", hint);
    absl::StrAppend(&text, ShownText(line, 4096), "\n");
  }
  return text;
}

CaptureLevel BestLevel(const std::vector<HostCheck>& checks) {
  auto granted = [&checks](HostCheck::Required level) {
    return std::all_of(checks.begin(), checks.end(), [level](const HostCheck& check) {
      const bool required =
          check.required == level || check.required == HostCheck::Required::kByEachLevel;
      return !required || check.status.ok();
    });
  };
  return granted(HostCheck::Required::kByLevelKernel) ? CaptureLevel::kKernel
         : granted(HostCheck::Required::kByLevelRing) ? CaptureLevel::kRing
                                                      : CaptureLevel::kBest;
}

}  // namespace jprof
