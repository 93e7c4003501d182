/* Writes more to a pipe than it holds. At a byte on stdin another thread reads it to the end; then
   prints how much was written at once. */
#include <pthread.h>
#include <stdio.h>

#include "common.h"

static char much[1 << 20];
static int ends[2];

NOINLINE ssize_t write_much(void) { return write(ends[1], much, sizeof(much)); }

static void* reader(void* unused) {
  static char part[1 << 16];
  (void)unused;
  say_ready();
  if (!wait_byte()) return 0;
  while (read(ends[0], part, sizeof(part)) > 0) continue;
  return 0;
}

int main(void) {
  pthread_t thread;
  if (pipe(ends) != 0 || pthread_create(&thread, 0, reader, 0) != 0) return 1;
  const ssize_t written = write_much();
  close(ends[1]);
  pthread_join(thread, 0);
  printf("%zd of %zu\n", written, sizeof(much));
  return 0;
}
