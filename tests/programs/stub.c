/* Burns CPU in a function that a stub in anonymous memory calls. The stub keeps no frame pointer: it is
 * what CPython makes for each function with -X perf (Python/asm_trampoline.S). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common.h"

enum { kPage = 4096 };

/* sub $8,%rsp; call *%rdi; add $8,%rsp; ret */
static const unsigned char kStub[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7,
                                      0x48, 0x83, 0xc4, 0x08, 0xc3};

static volatile unsigned long turns;

NOINLINE void burns(void) {
  for (int i = 0; i < 1000000; i++) turns++;
}

NOINLINE void calls_stub(void (*stub)(void (*callee)(void))) {
  stub(burns);
  turns++;
}

int main(void) {
  void *memory = mmap(NULL, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("stub");
    return 1;
  }
  memcpy(memory, kStub, sizeof(kStub));
  say_ready();
  for (;;) calls_stub((void (*)(void (*)(void)))(uintptr_t)memory);
}
