#include "profiler/stop/guard.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"

namespace jprof {
namespace {

constexpr absl::string_view kSignalUrl = "jprof/signal";
constexpr std::array kEndSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<pid_t> g_child{0};
std::atomic<int> g_signal{0};

void EndChild(int number) {
  g_signal = number;
  if (const pid_t child = g_child; child > 0) ::kill(child, SIGKILL);
}

// While it lives, signals that ask this process to end do so to its child alone. Those that it
// ignores stay ignored.
class ForwardedSignals {
 public:
  ForwardedSignals() {
    g_signal = 0;
    struct sigaction action = {};
    action.sa_handler = EndChild;
    for (size_t i = 0; i < kEndSignals.size(); ++i) {
      ::sigaction(kEndSignals[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) ::sigaction(kEndSignals[i], &action, nullptr);
    }
  }
  ~ForwardedSignals() { Restore(); }
  void Restore() {
    for (size_t i = 0; i < kEndSignals.size(); ++i)
      ::sigaction(kEndSignals[i], &before_[i], nullptr);
  }
  // One may have come before.
  void SetChild(pid_t child) {
    g_child = child;
    if (g_signal != 0) ::kill(child, SIGKILL);
  }

 private:
  std::array<struct sigaction, kEndSignals.size()> before_;
};

}  // namespace

absl::StatusOr<int> RunGuarded(absl::FunctionRef<int()> work) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  ForwardedSignals signals;
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "cannot start the process that stops threads");
  if (child == 0) {
    signals.Restore();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before we asked
    const int result = work();
    std::fflush(nullptr);
    ::_exit(result);
  }
  signals.SetChild(child);
  // Its number is its own until it has been waited for.
  siginfo_t ended;
  while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  g_child = 0;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "waitpid");
  }
  if (const int number = g_signal; number != 0) {
    absl::Status cancelled = absl::CancelledError("a signal asked for the end");
    cancelled.SetPayload(kSignalUrl, absl::Cord(absl::StrCat(number)));
    return cancelled;
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

void EndBySignal(const absl::Status& cancelled) {
  int number = SIGTERM;
  if (const auto payload = cancelled.GetPayload(kSignalUrl)) {
    static_cast<void>(absl::SimpleAtoi(std::string(*payload), &number));
  }
  std::signal(number, SIG_DFL);
  ::raise(number);
  ::_exit(128 + number);  // where it is blocked
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
