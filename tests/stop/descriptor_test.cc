#include "profiler/stop/descriptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "profiler/core/unique_fd.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

TEST(DescribeFdTest, FilesPipesEventsAndSocketsAreTold) {
  const Pid self = ::getpid();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd from(ends[0]), to(ends[1]);
  const UniqueFd event(::eventfd(3, 0));
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const UniqueFd left(ends[0]), right(ends[1]);
  EXPECT_THAT(DescribeFd(self, from.get()), StartsWith("pipe:["));
  EXPECT_EQ(DescribeFd(self, event.get()), "eventfd, count 3");
  EXPECT_THAT(DescribeFd(self, left.get()), StartsWith("unix "));
  EXPECT_EQ(DescribeFd(self, 1 << 20), "");
}

TEST(DescribeFdTest, APidfdIsOfAProcess) {
  const Pid self = ::getpid();
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)));
  if (!fd.valid()) GTEST_SKIP() << "no pidfd of the parent";
  EXPECT_EQ(ProcessOfPidFd(self, fd.get()), ::getppid());
  EXPECT_EQ(DescribeFd(self, fd.get()), absl::StrCat("pidfd of process ", ::getppid()));
  EXPECT_EQ(ProcessOfPidFd(self, 0), 0);
}

TEST(DescribeFdTest, WhatAnEpollSetWatchesIsTold) {
  const UniqueFd event(::eventfd(0, 0)), set(::epoll_create1(0));
  epoll_event wanted = {};
  ASSERT_EQ(::epoll_ctl(set.get(), EPOLL_CTL_ADD, event.get(), &wanted), 0);
  EXPECT_THAT(WatchedFds(::getpid(), set.get()), ElementsAre(event.get()));
  EXPECT_EQ(DescribeFd(::getpid(), set.get()), "epoll of 1 file");
}

}  // namespace
}  // namespace jprof
