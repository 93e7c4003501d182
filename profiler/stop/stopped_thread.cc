#include "profiler/stop/stopped_thread.h"

#include <linux/io_uring.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

// Between two looks: a hundredth of the time waited.
constexpr uint64_t kMinPollNs = 5'000, kMaxPollNs = 500'000, kPollShare = 100;
constexpr int64_t kRestartNoHandler = 514;  // ERESTARTNOHAND

// Whether the system call waits without a limit and fails with EINTR after a stop. (With a limit,
// a second call would wait for all of it again.)
bool MayRestart(const user_regs_struct& r) {
  switch (r.orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      return static_cast<int32_t>(r.r10) < 0;
    case SYS_epoll_pwait2:
      return r.r10 == 0;
    case SYS_rt_sigtimedwait:
      return r.rdx == 0;
    case SYS_semop:
      return true;
    case SYS_semtimedop:  // by which the C library makes semop() too
      return r.r10 == 0;
    case SYS_io_getevents:
      return r.r8 == 0;
    case SYS_io_uring_enter:  // that hands over nothing; the extended argument may have a limit
      return r.rsi == 0 && (r.r10 & IORING_ENTER_EXT_ARG) == 0;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<StoppedThread> StoppedThread::Seize(Tid tid) {
  if (::ptrace(PTRACE_SEIZE, tid, 0, 0) != 0) {
    return ErrnoStatus(errno, absl::StrCat("thread ", tid));
  }
  return StoppedThread(tid);
}

absl::Status StoppedThread::Interrupt() {
  stands_since_ns_ = NowNs();
  if (::ptrace(PTRACE_INTERRUPT, tid_, 0, 0) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("thread ", tid_));
}

absl::StatusOr<bool> StoppedThread::HasStopped() {
  const uint64_t now = NowNs();
  while (true) {
    int status = 0;
    const pid_t found = ::waitpid(tid_, &status, __WALL | WNOHANG);
    if (found < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, absl::StrCat("thread ", tid_));
    }
    if (found == 0) {
      stands_since_ns_ = now;
      return false;
    }
    if (!WIFSTOPPED(status)) {
      tid_ = 0;
      return absl::NotFoundError("it exited meanwhile");
    }
    if (status >> 16 == PTRACE_EVENT_STOP) break;
    // A signal that arrives first is its own stop: it is handed on, and the next one awaited.
    const int signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
    if (::ptrace(PTRACE_CONT, tid_, 0, signal) != 0) {
      return ErrnoStatus(errno, absl::StrCat("thread ", tid_));
    }
  }
  stopped_ = true;
  if (::ptrace(PTRACE_GETREGS, tid_, 0, &registers_) != 0) {
    return ErrnoStatus(errno, absl::StrCat("registers of thread ", tid_));
  }
  RestartSystemCall();
  return true;
}

absl::Status StoppedThread::CheckPatience(uint64_t since_ns, const Patience& patience) const {
  const absl::Duration waited = absl::Nanoseconds(NowNs() - since_ns);
  if (waited < std::min(patience.shortest, patience.longest)) return absl::OkStatus();
  const absl::StatusOr<ProcStat> stat = ReadProcStat(tid_);
  if (stat.ok() && stat->state == 'D') {
    return absl::DeadlineExceededError("it did not stop in time: it sleeps uninterruptibly");
  }
  if (waited < patience.longest) return absl::OkStatus();
  return absl::DeadlineExceededError("it did not stop in time: it gets no CPU");
}

absl::Status StoppedThread::AwaitStop(const Patience& patience, PauseLimit* limit) {
  const uint64_t since_ns = NowNs();
  while (true) {
    JPROF_ASSIGN_OR_RETURN(const bool stopped, HasStopped());
    if (stopped) return absl::OkStatus();
    if (limit != nullptr) limit->CountFrom(stands_since_ns_);
    JPROF_RETURN_IF_ERROR(CheckPatience(since_ns, patience));
    SleepTillNextLook(since_ns);
  }
}

absl::StatusOr<StoppedThread> StoppedThread::Stop(Tid tid, const Patience& patience) {
  JPROF_ASSIGN_OR_RETURN(StoppedThread thread, Seize(tid));
  JPROF_RETURN_IF_ERROR(thread.Interrupt());
  JPROF_RETURN_IF_ERROR(thread.AwaitStop(patience, nullptr));
  return thread;
}

StoppedThread::~StoppedThread() {
  if (tid_ != 0 && stopped_) ::ptrace(PTRACE_DETACH, tid_, 0, 0);
}

void StoppedThread::RestartSystemCall() {
  if (static_cast<int64_t>(registers_.rax) != -EINTR || is_32_bit() || !MayRestart(registers_)) {
    return;
  }
  user_regs_struct again = registers_;
  // As if it had said so itself: the kernel restarts it, unless a handler of a signal runs first.
  again.rax = static_cast<uint64_t>(-kRestartNoHandler);
  ::ptrace(PTRACE_SETREGS, tid_, 0, &again);
}

std::optional<VectorRegisters> StoppedThread::ReadVectors() const {
  user_fpregs_struct state;
  if (::ptrace(PTRACE_GETFPREGS, tid_, 0, &state) != 0) return std::nullopt;
  return VectorsOf(state);
}

void SleepTillNextLook(uint64_t since_ns) {
  const uint64_t span = std::clamp((NowNs() - since_ns) / kPollShare, kMinPollNs, kMaxPollNs);
  const timespec pause = {0, static_cast<long>(span)};
  ::nanosleep(&pause, nullptr);
}

VectorRegisters VectorsOf(const user_fpregs_struct& state) {
  VectorRegisters vectors;
  static_assert(sizeof(vectors) == sizeof(state.xmm_space));
  std::memcpy(&vectors, state.xmm_space, sizeof(vectors));
  return vectors;
}

Registers ToRegisters(const user_regs_struct& r, Tid tid, uint64_t stack_base) {
  return {.pc = r.rip,
          .sp = r.rsp,
          .fp = r.rbp,
          .rdi = r.rdi,
          .r13 = r.r13,
          .others = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10,
                     r.r11, r.r12, r.r13, r.r14, r.r15},
          .tid = tid,
          .stack_base = stack_base};
}

}  // namespace jprof
