/* Makes the system calls that it is told to on stdin, a letter each. What follows the one that is to be
   trapped is a single instruction, which counts in the file that the first argument names. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

static volatile long* count;

NOINLINE void close_badly(void) {
  long result = SYS_close;
  __asm__ volatile("syscall\n\tincq (%1)"
                   : "+a"(result)
                   : "b"(count), "D"(-1L)
                   : "rcx", "r11", "memory");
}

NOINLINE int trapped_function(int number) { return number + 1; }

/* The innermost of its calls sleeps. */
NOINLINE int recursive_function(int depth) {
  const struct timespec pause = {0, 10000000};
  if (depth == 0) return nanosleep(&pause, 0);
  return recursive_function(depth - 1) + depth;
}

static jmp_buf place;

NOINLINE int left_function(int leave) {
  if (leave) longjmp(place, 1);
  return leave + 1;
}

/* Its calls are further down on the stack than those of its caller. */
NOINLINE int stay_in_function(void) { return left_function(0) + 1; }

/* Data in pieces, and paths of all kinds. */
static int other_places(void) {
  char got[8];
  struct iovec pieces[] = {{0, 0}, {"ERROR: 3", 8}}, into = {got, sizeof(got)};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/jprof-test/socket"};
  struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0jprof-test"};
  const socklen_t family = sizeof(address.sun_family);
  const int to = socket(AF_UNIX, SOCK_DGRAM, 0);
  int ends[2];

  if (pipe(ends) != 0 || writev(ends[1], pieces, 2) != 8 || readv(ends[0], &into, 1) != 8) return 1;
  if (sendmsg(to, &message, 0) >= 0 || rename("/jprof-test/from", "/jprof-test/to") == 0) return 1;
  return connect(to, (struct sockaddr*)&address, family + 18) == 0 ||
         connect(to, (struct sockaddr*)&abstract, family + 11) == 0;
}

/* Data and a path of which not even where they are can be read. */
static int unreadable_places(void) {
  const int to = socket(AF_UNIX, SOCK_DGRAM, 0);
  return syscall(SYS_writev, to, 8L, 1L) >= 0 || syscall(SYS_sendmsg, to, 8L, 0L) >= 0 ||
         syscall(SYS_connect, to, 8L, 20L) >= 0;
}

static void* sleeper(void* unused) {
  for (;;) pause();
  return unused;
}

static void start_threads(void) {
  pthread_t thread;
  for (int i = 0; i < 3; i++) pthread_create(&thread, 0, sleeper, 0);
}

/* By a filter that allows them all. */
static int filter_calls(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog filter = {1, &allow};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void on_signal(int number) {
  (void)number;
  count[1]++;
}

int main(int argc, char** argv) {
  const struct timespec pause = {0, 30000000};
  const int fd = argc > 1 ? open(argv[1], O_RDWR) : -1;
  char letter;

  count = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (count == MAP_FAILED) return 1;
  signal(SIGUSR2, on_signal);
  say_ready();
  while (read(STDIN_FILENO, &letter, 1) == 1) {
    switch (letter) {
      case 'c':
        close_badly();
        break;
      case 'l':
        for (;;) close_badly();
      case 'o':
        if (open("/jprof-test/other", O_RDONLY) >= 0 || open("/jprof-test/absent/file", O_RDONLY) >= 0) return 1;
        break;
      case 'w':
        if (write(fd, "fine: 1", 0) != 0 || write(fd + 100, "ERROR: 2", 8) >= 0) return 1;
        break;
      case 's':
        nanosleep(&(struct timespec){0, 1000}, 0);
        nanosleep(&pause, 0);
        break;
      case 'p':
        nanosleep(&(struct timespec){0, 900000000}, 0);
        nanosleep(&(struct timespec){1, 100000000}, 0);
        break;
      case 'f':
        count[2] = trapped_function(41);
        break;
      case 'r':
        count[2] = recursive_function(100);
        break;
      case 'j':
        if (setjmp(place) == 0) left_function(1);
        for (int i = 0; i < 3; i++) count[2] += stay_in_function();
        break;
      case 'i':
        if (other_places()) return 1;
        break;
      case 'u':
        if (unreadable_places()) return 1;
        break;
      case 't':
        start_threads();
        break;
      case 'g':
        if (filter_calls()) return 1;
        break;
      case 'v':
        raise(SIGSEGV);
        break;
      case 'b':
        syscall(SYS_exit, 5);
        break;
      case 'x':
        exit(3);
      default:
        break;
    }
    printf("done %c\n", letter);
    fflush(stdout);
  }
  return 0;
}
