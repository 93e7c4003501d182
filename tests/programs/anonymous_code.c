/* Burns CPU in a loop that it has copied into anonymous memory, at kCode.

     anonymous_code         does only that
     anonymous_code FILE    waits for a byte, and maps FILE before; nobody executes it */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

enum { kPage = 4096 };
#define kCode ((void *)0x600000000000)

/* push %rbp; mov %rsp,%rbp; 1: dec %rdi; jne 1b; pop %rbp; ret */
static const unsigned char kLoop[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff,
                                      0xcf, 0x75, 0xfb, 0x5d, 0xc3};

static volatile unsigned long calls;

static int fail(void) {
  perror("anonymous_code");
  return 1;
}

NOINLINE void runs_code(void (*code)(unsigned long turns)) {
  code(1000000);
  calls++;
}

int main(int argc, char **argv) {
  if (argc == 2) {
    say_ready();
    if (!wait_byte()) return 1;
    const int fd = open(argv[1], O_RDONLY);
    if (fd < 0 || mmap(NULL, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED) {
      return fail();
    }
    close(fd);
  }
  void *memory = mmap(kCode, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory != kCode) return fail();
  memcpy(memory, kLoop, sizeof(kLoop));
  say_ready();
  for (;;) runs_code((void (*)(unsigned long))(uintptr_t)memory);
}
