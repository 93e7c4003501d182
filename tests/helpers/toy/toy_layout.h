/* Layout of the made-up runtime "toy" (tests/programs/toy_program.c): a C program that keeps the
 * frames of its own little language in a table, beside the native stack. */
#pragma once

#include <linux/types.h>

#define TOY_MAX_FRAMES 16
#define TOY_NAME_BYTES 24

/* As the program has them in memory. */
struct toy_frame {
	__u64 fp; /* of the native frame of toy_call() that runs it */
	__u64 function;
};

struct toy_function {
	char name[TOY_NAME_BYTES];
	__u64 line;
};

struct toy_state {
	__u64 depth;
	struct toy_frame frames[TOY_MAX_FRAMES];
	struct toy_function functions[4];
};

/* What the helper needs to know of one binary. */
struct jp_toy_layout {
	__u64 state; /* address of the program's struct toy_state */
};

enum toy_field { TOY_NAME = 1 };
enum toy_word { TOY_LINE = 0 };
