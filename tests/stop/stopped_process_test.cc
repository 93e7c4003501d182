#include "profiler/stop/stopped_process.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

// Sleeps uninterruptibly until a byte comes out of the pipe.
void SleepUninterruptibly(int pipe) {
  if (::vfork() == 0) {
    char byte;
    while (::read(pipe, &byte, 1) < 0) continue;
    ::_exit(0);
  }
}

// A process whose first and last threads sleep uninterruptibly; one between them counts.
class LetGoTest : public testing::Test {
 protected:
  void SetUp() override {
    void* page = ::mmap(nullptr, sizeof(*count_), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    count_ = new (page) std::atomic<int>(0);
    ASSERT_EQ(::pipe(pipe_), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(pipe_[1]);
      std::thread counts([this] {
        for (;;) {
          ++*count_;
          ::usleep(100);
        }
      });
      std::thread last([this] { SleepUninterruptibly(pipe_[0]); });
      SleepUninterruptibly(pipe_[0]);
      for (;;) ::pause();
    }
    while (Asleep() < 2 || *count_ == 0) ::usleep(1000);
  }
  void TearDown() override {
    ::kill(child_, SIGKILL);
    for (int fd : pipe_) ::close(fd);  // the pipe's end is as good as a byte
    while (::waitpid(-1, nullptr, __WALL) > 0) continue;  // for threads that are traced still, too
    ::munmap(count_, sizeof(*count_));
  }

  int Asleep() const {
    int asleep = 0;
    auto threads = ListThreads(child_);
    if (!threads.ok()) return 0;
    for (Tid tid : *threads) {
      auto stat = ReadProcStat(tid);
      asleep += stat.ok() && stat->state == 'D';
    }
    return asleep;
  }
  void WakeUp() const { EXPECT_EQ(::write(pipe_[1], "xx", 2), 2); }
  void AwaitCount() const {
    const int before = *count_;
    while (*count_ == before) ::usleep(100);
  }

  pid_t child_ = 0;
  int pipe_[2] = {-1, -1};
  std::atomic<int>* count_ = nullptr;
};

TEST_F(LetGoTest, AThreadThatHasStoppedWaitsForNoOther) {
  std::vector<StoppedThread> late;
  auto threads = ListThreads(child_);
  ASSERT_TRUE(threads.ok());
  for (Tid tid : *threads) {
    auto thread = StoppedThread::Seize(tid);
    ASSERT_TRUE(thread.ok()) << thread.status();
    EXPECT_TRUE(thread->Interrupt().ok());
    late.push_back(*std::move(thread));
  }
  ASSERT_EQ(late.size(), 3u);
  std::thread wakes([this] {
    AwaitCount();
    WakeUp();
  });
  EXPECT_TRUE(LetGo(std::move(late)));
  wakes.join();
}

TEST_F(LetGoTest, OneThatDoesNotStopIsTold) {
  std::vector<StoppedThread> late;
  EXPECT_TRUE(absl::IsDeadlineExceeded(StoppedProcess::Stop(child_, {}, nullptr, late).status()));
  EXPECT_EQ(late.size(), 2u);
  AwaitCount();  // the one between them stands no more
  EXPECT_FALSE(LetGo(std::move(late), absl::Milliseconds(1)));
}

}  // namespace
}  // namespace jprof
