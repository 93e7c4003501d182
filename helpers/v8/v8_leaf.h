/* Leaves that have no frame yet, or no longer, and code without one on top of a function. A part of
 * v8.helper.c. */
#pragma once

#include "helpers/v8/v8_objects.h"

/* Code that V8 compiled, around a leaf's pc: JP_V8_CODE_BEFORE bytes before it, and from it on. */
#define JP_V8_CODE_BEFORE 16
#define JP_V8_CODE_BYTES 48
#define JP_V8_CODE_AHEAD 23 /* bytes of the check of deoptimization, at most */
#define JP_V8_PUSH_BYTE 0x6a /* push of a frame's type */

static __always_inline __u32 jp_v8_bytes(const __u8 *code, __u32 count)
{
	__u32 word = 0;

	__builtin_memcpy(&word, code, 4);
	return count == 4 ? word : word & ((1U << (8 * count)) - 1);
}

/* Whether the pc is in the first instructions, the frame not begun. Optimized code:
 * [check that it is not deoptimized] push rbp; mov rbp,rsp. Baseline code: mov ebx,N; movabs r12,N;
 * call of the builtin that makes the frame. */
static __always_inline int jp_v8_not_entered(const __u8 *c)
{
	__u32 first = jp_v8_bytes(c, 2), i;
	int check = jp_v8_bytes(c, 3) == 0x598b48 /* mov rbx,[rcx+N] */ ||
		    first == 0x43f6 /* test byte [rbx+N],N */ || first == 0x840f || first == 0x850f ||
		    c[0] == 0x74 || c[0] == 0x75 /* je, jne */ || first == 0xba49 /* movabs r10,N */ ||
		    first == 0xff41 /* jmp r10 */ || c[0] == 0xe9 /* jmp */;

	for (i = 0; i <= JP_V8_CODE_AHEAD; i++) {
		if (i && !check)
			break;
		if (jp_v8_bytes(c + i, 4) == 0xe5894855)
			return 1;
	}
	if (c[0] == 0xbb)
		return jp_v8_bytes(c + 5, 2) == 0xbc49;
	if (first == 0xbc49)
		return c[-5] == 0xbb;
	return (c[0] == 0xe8 || first == 0xff41) && jp_v8_bytes(c - 10, 2) == 0xbc49 && c[-15] == 0xbb;
}

/* Whether the pc is in the last instructions, the frame taken down and the return address on top of
 * the stack: [cmp r,N; jg]; ret; [pop r; lea rsp; push r; ret]. */
static __always_inline int jp_v8_left(const __u8 *c)
{
	__u32 jump = jp_v8_bytes(c + 4, 2), wide_jump = jp_v8_bytes(c + 7, 2);

	return c[0] == 0xc3 || c[0] == 0xc2 || jp_v8_bytes(c, 3) == 0xc2037f ||
	       (jp_v8_bytes(c, 4) == 0x00038f0f && c[6] == 0xc2) ||
	       ((jp_v8_bytes(c, 3) & 0xf8fffe) == 0xf88348 && (jump == 0x037f || jump == 0x8f0f)) ||
	       ((jp_v8_bytes(c, 3) & 0xf8fffe) == 0xf88148 &&
		(wide_jump == 0x037f || wide_jump == 0x8f0f)) ||
	       (jp_v8_bytes(c, 4) & 0xfffdf8ff) == 0x8d485841;
}

/* A leaf in JIT code may not have its frame yet, or no longer: the frame pointer is its caller's.
 * The bytes at pc tell, since V8's compilers begin and end all functions alike. Before the frame is
 * made, rdi holds the function; a frame just taken down still lies below the stack pointer, where
 * nobody wrote since. A frame that is given a type, as WebAssembly's, has no function. Not 0: the
 * frame's own slots do not tell the function. */
JP_SUBPROG(jp_v8_leaf)
{
	const __u8 *c = (const __u8 *)w->scratch + JP_V8_CODE_BEFORE;
	__u64 caller = 0, at = 0, below[3];
	__u32 i;

	if (jp_read(w, w->scratch, JP_V8_CODE_BYTES, w->pc - JP_V8_CODE_BEFORE))
		return 0;
	if (jp_v8_not_entered(c)) {
		w->scratch[JP_V8_FUNCTION] = w->leaf_registers.rdi;
		if (jp_v8_bytes(c, 4) == 0xe5894855 && c[4] == JP_V8_PUSH_BYTE)
			w->scratch[JP_V8_FUNCTION] = 0;
		at = w->sp;
	} else if (c[-1] == 0x55 && jp_v8_bytes(c, 3) == 0xe58948 /* mov rbp,rsp */) {
		w->scratch[JP_V8_FUNCTION] = c[3] == JP_V8_PUSH_BYTE ? 0 : w->leaf_registers.rdi;
		at = w->sp + 8;
	} else if (jp_v8_left(c)) {
		/* Where more arguments were given than declared, they were popped too. */
		for (i = 0; i < 12; i++) {
			if (jp_read(w, below, sizeof(below), w->sp - 24 - 8 * i))
				return 0;
			if (below[2] == w->fp)
				break;
		}
		if (below[2] != w->fp)
			return 0;
		w->scratch[JP_V8_FUNCTION] = below[0];
		at = w->sp;
	} else if (w->fp - w->sp < 16 && c[0] != 0x5d /* pop rbp */) {
		/* Linked, but the function is not in it yet: push rsi; push rdi. Code of other kinds has
		 * no function. */
		w->scratch[JP_V8_FUNCTION] = 0;
		if ((c[0] == 0x56 && c[-2] != JP_V8_PUSH_BYTE) || c[0] == 0x57)
			w->scratch[JP_V8_FUNCTION] = w->leaf_registers.rdi;
		return 1;
	} else {
		return 0;
	}
	if (!jp_read(w, &caller, sizeof(caller), at) && caller >= JP_LOWEST_ADDRESS &&
	    caller < JP_USER_LIMIT)
		w->scratch[JP_V8_CALLER] = caller;
	return 1;
}

/* A builtin without a frame of its own runs on top of compiled code: the topmost return address
 * into JIT code below the function's frame pointer is where the function called it. User space
 * checks that it is in that function's code. */
JP_SUBPROG(jp_v8_place)
{
	const struct jp_range *range;
	__u32 i;

	w->scratch[JP_V8_PLACE] = 0;
	if (jp_read(w, w->scratch, 8 * 8, w->sp))
		return 0;
	for (i = 0; i < 8; i++) {
		if (w->sp + 8 * i >= w->fp)
			break;
		range = jp_find_range(w, w->scratch[i]);
		if (range && range->kind == JP_RANGE_JIT) {
			w->scratch[JP_V8_PLACE] = w->scratch[i];
			break;
		}
	}
	return 0;
}
