#include "profiler/stop/guard.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

absl::StatusOr<int> RunGuarded(absl::FunctionRef<int()> work) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "cannot start the process that stops threads");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before we asked
    const int result = work();
    std::fflush(nullptr);
    ::_exit(result);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "waitpid");
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (WTERMSIG(status) == SIGKILL) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the process that stops threads was killed, or held one for too long (more than ",
        absl::FormatDuration(kMaxPause), "); the target runs on"));
  }
  return absl::UnavailableError(absl::StrCat("the process that stops threads was ended by signal ",
                                             WTERMSIG(status), "; the target runs on"));
}

uint64_t NowNs() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

PauseLimit::PauseLimit(absl::Duration longest) : longest_(longest) {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) return;
  const timespec limit = absl::ToTimespec(longest);
  const itimerspec once = {.it_interval = {}, .it_value = limit};
  armed_ = ::timer_settime(timer_, 0, &once, nullptr) == 0;
  if (!armed_) ::timer_delete(timer_);
}

void PauseLimit::CountFrom(uint64_t ns) {
  if (!armed_) return;
  // Of a time, not of a span: whoever is stopped just here may have been for long.
  const timespec end = absl::ToTimespec(absl::Nanoseconds(ns) + longest_);
  const itimerspec once = {.it_interval = {}, .it_value = end};
  ::timer_settime(timer_, TIMER_ABSTIME, &once, nullptr);
}

PauseLimit::~PauseLimit() {
  if (armed_) ::timer_delete(timer_);
}

}  // namespace jprof
