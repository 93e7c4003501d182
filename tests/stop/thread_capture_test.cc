#include "profiler/stop/thread_capture.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/stopped_thread.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

// A stack of one frame that reaches the root.
NativeRunner::Result OneFrame(const Registers& registers, bool) {
  NativeRunner::Result result;
  result.stack.end = WalkEnd::kRoot;
  result.stack.frames.push_back({.address = registers.pc});
  return result;
}

// So that each thread is stopped.
NativeRunner::Result NeverWhole(const Registers&, bool) {
  NativeRunner::Result result;
  result.stack.end = WalkEnd::kUnreadable;
  return result;
}

// All but "spinner" sleep.
Child SpawnWaits() {
  absl::StatusOr<Child> waits = Child::SpawnReady({TestProgram("waits")});
  if (!waits.ok()) {
    ADD_FAILURE() << waits.status();
    std::abort();
  }
  for (int asleep = 0; asleep < 4;) {
    asleep = 0;
    auto threads = ListThreads(waits->pid());
    if (!threads.ok()) break;
    for (Tid tid : *threads) {
      auto stat = ReadProcStat(tid);
      asleep += stat.ok() && stat->state == 'S';
    }
  }
  return *std::move(waits);
}

char StateOf(Tid tid) {
  auto stat = ReadProcStat(tid);
  return stat.ok() ? stat->state : '?';
}

std::map<std::string, CapturedThread> ByName(std::vector<CapturedThread> threads) {
  std::map<std::string, CapturedThread> result;
  for (CapturedThread& thread : threads) result[thread.name] = std::move(thread);
  return result;
}

TEST(ThreadCaptureTest, OnlyAThreadThatRunsIsStopped) {
  Child waits = SpawnWaits();
  auto threads = ByName(CaptureThreads(waits.pid(), OneFrame, {}));
  ASSERT_EQ(threads.size(), 5u);
  EXPECT_GT(threads["spinner"].pause_ns, 0u);
  EXPECT_FALSE(threads["spinner"].call);
  for (const char* name : {"waits", "reader", "locker"}) {
    EXPECT_EQ(threads[name].pause_ns, 0u) << name;
    EXPECT_TRUE(threads[name].call) << name;
    EXPECT_EQ(threads[name].walk.stack.frames.size(), 1u) << name;
  }
  EXPECT_EQ(threads["waits"].call->number, SYS_epoll_wait);
}

// What is left to be done of a walk is done when the thread runs again.
TEST(ThreadCaptureTest, TheRestOfAWalkIsDoneWhenTheThreadRuns) {
  Child waits = SpawnWaits();
  int standing = 0, running = 0;
  auto looks = [&](const Registers& registers, bool stands) {
    CapturedWalk walk = OneFrame(registers, stands);
    if (!stands) return walk;
    standing += StateOf(registers.tid) == 't';
    walk.rest = [&running, tid = registers.tid](CapturedWalk& of) {
      running += StateOf(tid) != 't';
      of.stack.frames.push_back({.address = 0x4711});
    };
    return walk;
  };
  auto threads = ByName(CaptureThreads(waits.pid(), looks, {}));
  EXPECT_EQ(standing, 1);
  EXPECT_EQ(running, 1);
  EXPECT_EQ(threads["spinner"].walk.stack.frames.size(), 2u);
  EXPECT_EQ(threads["reader"].walk.stack.frames.size(), 1u);
  EXPECT_FALSE(threads["spinner"].walk.rest);
}

// Frames of these addresses, named by their numbers.
CapturedWalk Frames(const std::vector<uint64_t>& addresses, uint32_t symbols) {
  CapturedWalk walk;
  for (uint64_t address : addresses) {
    walk.stack.frames.push_back(
        {.address = address, .symbol = symbols == 0 ? 0 : symbols++, .is_return_address = true});
  }
  return walk;
}

std::vector<uint32_t> SymbolsOf(const CapturedWalk& walk) {
  std::vector<uint32_t> symbols;
  for (const RawFrame& frame : walk.stack.frames) symbols.push_back(frame.symbol);
  return symbols;
}

TEST(CapturedWalkTest, WhatWasToldBeforeStays) {
  const std::vector<uint64_t> whole = {1, 2, 3, 4, 5, 6};
  const struct {
    std::vector<uint64_t> told;
    std::vector<uint32_t> symbols;  // 10 and up: told before; 100 and up: not
    std::vector<uint32_t> arguments;
  } kCases[] = {
      {{}, {100, 101, 102, 103, 104, 105}, {}},
      {{1, 2}, {10, 11, 102, 103, 104, 105}, {0, 1}},
      {{1, 2, 0, 5, 6}, {10, 11, 102, 103, 13, 14}, {0, 1, 4, 5}},  // a runtime went on
      {{0, 6}, {100, 101, 102, 103, 104, 11}, {5}},
      {whole, {10, 11, 12, 13, 14, 15}, {0, 1, 2, 3, 4, 5}},
      {{1, 2, 3, 4, 5, 6, 6}, {10, 11, 12, 13, 14, 15}, {0, 1, 2, 3, 4, 5}},
  };
  for (const auto& c : kCases) {
    CapturedWalk walk = Frames(c.told, 10);
    for (uint32_t i = 0; i < c.told.size(); ++i) walk.arguments[i] = {};
    walk.no_rule = 1;
    walk.GoOnAs(Frames(whole, 100));
    EXPECT_EQ(SymbolsOf(walk), c.symbols);
    EXPECT_EQ(walk.no_rule, 0u);
    std::vector<uint32_t> arguments;
    for (const auto& [index, values] : walk.arguments) arguments.push_back(index);
    std::sort(arguments.begin(), arguments.end());
    EXPECT_EQ(arguments, c.arguments);
  }
}

NativeRunner::Result NeedsFp(const Registers& registers, bool stands) {
  NativeRunner::Result result = OneFrame(registers, stands);
  if (registers.fp % 8 != 0) result.stack.end = WalkEnd::kUnaligned;
  return result;
}

absl::StatusOr<user_regs_struct> ReadRegisters(Tid, const SleepingThread& asleep) {
  user_regs_struct registers = {};
  registers.rip = asleep.pc;
  registers.rsp = asleep.sp;
  registers.rbp = asleep.sp + 64;
  return registers;
}

TEST(ThreadCaptureTest, ASleeperWhoseRegistersCanBeReadIsNotStopped) {
  Child waits = SpawnWaits();
  for (const bool wanted : {false, true}) {
    uint64_t fp = 0;
    auto looks = [&](const Registers& registers, bool stands) {
      CapturedWalk walk = NeedsFp(registers, stands);
      if (registers.tid == waits.pid()) fp = registers.fp - registers.sp;
      return walk;
    };
    auto threads = ByName(CaptureThreads(
        waits.pid(), looks, {.wants_registers = wanted, .read_registers = ReadRegisters}));
    for (const char* name : {"waits", "reader", "locker"}) {
      EXPECT_EQ(threads[name].pause_ns, 0u) << name;
      EXPECT_TRUE(threads[name].is_whole) << name;
      EXPECT_TRUE(threads[name].registers.ok()) << name;
      EXPECT_EQ(threads[name].walk.stack.end, WalkEnd::kRoot) << name;
    }
    EXPECT_EQ(fp, 64u);
  }
}

TEST(ThreadCaptureTest, RegistersAreReadOnlyIfTheWalkNeedsThem) {
  Child waits = SpawnWaits();
  int reads = 0;
  auto counts = [&](Tid tid, const SleepingThread& asleep) {
    ++reads;
    return ReadRegisters(tid, asleep);
  };
  CaptureThreads(waits.pid(), OneFrame, {.read_registers = counts});
  EXPECT_EQ(reads, 0);
  CaptureThreads(waits.pid(), NeedsFp, {.read_registers = counts});
  EXPECT_EQ(reads, 4);
}

TEST(ThreadCaptureTest, ASleeperIsStoppedWhenTheWalkNeedsARegister) {
  Child waits = SpawnWaits();
  auto threads = ByName(CaptureThreads(waits.pid(), NeedsFp, {}));
  EXPECT_EQ(threads["waits"].pause_ns, 0u);  // epoll_wait may end early
  EXPECT_FALSE(threads["waits"].registers.ok());
  EXPECT_TRUE(threads["reader"].registers.ok());
  EXPECT_GT(threads["reader"].pause_ns, 0u);
  ASSERT_TRUE(threads["reader"].call);
  EXPECT_EQ(threads["reader"].call->number, SYS_read);
  ASSERT_TRUE(waits.Write("x").ok());
  auto line = waits.ReadLine();
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->substr(0, 6), "whole ");
}

// Whatever it waits for: that has ended.
TEST(ThreadCaptureTest, AThreadThatItsOwnerStoppedIsStoppedWhenTheWalkNeedsARegister) {
  Child waits = SpawnWaits();
  waits.Signal(SIGSTOP);
  while (StateOf(waits.pid()) != 'T') ::usleep(1000);
  auto threads = ByName(CaptureThreads(waits.pid(), NeedsFp, {}));
  EXPECT_GT(threads["waits"].pause_ns, 0u);
  EXPECT_TRUE(threads["waits"].registers.ok());
  ASSERT_TRUE(threads["waits"].call);
  EXPECT_EQ(threads["waits"].call->number, SYS_epoll_wait);
  for (int i = 0; i < 20'000 && StateOf(waits.pid()) != 'T'; ++i) ::usleep(1000);
  EXPECT_EQ(StateOf(waits.pid()), 'T');
}

// Of kernels without that count, or with it switched off: their file is laid over the real one.
TEST(ThreadCaptureTest, ASleeperThatRanMeanwhileIsLookedAtAgainWithoutTheSchedulersCount) {
  JPROF_REQUIRE_ROOT();
  const std::string path = absl::StrCat(::testing::TempDir(), "/schedstat.", ::getpid());
  for (const char* text : {"", "0 0 0\n"}) {
    std::ofstream(path) << text;
    int to_child[2];
    ASSERT_EQ(::pipe(to_child), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte;
      while (::read(to_child[0], &byte, 1) == 1) continue;
      ::_exit(1);
    }
    while (StateOf(child) != 'S') ::usleep(1000);
    int walks = 0;
    auto looks = [&](const Registers& registers, bool stands) {
      if (++walks == 1) {
        EXPECT_EQ(::write(to_child[1], "x", 1), 1);
        for (int left = 1; left != 0;) EXPECT_EQ(::ioctl(to_child[0], FIONREAD, &left), 0);
        while (StateOf(child) != 'S') ::usleep(1000);
      }
      return OneFrame(registers, stands);
    };
    std::vector<CapturedThread> threads;
    std::thread([&] {
      const std::string file = absl::StrCat("/proc/", child, "/task/", child, "/schedstat");
      ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
      ASSERT_EQ(::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr), 0);
      ASSERT_EQ(::mount(path.c_str(), file.c_str(), "", MS_BIND, nullptr), 0);
      threads = CaptureThreads(child, looks, {});
    }).join();
    EXPECT_EQ(walks, 2) << text;
    EXPECT_EQ(threads.size(), 1u) << text;
    for (const CapturedThread& thread : threads) {
      EXPECT_TRUE(thread.status.ok()) << thread.status;
      EXPECT_TRUE(thread.is_whole);
      EXPECT_EQ(thread.pause_ns, 0u);
      EXPECT_FALSE(thread.cpu_ns);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (int fd : to_child) ::close(fd);
  }
  ::unlink(path.c_str());
}

// 0: of none.
Pid TracerOf(Tid tid) {
  std::ifstream status(absl::StrCat("/proc/", tid, "/status"));
  std::string word;
  Pid tracer = -1;
  while (status >> word && word != "TracerPid:") continue;
  status >> tracer;
  return tracer;
}

// A process that sleeps uninterruptibly until it is woken, and then in pause().
class Unstoppable {
 public:
  Unstoppable() {
    EXPECT_EQ(::pipe(to_child_), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      // No signal but a deadly one, and no stop, gets through to it until its own child is gone.
      if (::vfork() == 0) {
        char byte;
        while (::read(to_child_[0], &byte, 1) < 0) continue;
        ::_exit(0);
      }
      while (true) ::pause();
    }
    while (StateOf(pid_) != 'D') ::usleep(1000);
  }
  ~Unstoppable() {
    ::kill(pid_, SIGKILL);
    Wake();
    ::waitpid(pid_, nullptr, 0);
    for (int fd : to_child_) ::close(fd);
  }
  Unstoppable(const Unstoppable&) = delete;
  Unstoppable& operator=(const Unstoppable&) = delete;

  Pid pid() const { return pid_; }
  void Wake() { EXPECT_EQ(::write(to_child_[1], "x", 1), 1); }

 private:
  int to_child_[2] = {-1, -1};
  pid_t pid_ = 0;
};

TEST(ThreadCaptureTest, WhoStopsAThreadGoesFirst) {
  JPROF_REQUIRE_ROOT();
  Child waits = SpawnWaits();
  const int before = ::getpriority(PRIO_PROCESS, 0);
  int walks = 0, first = 0;
  auto looks = [&](const Registers& registers, bool stands) {
    if (stands) {
      ++walks;
      first += ::sched_getscheduler(0) == SCHED_FIFO || ::getpriority(PRIO_PROCESS, 0) == -20;
    }
    return OneFrame(registers, stands);
  };
  CaptureThreads(waits.pid(), looks, {});
  EXPECT_GT(walks, 0);
  EXPECT_EQ(first, walks);
  EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
}

TEST(ThreadCaptureTest, AThreadThatIsYetToStopDoesNotStand) {
  // The one that looks may itself be late, so more often than once.
  bool later = false;
  for (int round = 0; round < 20 && !later; ++round) {
    Unstoppable sleeper;
    auto thread = StoppedThread::Seize(sleeper.pid());
    ASSERT_TRUE(thread.ok()) << thread.status();
    ASSERT_TRUE(thread->Interrupt().ok());
    const uint64_t interrupted = NowNs();
    std::thread waker([&] {
      ::usleep(50'000);
      sleeper.Wake();
    });
    const Patience patience = {.longest = absl::Seconds(20), .shortest = absl::Seconds(20)};
    const absl::Status stopped = thread->AwaitStop(patience, nullptr);
    waker.join();
    ASSERT_TRUE(stopped.ok()) << stopped;
    later = thread->stands_since_ns() > interrupted + 25'000'000;
  }
  EXPECT_TRUE(later);
}

TEST(ThreadCaptureTest, AThreadThatDoesNotStopIsLetGoAtOnce) {
  Unstoppable sleeper;
  const Pid child = sleeper.pid();
  const std::vector<CapturedThread> threads = CaptureThreads(child, NeverWhole, {});
  ASSERT_EQ(threads.size(), 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(threads[0].status)) << threads[0].status;
  EXPECT_EQ(TracerOf(child), 0);
  sleeper.Wake();
  while (StateOf(child) == 'D') ::usleep(1000);
  for (int i = 0; i < 10'000 && StateOf(child) != 'S'; ++i) ::usleep(1000);
  EXPECT_EQ(StateOf(child), 'S');  // it runs on, to its pause()
}

// Takes a CPU from all that are no real-time threads, for less than the kernel lets it.
class Hog {
 public:
  explicit Hog(int cpu) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      Pin(0, cpu);
      sched_param priority = {};
      priority.sched_priority = 1;
      if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) ::_exit(1);
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      const uint64_t until = NowNs() + 600'000'000;
      while (NowNs() < until) continue;
      ::_exit(0);
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    for (int fd : ready) ::close(fd);
  }
  ~Hog() {
    int status = -1;
    ::waitpid(pid_, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Hog(const Hog&) = delete;
  Hog& operator=(const Hog&) = delete;

  static void Pin(Tid tid, int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    EXPECT_EQ(::sched_setaffinity(tid, sizeof(cpus), &cpus), 0);
  }

 private:
  pid_t pid_ = 0;
};

// Some calls fail when their thread was woken up and nobody is there any more when that stops.
TEST(ThreadCaptureTest, AThreadThatGetsNoCpuIsWaitedFor) {
  JPROF_REQUIRE_ROOT();
  Child waits = SpawnWaits();
  auto tids = ListThreads(waits.pid());
  ASSERT_TRUE(tids.ok());
  for (Tid tid : *tids) Hog::Pin(tid, 0);
  std::vector<CapturedThread> threads;
  {
    const Hog hog(0);
    threads = CaptureThreads(waits.pid(), NeverWhole, {});
  }
  EXPECT_EQ(threads.size(), 5u);
  for (const CapturedThread& thread : threads) {
    EXPECT_TRUE(thread.status.ok()) << thread.name << ": " << thread.status;
  }
  ASSERT_TRUE(waits.Write("x").ok());
  auto line = waits.ReadLine();
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->substr(0, 6), "whole ");
}

// A child that does this; it ends with what `work` returns.
pid_t Fork(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  return child;
}

void AwaitCall(pid_t child, int64_t number) {
  const auto sleeps_in_it = [&] {
    std::ifstream file(absl::StrCat("/proc/", child, "/syscall"));
    std::string text;
    std::getline(file, text);
    const auto asleep = ParseSyscallFile(text);
    return asleep && asleep->call && asleep->call->number == number;
  };
  while (!sleeps_in_it()) ::usleep(1000);
}

// Its threads' stacks with their registers, once its only one sleeps in this call.
std::vector<CapturedThread> CaptureAsleep(pid_t child, int64_t number) {
  AwaitCall(child, number);
  return CaptureThreads(child, OneFrame, {.wants_registers = true});
}

int EndOf(pid_t child) {
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(ThreadCaptureTest, AWriteOfWhichAPartIsMadeIsNotInterrupted) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const std::string much(1 << 20, 'x');
  const pid_t child = Fork([&] {
    return ::write(pipe[1], much.data(), much.size()) == static_cast<ssize_t>(much.size()) ? 0 : 1;
  });
  ::close(pipe[1]);
  const std::vector<CapturedThread> threads = CaptureAsleep(child, SYS_write);
  ASSERT_EQ(threads.size(), 1u);
  EXPECT_EQ(threads[0].pause_ns, 0u);
  // Nor where its stack is cut for that.
  const std::vector<CapturedThread> cut = CaptureThreads(child, NeverWhole, {});
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_EQ(cut[0].pause_ns, 0u);
  EXPECT_TRUE(cut[0].status.ok()) << cut[0].status;
  EXPECT_FALSE(cut[0].registers.ok());
  ASSERT_TRUE(cut[0].call);
  EXPECT_EQ(cut[0].call->number, SYS_write);
  std::vector<char> read(much.size());
  while (::read(pipe[0], read.data(), read.size()) > 0) continue;
  ::close(pipe[0]);
  EXPECT_EQ(EndOf(child), 0);
}

TEST(ThreadCaptureTest, ASleeperThatRanMeanwhileIsLookedAtAgain) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = Fork([&] {
    char byte;
    ::close(pipe[1]);
    while (::read(pipe[0], &byte, 1) == 1) continue;
    return 0;
  });
  ::close(pipe[0]);
  AwaitCall(child, SYS_read);
  constexpr int kTimes = 3;
  int walks = 0;
  auto wakes = [&](const Registers& registers, bool stands) {
    if (++walks <= kTimes && !stands) {
      EXPECT_EQ(::write(pipe[1], "x", 1), 1);
      int unread = 1;
      while (::ioctl(pipe[1], FIONREAD, &unread) == 0 && unread > 0) ::usleep(1000);
      AwaitCall(child, SYS_read);
    }
    return OneFrame(registers, stands);
  };
  const std::vector<CapturedThread> threads = CaptureThreads(child, wakes, {});
  EXPECT_EQ(walks, kTimes + 1);
  ASSERT_EQ(threads.size(), 1u);
  EXPECT_EQ(threads[0].pause_ns, 0u);
  EXPECT_TRUE(threads[0].is_whole);
  ::close(pipe[1]);
  EXPECT_EQ(EndOf(child), 0);
}

// Sleeps and poll() are taken up again by a call of its own, which a filter may have not foreseen.
TEST(ThreadCaptureTest, WhatRestartsByAnotherCallIsNotInterruptedUnderAFilterOfCalls) {
  static const timespec kLongTime = {1'000'000, 0};
  const std::pair<long, long (*)()> kCalls[] = {
      {SYS_nanosleep, [] { return ::syscall(SYS_nanosleep, &kLongTime, nullptr); }},
      {SYS_poll, [] { return ::syscall(SYS_poll, nullptr, 0, -1); }},
  };
  for (const auto& call : kCalls) {
    const pid_t child = Fork([&call] {
      sock_filter code[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      };
      const sock_fprog filter = {std::size(code), code};
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return 1;
      return call.second() == 0 ? 0 : 1;
    });
    const std::vector<CapturedThread> threads = CaptureAsleep(child, call.first);
    ASSERT_EQ(threads.size(), 1u);
    EXPECT_EQ(threads[0].walk.stack.frames.size(), 1u);
    EXPECT_EQ(threads[0].pause_ns, 0u) << call.first;
    ::kill(child, SIGTERM);
    EXPECT_EQ(WTERMSIG(EndOf(child)), SIGTERM) << call.first;
  }
}

TEST(ThreadCaptureTest, ManyThreadsThatDoNotStopAreNotAllWaitedFor) {
  constexpr int kThreads = 40;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = Fork([&] {
    for (int i = 0; i < kThreads; ++i) {
      std::thread([&] {
        if (::vfork() == 0) {
          char byte;
          ::close(pipe[1]);
          while (::read(pipe[0], &byte, 1) < 0) continue;
          ::_exit(0);
        }
      }).detach();
    }
    std::thread([] {
      for (;;) continue;
    }).join();
    return 0;
  });
  ::close(pipe[0]);
  const auto asleep = [&] {
    int count = 0;
    for (Tid tid : ListThreads(child).value_or(std::vector<Tid>())) count += StateOf(tid) == 'D';
    return count;
  };
  while (asleep() < kThreads) ::usleep(1000);
  const std::vector<CapturedThread> threads = CaptureThreads(child, NeverWhole, {});
  ASSERT_EQ(threads.size(), kThreads + 2u);
  int waited_for = 0, not_told = 0;
  for (const CapturedThread& thread : threads) {
    EXPECT_EQ(thread.status.ok(), thread.state != 'D') << thread.status;
    waited_for += absl::StartsWith(thread.status.message(), "it did not stop in time: ");
    not_told += absl::StartsWith(thread.status.message(), "not stopped: ");
  }
  EXPECT_GT(waited_for, 0);
  EXPECT_GT(not_told, 0);
  EXPECT_EQ(waited_for + not_told, kThreads);
  ::kill(child, SIGKILL);
  ::close(pipe[1]);
  ::waitpid(child, nullptr, 0);
}

TEST(ThreadCaptureTest, AThreadThatCannotBeReadIsNotTakenForGone) {
  Child waits = SpawnWaits();
  auto running = [](const Registers& registers, bool stands) {
    NativeRunner::Result result = OneFrame(registers, stands);
    result.stack.end = WalkEnd::kUnreadable;
    return result;
  };
  CaptureOptions options = {.may_stop = false};
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  options.sample = [&](std::span<CapturedThread* const> threads,
                       const std::function<bool(CapturedThread&)>& asleep) {
    const rlimit none = {0, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    for (CapturedThread* thread : threads) EXPECT_FALSE(asleep(*thread)) << thread->name;
    ::setrlimit(RLIMIT_NOFILE, &before);
  };
  EXPECT_EQ(CaptureThreads(waits.pid(), running, options).size(), 5u);

  // The threads behind the first.
  auto exhausted = [&](const Registers& registers, bool stands) {
    const rlimit none = {0, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    return running(registers, stands);
  };
  const std::vector<CapturedThread> threads =
      CaptureThreads(waits.pid(), exhausted, {.may_stop = false});
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_EQ(threads.size(), 5u);
  EXPECT_TRUE(absl::IsResourceExhausted(threads[1].status)) << threads[1].status;
}

TEST(ThreadCaptureTest, WhatCannotBeReadIsSaid) {
  EXPECT_TRUE(absl::IsInvalidArgument(CheckTarget(::getpid())));
  EXPECT_TRUE(absl::IsNotFound(CheckTarget(0x3ffffff)));
  auto early = Child::Spawn({TestProgram("waits")});
  ASSERT_TRUE(early.ok());
  early->Signal(SIGKILL);
  absl::Status status;
  do status = CheckTarget(early->pid());
  while (status.ok());
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find("zombie"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace jprof
