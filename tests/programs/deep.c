/* Recurses as deep as argv[1] says (100 by default) and burns CPU at the bottom for ever. */
#include <stdlib.h>

#include "common.h"

static volatile unsigned long sink;

NOINLINE void bottom(void) {
  say_ready();
  for (;;) sink++;
}

NOINLINE void descend(long depth) {
  if (depth <= 1) {
    bottom();
  } else {
    descend(depth - 1);
  }
  sink++; /* not a tail call */
}

int main(int argc, char** argv) {
  descend(argc > 1 ? atol(argv[1]) : 100);
  return 0;
}
