/* A program with a runtime of its own: toy_call() interprets functions of a little language and
 * keeps their frames in a table. Calls main -> render -> blur, and spins in blur. Linked at a fixed
 * address. */
#include <stdio.h>
#include <time.h>

#include "tests/helpers/toy/toy_layout.h"

struct toy_state toy_runtime_state = {
	.functions = {{"toy_main", 3}, {"toy_render", 14}, {"toy_blur", 27}},
};

static volatile unsigned long sink;

__attribute__((noinline)) int toy_call(unsigned long function)
{
	volatile struct toy_frame *f = &toy_runtime_state.frames[toy_runtime_state.depth];

	f->function = function;
	f->fp = (__u64)__builtin_frame_address(0);
	toy_runtime_state.depth++;
	if (function < 2)
		toy_call(function + 1);
	else
		for (int i = 0; i < 20000000; i++)
			sink += i;
	toy_runtime_state.depth--;
	f->fp = 0;
	return 0;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + 60;

	(void)argc;
	(void)argv;
	puts("ready");
	fflush(stdout);
	while (time(NULL) < end)
		toy_call(0);
	return 0;
}
