/* Burns CPU in code that has neither frame pointers nor call-frame information: it is built so. */
#include "common.h"

static volatile unsigned long sink;

NOINLINE void burn(unsigned long rounds) {
  for (unsigned long i = 0; i < rounds; i++) sink += i;
}

NOINLINE void repeat(unsigned long rounds) {
  /* rbp is a register like others here. */
  register unsigned long odd __asm__("rbp") = rounds | 1;
  for (;;) {
    burn(rounds);
    __asm__ volatile("" : "+r"(odd));
    sink += odd;
  }
}

int main(void) {
  say_ready();
  repeat(200000);
  return (int)sink;
}
