/* Spends its time in a C library, called from functions that each use one part of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

static volatile unsigned long sink;
static char from[1 << 16], to[1 << 16];

NOINLINE int compare(const void *a, const void *b) {
  return *(const unsigned char *)a - *(const unsigned char *)b;
}

NOINLINE void copies(void) {
  for (int i = 0; i < 300; i++) memcpy(to, from, sizeof(to));
  sink++;
}

NOINLINE void lengths(void) {
  for (int i = 0; i < 200; i++) sink += strlen(from);
}

NOINLINE void prints(void) {
  char text[256];
  for (int i = 0; i < 1000; i++) {
    sink += (unsigned long)snprintf(text, sizeof(text), "%d %s %f", i, "hello", i * 0.37);
  }
}

NOINLINE void allocates(void) {
  void *pieces[64];
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < 64; i++) pieces[i] = malloc((size_t)(17 * i + 1));
    for (int i = 0; i < 64; i++) free(pieces[i]);
  }
  sink++;
}

NOINLINE void sorts(void) {
  for (int i = 0; i < 4096; i++) to[i] = (char)(i * 37);
  qsort(to, 4096, 1, compare);
  sink++;
}

int main(void) {
  memset(from, 'x', sizeof(from) - 1);
  say_ready();
  for (;;) {
    copies();
    lengths();
    prints();
    allocates();
    sorts();
  }
}
