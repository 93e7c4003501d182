/* Says ready with one thread. At a byte on stdin starts a thread "worker" that burns CPU, and says
   ready again from it. Ends with its input; with an argument the main thread ends then, and the worker burns on. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>

#include "common.h"

static volatile unsigned long sink;

NOINLINE void worker_loop(void) {
  for (;;) sink++;
}

static void* worker(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "worker");
  say_ready();
  worker_loop();
  return 0;
}

int main(int argc, char** argv) {
  (void)argv;
  say_ready();
  if (!wait_byte()) return 0;
  pthread_t thread;
  if (pthread_create(&thread, 0, worker, 0) != 0) return 1;
  if (argc > 1) syscall(SYS_exit, 0);
  while (wait_byte()) {
  }
  return 0;
}
