/* Says ready and burns CPU in 32-bit code. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "common.h"

#define CODE_SEGMENT_32 0x23

int main(void) {
  static const unsigned char jump_to_itself[] = {0xeb, 0xfe};
  void* code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (code == MAP_FAILED) return 1;
  memcpy(code, jump_to_itself, sizeof(jump_to_itself));
  say_ready();
  __asm__ volatile("push %0\n\tpush %1\n\tlretq" : : "r"((long)CODE_SEGMENT_32), "r"(code));
  return 0;
}
