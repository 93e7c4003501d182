/* Says ready and burns CPU until a byte comes on stdin, then exits with 3. With an argument: until so
   many million loop turns are done. */
#include <poll.h>
#include <stdlib.h>

#include "common.h"

static volatile unsigned long sink;

NOINLINE void burn(long turns) {
  for (long i = 0; i < turns; i++) sink++;
}

int main(int argc, char** argv) {
  say_ready();
  if (argc > 1) {
    for (long i = atol(argv[1]); i > 0; i--) burn(1000000);
    return 3;
  }
  struct pollfd in = {STDIN_FILENO, POLLIN, 0};
  while (poll(&in, 1, 0) == 0) burn(1000000);
  return 3;
}
