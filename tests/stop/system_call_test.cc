#include "profiler/stop/system_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/syscall.h>

#include <ctime>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/stop/system_call_arguments.h"
#include "profiler/stop/system_call_names.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  EXPECT_EQ(DescribeCall({SYS_lseek, {5, 1ull << 33, 0}}, context),
            "lseek(5<file 5>, 8589934592, 0)");
}

// What is in the registers of arguments that a call does not have belongs to somebody else.
TEST(DescribeCallTest, NoMoreArgumentsAreShownThanTheCallHas) {
  constexpr uint64_t kSecret = 0x3efc244afe236f00;
  auto text = [](int64_t number, std::array<uint64_t, 3> first) {
    return DescribeCall({number, {first[0], first[1], first[2], kSecret, kSecret, kSecret}}, {});
  };
  EXPECT_EQ(text(SYS_close, {987, kSecret, kSecret}), "close(987)");
  EXPECT_EQ(text(SYS_fcntl, {3, F_GETFL, kSecret}), "fcntl(3, 3)");
  EXPECT_EQ(text(SYS_futex, {0x40, FUTEX_WAKE, 1}), "futex(0x40, FUTEX_WAKE, 1)");
  EXPECT_EQ(text(SYS_openat, {static_cast<uint64_t>(AT_FDCWD), 0x40, O_RDONLY}),
            "openat(AT_FDCWD, 0x40, 0)");
  EXPECT_EQ(DescribeCall({SYS_msgsnd, {3, 0x40, 100, IPC_NOWAIT, kSecret, kSecret}}, {}),
            "msgsnd(3, 0x40, 100, 0x800)");
  EXPECT_EQ(text(9999, {kSecret, kSecret, kSecret}), "system call 9999(...)");
  EXPECT_EQ(text(-5, {kSecret, kSecret, kSecret}), "system call -5(...)");
}

TEST(SystemCallArgumentsTest, TheirNumbersAreTheKernels) {
  size_t compared = 0;
  for (const SystemCallArguments& call : kSystemCallArguments) {
    std::ifstream format(absl::StrCat("/sys/kernel/tracing/events/syscalls/sys_enter_",
                                      kSystemCallNames[call.number], "/format"));
    size_t fields = 0;
    for (std::string line; std::getline(format, line);) fields += absl::StrContains(line, "field:");
    if (fields == 0) continue;
    constexpr size_t kCommonFields = 5;  // and the number of the call
    EXPECT_EQ(call.letters.size(), fields - kCommonFields) << kSystemCallNames[call.number];
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "the kernel does not show its table";
}

TEST(DescribeCallTest, APathIsQuotedAndBounded) {
  FakeMemory memory;
  memory.PutText(Address{0x40}, absl::string_view("/tmp/a \"\n\x1b[0m\0rest", 18));
  const CallContext context = {.memory = &memory, .describe_fd = NameFd};
  EXPECT_EQ(DescribeCall({SYS_unlink, {0x40}}, context),
            "unlink(\"/tmp/a \\\"\\n\\033[0m\")");
  EXPECT_EQ(DescribeCall({SYS_openat, {7, 0x40, O_CREAT, 0600}}, context),
            "openat(7<file 7>, \"/tmp/a \\\"\\n\\033[0m\", 0x40, 0x180)");
  memory.PutText(Address{0x1000}, std::string(5000, 'x'));
  EXPECT_EQ(DescribeCall({SYS_unlink, {0x1000}}, context),
            absl::StrCat("unlink(\"", std::string(256, 'x'), "\"...)"));
  // Nothing ends what is left of it.
  EXPECT_EQ(DescribeCall({SYS_unlink, {0x1000 + 4990}}, context), "unlink(0x237e)");
  EXPECT_EQ(DescribeCall({SYS_unlink, {0}}, context), "unlink(0)");
}

TEST(DescribeCallTest, ADeadlineIsNoSpan) {
  FakeMemory memory;
  memory.PutValue(Address{0x20}, int64_t{100}).PutValue(Address{0x28}, int64_t{500'000'000});
  CallContext context = {.memory = &memory};
  const SystemCall sleep = {SYS_clock_nanosleep, {CLOCK_MONOTONIC, TIMER_ABSTIME, 0x20, 0}};
  EXPECT_EQ(DescribeCall(sleep, context),
            "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until 100.500 s, 0)");
  context.now_ns = [](Pid, int) { return std::optional<int64_t>(98'000'000'000); };
  EXPECT_EQ(DescribeCall(sleep, context),
            "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until 100.500 s (in 2.500 s), 0)");
  EXPECT_EQ(DescribeCall({SYS_clock_nanosleep, {CLOCK_MONOTONIC, 0, 0x20, 0}}, context),
            "clock_nanosleep(CLOCK_MONOTONIC, 0, 100.500 s, 0)");
  EXPECT_EQ(DescribeCall({SYS_futex, {0x40, FUTEX_WAIT_BITSET, 0, 0x20}}, context),
            "futex(0x40, FUTEX_WAIT_BITSET, 0, until 100.500 s of CLOCK_MONOTONIC (in 2.500 s))");
  EXPECT_EQ(DescribeCall({SYS_futex, {0x40, FUTEX_WAIT, 0, 0x20}}, context),
            "futex(0x40, FUTEX_WAIT, 0, 100.500 s)");
  context.now_ns = [](Pid, int) { return std::optional<int64_t>(101'000'000'000); };
  EXPECT_THAT(DescribeCall({SYS_mq_timedreceive, {3, 0x40, 8, 0, 0x20}}, context),
              HasSubstr("until 100.500 s of CLOCK_REALTIME (passed)"));
}

TEST(DescribeCallTest, WhatIsPolledIsTold) {
  FakeMemory memory;
  const pollfd set[] = {{3, POLLIN, 0}, {-1, POLLIN, 0}, {4, POLLIN | POLLOUT, 0},
                        {5, 0, 0},      {6, POLLPRI, 0}, {7, POLLIN, 0}};
  memory.PutValue(Address{0x40}, set);
  const CallContext context = {.memory = &memory, .describe_fd = NameFd};
  const SystemCall poll = {SYS_poll, {0x40, 6, 1500}};
  EXPECT_EQ(DescribeCall(poll, context),
            "poll({3<file 3> POLLIN, 4<file 4> POLLIN|POLLOUT, 5<file 5>, 6<file 6> POLLPRI and 1 "
            "more}, 6, 1500 ms)");
  EXPECT_EQ(PolledFds(poll, context).size(), 5u);
  EXPECT_EQ(PolledFds({SYS_poll, {0x40, 7, 0}}, context).size(), 0u);  // not all can be read
}

TEST(DescribeCallTest, TheSetsOfSelectAreTold) {
  FakeMemory memory;
  memory.PutValue(Address{0x40}, uint64_t{1 << 3 | 1 << 9}).PutValue(Address{0x80}, uint64_t{8});
  memory.PutValue(Address{0x20}, int64_t{2}).PutValue(Address{0x28}, int64_t{500'000});
  const CallContext context = {.memory = &memory, .describe_fd = NameFd};
  const SystemCall select = {SYS_select, {10, 0x40, 0x80, 0, 0x20}};
  EXPECT_EQ(DescribeCall(select, context),
            "select(10, {3<file 3>, 9<file 9>}, {3<file 3>}, 0, 2.500 s)");
  EXPECT_THAT(PolledFds(select, context),
              ElementsAre(PolledFd{3, POLLIN | POLLOUT}, PolledFd{9, POLLIN}));
  EXPECT_EQ(DescribeCall({SYS_pselect6, {9, 0x40, 0, 0, 0}}, context),
            "pselect6(9, {3<file 3>}, 0, 0, no limit)");
}

// The registers of a thread that is about to begin a signal's handler, with the number of the call
// that it was in.
TEST(AsMadeTest, TheRegistersOfAHandlerAreNoCall) {
  FakeMemory memory;
  memory.PutText(Address{0x100}, "\xb8\xe8\x01\x01\x01\x0f\x05\x55\x48\x89\xe5");
  const SystemCall call = {SYS_epoll_wait, {10, 1, 2, 3}, 0x107};
  EXPECT_EQ(AsMade(call, memory), call);
  EXPECT_EQ(AsMade({SYS_epoll_wait, {10, 1, 2, 3}, 0x10b}, memory), std::nullopt);
  // What cannot be read says nothing.
  EXPECT_NE(AsMade({SYS_epoll_wait, {10, 1, 2, 3}, 0x207}, memory), std::nullopt);
  EXPECT_NE(AsMade({SYS_epoll_wait, {10, 1, 2, 3}}, memory), std::nullopt);
}

TEST(AsMadeTest, ACallThatIsGoneOnWithHasItsOwnNumber) {
  FakeMemory memory;
  memory.PutValue(Address{0x100}, std::array<uint8_t, 7>{0xb8, 0xe6, 0, 0, 0, 0x0f, 0x05});
  memory.PutValue(Address{0x200}, std::array<uint8_t, 7>{0xb8, 0x01, 0, 0, 0, 0x0f, 0x05});
  const SystemCall restarted = {SYS_restart_syscall, {0, 0, 0x20, 0}, 0x107};
  EXPECT_EQ(AsMade(restarted, memory),
            (SystemCall{SYS_clock_nanosleep, restarted.arguments, 0x107}));
  // Such calls are not gone on with in this way.
  const SystemCall other = {SYS_restart_syscall, {0, 0, 0x20, 0}, 0x207};
  EXPECT_EQ(AsMade(other, memory), other);
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

}  // namespace
}  // namespace jprof
