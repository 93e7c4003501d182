#include "profiler/top/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace jprof {
namespace {

int g_told = -1;

// The wait status of a child that does `what`, and whether the handler was called before its end.
int StatusOf(const std::function<void()>& what, bool& called) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    g_told = ends[1];
    if (!InstallSignals([] { static_cast<void>(::write(g_told, "x", 1)); }).ok()) ::_exit(1);
    what();
    ::_exit(0);
  }
  ::close(ends[1]);
  char byte;
  called = ::read(ends[0], &byte, 1) == 1;
  ::close(ends[0]);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

volatile bool g_deeper = true;

// Until there is no stack left.
__attribute__((noinline)) int Descend(const volatile char* above) {
  volatile char frame[4096];
  frame[0] = above == nullptr ? 0 : *above;
  return g_deeper ? Descend(frame) + frame[0] : 0;
}

TEST(SignalsTest, AStackOverflowIsHandledBeforeItEndsTheProcess) {
  bool called = false;
  const int status = StatusOf([] { Descend(nullptr); }, called);
  EXPECT_TRUE(called);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
}

TEST(SignalsTest, OfAnotherThreadAsWellIfItHasAStackForSignals) {
  bool called = false;
  const int status = StatusOf(
      [] {
        std::thread([] {
          SignalStack::OfThisThread();
          Descend(nullptr);
        }).join();
      },
      called);
  EXPECT_TRUE(called);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
}

}  // namespace
}  // namespace jprof
