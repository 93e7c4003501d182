/* Forks children, as many as its argument says, one after the other; each burns CPU for some ten
 * milliseconds in functions below the one that forked. Ends with them. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

static volatile unsigned long sink;

NOINLINE void burn(long turns) {
  for (long i = 0; i < turns; i++) sink++;
}

/* Its own table is there before the first of them. */
NOINLINE void starts(void) {
  for (long i = 0; i < 200000000; i++) sink++;
}

NOINLINE int forks(void) {
  const pid_t child = fork();
  if (child == 0) {
    burn(30000000);
    _exit(0);
  }
  return child > 0 && waitpid(child, NULL, 0) == child;
}

int main(int argc, char **argv) {
  say_ready();
  starts();
  for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 0; i--) {
    if (!forks()) return 1;
  }
  return 0;
}
