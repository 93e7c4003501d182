/* Threads that wait, each for something of its own, and one that does not:
     main      epoll_wait without a limit, on a pipe that nobody writes to
     reader    read of that pipe's sibling
     locker    a mutex that main holds
     spinner   spin_here()
   At a byte on stdin prints what spinner has counted; "broken" if a call returned that should not,
   "interrupted" if epoll_wait did as after a signal. */
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int quiet[2];
static volatile int broken, interrupted;
static volatile unsigned long count;

NOINLINE void spin_here(void) {
  for (;;) count++;
}

static void* spinner(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "spinner");
  spin_here();
  return 0;
}

static void* locker(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "locker");
  pthread_mutex_lock(&mutex);
  broken = 1;
  return 0;
}

static void* reader(void* unused) {
  char byte;
  (void)unused;
  pthread_setname_np(pthread_self(), "reader");
  if (read(quiet[0], &byte, 1) < 2) broken = 1;
  return 0;
}

static void* answerer(void* unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "answerer");
  while (count == 0) sched_yield(); /* spinner is in spin_here() */
  say_ready();
  while (wait_byte()) {
    printf("%s %lu\n", broken ? "broken" : interrupted ? "interrupted" : "whole", count);
    fflush(stdout);
  }
  _exit(0);
}

/* An argument: so many bytes of main's stack are in use. */
int main(int argc, char** argv) {
  pthread_t thread;
  struct epoll_event event = {.events = EPOLLIN};
  int set = epoll_create1(0);

  if (pipe(quiet) != 0) return 1;
  epoll_ctl(set, EPOLL_CTL_ADD, quiet[0], &event);
  pthread_mutex_lock(&mutex);
  pthread_create(&thread, 0, locker, 0);
  pthread_create(&thread, 0, reader, 0);
  pthread_create(&thread, 0, spinner, 0);
  pthread_create(&thread, 0, answerer, 0);
  if (argc > 1) *(volatile char*)alloca(strtoul(argv[1], 0, 10)) = 1;
  while (epoll_wait(set, &event, 1, -1) < 0 && errno == EINTR) interrupted = 1;
  broken = 1;
  for (;;) pause();
}
