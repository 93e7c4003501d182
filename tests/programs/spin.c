/* Burns CPU for ever: 70 % in hot70, 30 % in hot30, both called by work. The work of a function is a
   count of loop turns, so the split does not depend on clocks. */
#include "common.h"

static volatile unsigned long sink;

NOINLINE void hot70(void) {
  for (long i = 0; i < 700000; i++) sink += (unsigned long)i;
}

NOINLINE void hot30(void) {
  for (long i = 0; i < 300000; i++) sink += (unsigned long)i;
}

NOINLINE void work(void) {
  hot70();
  hot30();
  sink++; /* keeps the last call from becoming a jump, which would drop this frame */
}

int main(void) {
  say_ready();
  for (;;) work();
}
