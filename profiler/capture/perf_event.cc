#include "profiler/capture/perf_event.h"

#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/record_parser.h"
#include "profiler/core/status.h"
#include "profiler/process/cpu_time.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"

namespace jprof {
namespace {

constexpr size_t kMaxSysctlBytes = 64 << 10;
constexpr int kMaxCpus = 1 << 16;
constexpr char kMaxSampleRate[] = "/proc/sys/kernel/perf_event_max_sample_rate";

// "?" when it cannot be read.
std::string ReadSetting(const std::string& path) {
  absl::StatusOr<std::string> text = ReadProcFile(path, kMaxSysctlBytes);
  if (!text.ok()) return "?";
  return std::string(absl::StripAsciiWhitespace(*text));
}

perf_event_attr BaseAttr(uint32_t type, uint64_t config) {
  perf_event_attr attr = {};
  attr.size = sizeof(attr);
  attr.type = type;
  attr.config = config;
  attr.disabled = 1;
  attr.use_clockid = 1;
  attr.clockid = CLOCK_MONOTONIC;
  attr.read_format =
      PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_LOST;
  return attr;
}

// On failure an invalid descriptor, and errno says why.
UniqueFd OpenEvent(perf_event_attr& attr, Tid tid, int cpu) {
  auto open = [&] {
    return UniqueFd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, tid, cpu,
                                               /*group_fd=*/-1, PERF_FLAG_FD_CLOEXEC)));
  };
  UniqueFd fd = open();
  if (!fd.valid() && errno == EINVAL) {
    attr.read_format &= ~uint64_t{PERF_FORMAT_LOST};  // a kernel before 6.0
    fd = open();
  }
  return fd;
}

// Everything that runs on `cpu`.
UniqueFd OpenOnCpu(perf_event_attr& attr, int cpu) { return OpenEvent(attr, /*tid=*/-1, cpu); }

perf_event_attr SamplingAttr(uint32_t type, uint64_t config, uint64_t frequency_hz) {
  perf_event_attr attr = BaseAttr(type, config);
  attr.freq = 1;
  attr.sample_freq = frequency_hz;
  attr.exclude_idle = 1;
  return attr;
}

void SetSideband(perf_event_attr& attr) {
  attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU;
  attr.sample_id_all = 1;
  attr.mmap = 1;
  attr.mmap2 = 1;
  attr.comm = 1;
  attr.comm_exec = 1;
  attr.task = 1;
}

void SetInherit(perf_event_attr& attr, const TaskEventOptions& options) {
  attr.inherit = options.inherit;
  attr.inherit_thread = options.inherit && !options.inherit_children;
}

absl::Status FrequencyStatus(absl::string_view what, uint64_t frequency_hz) {
  const std::string maximum = ReadSetting(kMaxSampleRate);
  uint64_t maximum_hz = 0;
  if (!absl::SimpleAtoi(maximum, &maximum_hz) || frequency_hz <= maximum_hz) {
    return absl::OkStatus();
  }
  return WithHint(absl::InvalidArgumentError(absl::StrCat(
                      what, ": ", frequency_hz, " Hz is above kernel.perf_event_max_sample_rate, ",
                      "which is ", maximum)),
                  absl::StrCat("use a frequency of ", maximum, " or less"));
}

absl::Status TaskStatus(int err, absl::string_view what) {
  if (err == ESRCH) return absl::NotFoundError(absl::StrCat(what, ": it is gone"));
  return PerfOpenStatus(err, what, PerfScope::kOwnThread);
}

uint64_t ClockOf(SamplingSource source) {
  return source == SamplingSource::kTaskClock ? PERF_COUNT_SW_TASK_CLOCK : PERF_COUNT_SW_CPU_CLOCK;
}

// Not for want of hardware, so another kind of event would fare no better.
bool IsFinal(int err) {
  return err == EACCES || err == EPERM || err == EMFILE || err == ENFILE || err == ENOMEM;
}

}  // namespace

bool MaySampleAll() { return HaveCapability(CAP_PERFMON) || HaveCapability(CAP_SYS_ADMIN); }

absl::Status PerfOpenStatus(int err, absl::string_view what, PerfScope scope, bool capable) {
  absl::Status status = ErrnoStatus(err, absl::StrCat(what, ": perf_event_open"));
  if (err == EACCES || err == EPERM) {
    std::string paranoid = ReadSetting("/proc/sys/kernel/perf_event_paranoid");
    int level = 0;
    // At this level and below it takes no capability: something else forbids it.
    const int allowed = scope == PerfScope::kCpu ? 0 : 2;
    if (capable || (absl::SimpleAtoi(paranoid, &level) && level <= allowed)) {
      return WithHint(
          absl::PermissionDeniedError(absl::StrCat(
              status.message(), "; ",
              capable ? "jprof has the capability"
                      : absl::StrCat("kernel.perf_event_paranoid is ", paranoid,
                                     " and would allow it"),
              ", so a ", capable ? "user namespace, a " : "",
              "container's seccomp profile, lockdown or a security module forbids it")),
          "run outside of the container, or allow perf_event_open in its seccomp profile");
    }
    if (scope == PerfScope::kOwnThread) {
      return WithHint(absl::PermissionDeniedError(absl::StrCat(
                          status.message(), "; kernel.perf_event_paranoid is ", paranoid,
                          "; for one's own processes it must be 2 or less")),
                      "run as root, or sudo sysctl kernel.perf_event_paranoid=2");
    }
    return WithHint(absl::PermissionDeniedError(
                        absl::StrCat(status.message(), "; kernel.perf_event_paranoid is ", paranoid,
                                     "; watching a whole CPU needs CAP_PERFMON, or 0 or less")),
                    "run as root, or give CAP_PERFMON and CAP_BPF: "
                    "sudo setcap cap_perfmon,cap_bpf+ep \"$(command -v jprof)\"");
  }
  return status;
}

absl::StatusOr<SamplingEvent> OpenSamplingEvent(int cpu, uint64_t frequency_hz,
                                                SamplingSource source) {
  const std::string what = absl::StrCat("cannot sample cpu ", cpu);
  if (source == SamplingSource::kBest) {
    perf_event_attr attr = SamplingAttr(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, frequency_hz);
    // A virtual machine's guest runs code that we cannot name. Not every PMU can tell it apart.
    attr.exclude_guest = 1;
    UniqueFd fd = OpenOnCpu(attr, cpu);
    if (!fd.valid() && !IsFinal(errno)) {
      attr.exclude_guest = 0;
      fd = OpenOnCpu(attr, cpu);
    }
    if (fd.valid()) return SamplingEvent{std::move(fd), true};
    if (IsFinal(errno)) return PerfOpenStatus(errno, what);
  }
  perf_event_attr attr = SamplingAttr(PERF_TYPE_SOFTWARE, ClockOf(source), frequency_hz);
  UniqueFd fd = OpenOnCpu(attr, cpu);
  if (fd.valid()) return SamplingEvent{std::move(fd), false};
  const int err = errno;
  if (err == EINVAL) JPROF_RETURN_IF_ERROR(FrequencyStatus(what, frequency_hz));
  return PerfOpenStatus(err, what);
}

bool EventFires(SamplingSource source, bool hardware) {
  constexpr uint64_t kPeriod = 100'000;  // nanoseconds or cycles
  constexpr uint64_t kPatienceNs = 50'000'000;
  perf_event_attr attr =
      hardware ? BaseAttr(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)
               : BaseAttr(PERF_TYPE_SOFTWARE, ClockOf(source));
  attr.sample_period = kPeriod;
  attr.sample_type = PERF_SAMPLE_TID;
  UniqueFd fd = OpenEvent(attr, /*tid=*/0, /*cpu=*/-1);
  if (!fd.valid()) {
    attr.exclude_kernel = 1;  // which takes no privilege
    fd = OpenEvent(attr, /*tid=*/0, /*cpu=*/-1);
  }
  if (!fd.valid()) return true;
  absl::StatusOr<PerfRing> ring = PerfRing::Map(fd.get(), 1);
  if (!ring.ok() || !EnableEvent(fd).ok()) return true;
  const uint64_t until_ns = CpuTimeOfThisThread() + kPatienceNs;
  uint64_t records = 0;
  while (records == 0 && CpuTimeOfThisThread() < until_ns) {
    records = ring->Drain([](std::span<const std::byte>) {}).records;
  }
  return records != 0;
}

absl::Status NoEventFires() {
  return absl::FailedPreconditionError(
      "no sampling event of this kernel takes samples, on a busy thread of jprof's own");
}

std::string ClockName(SamplingSource clock) {
  return clock == SamplingSource::kTaskClock ? "task-clock" : "cpu-clock";
}

absl::StatusOr<SamplingSource> ChooseClock(const EventTrial& fires,
                                           std::vector<std::string>& silent) {
  for (SamplingSource clock : {SamplingSource::kCpuClock, SamplingSource::kTaskClock}) {
    if (fires(clock, /*hardware=*/false)) return clock;
    silent.push_back(ClockName(clock));
  }
  return NoEventFires();
}

absl::StatusOr<UniqueFd> OpenSidebandEvent(int cpu, uint32_t wakeup_bytes) {
  perf_event_attr attr = BaseAttr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY);
  SetSideband(attr);
  attr.watermark = 1;
  attr.wakeup_watermark = wakeup_bytes;
  UniqueFd fd = OpenOnCpu(attr, cpu);
  if (!fd.valid()) {
    return PerfOpenStatus(errno, absl::StrCat("cannot follow processes on cpu ", cpu));
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenTaskSamplingEvent(Tid tid, int cpu, const TaskEventOptions& options) {
  perf_event_attr attr =
      SamplingAttr(PERF_TYPE_SOFTWARE, ClockOf(options.clock), options.frequency_hz);
  attr.sample_type = kTaskSampleType | (options.kernel ? PERF_SAMPLE_CALLCHAIN : 0);
  attr.sample_regs_user = kTaskSampleRegisters;
  attr.sample_stack_user = options.stack_bytes;
  attr.exclude_kernel = !options.kernel;
  attr.exclude_callchain_user = 1;
  attr.wakeup_events = 1;
  SetInherit(attr, options);
  UniqueFd fd = OpenEvent(attr, tid, cpu);
  if (fd.valid()) return fd;
  const int err = errno;
  const std::string what = absl::StrCat("cannot sample thread ", tid);
  if (err == EINVAL) JPROF_RETURN_IF_ERROR(FrequencyStatus(what, options.frequency_hz));
  return TaskStatus(err, what);
}

absl::StatusOr<UniqueFd> OpenTaskSidebandEvent(Tid tid, int cpu, const TaskEventOptions& options) {
  perf_event_attr attr = BaseAttr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY);
  SetSideband(attr);
  attr.exclude_kernel = 1;
  SetInherit(attr, options);
  UniqueFd fd = OpenEvent(attr, tid, cpu);
  if (!fd.valid()) return TaskStatus(errno, absl::StrCat("cannot follow thread ", tid));
  return fd;
}

absl::StatusOr<UniqueFd> OpenRingEvent(int cpu, uint32_t wakeup_bytes) {
  perf_event_attr attr = BaseAttr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY);
  attr.exclude_kernel = 1;
  attr.watermark = wakeup_bytes != 0;
  attr.wakeup_watermark = wakeup_bytes;
  UniqueFd fd = OpenEvent(attr, /*tid=*/0, cpu);
  if (!fd.valid()) {
    return PerfOpenStatus(errno, absl::StrCat("cannot have a ring on cpu ", cpu),
                          PerfScope::kOwnThread);
  }
  return fd;
}

absl::Status RedirectEvent(const UniqueFd& event, const UniqueFd& ring_event) {
  if (::ioctl(event.get(), PERF_EVENT_IOC_SET_OUTPUT, ring_event.get()) != 0) {
    return ErrnoStatus(errno, "perf event's ring");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> EventNumber(const UniqueFd& event) {
  uint64_t number = 0;
  if (::ioctl(event.get(), PERF_EVENT_IOC_ID, &number) != 0) {
    return ErrnoStatus(errno, "perf event's number");
  }
  return number;
}

absl::StatusOr<EventReading> ReadEvent(const UniqueFd& event) {
  struct {
    uint64_t value, enabled_ns, running_ns, lost;
  } read = {};
  const ssize_t size = ::read(event.get(), &read, sizeof(read));
  if (size < 0) return ErrnoStatus(errno, "reading a perf event");
  EventReading reading = {read.value, read.enabled_ns, read.running_ns, std::nullopt};
  if (size == sizeof(read)) reading.lost = read.lost;
  return reading;
}

uint64_t LostRecords(const UniqueFd& event) {
  return ReadEvent(event).value_or(EventReading()).lost.value_or(0);
}

absl::StatusOr<uint64_t> MaxSampleRate() {
  const std::string text = ReadSetting(kMaxSampleRate);
  uint64_t rate = 0;
  if (!absl::SimpleAtoi(text, &rate) || rate == 0) {
    return absl::NotFoundError(absl::StrCat(kMaxSampleRate, ": ", text));
  }
  return rate;
}

absl::Status SetEventFrequency(const UniqueFd& event, bool hardware, uint64_t frequency_hz) {
  // The clock's timer has a period once it is open, whatever it was opened with.
  uint64_t value = hardware ? frequency_hz : 1'000'000'000 / frequency_hz;
  if (::ioctl(event.get(), PERF_EVENT_IOC_PERIOD, &value) != 0) {
    return ErrnoStatus(errno, "setting a perf event's period");
  }
  return absl::OkStatus();
}

absl::Status EnableEvent(const UniqueFd& event) {
  if (::ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) {
    return ErrnoStatus(errno, "enable perf event");
  }
  return absl::OkStatus();
}

absl::Status DisableEvent(const UniqueFd& event) {
  if (::ioctl(event.get(), PERF_EVENT_IOC_DISABLE, 0) != 0) {
    return ErrnoStatus(errno, "disable perf event");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int>> ParseCpuList(absl::string_view text) {
  std::vector<int> cpus;
  text = absl::StripAsciiWhitespace(text);
  if (text.empty()) return cpus;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    int first = 0;
    int last = 0;
    bool ok = absl::SimpleAtoi(ends.first, &first);
    last = first;
    if (part.find('-') != absl::string_view::npos) ok = ok && absl::SimpleAtoi(ends.second, &last);
    const int above = cpus.empty() ? -1 : cpus.back();
    if (!ok || first <= above || last < first || last >= kMaxCpus) {
      return absl::DataLossError(absl::StrCat("no list of CPUs: ", part));
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

absl::StatusOr<std::vector<int>> OnlineCpus() {
  constexpr char kPath[] = "/sys/devices/system/cpu/online";
  absl::StatusOr<std::string> text = ReadProcFile(kPath, kMaxSysctlBytes);
  // No sysfs here: the C library counts them by other files.
  if (absl::IsNotFound(text.status()))
    text = absl::StrCat("0-", ::sysconf(_SC_NPROCESSORS_ONLN) - 1);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<int>> cpus = ParseCpuList(*text);
  if (!cpus.ok()) return Annotate(cpus.status(), kPath);
  return cpus;
}

}  // namespace jprof
