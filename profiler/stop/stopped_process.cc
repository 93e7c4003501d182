#include "profiler/stop/stopped_process.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxStateBytes = 64 << 10;
constexpr absl::Duration kLookAgain = absl::Microseconds(100);

// `buffer`: of kMaxStateBytes, for all threads one after the other.
std::vector<std::byte> ReadSet(Tid tid, unsigned set, std::vector<std::byte>& buffer) {
  iovec vector = {buffer.data(), buffer.size()};
  if (::ptrace(PTRACE_GETREGSET, tid, set, &vector) != 0) return {};
  return {buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(vector.iov_len)};
}

}  // namespace

absl::StatusOr<StoppedProcess> StoppedProcess::Stop(Pid pid, absl::Duration patience,
                                                    std::vector<StoppedThread>& late) {
  StoppedProcess process;
  absl::flat_hash_set<Tid> seen;
  // A thread that runs may make another one, which is not stopped; when all that there are have been
  // stopped, there is none left to make one.
  for (bool any = true; any;) {
    any = false;
    JPROF_ASSIGN_OR_RETURN(const std::vector<Tid> threads, ListThreads(pid));
    const size_t first = process.threads_.size();
    for (Tid tid : threads) {
      if (!seen.insert(tid).second) continue;
      absl::StatusOr<StoppedThread> thread = StoppedThread::Seize(tid);
      if (!thread.ok() && absl::IsNotFound(thread.status())) continue;  // has exited
      JPROF_RETURN_IF_ERROR(thread.status());
      process.threads_.push_back(*std::move(thread));
      any = true;
    }
    // All are told to stop before the first is waited for.
    for (size_t i = first; i < process.threads_.size(); ++i) {
      absl::Status status = process.threads_[i].Interrupt();
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
    for (size_t i = first; i < process.threads_.size(); ++i) {
      absl::Status status = process.threads_[i].AwaitStop(patience);
      if (!status.ok() && !absl::IsNotFound(status)) {
        const Tid tid = process.threads_[i].tid();
        std::move(process.threads_.begin() + static_cast<ptrdiff_t>(i), process.threads_.end(),
                  std::back_inserter(late));
        return Annotate(status, absl::StrCat("thread ", tid));
      }
    }
  }
  std::erase_if(process.threads_, [](const StoppedThread& thread) { return thread.tid() == 0; });
  std::stable_partition(process.threads_.begin(), process.threads_.end(),
                        [pid](const StoppedThread& thread) { return thread.tid() == pid; });
  if (process.threads_.empty() || process.threads_[0].tid() != pid) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " exited meanwhile"));
  }
  return process;
}

bool LetGo(std::vector<StoppedThread> late, absl::Duration limit) {
  const absl::Time until = absl::Now() + limit;
  while (true) {
    for (size_t i = late.size(); i-- > 0;) {
      if (absl::IsDeadlineExceeded(late[i].AwaitStop(absl::ZeroDuration()))) continue;
      std::swap(late[i], late.back());
      late.pop_back();
    }
    if (late.empty() || absl::Now() >= until) return late.empty();
    absl::SleepFor(kLookAgain);
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
