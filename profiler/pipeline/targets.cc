#include "profiler/pipeline/targets.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/cpu_time.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_access.h"

namespace jprof {
namespace {

constexpr size_t kTargetsNamed = 3;

bool InFirstPidNamespace() {
  constexpr ino_t kFirst = 0xeffffffc;  // PROC_PID_INIT_INO
  struct stat st;
  return ::stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == kFirst;
}

}  // namespace

absl::StatusOr<Targets> Targets::Open(const Options& options) {
  Targets targets(options);
  JPROF_RETURN_IF_ERROR(targets.FindAll());
  return targets;
}

absl::Status Targets::FindAll() {
  JPROF_RETURN_IF_ERROR(CheckProcFileSystem());
  std::vector<Pid> ids = options_.pids;
  if (options_.tid != 0) ids = {options_.tid};
  if (ids.empty()) name_ = "all processes";
  if (!options_.cgroup.empty()) {
    absl::StatusOr<Cgroup> cgroup = FindCgroup(options_.cgroup);
    if (!cgroup.ok()) {
      return WithHint(Annotate(cgroup.status(), "--cgroup"),
                      "cat /proc/PID/cgroup tells that of a process; systemd-cgls lists all");
    }
    cgroup_ = *std::move(cgroup);
    const absl::string_view container = ContainerId(cgroup_->path);
    name_ = container.empty() ? absl::StrCat("cgroup ", cgroup_->path)
                                     : absl::StrCat("container ", container.substr(0, 12));
  }
  if (!options_.comm.empty() && ids.empty() && !cgroup_) name_ = "all processes and threads";
  for (Pid id : ids) JPROF_RETURN_IF_ERROR(Find(id));
  if (ids.size() > kTargetsNamed) {
    absl::StrAppend(&name_, " and ", ids.size() - kTargetsNamed, " more");
  }
  if (!options_.comm.empty()) absl::StrAppend(&name_, " named ", options_.comm);
  return absl::OkStatus();
}

absl::Status Targets::Find(Pid id) {
  const bool is_process = options_.tid == 0;
  const absl::string_view what = is_process ? "process" : "thread";
  absl::StatusOr<ProcStatus> status = ReadProcStatus(id);
  absl::StatusOr<ProcStat> stat = ReadProcStat(id);
  if (!status.ok() || !stat.ok()) {
    return WithHint(absl::NotFoundError(absl::StrCat("there is no ", what, " ", id)),
                    is_process ? "pgrep -a NAME lists the processes of a name"
                                      : "ls /proc/PID/task lists the threads of a process");
  }
  if (is_process && status->thread_group != id) {
    return WithHint(absl::NotFoundError(absl::StrCat(id, " is a thread of process ",
                                                     status->thread_group, ", not a process")),
                    absl::StrCat("use -t ", id, " for the thread, -p ", status->thread_group,
                                 " for the process"));
  }
  if (stat->dead() && !(is_process && LivingThread(id).ok())) {
    return absl::NotFoundError(
        absl::StrCat(what, " ", id, " has exited already and waits for its parent (zombie)"));
  }
  const Pid pid = status->thread_group;
  if (pid == ::getpid()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", id, " is jprof itself"));
  }
  const std::string name = absl::StrCat(
      options_.command_name.empty() ? stat->comm : options_.command_name, " (",
      stat->kernel_thread ? "a thread of the kernel, " : "", is_process ? "pid " : "tid ", id, ")");
  pids_.push_back(pid);
  if (pids_.size() <= kTargetsNamed) {
    absl::StrAppend(&name_, name_.empty() ? "" : ", ", name);
  }
  processes_.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!processes_.back().valid()) {
    const int err = errno;
    const absl::Status failed = ErrnoStatus(err, absl::StrCat("cannot watch process ", pid));
    if (err != EPERM && err != ENOSYS) return failed;
    return WithHint(failed,
                    "allow pidfd_open in the container's seccomp profile, or run outside of it");
  }
  JPROF_RETURN_IF_ERROR(
      Annotate(CheckAccess(pid, options_.use_helpers), absl::StrCat("cannot look into ", name)));
  // One that starts others may be what it likes.
  return options_.children ? absl::OkStatus() : CheckProgram(pid);
}

// Forks are told of since the source was opened, so whoever comes during this is met twice at most.
absl::Status Targets::Select(LiveSource& source) {
  JPROF_ASSIGN_OR_RETURN(std::vector<Pid> all, ListProcesses());
  absl::flat_hash_set<Pid> selected(pids_.begin(), pids_.end());
  if (options_.children) {
    absl::flat_hash_map<Pid, std::vector<Pid>> children;
    for (Pid pid : all) {
      if (absl::StatusOr<ProcStat> stat = ReadProcStat(pid); stat.ok()) {
        children[stat->parent].push_back(pid);
      }
    }
    for (size_t i = 0; i < pids_.size(); ++i) {
      for (Pid child : children[pids_[i]]) {
        if (child != ::getpid() && selected.insert(child).second) pids_.push_back(child);
      }
    }
  }
  std::erase_if(all, [&selected](Pid pid) { return selected.contains(pid); });
  return source.Select(pids_, all);
}

absl::StatusOr<std::vector<Pid>> Targets::List() const {
  std::vector<Pid> pids = pids_;
  if (cgroup_) {
    pids = ListCgroup(*cgroup_);
  } else if (pids.empty()) {
    JPROF_ASSIGN_OR_RETURN(pids, ListProcesses());
  }
  std::erase(pids, ::getpid());
  return pids;
}

bool Targets::AreGone() const {
  if (processes_.empty()) return false;
  if (options_.tid != 0 && ::syscall(SYS_tgkill, pids_[0], options_.tid, 0) != 0 &&
      errno == ESRCH) {
    return true;
  }
  return std::all_of(processes_.begin(), processes_.end(), [](const UniqueFd& target) {
    pollfd fd = {target.get(), POLLIN, 0};
    return ::poll(&fd, 1, 0) > 0;
  });
}

std::string Targets::WhyIdle() const {
  const absl::StatusOr<ProcStat> one =
      pids_.size() == 1 ? ReadProcStat(pids_[0]) : absl::NotFoundError("several");
  if (one.ok() && one->state == 'T') return absl::StrCat("it is stopped: kill -CONT ", pids_[0]);
  if (one.ok() && one->state == 't') {
    const absl::StatusOr<ProcStatus> status = ReadProcStatus(pids_[0]);
    const Pid tracer = status.ok() ? status->tracer : 0;
    const absl::StatusOr<ProcStat> holder = ReadProcStat(tracer);
    if (holder.ok()) return absl::StrCat("it is held by ", holder->comm, " (pid ", tracer, ")");
  }
  if (one.ok() && one->kernel_thread) {
    return "the kernel has no work for it; profile longer (-d), or who gives it work";
  }
  if (processes_.empty() && (cgroup_ || !options_.comm.empty())) {
    return "there may be no such process; else all sleep or are stopped: profile longer (-d) or at a "
           "higher rate (-F)";
  }
  return "it sleeps or is stopped; profile longer (-d) or at a higher rate (-F)";
}

std::optional<uint64_t> Targets::CpuTimeNs() const {
  auto known = [](const absl::StatusOr<uint64_t>& ns) {
    return ns.ok() ? std::optional(*ns) : std::nullopt;
  };
  // Of processes that start and end meanwhile nobody knows, nor of threads by their names.
  if (options_.children || !options_.comm.empty()) return std::nullopt;
  if (options_.tid != 0) return known(CpuTimeOfThread(pids_[0], options_.tid));
  if (cgroup_) return pids_.empty() ? known(CpuTimeOfCgroup(*cgroup_)) : std::nullopt;
  // The host's is that of processes in other pid namespaces too.
  if (pids_.empty()) return InFirstPidNamespace() ? known(CpuTimeOfHost()) : std::nullopt;
  uint64_t sum = 0;
  for (Pid pid : pids_) {
    const absl::StatusOr<uint64_t> ns = CpuTimeOfProcess(pid);
    if (!ns.ok()) return std::nullopt;
    sum += *ns;
  }
  return sum;
}

}  // namespace jprof
