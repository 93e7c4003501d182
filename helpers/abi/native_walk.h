/* The native build of the walk and of all helpers, as a C interface. C++ uses native_runner.h. */
#pragma once

#include "helpers/abi/records.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a frame was called from, or interrupted by a signal. */
struct jp_caller {
	struct jp_registers registers;
	__u32 is_interrupted;
};

/* What the walk asks for; `context` is handed back to each call. */
struct jp_host {
	void *context;
	int (*read)(void *context, void *to, __u32 size, __u64 address); /* 0: all was read */
	/* JP_LAYOUT_BYTES, or null. Asked for before the runtime's part of a frame is read; what that
	 * tells comes from the stack from `stack_from` on. */
	const void *(*layout)(void *context, __u32 index, __u64 stack_from);
	__u32 (*find_symbol)(void *context, __u8 runtime, __u64 identity, __u64 content);
	/* Returns the symbol's number, and writes it to the record; 0 when not accepted. */
	__u32 (*add_symbol)(void *context, struct jp_symbol *symbol, const __u8 *text, __u64 content);
	void (*count)(void *context, int answer);
	void (*remember)(void *context, __u32 tid, __u64 word);
	__u64 (*recall)(void *context, __u32 tid); /* 0: nothing */
	void (*count_no_rule)(void *context);
	/* Told of each frame with the number of those that were written before. Null: not of interest. */
	void (*at_frame)(void *context, __u32 depth, __u64 pc, __u64 sp, __u64 fp);
	/* Finds the caller of the frame that at_frame was last told of, which no table expresses. 0: it did.
	 * Null: nobody can. */
	int (*step)(void *context, struct jp_caller *caller);
	/* Call-frame tables (unwind_table.h), and the process's mappings of files that have one. */
	const __u64 *pool;
	__u32 pool_words;
	__u32 mapping_count;
	const struct jp_mapping *mappings;
};

/* The type of each set's walk (RuntimeSet::native_walk). Walks one stack. `base` is the stack's, 0
 * where not known. Writes at most JP_MAX_FRAMES frames, leaf first, their number to *depth, and
 * returns the enum jp_walk_end. */
__u32 jp_native_walk(const struct jp_host *host, const struct jp_process *process, __u32 tgid,
		     __u32 tid, const struct jp_registers *registers, __u64 base, struct jp_frame *frames,
		     __u32 *depth);

#ifdef __cplusplus
}
#endif
