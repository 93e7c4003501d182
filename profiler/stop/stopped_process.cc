#include "profiler/stop/stopped_process.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxStateBytes = 64 << 10;

// `buffer`: of kMaxStateBytes, for all threads one after the other.
std::vector<std::byte> ReadSet(Tid tid, unsigned set, std::vector<std::byte>& buffer) {
  iovec vector = {buffer.data(), buffer.size()};
  if (::ptrace(PTRACE_GETREGSET, tid, set, &vector) != 0) return {};
  return {buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(vector.iov_len)};
}

// Whether it could not be had since it has exited, or is about to.
bool HasEnded(Tid tid, const absl::Status& status) {
  if (absl::IsNotFound(status)) return true;
  const absl::StatusOr<ProcStat> stat = ReadProcStat(tid);
  return stat.ok() ? stat->ending : absl::IsNotFound(stat.status());
}

}  // namespace

absl::Status StoppedProcess::Await(std::vector<StoppedThread>& pending, const Patience& patience,
                                   PauseLimit* limit) {
  const uint64_t since_ns = NowNs();
  while (true) {
    const uint64_t now = NowNs();
    for (size_t i = pending.size(); i-- > 0;) {
      const absl::StatusOr<bool> stopped = pending[i].HasStopped();
      if (!stopped.ok() && !absl::IsNotFound(stopped.status())) return stopped.status();
      if (stopped.ok() && !*stopped) continue;
      std::swap(pending[i], pending.back());
      if (stopped.ok()) {
        stands_since_ns_ = std::min(stands_since_ns_, pending.back().stands_since_ns());
        threads_.push_back(std::move(pending.back()));
      }
      pending.pop_back();
    }
    if (pending.empty()) return absl::OkStatus();
    if (threads_.empty() && limit != nullptr) limit->CountFrom(now);
    for (const StoppedThread& thread : pending) {
      absl::Status status = thread.CheckPatience(since_ns, patience);
      if (status.ok() && !threads_.empty()) {
        status = thread.CheckPatience(stands_since_ns_, {patience.shortest, patience.shortest});
      }
      JPROF_RETURN_IF_ERROR(Annotate(status, absl::StrCat("thread ", thread.tid())));
    }
    SleepTillNextLook(since_ns);
  }
}

absl::StatusOr<StoppedProcess> StoppedProcess::Stop(Pid pid, const Patience& patience,
                                                    PauseLimit* limit,
                                                    std::vector<StoppedThread>& late) {
  StoppedProcess process;
  absl::flat_hash_set<Tid> seen;
  // A thread that runs may make another one, which is not stopped; when all that there are have
  // been stopped, there is none left to make one.
  for (bool any = true; any;) {
    any = false;
    JPROF_ASSIGN_OR_RETURN(const std::vector<Tid> threads, ListThreads(pid));
    std::vector<StoppedThread> pending;
    for (Tid tid : threads) {
      if (!seen.insert(tid).second) continue;
      absl::StatusOr<StoppedThread> thread = StoppedThread::Seize(tid);
      if (!thread.ok() && HasEnded(tid, thread.status())) continue;
      JPROF_RETURN_IF_ERROR(thread.status());
      pending.push_back(*std::move(thread));
      any = true;
    }
    // All are told to stop before the first is waited for.
    for (StoppedThread& thread : pending) {
      absl::Status status = thread.Interrupt();
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
    if (absl::Status status = process.Await(pending, patience, limit); !status.ok()) {
      late = std::move(pending);
      return status;
    }
  }
  std::sort(process.threads_.begin(), process.threads_.end(),
            [pid](const StoppedThread& a, const StoppedThread& b) {
              return std::pair(a.tid() != pid, a.tid()) < std::pair(b.tid() != pid, b.tid());
            });
  if (process.threads_.empty() || process.threads_[0].tid() != pid) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " exited meanwhile"));
  }
  return process;
}

bool LetGo(std::vector<StoppedThread> late, absl::Duration limit) {
  PauseLimit pause;
  const uint64_t since_ns = NowNs();
  while (true) {
    const uint64_t now = NowNs();
    for (size_t i = late.size(); i-- > 0;) {
      const absl::StatusOr<bool> stopped = late[i].HasStopped();
      if (stopped.ok() && !*stopped) continue;
      std::swap(late[i], late.back());
      late.pop_back();
    }
    if (late.empty() || absl::Nanoseconds(now - since_ns) >= limit) return late.empty();
    pause.CountFrom(now);
    SleepTillNextLook(since_ns);
  }
}

std::vector<ThreadRegisters> StoppedProcess::ReadRegisters() const {
  std::vector<ThreadRegisters> result;
  result.reserve(threads_.size());
  std::vector<std::byte> buffer(kMaxStateBytes);
  for (const StoppedThread& thread : threads_) {
    ThreadRegisters registers;
    registers.tid = thread.tid();
    registers.general = thread.registers();
    registers.floating_point = ReadSet(thread.tid(), NT_PRFPREG, buffer);
    registers.extended = ReadSet(thread.tid(), NT_X86_XSTATE, buffer);
    result.push_back(std::move(registers));
  }
  return result;
}

}  // namespace jprof
