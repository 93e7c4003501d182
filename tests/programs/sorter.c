/* Burns CPU in a comparison that the C library calls: its code keeps no frame pointers. */
#include <stdlib.h>

#include "common.h"

static volatile unsigned long sink;

NOINLINE int compare(const void *a, const void *b) {
  for (long i = 0; i < 200000; i++) sink += (unsigned long)i;
  return *(const int *)a - *(const int *)b;
}

int main(void) {
  int numbers[16];

  say_ready();
  for (;;) {
    for (int i = 0; i < 16; i++) numbers[i] = i * 7 % 16;
    qsort(numbers, 16, sizeof(numbers[0]), compare);
    sink++;
  }
}
