/* The walk: from registers to frames, the same source in the kernel and natively.
 *
 * Where the code's file has a call-frame table that knows it, the step to the caller is the table's
 * (table_step.h). Everywhere else it is a frame-pointer step: in code that has frame pointers by its
 * table, in a runtime's code, in code without a table.
 *
 * A frame-pointer step looks at the seven words around the frame pointer. They are read a block at a time: a
 * call to read user memory costs more than the bytes, and frames are small and close together. They
 * hold the caller's frame pointer and the return address, and with them the slots in which runtimes
 * keep a frame's function, so asking a helper costs no further read. Code in one of the process's
 * ranges is described by its runtime's helper, all other code is a native frame: just its address.
 *
 * The walk ends where a table says so, or at a saved frame pointer of 0 where one is needed (the
 * root: the ABI has the first function of a thread start with it), or at the first link that cannot
 * be one: unreadable, not above the last (the stack grows down, so callers lie higher), unaligned,
 * or outside user space.
 */
#pragma once

#include "helpers/abi/helper.h"
#include "helpers/abi/table_step.h"

/* Frames per subprogram: large enough to amortise the call, small enough to verify quickly. */
#define JP_WALK_CHUNK 4

/* A C library without frame pointers leaves junk where the root's 0 should be. When a chain ends
 * so close to the stack's base, what is missing can only be the library's own start-up code. A main
 * function's frame lies some 300 bytes below the base; a thread's function's some 2 KiB below the
 * thread control block, since the thread-local storage is between. */
#define JP_NEAR_STACK_START 512
#define JP_NEAR_THREAD_BLOCK 4096

/* The caller has set w->leaf_registers, w->by_table and w->mappings. */
static __always_inline void jp_walk_begin(struct jp_walk *w, __u32 tgid, __u32 tid, __u64 base,
					  __u32 near_base)
{
	w->tgid = tgid;
	w->tid = tid;
	w->base = base;
	w->near_base = near_base;
	w->resolves = 0;
	w->pc = w->leaf_registers.pc;
	w->sp = w->leaf_registers.sp;
	w->fp = w->leaf_registers.fp;
	if (w->process.range_count)
		__builtin_memset(w->kept, 0, sizeof(w->kept));
	w->leaf = 1;
	w->leaf_callee = 0;
	w->callee_by_table = 0;
	w->async = 0;
	w->block_begin = 0;
	w->mapping.begin = w->mapping.end = 0;
	w->kernel_asked = 0;
	w->wants_reader = 0;
	w->depth = 0;
	w->hash = tgid;
	w->end = JP_END_DEPTH;
}

/* Sets w->range to that of the frame at hand. Not 0: it has one. A return address may be the first byte
 * behind the call's function, so it is the call that is looked up. */
static __always_inline int jp_find_own_range(struct jp_walk *w)
{
	const struct jp_range *range = jp_find_range(w, w->leaf ? w->pc : w->pc - 1);

	if (range)
		w->range = *range;
	return range != 0;
}

/* Whether it is known from a frame before that the code at hand has no table and is nobody's. */
static __always_inline int jp_has_no_table(struct jp_walk *w)
{
	__u64 pc = w->leaf ? w->pc : w->pc - 1;

	return jp_in_area(&w->area, pc) && !w->area.is_anonymous_code;
}

/* Generated from the list of runtimes: calls the helper of w->range.runtime. */
static __always_inline int jp_ask_runtime(struct jp_walk *w);
static __always_inline int jp_resume_in_runtime(struct jp_walk *w);

static __always_inline int jp_done(struct jp_walk *w, __u32 end)
{
	if (end != JP_END_ROOT && end != JP_END_DEPTH && !w->leaf && w->base &&
	    w->base - w->sp < w->near_base)
		end = JP_END_NEAR_BASE;
	w->end = end;
	return 1;
}

/* Fills the window around `fp`. Not 0: it is not readable. */
static __always_inline int jp_read_window(struct jp_walk *w, __u64 fp)
{
	__u64 begin = fp - JP_WINDOW_BELOW;
	__u64 offset = begin - w->block_begin;
	__u32 i;

	if (offset > JP_BLOCK_BYTES - sizeof(w->window)) {
		w->block_begin = 0;
		/* A block may reach beyond the end of the stack. */
		if (fp & 7 || jp_read(w, w->block, JP_BLOCK_BYTES, begin))
			return jp_read(w, w->window, sizeof(w->window), begin);
		w->block_begin = begin;
		offset = 0;
	}
	offset /= 8;
	JP_OPAQUE(offset);
	offset &= JP_BLOCK_BYTES / 8 - 1;
	for (i = 0; i < JP_WINDOW_WORDS; i++)
		w->window[i] = w->block[offset + i];
	return 0;
}

/* One frame. Not 0: the walk is done. */
static __always_inline int jp_walk_frame(struct jp_walk *w)
{
	__u64 fp = w->fp, next_pc;
	int answer = JP_NOT_MINE, user = fp >= JP_LOWEST_ADDRESS && fp < JP_USER_LIMIT;
	int readable = 0;
	int in_range = w->process.range_count && jp_find_own_range(w);

	if (w->depth >= JP_MAX_FRAMES)
		return jp_done(w, JP_END_DEPTH);
	jp_at_frame(w);
	if (!in_range && w->by_table && !jp_has_no_table(w)) {
		int step = JP_CALL(jp_table_step, w);

		if (step != JP_STEP_UNKNOWN)
			return step == JP_STEP_DONE;
	}
	/* A caller's frame lies above its callee's. */
	if (!w->leaf && (fp & 7 || fp < w->sp)) {
		jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
		return jp_done(w, fp == 0  ? JP_END_ROOT :
				  fp & 7 ? JP_END_UNALIGNED :
					   JP_END_NOT_ASCENDING);
	}
	readable = user && !jp_read_window(w, fp);
	if (readable && in_range)
		answer = jp_ask_runtime(w);
	if (answer == JP_STEPPED) {
		w->leaf = 0;
		w->callee_by_table = 0;
		return 0;
	}
	if (answer == JP_NOT_MINE)
		jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
	else if (answer != JP_MINE) {
		jp_count(w, answer);
		jp_emit(w, JP_FRAME_UNRESOLVED, w->pc, 0, answer);
	}
	if (!readable)
		return jp_done(w, user ? JP_END_UNREADABLE : JP_END_NOT_USER);

	next_pc = jp_right_return(w, w->window[JP_SLOT(8)], fp + 8);
	if (next_pc < JP_LOWEST_ADDRESS || next_pc >= JP_USER_LIMIT)
		return jp_done(w, w->window[JP_SLOT(0)] == 0 && !w->leaf ? JP_END_ROOT : JP_END_NOT_USER);
	w->leaf = 0;
	w->leaf_callee = 0;
	w->callee_by_table = 0;
	w->pc = next_pc;
	w->sp = fp + 16;
	w->fp = w->window[JP_SLOT(0)];
	return 0;
}

JP_SUBPROG(jp_walk_chunk)
{
	int i;

	for (i = 0; i < JP_WALK_CHUNK; i++) {
		if (jp_walk_frame(w))
			return 1;
	}
	return 0;
}

/* Goes on above native frames that could not be walked, if a runtime knows where. 0: it does. */
JP_SUBPROG(jp_resume)
{
	if (w->end == JP_END_ROOT || w->end == JP_END_NEAR_BASE || w->end == JP_END_DEPTH ||
	    !w->process.range_count || w->depth >= JP_MAX_FRAMES)
		return 1;
	w->range = w->process.ranges[0];
	if (jp_resume_in_runtime(w))
		return 1;
	w->leaf = 0;
	w->leaf_callee = 0;
	w->callee_by_table = 0;
	w->sp = w->fp; /* a lower bound */
	jp_emit(w, JP_FRAME_UNRESOLVED, 0, 0, JP_SKIPPED);
	w->end = JP_END_DEPTH;
	return 0;
}

/* All frames. The caller has set w->process and called jp_walk_begin(). */
static __always_inline void jp_walk_all(struct jp_walk *w)
{
	int i;

	/* A helper may emit nothing for a frame, so chunks are counted, not frames. */
	for (i = 0; i < 2 * JP_MAX_FRAMES / JP_WALK_CHUNK; i++) {
		int done = JP_CALL(jp_walk_chunk, w);

		/* Else clang begins in the middle of the loop, which kernels before 6.8 refuse. */
		JP_OPAQUE(done);
		if (done)
			done = JP_CALL(jp_resume, w);
		JP_OPAQUE(done);
		if (done)
			break;
	}
	if (w->end == JP_END_NO_RULE)
		jp_count_no_rule(w);
}
