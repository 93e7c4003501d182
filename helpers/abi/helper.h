/* The contract of a runtime helper and of the walk, in restricted C: one source, compiled to BPF
 * (bpf.h) and natively (native.h).
 *
 * Restricted C: no libc, no globals, no recursion, loops with constant bounds, at most 512 bytes of
 * stack. All state lives in struct jp_walk, which the caller provides. Memory of the target is read
 * through jp_read() alone. The kernel verifies each JP_SUBPROG on its own, so a helper's cost in
 * verification does not multiply with the depth of the stack.
 *
 * A helper is one JP_SUBPROG(jp_NAME_frame). It is asked about each frame whose code lies in one of
 * its ranges, and finds in `w`: pc, sp, fp, `range`, `leaf`, and `window`, the words around fp. It
 * answers with enum jp_answer after it has emitted the frame, or several, innermost first, by
 * jp_emit(). The walk then goes on to the caller by the saved frame pointer, unless the helper knew
 * of a leaf that has no frame and found the caller itself (JP_STEPPED).
 *
 * Where native code without frame pointers cuts the walk, a helper that also has a
 * JP_SUBPROG(jp_NAME_resume) is asked for the runtime's next frame further up: it sets pc and fp
 * and returns 0.
 */
#pragma once

#include "helpers/abi/records.h"

/* The words around the frame pointer, read in one go: index of the word at fp + offset. */
#define JP_WINDOW_WORDS 7
#define JP_WINDOW_BELOW 40 /* bytes below fp */
#define JP_SLOT(offset) (((offset) + JP_WINDOW_BELOW) / 8)
#define JP_BLOCK_BYTES 512 /* of stack read at once; power of two */

/* Functions that one walk reads at first sight; the next sample goes on where this one stopped. A
 * program that makes up ever new ones must not hold up the interrupt. */
#define JP_MAX_RESOLVES 96

/* User addresses. */
#define JP_LOWEST_ADDRESS 4096
#define JP_USER_LIMIT 0x0000800000000000ULL

#define JP_SCRATCH_WORDS 26
#define JP_KEPT_WORDS 16
#define JP_OBJECT_WORDS 16 /* of one object, read at once; power of two */
#define JP_PENDING 16 /* pieces of a string that wait to be read; power of two */

struct jp_pending_string {
	__u64 string;
	__u32 start;
	__u32 length;
};

/* Memory that the kernel was asked about, and has no table. */
#define JP_AREAS 4 /* power of two */

struct jp_area {
	__u64 begin;
	__u64 end;
	__u64 is_anonymous_code;
};

struct jp_walk {
	/* What each frame touches lies together: at a low rate all of this is cold memory. */

	/* Of the frame at hand. */
	__u64 pc;
	__u64 sp;
	__u64 fp;
	__u32 leaf; /* not 0: pc is where the thread stood, else a return address */
	__u32 leaf_callee; /* not 0: this frame called the leaf */
	__u32 callee_by_table; /* not 0: fp need not be this frame's */
	__u32 async; /* not 0: the helper is emitting those who await this frame; see JP_FRAME_ASYNC */

	/* Of the walk. */
	__u32 depth;
	__u64 hash; /* of all frames emitted */
	__u64 base; /* of the stack: where it begins, or a little above; 0: not known */
	__u32 near_base; /* bytes below base that only start-up code uses */
	__u32 resolves;  /* functions read at first sight in this walk */
	__u32 tgid;
	__u32 tid;
	__u32 end; /* enum jp_walk_end, once done */
	__u32 changes; /* kernel half: jp_changes when `process` and `mappings` were looked up */
	__u32 process_of; /* kernel half: whose they are, */
	__u64 memory_of; /* and the address of its memory's description: exec makes another one */
	__u32 own_ranges; /* kernel half: of process.ranges, those that user space told of */
	__u32 by_table; /* 0: no call-frame tables are used */
	struct jp_mapping_slice mappings; /* of the process; count 0: none is known */
	__u64 block_begin; /* address of block, 0: none read */
	void *host; /* native back end only */
	__u64 window[JP_WINDOW_WORDS];
	struct jp_area area; /* that was met last */
	__u32 kernel_asked; /* times in this walk */
	__u32 wants_reader; /* user space is to learn soon of a file that it has not told of */
	__u32 area_count; /* of those that were put into `areas`, ever */
	struct jp_registers leaf_registers;
	struct jp_mapping mapping; /* of the last frame that had one */
	__u64 block[JP_BLOCK_BYTES / 8 + JP_WINDOW_WORDS];
	struct jp_area areas[JP_AREAS]; /* that were met last */
	struct jp_range range; /* of the frame at hand */
	__u64 kept[JP_KEPT_WORDS]; /* the helper's own for the whole walk, 0 at its start */

	/* For the helper at work: it may keep what it likes between its subprograms. */
	__u64 scratch[JP_SCRATCH_WORDS];
	__u64 object[JP_OBJECT_WORDS + 1];
	struct jp_pending_string pending[JP_PENDING];

	struct jp_process process;

	/* The records being made, each right before what it is sent with. The end of text is slack: it
	 * shows the verifier that an offset below JP_TEXT_BYTES and a piece below JP_STRING_BYTES fit. */
	struct jp_symbol symbol;
	__u8 text[JP_TEXT_BYTES + JP_STRING_BYTES + 16];

	struct jp_stack stack;
	struct jp_frame frames[JP_MAX_FRAMES];
};

/* What a back end provides, besides JP_SUBPROG(name), JP_CALL(name, w), the same for an address with _AT, and
 * JP_OPAQUE(x).
 *
 * jp_read:        copies `size` bytes at `address` of the target; 0 when all could be read.
 * jp_layout:      the layout of w->range, JP_LAYOUT_BYTES long, or null.
 * jp_find_symbol: number of the symbol cached for (process, runtime, identity) if it was made in
 *                 the same life of the process and with the same `content`, else 0. `content` is a
 *                 word of the object's content: a reused address has another one.
 * jp_add_symbol:  hands over w->symbol with w->text, caches its number once it was accepted, and
 *                 returns the number; 0 when it was not accepted.
 * jp_count:       counts an answer that resolved nothing.
 * jp_count_no_rule: counts a walk that ends where call-frame information leads no further.
 * jp_step_otherwise: goes from a frame that no table expresses to its caller. 0: w is there.
 * jp_mapping_at:  an element of the array of all processes' mappings, or null.
 * jp_find_return: the return address that belongs at `slot`, where the kernel may have put `pc` in its place to
 *                 meet the return (uretprobe); else `pc`.
 * jp_ask_kernel:  looks for a mapping that holds `pc` where the kernel itself has them. Not 0: w->mapping is
 *                 of it. 0: it is not known or has no table; then w->area says what it is.
 * jp_pool_word:   a word of the pool of call-frame tables, or null.
 * jp_at_frame:    is told where each frame is, before it is asked about.
 * jp_remember:    keeps one word for the thread, jp_recall gives it back, or 0.
 */
static __always_inline int jp_read(struct jp_walk *w, void *to, __u32 size, __u64 address);
static __always_inline const void *jp_layout(struct jp_walk *w);
static __always_inline __u32 jp_find_symbol(struct jp_walk *w, __u64 identity, __u64 content);
static __always_inline __u32 jp_add_symbol(struct jp_walk *w, __u64 identity, __u64 content);
static __always_inline void jp_count(struct jp_walk *w, int answer);
static __always_inline void jp_count_no_rule(struct jp_walk *w);
static __always_inline int jp_step_otherwise(struct jp_walk *w);
static __always_inline const struct jp_mapping *jp_mapping_at(struct jp_walk *w, __u32 index);
static __always_inline int jp_ask_kernel(struct jp_walk *w, __u64 pc);
static __always_inline __u64 jp_find_return(struct jp_walk *w, __u64 pc, __u64 slot);
static __always_inline const __u64 *jp_pool_word(struct jp_walk *w, __u32 index);
static __always_inline void jp_at_frame(struct jp_walk *w);
static __always_inline void jp_remember(struct jp_walk *w, __u64 word);
static __always_inline __u64 jp_recall(struct jp_walk *w);

static __always_inline __u64 jp_mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

/* The process's range that holds `address`: its index and 1; 0 for none. */
JP_SUBPROG_AT(jp_range_at, address)
{
	__u32 i;

	for (i = 0; i < JP_MAX_RANGES; i++) {
		if (i >= w->process.range_count)
			return 0;
		if (address - w->process.ranges[i].begin <
		    w->process.ranges[i].end - w->process.ranges[i].begin)
			return i + 1;
	}
	return 0;
}

/* The range itself, or null. */
static __always_inline const struct jp_range *jp_find_range(struct jp_walk *w, __u64 address)
{
	__u64 found = JP_CALL_AT(jp_range_at, w, address);

	if (!found)
		return 0;
	found--;
	JP_OPAQUE(found);
	return &w->process.ranges[found & (JP_MAX_RANGES - 1)];
}

/* Appends a frame. Past the limit nothing is written; the walk notices the depth. */
static __always_inline void jp_emit(struct jp_walk *w, __u8 kind, __u64 address, __u32 symbol,
				    __u8 detail)
{
	__u32 at = w->depth;

	if (at >= JP_MAX_FRAMES)
		return;
	JP_OPAQUE(at);
	struct jp_frame *f = &w->frames[at & (JP_MAX_FRAMES - 1)];

	f->address = address;
	f->symbol = symbol;
	f->kind = kind;
	f->runtime = kind == JP_FRAME_NATIVE ? 0 : w->range.runtime;
	f->detail = detail;
	f->flags = w->async ? JP_FRAME_ASYNC : w->leaf ? 0 : JP_FRAME_RETURN_ADDRESS;
	w->hash = jp_mix(w->hash, address ^ ((__u64)symbol << 32) ^ ((__u64)detail << 56) ^
					  (w->async << 8) ^ kind);
	w->depth = at + 1;
}

static __always_inline void jp_begin_symbol(struct jp_walk *w)
{
	__builtin_memset(&w->symbol, 0, sizeof(w->symbol));
}

/* Appends `bytes` at `address` of the target as a chunk; what is beyond the limits is cut, and the
 * record says so. 0, or not 0 when the memory could not be read. */
static __always_inline int jp_append_text(struct jp_walk *w, __u8 field, __u8 encoding,
					  __u64 address, __u32 bytes)
{
	__u32 at = w->symbol.text_bytes;

	if (bytes >= JP_STRING_BYTES) {
		bytes = JP_STRING_BYTES - 2;
		w->symbol.flags |= JP_SYMBOL_CUT(field);
	}
	if (at + 4 + bytes > JP_TEXT_BYTES) {
		w->symbol.flags |= JP_SYMBOL_CUT(field);
		return 0;
	}
	JP_OPAQUE(at);
	JP_OPAQUE(bytes);
	at &= JP_TEXT_BYTES - 1;
	bytes &= JP_STRING_BYTES - 1;
	w->text[at] = field;
	w->text[at + 1] = encoding;
	w->text[at + 2] = bytes & 0xff;
	w->text[at + 3] = bytes >> 8;
	if (bytes && jp_read(w, &w->text[at + 4], bytes, address))
		return -1;
	w->symbol.text_bytes = at + 4 + bytes;
	return 0;
}
