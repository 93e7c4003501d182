/* Memory that it shares with others, of every kind: anonymous, System V's, files without a name. Of the 64
   pages of each it has filled two, and a child that is gone one more. Prints "ready", then where they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define PAGE 4096
#define PAGES 64
#define KINDS 4

static char* map(int fd, int flags) {
  return mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
}

static void fill(char* memory, int page, int with) { memset(memory + page * PAGE, with, PAGE); }

int main(void) {
  char name[] = "/dev/shm/jprof_shares_XXXXXX";
  const int file = mkstemp(name), unnamed = memfd_create("shares", 0);
  const int segment = shmget(IPC_PRIVATE, PAGES * PAGE, 0600);
  char* memory[KINDS];
  int i;

  if (unlink(name) != 0 || ftruncate(file, PAGES * PAGE) != 0 || ftruncate(unnamed, PAGES * PAGE) != 0) return 1;
  memory[0] = map(-1, MAP_ANONYMOUS);
  memory[1] = shmat(segment, 0, 0);
  memory[2] = map(unnamed, 0);
  memory[3] = map(file, 0);
  shmctl(segment, IPC_RMID, 0);
  for (i = 0; i < KINDS; i++) {
    if (memory[i] == MAP_FAILED) return 1;
    fill(memory[i], 1, 'a' + i);
    fill(memory[i], 63, 'A' + i);
  }
  if (fork() == 0) {
    for (i = 0; i < KINDS; i++) fill(memory[i], 40, '0' + i);
    _exit(0);
  }
  wait(0);
  say_ready();
  for (i = 0; i < KINDS; i++) printf("%lx-%lx\n", (long)memory[i], (long)memory[i] + PAGES * PAGE);
  fflush(stdout);
  wait_byte();
  return 0;
}
