/* The step from a frame to its caller by the call-frame table of the frame's file: exact where code
 * keeps no frame pointers. Part of the walk, the same source in the kernel and natively. */
#pragma once

#include "helpers/abi/helper.h"

#define JP_MAPPING_STEPS 18 /* of a binary search: up to 2^17 mappings */
/* Code that returns: 48 83 c4 n c3, n below 128; at once: c3; after a call by a register: ff d0 to ff d7. */
#define JP_STUB_MASK 0xff80ffffffULL
#define JP_STUB_CODE 0xc300c48348ULL
#define JP_STUB_RET 0xc3
#define JP_STUB_CALL_MASK 0xf8ff
#define JP_STUB_CALL 0xd0ff
#define JP_KERNEL_ASKED 12 /* mappings that the kernel is asked for in one walk, at most */

/* What the kernel saved for a signal handler's return, from rsp + JP_SIGNAL_REGISTERS on. */
#define JP_SIGNAL_REGISTERS 40
struct jp_signal_registers {
	__u64 r8, r9, r10, r11, r12, r13, r14, r15;
	__u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
};

enum jp_step {
	JP_STEP_UNKNOWN = 0, /* no table knows this code: nothing was done */
	JP_STEP_TAKEN = 1,   /* the frame was emitted, and w is at its caller; or it is a runtime's, after all */
	JP_STEP_DONE = 2,    /* the frame was emitted, and the walk ends with it */
};

static __always_inline int jp_done(struct jp_walk *w, __u32 end);
static __always_inline int jp_read_window(struct jp_walk *w, __u64 fp);

/* Sets w->mapping to the one that holds `pc`. Not 0: it does. */
JP_SUBPROG_AT(jp_search_mapping, pc)
{
	__u32 low = w->mappings.first, high = low + w->mappings.count, i;

	for (i = 0; i < JP_MAPPING_STEPS; i++) {
		__u32 middle = low + (high - low) / 2;
		const struct jp_mapping *m;

		if (low >= high)
			return 0;
		m = jp_mapping_at(w, middle);
		if (!m)
			return 0;
		if (pc - m->begin < m->end - m->begin) {
			w->mapping = *m;
			return 1;
		}
		if (pc < m->begin)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

/* The same, where most frames' is the last one. */
static __always_inline int jp_find_mapping(struct jp_walk *w, __u64 pc)
{
	return pc - w->mapping.begin < w->mapping.end - w->mapping.begin ||
	       JP_CALL_AT(jp_search_mapping, w, pc);
}

static __always_inline int jp_in_area(const struct jp_area *area, __u64 pc)
{
	return pc - area->begin < area->end - area->begin;
}

/* The same for a mapping that user space has not told of. */
static __always_inline int jp_find_new_mapping(struct jp_walk *w, __u64 pc)
{
	__u64 i;

	if (jp_in_area(&w->area, pc))
		return 0;
	for (i = 0; i < JP_AREAS; i++) {
		if (jp_in_area(&w->areas[i], pc)) {
			w->area = w->areas[i];
			return 0;
		}
	}
	if (w->kernel_asked++ >= JP_KERNEL_ASKED)
		return 0;
	if (jp_ask_kernel(w, pc))
		return 1;
	i = w->area_count++;
	JP_OPAQUE(i);
	w->areas[i & (JP_AREAS - 1)] = w->area;
	return 0;
}

/* Whether `pc`, which no mapping of a file holds, lies in code that was made since user space told of the
 * runtime's ranges. Then it is one of them for the rest of the walk. */
static __always_inline int jp_is_new_code(struct jp_walk *w, __u64 pc)
{
	__u32 at = w->process.range_count;

	if (!at || at >= JP_MAX_RANGES || !w->process.new_code_runtime || !w->area.is_anonymous_code ||
	    !jp_in_area(&w->area, pc))
		return 0;
	JP_OPAQUE(at);
	struct jp_range *range = &w->process.ranges[at & (JP_MAX_RANGES - 1)];

	range->begin = w->area.begin;
	range->end = w->area.end;
	range->layout = w->process.new_code_layout;
	range->runtime = w->process.new_code_runtime;
	range->kind = JP_RANGE_JIT;
	w->process.range_count = at + 1;
	return 1;
}

/* Of the halves of words from `run` on, the one at `index`. */
static __always_inline int jp_pool_half(struct jp_walk *w, __u32 run, __u32 index, __u32 *half)
{
	const __u64 *word = jp_pool_word(w, run + index / 2);

	if (!word)
		return -1;
	__builtin_memcpy(half, (const char *)word + index % 2 * sizeof(*half), sizeof(*half));
	return 0;
}

/* The rule for `pc`, which w->mapping holds. Not 0: its table has none. */
static __always_inline int jp_find_rule(struct jp_walk *w, __u64 pc, struct jp_rule *rule)
{
	__u64 offset = pc - w->mapping.base;
	const __u64 *word;
	__u64 found;
	__u32 within = offset & (JP_BUCKET_BYTES - 1);
	__u32 low, high, half, row = 0, i;
	int have_row = 0;

	if (offset >= w->mapping.size)
		return -1;
	if (jp_pool_half(w, w->mapping.buckets, offset >> JP_BUCKET_SHIFT, &half))
		return -1;
	low = half >> JP_BUCKET_SHIFT;
	high = low + (half & (JP_BUCKET_BYTES - 1));
	for (i = 0; i < JP_BUCKET_SHIFT; i++) {
		__u32 middle = low + (high - low + 1) / 2;

		if (low >= high)
			break;
		if (jp_pool_half(w, w->mapping.rows, middle, &half))
			return -1;
		if ((half & (JP_BUCKET_BYTES - 1)) <= within) {
			low = middle;
			row = half;
			have_row = 1;
		} else {
			high = middle - 1;
		}
	}
	if (!have_row && jp_pool_half(w, w->mapping.rows, low, &row))
		return -1;
	low = w->mapping.rules + JP_RULE_WORDS * (row >> JP_BUCKET_SHIFT);
	word = jp_pool_word(w, low);
	if (!word)
		return -1;
	found = *word;
	rule->cfa_offset = (__s32)found;
	rule->cfa_extra = (__s32)(found >> 32);
	word = jp_pool_word(w, low + 1);
	if (!word)
		return -1;
	found = *word;
	rule->fp_offset = (__s32)found;
	rule->kind = found >> 32;
	rule->base = found >> 40;
	rule->fp = found >> 48;
	return rule->kind == JP_RULE_NONE || rule->kind == JP_RULE_FRAME;
}

/* The thread stood elsewhere when a signal came: there it is a leaf again, with all registers. */
static __always_inline int jp_step_over_signal(struct jp_walk *w)
{
	struct jp_registers *r = &w->leaf_registers;
	struct jp_signal_registers *s = (void *)w->scratch;

	_Static_assert(sizeof(*s) <= sizeof(w->scratch), "scratch is too small");
	w->leaf = 1; /* this frame's pc is no return address */
	w->callee_by_table = 0;
	jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
	if (jp_read(w, s, sizeof(*s), w->sp + JP_SIGNAL_REGISTERS)) {
		jp_done(w, JP_END_UNREADABLE);
		return JP_STEP_DONE;
	}
	if (s->rip < JP_LOWEST_ADDRESS || s->rip >= JP_USER_LIMIT) {
		jp_done(w, JP_END_NOT_USER);
		return JP_STEP_DONE;
	}
	r->rax = s->rax;
	r->rdx = s->rdx;
	r->rcx = s->rcx;
	r->rbx = s->rbx;
	r->rsi = s->rsi;
	r->rdi = s->rdi;
	r->r8 = s->r8;
	r->r9 = s->r9;
	r->r10 = s->r10;
	r->r11 = s->r11;
	r->r12 = s->r12;
	r->r13 = s->r13;
	r->r14 = s->r14;
	r->r15 = s->r15;
	w->fp = r->fp = s->rbp;
	w->sp = r->sp = s->rsp;
	w->pc = r->pc = s->rip;
	return JP_STEP_TAKEN;
}

/* Code of no file that is about to do no more than `add $n,%rsp; ret`: a stub without a frame pointer,
 * such as CPython makes for perf (-X perf; Python/asm_trampoline.S). The leaf may be about to call from
 * there, or to return. Where frame pointers led here, they are gone on with, and nothing is read. */
static __always_inline int jp_step_over_stub(struct jp_walk *w)
{
	__u64 code, next_pc;

	if ((!w->leaf && !w->callee_by_table) || jp_read(w, &code, sizeof(code), w->pc))
		return JP_STEP_UNKNOWN;
	if (w->leaf && (code & JP_STUB_CALL_MASK) == JP_STUB_CALL)
		code >>= 16;
	if ((code & JP_STUB_MASK) == JP_STUB_CODE)
		code = code >> 24 & 0x7f;
	else if (w->leaf && (code & 0xff) == JP_STUB_RET)
		code = 0;
	else
		return JP_STEP_UNKNOWN;
	if (code & 7 || jp_read(w, &next_pc, sizeof(next_pc), w->sp + code) ||
	    next_pc < JP_LOWEST_ADDRESS || next_pc >= JP_USER_LIMIT)
		return JP_STEP_UNKNOWN;
	jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
	w->leaf_callee = w->leaf;
	w->leaf = 0;
	w->callee_by_table = 1;
	w->pc = next_pc;
	w->sp += code + 8;
	return JP_STEP_TAKEN;
}

/* Where a processor has addresses of 57 bits, what the kernel puts in place of a return address is beyond those
 * that all else has. */
static __always_inline __u64 jp_right_return(struct jp_walk *w, __u64 pc, __u64 slot)
{
	return pc < JP_USER_LIMIT ? pc : jp_find_return(w, pc, slot);
}

/* A caller of the leaf that finds its CFA by a register which calls need not preserve relies on the
 * leaf to leave it alone: assembly that calls its own parts. */
#define JP_SCRATCH_REGISTERS 0x0f37 /* rax, rdx, rcx, rsi, rdi, r8 to r11 */

JP_SUBPROG(jp_table_step)
{
	int by_register = 0, found;
	__u64 pc = w->leaf ? w->pc : w->pc - 1;
	__u64 base, cfa, fp, next_pc;
	struct jp_rule rule = {};

	found = jp_find_mapping(w, pc);
	if (!found && !w->leaf) {
		next_pc = jp_find_return(w, w->pc, w->sp - 8);
		if (next_pc != w->pc) {
			w->pc = next_pc;
			return JP_STEP_TAKEN;
		}
	}
	if (!found && !jp_find_new_mapping(w, pc))
		return jp_is_new_code(w, pc) ? JP_STEP_TAKEN : jp_step_over_stub(w);
	if (jp_find_rule(w, pc, &rule))
		return JP_STEP_UNKNOWN;
	if (rule.kind == JP_RULE_SIGNAL)
		return jp_step_over_signal(w);
	jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
	if (rule.kind == JP_RULE_ROOT) {
		jp_done(w, JP_END_ROOT);
		return JP_STEP_DONE;
	}
	if (rule.base == JP_REGISTER_RSP) {
		base = w->sp;
	} else if (rule.base == JP_REGISTER_RBP) {
		base = w->fp;
	} else {
		__u32 number = rule.base;

		JP_OPAQUE(number);
		number &= JP_REGISTERS - 1;
		base = ((__u64 *)&w->leaf_registers)[jp_register_index(number)];
		by_register = 1;
		if (!w->leaf && !(w->leaf_callee && JP_SCRATCH_REGISTERS >> number & 1))
			rule.kind = JP_RULE_OTHER;
	}
	if (rule.kind == JP_RULE_OTHER) {
		if (!jp_step_otherwise(w)) {
			w->callee_by_table = 1;
			return JP_STEP_TAKEN;
		}
		jp_done(w, JP_END_NO_RULE);
		return JP_STEP_DONE;
	}
	cfa = base + (__s64)rule.cfa_offset;
	if (rule.kind == JP_RULE_DEREF) {
		if (jp_read_window(w, cfa)) {
			jp_done(w, JP_END_UNREADABLE);
			return JP_STEP_DONE;
		}
		cfa = w->window[JP_SLOT(0)] + (__s64)rule.cfa_extra;
	} else if (rule.kind == JP_RULE_PLT && (pc & 15) >= (__u32)rule.cfa_extra) {
		cfa += 8;
	}
	if (cfa & 7 || cfa <= w->sp || cfa >= JP_USER_LIMIT) {
		jp_done(w, cfa & 7 ? JP_END_UNALIGNED : JP_END_NOT_ASCENDING);
		return JP_STEP_DONE;
	}
	/* rbp is mostly saved within the window. */
	if (jp_read_window(w, cfa - 16)) {
		jp_done(w, JP_END_UNREADABLE);
		return JP_STEP_DONE;
	}
	next_pc = jp_right_return(w, w->window[JP_SLOT(8)], cfa - 8);
	fp = w->fp;
	if (rule.fp != JP_FP_SAME) {
		__u64 at = (rule.fp == JP_FP_AT_FP ? fp : cfa) + (__s64)rule.fp_offset;
		__u64 slot = at - (cfa - 16 - JP_WINDOW_BELOW);

		if (!(slot & 7) && slot < sizeof(w->window)) {
			slot /= 8;
			JP_OPAQUE(slot);
			if (slot >= JP_WINDOW_WORDS)
				return JP_STEP_DONE;
			fp = w->window[slot];
		} else if (jp_read(w, &fp, sizeof(fp), at)) {
			jp_done(w, JP_END_UNREADABLE);
			return JP_STEP_DONE;
		}
	}
	if (next_pc < JP_LOWEST_ADDRESS || next_pc >= JP_USER_LIMIT) {
		jp_done(w, next_pc == 0 ? JP_END_ROOT : JP_END_NOT_USER);
		return JP_STEP_DONE;
	}
	if (by_register && !w->leaf && !jp_find_mapping(w, next_pc - 1)) {
		jp_done(w, JP_END_NO_RULE);
		return JP_STEP_DONE;
	}
	w->leaf_callee = w->leaf;
	w->leaf = 0;
	w->callee_by_table = 1;
	w->pc = next_pc;
	w->sp = cfa;
	w->fp = fp;
	return JP_STEP_TAKEN;
}
