#include "profiler/why/waits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/core/unique_fd.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// What is said of it in the end: it says "ready" just before it waits.
std::string WhatItDoes(Pid pid, const std::string& part) {
  std::string does;
  for (int i = 0; i < 10'000 && does.find(part) == does.npos; ++i) {
    does = WaitReader().WhatDoes(pid);
    ::usleep(1000);
  }
  return does;
}

TEST(WhatDoesTest, OfOneThreadItIsSaidAlone) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(WhatItDoes(child->pid(), "sleeps in read"),
              MatchesRegex("sleeps in read\\(.*\\)[^)]*"));
}

TEST(WhatDoesTest, AThreadThatRunsIsSaidBeforeTheMainOneThatSleeps) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("waits")});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(WhatItDoes(child->pid(), "thread"), MatchesRegex("runs \\(thread [0-9]+\\)"));
}

// What a thread of the test's own waits for, in a poll() of these to read.
Wait WaitOfPoll(const std::vector<int>& fds) {
  std::vector<pollfd> set;
  for (int fd : fds) set.push_back({fd, POLLIN, 0});
  std::atomic<Tid> tid = 0;
  std::thread thread([&] {
    struct sigaction nothing = {};
    nothing.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &nothing, nullptr);
    tid = static_cast<Tid>(::syscall(SYS_gettid));
    ::poll(set.data(), set.size(), 600'000);
  });
  Wait wait;
  for (int i = 0; i < 10'000 && wait.kind != Wait::Kind::kPoll; ++i) {
    ::usleep(1000);
    if (tid != 0) wait = WaitReader().Read(::getpid(), tid);
  }
  ::pthread_kill(thread.native_handle(), SIGUSR1);
  thread.join();
  return wait;
}

TEST(PollTest, TheOneDescriptorIsTold) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd from(ends[0]), to(ends[1]);
  const Wait wait = WaitOfPoll({from.get()});
  EXPECT_EQ(wait.object, "a pipe");
  EXPECT_EQ(wait.filling, "0 of 65536 bytes unread");
  EXPECT_EQ(wait.limit_s, 600);
  EXPECT_TRUE(wait.self_too);
  EXPECT_FALSE(wait.to_write);
}

TEST(PollTest, OfSeveralSomeAreTold) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd from(ends[0]), to(ends[1]);
  EXPECT_THAT(WaitOfPoll(std::vector<int>(6, from.get())).object,
              MatchesRegex("one of 6 files: ([0-9]+<pipe:\\[[0-9]+\\]>, ){4}2 more"));
}

TEST(PollTest, AListenerWaitsForConnections) {
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  // The kernel chooses a name.
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_THAT(WaitOfPoll({listener.get()}).object, MatchesRegex("unix @.* listening"));
}

}  // namespace
}  // namespace jprof
