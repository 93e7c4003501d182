#include "profiler/top/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr long kSignalStackBytes = 64 << 10;
constexpr int64_t kSameWishNs = 50'000'000;  // timeout(1) and terminals may send one twice

std::atomic<unsigned> g_flags{0};
std::atomic<int64_t> g_stop_ns{0};
std::atomic<void (*)()> g_before_end{nullptr};
std::atomic<int> g_wake{-1};
std::atomic<int> g_woken{-1};

int64_t NowNs() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Raise(SignalFlag flag) {
  const int before = errno;
  g_flags |= static_cast<unsigned>(flag);
  static_cast<void>(::write(g_wake, "", 1));  // a full pipe wakes as well
  errno = before;
}

void End(int number) {
  if (void (*before_end)() = g_before_end) before_end();
  ::signal(number, SIG_DFL);
  ::raise(number);  // delivered when the handler returns
}

void OnStop(int number) {
  const int64_t now_ns = NowNs();
  int64_t none = 0;
  if (g_stop_ns.compare_exchange_strong(none, now_ns) || now_ns - g_stop_ns < kSameWishNs) {
    Raise(SignalFlag::kStop);
  } else {
    End(number);
  }
}

void OnOther(int number) {
  Raise(number == SIGTSTP   ? SignalFlag::kSuspend
        : number == SIGCONT ? SignalFlag::kContinued
                            : SignalFlag::kResized);
}

// What the parent had ignored stays ignored: nohup, background jobs.
void Handle(int number, void (*handler)(int)) {
  struct sigaction before;
  if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

SignalStack::SignalStack() {
  stack_t stack = {};
  if (::sigaltstack(nullptr, &stack) != 0 || (stack.ss_flags & SS_DISABLE) == 0) return;
  const auto bytes = static_cast<size_t>(std::max(kSignalStackBytes, ::sysconf(_SC_SIGSTKSZ)));
  memory_ = std::make_unique<char[]>(bytes);
  stack = {.ss_sp = memory_.get(), .ss_flags = 0, .ss_size = bytes};
  ::sigaltstack(&stack, nullptr);
}

SignalStack::~SignalStack() {
  if (memory_ == nullptr) return;
  const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  ::sigaltstack(&none, nullptr);
}

void SignalStack::OfThisThread() { static thread_local SignalStack stack; }

absl::Status InstallSignals(void (*before_end)()) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoStatus(errno, "pipe");
  g_woken = ends[0];
  g_wake = ends[1];
  g_before_end = before_end;
  SignalStack::OfThisThread();
  for (int number : {SIGINT, SIGTERM, SIGHUP}) Handle(number, OnStop);
  for (int number : {SIGTSTP, SIGCONT, SIGWINCH}) Handle(number, OnOther);
  for (int number : {SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) Handle(number, End);
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, with a message
  return absl::OkStatus();
}

bool TakeSignal(SignalFlag flag) {
  const unsigned bit = static_cast<unsigned>(flag);
  if (flag == SignalFlag::kStop) return (g_flags & bit) != 0;
  return (g_flags.fetch_and(~bit) & bit) != 0;
}

int SignalDescriptor() { return g_woken; }

void DrainSignals() {
  char bytes[64];
  while (::read(g_woken, bytes, sizeof(bytes)) > 0) {
  }
}

void StopSelf() {
  ::signal(SIGTSTP, SIG_DFL);
  ::raise(SIGTSTP);
  Handle(SIGTSTP, OnOther);
}

}  // namespace jprof
