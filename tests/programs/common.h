/* What the test programs share. */
#ifndef JPROF_TESTS_PROGRAMS_COMMON_H_
#define JPROF_TESTS_PROGRAMS_COMMON_H_

#include <unistd.h>

/* Tells the test that the program is in the state that it is about. */
static inline void say_ready(void) {
  ssize_t ignored = write(STDOUT_FILENO, "ready\n", 6);
  (void)ignored;
}

/* Waits for one byte; 0 at the end of the input. */
static inline int wait_byte(void) {
  char byte;
  return read(STDIN_FILENO, &byte, 1) == 1;
}

#define NOINLINE __attribute__((noinline))

#endif
