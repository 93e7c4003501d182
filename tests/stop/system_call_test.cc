#include "profiler/stop/system_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "profiler/core/unique_fd.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(SyscallFileTest, HasNumberArgumentsStackAndPc) {
  auto thread = ParseSyscallFile("0 0x3 0x7f00 0x20 0x4 0x5 0x6 0x7ffe85ad0698 0x7f6d4d8992ad\n");
  ASSERT_TRUE(thread && thread->call);
  EXPECT_EQ(thread->call->number, 0);
  EXPECT_EQ(thread->call->arguments, (std::array<uint64_t, 6>{3, 0x7f00, 0x20, 4, 5, 6}));
  EXPECT_EQ(thread->sp, 0x7ffe85ad0698u);
  EXPECT_EQ(thread->pc, 0x7f6d4d8992adu);
}

TEST(SyscallFileTest, OutsideOfACallThereIsOnlyStackAndPc) {
  auto thread = ParseSyscallFile("-1 0x7ffe 0x7f6d\n");
  ASSERT_TRUE(thread);
  EXPECT_FALSE(thread->call);
  EXPECT_EQ(thread->pc, 0x7f6du);
}

TEST(SyscallFileTest, WhatRunsOrMakesNoSenseIsNothing) {
  for (const char* text :
       {"running\n", "", "0 0x1 0x2", "x 0x1 0x2", "0 1 2 3 4 5 6 7 zz", "-1 1 g"}) {
    EXPECT_FALSE(ParseSyscallFile(text)) << text;
  }
}

std::string NameFd(Pid, int fd) { return absl::StrCat("file ", fd); }
bool IsSeven(Pid, Tid tid) { return tid == 7; }

TEST(DescribeCallTest, ArgumentsAreDecoded) {
  const CallContext context = {.describe_fd = NameFd};
  EXPECT_EQ(DescribeCall({SYS_epoll_wait, {5, 0x10, 64, static_cast<uint64_t>(-1)}}, context),
            "epoll_wait(5<file 5>, 0x10, 64, no limit)");
  EXPECT_EQ(DescribeCall({SYS_poll, {0x10, 2, 1500}}, context), "poll(0x10, 2, 1500 ms)");
  EXPECT_THAT(DescribeCall({9999, {}}, context), StartsWith("system call 9999("));
  EXPECT_THAT(DescribeCall({-5, {}}, context), StartsWith("system call -5("));
}

TEST(DescribeCallTest, ATimeoutIsReadFromMemory) {
  FakeMemory memory;
  memory.PutValue(Address{0x20}, int64_t{2}).PutValue(Address{0x28}, int64_t{500'000'000});
  EXPECT_EQ(DescribeCall({SYS_nanosleep, {0x20, 0}}, {.memory = &memory}), "nanosleep(2.500 s, 0)");
  EXPECT_EQ(DescribeCall({SYS_nanosleep, {0x30, 0}}, {.memory = &memory}), "nanosleep(0x30, 0)");
}

TEST(DescribeCallTest, TheOwnerOfAContendedMutexIsTold) {
  FakeMemory memory;
  memory.PutValue(Address{0x40}, uint32_t{2}).PutValue(Address{0x48}, uint32_t{7});
  const CallContext context = {.memory = &memory, .is_thread = IsSeven};
  const SystemCall wait = {SYS_futex, {0x40, FUTEX_WAIT_PRIVATE, 2, 0}};
  EXPECT_THAT(DescribeCall(wait, context), HasSubstr("held by thread 7"));
  memory.PutValue(Address{0x48}, uint32_t{8});  // no thread: it is no mutex
  EXPECT_THAT(DescribeCall(wait, context), Not(HasSubstr("held")));
}

TEST(DescribeCallTest, ARobustMutexSaysItsOwner) {
  FakeMemory memory;
  memory.PutValue(Address{0x40}, uint32_t{FUTEX_WAITERS | 7});
  const CallContext context = {.memory = &memory, .is_thread = IsSeven};
  const SystemCall wait = {SYS_futex, {0x40, FUTEX_WAIT, FUTEX_WAITERS | 8, 0}};
  EXPECT_THAT(DescribeCall(wait, context), HasSubstr("held by thread 7"));
  memory.PutValue(Address{0x40}, uint32_t{7});  // nobody waits for it any more
  EXPECT_THAT(DescribeCall(wait, context), Not(HasSubstr("held")));
}

TEST(DescribeCallTest, APriorityInheritingFutexSaysItsOwner) {
  FakeMemory memory;
  memory.PutValue(Address{0x40}, uint32_t{FUTEX_WAITERS | 7});
  EXPECT_THAT(DescribeCall({SYS_futex, {0x40, FUTEX_LOCK_PI}},
                           {.memory = &memory, .is_thread = IsSeven}),
              HasSubstr("held by thread 7"));
}

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

}  // namespace
}  // namespace jprof
