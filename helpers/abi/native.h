/* Back end of the helper contract for native code: the target's memory comes from callbacks, and so
 * does everything that is a map in the kernel. Included once, by native_walk.c. */
#pragma once

#include "helpers/abi/native_walk.h"

#define JP_OPAQUE(x) ((void)0)

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define JP_SUBPROG(name) static __attribute__((noinline)) int name(struct jp_walk *w)
#define JP_CALL(name, w) name(w)
#define JP_SUBPROG_AT(name, address) \
	static __attribute__((noinline)) int name(struct jp_walk *w, __u64 address)
#define JP_CALL_AT(name, w, address) name(w, address)

#include "helpers/abi/helper.h"

static inline const struct jp_host *jp_host(const struct jp_walk *w)
{
	return w->host;
}

static __always_inline int jp_read(struct jp_walk *w, void *to, __u32 size, __u64 address)
{
	return jp_host(w)->read(jp_host(w)->context, to, size, address);
}

static __always_inline const void *jp_layout(struct jp_walk *w)
{
	return jp_host(w)->layout(jp_host(w)->context, w->range.layout,
				  w->leaf ? w->sp : w->fp - JP_WINDOW_BELOW);
}

static __always_inline __u32 jp_find_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	return jp_host(w)->find_symbol(jp_host(w)->context, w->range.runtime, identity, content);
}

static __always_inline __u32 jp_add_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	w->symbol.type = JP_RECORD_SYMBOL;
	w->symbol.runtime = w->range.runtime;
	w->symbol.tgid = w->tgid;
	w->symbol.identity = identity;
	return jp_host(w)->add_symbol(jp_host(w)->context, &w->symbol, w->text, content);
}

static __always_inline void jp_count(struct jp_walk *w, int answer)
{
	jp_host(w)->count(jp_host(w)->context, answer);
}

static __always_inline void jp_count_no_rule(struct jp_walk *w)
{
	jp_host(w)->count_no_rule(jp_host(w)->context);
}

static __always_inline const struct jp_mapping *jp_mapping_at(struct jp_walk *w, __u32 index)
{
	return index < jp_host(w)->mapping_count ? &jp_host(w)->mappings[index] : 0;
}

static __always_inline int jp_ask_kernel(struct jp_walk *w, __u64 pc)
{
	return 0;
}

/* The kernel tells nobody. */
static __always_inline __u64 jp_find_return(struct jp_walk *w, __u64 pc, __u64 slot)
{
	return pc;
}

static __always_inline const __u64 *jp_pool_word(struct jp_walk *w, __u32 index)
{
	return index < jp_host(w)->pool_words ? &jp_host(w)->pool[index] : 0;
}

static __always_inline void jp_at_frame(struct jp_walk *w)
{
	if (jp_host(w)->at_frame)
		jp_host(w)->at_frame(jp_host(w)->context, w->depth, w->pc, w->sp, w->fp);
}

static __always_inline int jp_step_otherwise(struct jp_walk *w)
{
	struct jp_registers *to;
	struct jp_caller caller;

	if (!jp_host(w)->step || jp_host(w)->step(jp_host(w)->context, &caller))
		return -1;
	to = &caller.registers;
	if (to->pc < JP_LOWEST_ADDRESS || to->pc >= JP_USER_LIMIT || to->sp & 7 || to->sp >= JP_USER_LIMIT)
		return -1;
	/* A leaf's return address may be in a register, and nothing of it on the stack. A signal may be
	 * handled on another stack. */
	if ((to->sp < w->sp || (to->sp == w->sp && !w->leaf)) && !caller.is_interrupted)
		return -1;
	if (caller.is_interrupted)
		w->leaf_registers = *to;
	w->leaf_callee = w->leaf && !caller.is_interrupted;
	w->leaf = caller.is_interrupted;
	w->pc = to->pc;
	w->sp = to->sp;
	w->fp = to->fp;
	return 0;
}

static __always_inline void jp_remember(struct jp_walk *w, __u64 word)
{
	jp_host(w)->remember(jp_host(w)->context, w->tid, word);
}

static __always_inline __u64 jp_recall(struct jp_walk *w)
{
	return jp_host(w)->recall(jp_host(w)->context, w->tid);
}
