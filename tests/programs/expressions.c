/* Functions whose call-frame information no table expresses: a CFA that is computed with jumps from a
 * register that a callee has saved, and a return address that lies elsewhere. Computes below them, or waits
 * there ("wait"), or calls them all the time ("again"). */
#include <string.h>

#include "common.h"

/* Calls rdi with esi. rbx points behind a word with the CFA, somewhere below it: an expression reads it,
 * behind a jump over an operation that would spoil it. */
void by_jump(void (*f)(int), int argument);
__asm__(
    ".globl by_jump\n"
    ".type by_jump, @function\n"
    "by_jump:\n"
    "  .cfi_startproc\n"
    "  push %rbx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_offset %rbx, -16\n"
    "  lea 16(%rsp), %rax\n"
    "  .cfi_def_cfa %rax, 0\n"
    "  sub $256, %rsp\n"
    "  and $-128, %rsp\n"
    "  mov %rax, (%rsp)\n"
    "  lea 8(%rsp), %rbx\n"
    /* def_cfa_expression: breg3 -8, dup, bra 1, lit0, deref */
    "  .cfi_escape 0x0f, 8, 0x73, 0x78, 0x12, 0x28, 1, 0, 0x30, 0x06\n"
    "  mov %rdi, %rax\n"
    "  mov %esi, %edi\n"
    "  call *%rax\n"
    "  mov -8(%rbx), %rax\n"
    "  lea -16(%rax), %rsp\n"
    "  .cfi_def_cfa %rsp, 16\n"
    "  pop %rbx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_restore %rbx\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size by_jump, . - by_jump\n");

/* The same, and has moved its return address down by 24 bytes. */
void by_place(void (*f)(int), int argument);
__asm__(
    ".globl by_place\n"
    ".type by_place, @function\n"
    "by_place:\n"
    "  .cfi_startproc\n"
    "  pop %rax\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_register 16, %rax\n"
    "  sub $24, %rsp\n"
    "  .cfi_adjust_cfa_offset 24\n"
    "  push %rax\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_offset 16, -32\n"
    "  sub $16, %rsp\n"
    "  .cfi_adjust_cfa_offset 16\n"
    "  mov %rdi, %rax\n"
    "  mov %esi, %edi\n"
    "  call *%rax\n"
    "  add $16, %rsp\n"
    "  .cfi_adjust_cfa_offset -16\n"
    "  pop %rax\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_register 16, %rax\n"
    "  add $24, %rsp\n"
    "  .cfi_adjust_cfa_offset -24\n"
    "  push %rax\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_offset 16, -8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size by_place, . - by_place\n");

/* Calls rdi with esi and uses rbx meanwhile. */
void saves_rbx(void (*f)(int), int argument);
__asm__(
    ".globl saves_rbx\n"
    ".type saves_rbx, @function\n"
    "saves_rbx:\n"
    "  .cfi_startproc\n"
    "  push %rbx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_offset %rbx, -16\n"
    "  xor %ebx, %ebx\n"
    "  mov %rdi, %rax\n"
    "  mov %esi, %edi\n"
    "  call *%rax\n"
    "  pop %rbx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_restore %rbx\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size saves_rbx, . - saves_rbx\n");

static volatile long sum;

enum { kWork, kWait, kAgain };

NOINLINE void work(int how) {
  if (how == kAgain) return;
  say_ready();
  if (how == kWait) wait_byte();
  for (long i = 0;; ++i) sum += i;
}

NOINLINE void third(int how) {
  saves_rbx(work, how);
  sum = 0;
}

NOINLINE void second(int how) {
  by_jump(third, how);
  sum = 0;
}

NOINLINE void first(int how) {
  by_place(second, how);
  sum = 0;
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "";
  if (strcmp(how, "again") == 0) {
    say_ready();
    for (;;) by_jump(first, kAgain);
  }
  by_jump(first, strcmp(how, "wait") == 0 ? kWait : kWork);
  return 0;
}
