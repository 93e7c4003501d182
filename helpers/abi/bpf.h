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

/* The same with an address. */
#define JP_SUBPROG_AT(name, address)                                               \
	static __always_inline int name##_body(struct jp_walk *w, __u64 address);  \
	__attribute__((noinline)) int name(__u64 address)                          \
	{                                                                          \
		struct jp_walk *w = jp_scratch();                                  \
		return w ? name##_body(w, address) : 0;                            \
	}                                                                          \
	static __always_inline int name##_body(struct jp_walk *w, __u64 address)
#define JP_CALL_AT(name, w, address) name(address)

struct jp_walk;
static __always_inline struct jp_walk *jp_scratch(void);

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

/* What was sent before, symbols and stacks: from the hash of all that makes it what it is to its
 * number. One table for all CPUs, without a lock: `check` is the hash xor the number, so who reads
 * halves of two entries finds neither. A set lies in one cache line, since at a low rate every access is
 * to cold memory. In a full set the older entry goes: what is not found is sent again, under another
 * number. User space clears the memory. */
#define JP_KNOWN_SETS 32768 /* power of two */

struct jp_known {
	__u64 check;
	__u64 number;
};

struct jp_known_set {
	struct jp_known newer, older;
};

struct jp_known_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, JP_KNOWN_SETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct jp_known_set);
};

struct jp_known_table jp_known_symbols SEC(".maps");
struct jp_known_table jp_known_stacks SEC(".maps");

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

/* Counts what user space changes of processes, mappings and files' tables, after the change. */
volatile __u32 jp_changes SEC(".data.jp_changes") = 0;

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

static __always_inline __u32 jp_find_known(void *table, __u32 at, __u64 hash)
{
	struct jp_known_set *set;
	__u64 number;

	at &= JP_KNOWN_SETS - 1;
	set = bpf_map_lookup_elem(table, &at);
	if (!set)
		return 0;
	/* Each word is read once: another CPU may write it meanwhile. */
	number = *(volatile __u64 *)&set->newer.number;
	if ((*(volatile __u64 *)&set->newer.check ^ number) == hash)
		return number;
	number = *(volatile __u64 *)&set->older.number;
	if ((*(volatile __u64 *)&set->older.check ^ number) == hash)
		return number;
	return 0;
}

static __always_inline void jp_keep_known(void *table, __u32 at, __u64 hash, __u32 number)
{
	struct jp_known_set *set;

	at &= JP_KNOWN_SETS - 1;
	set = bpf_map_lookup_elem(table, &at);
	if (!set)
		return;
	set->older = set->newer;
	set->newer.check = hash ^ number;
	set->newer.number = number;
}

/* Objects that lie close together are in neighbouring sets; one is larger than 64 bytes, or nearly. */
static __always_inline __u32 jp_symbol_set(struct jp_walk *w, __u64 identity)
{
	return (identity >> 6) + (identity & 7) * 977 + w->tgid * 331;
}

static __always_inline __u64 jp_symbol_hash(struct jp_walk *w, __u64 identity, __u64 content)
{
	__u64 process = (__u64)w->tgid << 32 | w->process.life;

	return jp_mix(jp_mix(jp_mix(identity, content), process), w->range.runtime);
}

static __always_inline __u32 jp_find_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	return jp_find_known(&jp_known_symbols, jp_symbol_set(w, identity),
			     jp_symbol_hash(w, identity, content));
}

static __always_inline __u32 jp_add_symbol(struct jp_walk *w, __u64 identity, __u64 content)
{
	struct jp_counters *c = jp_counters();
	__u32 bytes = w->symbol.text_bytes, number = __sync_fetch_and_add(&jp_next_number, 1);

	w->symbol.type = JP_RECORD_SYMBOL;
	w->symbol.runtime = w->range.runtime;
	w->symbol.tgid = w->tgid;
	w->symbol.identity = identity;
	w->symbol.number = number;
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
	jp_keep_known(&jp_known_symbols, jp_symbol_set(w, identity),
		      jp_symbol_hash(w, identity, content), number);
	return number;
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

/* Not in an interrupt. */
static __always_inline int jp_step_otherwise(struct jp_walk *w)
{
	return -1;
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

static __always_inline void jp_at_frame(struct jp_walk *w)
{
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
