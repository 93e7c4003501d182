/* Burns CPU; at the first byte of its input it loads libz and goes on there, says so. */
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

typedef int (*compress_function)(unsigned char *, unsigned long *, const unsigned char *,
                                 unsigned long, int);

static volatile unsigned long sink;

NOINLINE void early_work(void) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (poll(&input, 1, 0) == 0)
    for (int i = 0; i < 100000; i++) sink = sink + 1;
}

NOINLINE void late_work(compress_function compress) {
  static unsigned char text[60000], out[70000];
  for (size_t i = 0; i < sizeof(text); i++) text[i] = (unsigned char)(i * i >> 7);
  write(STDOUT_FILENO, "loaded\n", 7);
  for (;;) {
    unsigned long size = sizeof(out);
    compress(out, &size, text, sizeof(text), 6);
    sink = sink + out[0];
  }
}

int main(void) {
  say_ready();
  early_work();
  void *library = dlopen("libz.so.1", RTLD_NOW);
  if (library == NULL) return 1;
  compress_function compress;
  *(void **)&compress = dlsym(library, "compress2");
  late_work(compress);
  return (int)sink;
}
