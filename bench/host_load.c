/* Makes a host busy in one of the ways that bench/host.mjs measures. Says ready when it is so, and ends with
   its input.

     storm RATE MS     RATE times a second forks a child that executes this program and burns MS ms
     threads N         N threads that burn CPU below 30 callers
     processes N       N processes, each of which has executed this program, that sleep
     mappings N        N executable mappings of a file, one of them burns
     perfmap LINES     a perf map of LINES functions with long names, all of which are called in turn
     child MS          what a storm starts */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static volatile unsigned long sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void ready(void) {
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) exit(1);
}

static void fail(const char* what) {
  perror(what);
  exit(1);
}

NOINLINE static void burn(double seconds) {
  const double end = now() + seconds;
  do {
    for (int i = 0; i < 2000; ++i) sink += (unsigned long)i;
  } while (now() < end);
}

NOINLINE static void child_work(double seconds) {
  burn(seconds);
  sink++; /* no tail call */
}

static void storm(double rate, const char* ms) {
  signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  ready();
  double next = now();
  char byte;
  while (read(STDIN_FILENO, &byte, 1) != 0) {
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/proc/self/exe", "host_child", "child", ms, (char*)0);
      _exit(127);
    }
    next += 1 / rate;
    const double wait = next - now();
    if (wait > 0) usleep((useconds_t)(wait * 1e6));
    if (wait < -0.1) next = now();
  }
}

NOINLINE static void deep(int callers) {
  if (callers > 0) {
    deep(callers - 1);
  } else {
    burn(1e9);
  }
  sink++;
}

static void* thread_main(void* unused) {
  deep(30);
  return unused;
}

static void threads(long count) {
  for (long i = 0; i < count; ++i) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    pthread_t thread;
    if (pthread_create(&thread, &attr, thread_main, 0) != 0) fail("pthread_create");
  }
  ready();
}

static void processes(long count) {
  for (long i = 0; i < count; ++i) {
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl("/proc/self/exe", "host_sleeper", "sleep", (char*)0);
      _exit(127);
    }
  }
  sleep(2);
  ready();
}

static void mappings(long count) {
  const int fd = open("/proc/self/exe", O_RDONLY);
  for (long i = 0; i < count; ++i) {
    if (mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED) fail("mmap");
  }
  ready();
  burn(1e9);
}

/* mov $50000, %ecx; loop: dec %ecx; jnz loop; ret */
static const unsigned char kCode[16] = {0xb9, 0x50, 0xc3, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xc3};

static void perf_map(long lines) {
  unsigned char* code = mmap(0, (size_t)lines * sizeof(kCode), PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) fail("mmap");
  char path[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
  FILE* map = fopen(path, "wx");
  if (map == 0) fail(path);
  for (long i = 0; i < lines; ++i) {
    memcpy(code + i * (long)sizeof(kCode), kCode, sizeof(kCode));
    fprintf(map, "%lx %zx function_%ld_with_a_name_as_long_as_they_come_in_generated_code_of_some_template\n",
            (unsigned long)(code + i * (long)sizeof(kCode)), sizeof(kCode), i);
  }
  if (fclose(map) != 0) fail(path);
  ready();
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  char byte;
  for (unsigned long i = 0; read(STDIN_FILENO, &byte, 1) != 0; i += 7919) {
    ((void (*)(void))(void*)(code + i % (unsigned long)lines * sizeof(kCode)))();
  }
  unlink(path);
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  const long number = argc > 2 ? atol(argv[2]) : 0;
  if (strcmp(mode, "child") == 0) {
    child_work((double)number * 1e-3);
    return 0;
  }
  if (strcmp(mode, "sleep") == 0) {
    for (;;) pause();
  }
  if (strcmp(mode, "storm") == 0 && argc > 3) {
    storm((double)number, argv[3]);
    return 0;
  }
  if (strcmp(mode, "perfmap") == 0) {
    perf_map(number);
    return 0;
  }
  if (strcmp(mode, "threads") == 0) {
    threads(number);
  } else if (strcmp(mode, "processes") == 0) {
    processes(number);
  } else if (strcmp(mode, "mappings") == 0) {
    mappings(number);
  } else {
    fprintf(stderr, "usage: host_load storm RATE MS | threads N | processes N | mappings N | perfmap LINES\n");
    return 2;
  }
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
