// Gets into the state that its first argument names, and stays there. Says "ready", or "ready" and
// the process to look at, just before. Processes that it starts end with it.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/programs/common.h"

namespace {

volatile unsigned long count;
pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
pthread_barrier_t both;
int queue;

template <typename Work>
pid_t Start(Work work) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent) work();
  _exit(0);
}

void SleepForEver() {
  for (;;) sleep(3600);
}

NOINLINE void WriteForEver(int fd) {
  char bytes[4096] = {};
  while (write(fd, bytes, sizeof(bytes)) > 0) {
  }
}

}  // namespace

NOINLINE void SpinInCpp() {
  for (;;) count = count + 1;
}

NOINLINE void FillPipe() {
  int ends[2];
  if (pipe(ends) != 0) abort();
  Start([&] {
    close(ends[1]);
    prctl(PR_SET_NAME, "slow-reader");
    SleepForEver();
  });
  close(ends[0]);
  say_ready();
  WriteForEver(ends[1]);
}

NOINLINE void FillQueue() {
  struct {
    long type = 1;
    char text[4096] = {};
  } message;
  while (msgsnd(queue, &message, sizeof(message.text), 0) == 0) {
  }
}

void QueueFull() {
  queue = msgget(IPC_PRIVATE, 0600);
  const pid_t receiver = Start([] {
    char message[8192];
    prctl(PR_SET_NAME, "receiver");
    msgrcv(queue, message, sizeof(message) - sizeof(long), 0, 0);
    SleepForEver();
  });
  (void)receiver;
  pthread_t thread;
  // A queue outlives all who use it.
  pthread_create(&thread, nullptr, [](void*) -> void* {
    while (wait_byte()) {
    }
    msgctl(queue, IPC_RMID, nullptr);
    _exit(0);
  }, nullptr);
  say_ready();
  FillQueue();
}

NOINLINE void* LockBoth(void* in_order) {
  pthread_mutex_t* one = in_order ? &first : &second;
  pthread_mutex_t* other = in_order ? &second : &first;
  pthread_mutex_lock(one);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(other);
  return nullptr;
}

void LockEachOther() {
  pthread_t thread;
  pthread_barrier_init(&both, nullptr, 2);
  pthread_create(&thread, nullptr, LockBoth, nullptr);
  pthread_setname_np(thread, "locker");
  say_ready();
  LockBoth(&both);
}

void WriteToEachOther() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
  Start([&] {
    close(ends[0]);
    prctl(PR_SET_NAME, "other-writer");
    WriteForEver(ends[1]);
  });
  close(ends[1]);
  say_ready();
  WriteForEver(ends[0]);
}

void NotAccepted() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const int name = std::snprintf(address.sun_path, sizeof(address.sun_path), "%cjprof-test-%d", 0,
                                 getpid());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0) abort();
  listen(listener, 0);
  Start([] {
    prctl(PR_SET_NAME, "busy-server");
    SleepForEver();
  });
  close(listener);
  say_ready();
  for (;;) {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) break;
  }
}

void PollChild() {
  const pid_t child = Start([] {
    prctl(PR_SET_NAME, "slow-child");
    SleepForEver();
  });
  pollfd wanted = {static_cast<int>(syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
  say_ready();
  poll(&wanted, 1, -1);
}

void LeaveZombie() {
  const pid_t child = Start([] { _exit(3); });
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  std::printf("ready\n%d\n", child);
  std::fflush(stdout);
  for (;;) pause();
}

void WaitForVforkChild() {
  say_ready();
  if (vfork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
}

int main(int argc, char** argv) {
  const struct {
    const char* name;
    void (*enter)();
  } kStates[] = {
      {"loop", [] { say_ready(); SpinInCpp(); }},
      {"pipe", FillPipe},
      {"queue", QueueFull},
      {"locks", LockEachOther},
      {"sockets", WriteToEachOther},
      {"connect", NotAccepted},
      {"sleep", [] { say_ready(); SleepForEver(); }},
      {"zombie", LeaveZombie},
      {"poll", PollChild},
      {"vfork", WaitForVforkChild},
  };
  for (const auto& state : kStates) {
    if (argc > 1 && std::strcmp(argv[1], state.name) == 0) state.enter();
  }
  return 1;
}
