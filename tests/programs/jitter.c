/* Compiles, in its way: copies a loop into anonymous memory and tells of it in jit-PID.dump, in the
   folder that is its argument. What lies at one address is alpha and beta in turn, and beta moves.
   The callers, whose names are in the symbol table, know the truth. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common.h"

typedef void (*turns_function)(unsigned long turns);

/* push %rbp; mov %rsp,%rbp; 1: dec %rdi; jne 1b; pop %rbp; ret */
static const unsigned char kLoop[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff,
                                      0xcf, 0x75, 0xfb, 0x5d, 0xc3};

static FILE *dump;
static unsigned char *memory; /* two pages */
static unsigned long compiled;
static volatile unsigned long calls;

static void put(const void *bytes, size_t size) { fwrite(bytes, 1, size, dump); }
static void put32(uint32_t value) { put(&value, sizeof(value)); }
static void put64(uint64_t value) { put(&value, sizeof(value)); }

static void put_head(uint32_t id, size_t size) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  put32(id);
  put32((uint32_t)(16 + size));
  put64((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

static turns_function compile(unsigned char *at, const char *name, uint32_t line) {
  static const char kFile[] = "jitter.src";
  memcpy(at, kLoop, sizeof(kLoop));
  put_head(2, 16 + 16 + sizeof(kFile));
  put64((uintptr_t)at);
  put64(1);
  put64((uintptr_t)at);
  put32(line);
  put32(0);
  put(kFile, sizeof(kFile));
  put_head(0, 40 + strlen(name) + 1 + sizeof(kLoop));
  put32((uint32_t)getpid());
  put32((uint32_t)getpid());
  put64((uintptr_t)at);
  put64((uintptr_t)at);
  put64(sizeof(kLoop));
  put64(compiled++);
  put(name, strlen(name) + 1);
  put(kLoop, sizeof(kLoop));
  fflush(dump);
  return (turns_function)(void *)at;
}

static turns_function move(unsigned char *from, unsigned char *to) {
  memmove(to, from, sizeof(kLoop));
  put_head(1, 48);
  put32((uint32_t)getpid());
  put32((uint32_t)getpid());
  put64((uintptr_t)to);
  put64((uintptr_t)from);
  put64((uintptr_t)to);
  put64(sizeof(kLoop));
  put64(0);
  fflush(dump);
  return (turns_function)(void *)to;
}

NOINLINE void runs_alpha(turns_function code) {
  for (int i = 0; i < 20; i++) code(1000000);
  calls++;
}
NOINLINE void runs_beta(turns_function code) {
  for (int i = 0; i < 20; i++) code(1000000);
  calls++;
}
NOINLINE void runs_moved_beta(turns_function code) {
  for (int i = 0; i < 20; i++) code(1000000);
  calls++;
}

int main(int argc, char **argv) {
  char path[4096];
  if (argc != 2) return 2;
  snprintf(path, sizeof(path), "%s/jit-%d.dump", argv[1], (int)getpid());
  dump = fopen(path, "w+");
  memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!dump || memory == MAP_FAILED) return 1;
  /* Nobody executes it: it tells profilers where the file is. */
  if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0) == MAP_FAILED) return 1;
  put32(0x4a695444);
  put32(1);
  put32(40);
  put32(62);
  put32(0);
  put32((uint32_t)getpid());
  put64(0);
  put64(0);
  say_ready();
  for (;;) {
    runs_alpha(compile(memory, "alpha", 1));
    runs_beta(compile(memory, "beta", 2));
    runs_moved_beta(move(memory, memory + 4096));
  }
}
