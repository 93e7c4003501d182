#include "profiler/capture/priority.h"

#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

// A thread of niceness 7 that lasts until the test ends.
class Nice7 {
 public:
  Nice7()
      : thread_([this] {
          SetNiceness(7);
          tid_ = ::gettid();
          awaited_.Begin();
          begun_.Notify();
          may_end_.WaitForNotification();
          awaited_.End();
          ended_.Notify();
          may_exit_.WaitForNotification();
        }) {
    begun_.WaitForNotification();
  }
  ~Nice7() {
    if (!may_end_.HasBeenNotified()) may_end_.Notify();
    may_exit_.Notify();
    thread_.join();
  }
  void End() {
    may_end_.Notify();
    ended_.WaitForNotification();
  }
  AwaitedThread& awaited() { return awaited_; }
  int niceness() const { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(tid_)); }

 private:
  AwaitedThread awaited_;
  absl::Notification begun_, may_end_, ended_, may_exit_;
  pid_t tid_ = 0;
  std::thread thread_;
};

// Not the calling thread's niceness, which the other tests would have as well.
void LendFromNiceness(int niceness, AwaitedThread& awaited) {
  std::thread([&] {
    SetNiceness(niceness);
    awaited.LendPriority();
  }).join();
}

TEST(AwaitedThreadTest, HasThePriorityOfTheThreadThatWaits) {
  Nice7 nice;
  ASSERT_EQ(nice.niceness(), 7);
  LendFromNiceness(10, nice.awaited());  // what takes no privilege
  EXPECT_EQ(nice.niceness(), 10);
}

TEST(AwaitedThreadTest, IsLeftAloneOnceItsWorkIsDone) {
  Nice7 nice;
  nice.End();
  LendFromNiceness(10, nice.awaited());
  EXPECT_EQ(nice.niceness(), 7);
}

}  // namespace
}  // namespace jprof
