/* Back end of the helper contract for BPF: maps, the per-CPU scratch, the ring. Included once, by
 * profiler/capture/sampler.bpf.c, before helper.h's users. */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Hides a value from clang, which drops masks that its own range analysis finds redundant; the
 * verifier needs to see them. */
#define JP_OPAQUE(x) asm volatile("" : "+r"(x))

/* A subprogram is a global function: verified once, not once for each caller's state. Arguments of
 * such functions are scalars on older kernels, so it fetches the scratch itself. */
#define JP_SUBPROG(name)                                               \
	static __always_inline int name##_body(struct jp_walk *w);     \
	__attribute__((noinline)) int name(void)                       \
	{                                                              \
		struct jp_walk *w = jp_scratch();                      \
		return w ? name##_body(w) : 1;                         \
	}                                                              \
	static __always_inline int name##_body(struct jp_walk *w)
#define JP_CALL(name, w) name()

#include "helpers/abi/helper.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_walk);
} jp_walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20); /* bytes; the loader may set another size */
} jp_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct jp_process);
} jp_processes SEC(".maps");

struct jp_layout_value {
	__u64 words[JP_LAYOUT_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, JP_MAX_LAYOUTS);
	__type(key, __u32);
	__type(value, struct jp_layout_value);
} jp_layouts SEC(".maps");

struct jp_symbol_key {
	__u64 identity;
	__u32 tgid;
	__u32 runtime;
};

struct jp_symbol_value {
	__u64 content;
	__u32 number;
	__u32 life;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct jp_symbol_key);
	__type(value, struct jp_symbol_value);
} jp_symbols SEC(".maps");

/* In front of jp_symbols: at a low rate every access is to cold memory, and a lookup there makes
 * several, in as many pages. Objects that lie close together have neighbouring entries. */
#define JP_NEAR_SYMBOLS 1024 /* power of two */
#define JP_NEAR_SYMBOL_BYTES 32 /* of the runtime's heap for one entry: less than an object's size */

struct jp_near_symbols {
	struct {
		__u64 all; /* hash of key, content and life */
		__u64 number;
	} at[JP_NEAR_SYMBOLS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_near_symbols);
} jp_near_symbol_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32); /* thread */
	__type(value, __u64);
} jp_thread_words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_counters);
} jp_counter_values SEC(".maps");

/* Call-frame tables: see unwind_table.h. The chunks of the pool are made as they are needed. */
struct jp_chunk_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, JP_CHUNK_WORDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, JP_MAX_CHUNKS);
	__type(key, __u32);
	__array(values, struct jp_chunk_map);
} jp_chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 14); /* the loader may set another number */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct jp_mapping);
} jp_mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* process */
	__type(value, struct jp_mapping_slice);
} jp_mapping_slices SEC(".maps");

__u32 jp_next_number = 1; /* of stacks and symbols alike; 0 means none */

static __always_inline struct jp_walk *jp_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&jp_walks, &zero);
}

static __always_inline struct jp_counters *jp_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&jp_counter_values, &zero);
}

static __always_inline int jp_read(struct jp_walk *w, void *to, __u32 size, __u64 address)
{
	return bpf_probe_read_user(to, size, (const void *)address);
}

static __always_inline const void *jp_layout(struct jp_walk *w)
{
	__u32 index = w->range.layout;

	return bpf_map_lookup_elem(&jp_layouts, &index);
}

static __always_inline __u64 jp_near_hash(struct jp_walk *w, __u64 identity, __u64 content)
{
	__u64 process = (__u64)w->tgid << 32 | w->process.life;

	return jp_mix(jp_mix(jp_mix(identity, content), process), w->range.runtime);
}

static __always_inline void jp_keep_near(struct jp_walk *w, __u64 identity, __u64 content,
					 __u32 number)
{
	__u64 at = identity / JP_NEAR_SYMBOL_BYTES & (JP_NEAR_SYMBOLS - 1);
	struct jp_near_symbols *near;
	__u32 zero = 0;

	near = bpf_map_lookup_elem(&jp_near_symbol_values, &zero);
	if (!near)
		return;
	near->at[at].all = jp_near_hash(w, identity, content);
	near->at[at].number = number;
}

static __always_inline __u32 jp_find_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	struct jp_symbol_key key = {.identity = identity, .tgid = w->tgid, .runtime = w->range.runtime};
	__u64 at = identity / JP_NEAR_SYMBOL_BYTES & (JP_NEAR_SYMBOLS - 1);
	struct jp_near_symbols *near;
	struct jp_symbol_value *v;
	__u32 zero = 0;

	near = bpf_map_lookup_elem(&jp_near_symbol_values, &zero);
	if (near && near->at[at].all == jp_near_hash(w, identity, content))
		return near->at[at].number;
	v = bpf_map_lookup_elem(&jp_symbols, &key);
	if (!v || v->content != content || v->life != w->process.life)
		return 0;
	jp_keep_near(w, identity, content, v->number);
	return v->number;
}

static __always_inline __u32 jp_add_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	struct jp_symbol_key key = {.identity = identity, .tgid = w->tgid, .runtime = w->range.runtime};
	struct jp_symbol_value v = {.content = content, .life = w->process.life};
	struct jp_counters *c = jp_counters();
	__u32 bytes = w->symbol.text_bytes;

	w->symbol.type = JP_RECORD_SYMBOL;
	w->symbol.runtime = w->range.runtime;
	w->symbol.tgid = w->tgid;
	w->symbol.identity = identity;
	w->symbol.number = v.number = __sync_fetch_and_add(&jp_next_number, 1);
	if (bytes > JP_TEXT_BYTES)
		bytes = JP_TEXT_BYTES;
	JP_OPAQUE(bytes);
	if (bytes > JP_TEXT_BYTES)
		return 0;
	if (bpf_ringbuf_output(&jp_ring, &w->symbol, sizeof(w->symbol) + bytes, BPF_RB_NO_WAKEUP)) {
		if (c)
			c->symbols_lost++;
		return 0;
	}
	if (c)
		c->symbols++;
	/* Only now: an entry without its record would leave the function nameless for good. */
	bpf_map_update_elem(&jp_symbols, &key, &v, BPF_ANY);
	jp_keep_near(w, identity, content, v.number);
	return v.number;
}

static __always_inline void jp_count(struct jp_walk *w, int answer)
{
	struct jp_counters *c = jp_counters();

	if (!c)
		return;
	if (answer == JP_UNREADABLE)
		c->helper_unreadable++;
	else
		c->helper_corrupt++;
}

static __always_inline void jp_count_no_rule(struct jp_walk *w)
{
	struct jp_counters *c = jp_counters();

	if (c)
		c->no_rule++;
}

static __always_inline const struct jp_mapping *jp_mapping_at(struct jp_walk *w, __u32 index)
{
	return bpf_map_lookup_elem(&jp_mappings, &index);
}

static __always_inline const __u64 *jp_pool_word(struct jp_walk *w, __u32 index)
{
	__u32 number = index >> JP_CHUNK_SHIFT;
	void *chunk = bpf_map_lookup_elem(&jp_chunks, &number);

	index &= JP_CHUNK_WORDS - 1;
	return chunk ? bpf_map_lookup_elem(chunk, &index) : 0;
}

static __always_inline void jp_remember(struct jp_walk *w, __u64 word)
{
	__u32 tid = w->tid;
	__u64 *known = bpf_map_lookup_elem(&jp_thread_words, &tid);

	if (!known || *known != word)
		bpf_map_update_elem(&jp_thread_words, &tid, &word, BPF_ANY);
}

static __always_inline __u64 jp_recall(struct jp_walk *w)
{
	__u32 tid = w->tid;
	__u64 *known = bpf_map_lookup_elem(&jp_thread_words, &tid);

	return known ? *known : 0;
}
