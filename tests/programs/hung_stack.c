/* Recurses, then takes away the middle of its own stack, so that whoever reads it waits for ever,
   and burns CPU. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

enum { kPage = 4096, kCopied = 40 << 10 /* more than a sample holds of a stack */ };

static volatile unsigned long sink;
static uintptr_t stack_end;

NOINLINE void bottom(void) {
  const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  const uintptr_t begin = (here + kCopied) & ~(uintptr_t)(kPage - 1);
  const uintptr_t end = (stack_end - kPage) & ~(uintptr_t)(kPage - 1);
  const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  struct uffdio_register range = {.range = {begin, end - begin},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &range) != 0 ||
      madvise((void*)begin, end - begin, MADV_DONTNEED) != 0) {
    perror("hung_stack");
    _exit(1);
  }
  say_ready();
  for (;;) sink++;
}

NOINLINE void descend(long depth) {
  volatile char frame[1024];
  frame[0] = 1;
  if (depth <= 1) {
    bottom();
  } else {
    descend(depth - 1);
  }
  sink += (unsigned long)frame[0]; /* not a tail call */
}

int main(void) {
  stack_end = (uintptr_t)__builtin_frame_address(0);
  descend(200);
  return 0;
}
