/* Whether a probe's condition holds: its terms (probe.h), asked in the thread that they are about. Included
 * once, by probe.bpf.h, which has the constants and maps. */
#pragma once

#include "profiler/capture/probe.h"

static __always_inline int jp_compares(int op, __s64 a, __s64 b)
{
	switch (op) {
	case JP_PROBE_EQ:
		return a == b;
	case JP_PROBE_NE:
		return a != b;
	case JP_PROBE_GT:
		return a > b;
	case JP_PROBE_GE:
		return a >= b;
	case JP_PROBE_LT:
		return a < b;
	default:
		return a <= b;
	}
}

/* Whether two texts are equal, of which the second one is a term's. */
static __always_inline int jp_equal_text(const __u64 *a, const volatile struct jp_probe_term *t)
{
	const volatile __u64 *b = (const volatile __u64 *)t->text;
	int i;

#pragma unroll
	for (i = 0; i < JP_PROBE_TEXT / 8; i++) {
		if (a[i] != b[i])
			return 0;
	}
	return 1;
}

/* Whether a name begins with a term's text. Read as two words, without a call: this runs at every system call
 * of the host. */
static __always_inline int jp_name_begins(const char *comm, const volatile struct jp_probe_term *t)
{
	const volatile __u64 *text = (const volatile __u64 *)t->text;
	const __u64 *name = (const __u64 *)comm;
	__u32 bytes = t->bytes;

	if (bytes < 8)
		return !((name[0] ^ text[0]) & ((1ULL << 8 * bytes) - 1));
	if (name[0] != text[0])
		return 0;
	return bytes >= 16 ? name[1] == text[1] : !((name[1] ^ text[1]) & ((1ULL << 8 * (bytes - 8)) - 1));
}

static __always_inline int jp_comm_is(const volatile struct jp_probe_term *t)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return jp_name_begins(task->comm, t) || jp_name_begins(task->group_leader->comm, t);
}

static __always_inline __s64 jp_field(const volatile struct jp_probe_term *t,
				      const struct jp_probe_hit *hit)
{
	switch (t->field) {
	case JP_PROBE_RET:
		return hit->ret;
	case JP_PROBE_ERRNO:
		return hit->ret < 0 && hit->ret >= -4095 ? -hit->ret : 0;
	case JP_PROBE_PID:
		return hit->tgid;
	case JP_PROBE_TID:
		return hit->tid;
	case JP_PROBE_UID:
		return (__u32)bpf_get_current_uid_gid();
	case JP_PROBE_CGROUP:
		return bpf_current_task_under_cgroup(&jp_probe_cgroups, t->argument) == 1;
	case JP_PROBE_DURATION:
		return hit->duration_ns;
	case JP_PROBE_SIGNAL:
		return hit->number;
	default:
		return 0;
	}
}

static __always_inline __u64 jp_argument(const struct jp_probe_hit *hit, __u32 number)
{
	switch (number) {
	case 0:
		return hit->arguments[0];
	case 1:
		return hit->arguments[1];
	case 2:
		return hit->arguments[2];
	case 3:
		return hit->arguments[3];
	case 4:
		return hit->arguments[4];
	default:
		return hit->arguments[5];
	}
}

#define JP_MAX_VECTORS 8
#define JP_MESSAGE_VECTORS 16 /* where a msghdr has its iovecs and their number */
#define JP_ADDRESS_PATH 2
#define JP_FAMILY_UNIX 1

/* Where a term's memory is. */
enum jp_found {
	JP_FOUND = 0,
	JP_FOUND_NONE = 1,	 /* the call has none */
	JP_FOUND_UNREADABLE = 2, /* what says so is not in memory, or the iovecs are too many */
};

struct jp_vector {
	__u64 address;
	__u64 length;
};

static __always_inline __u64 jp_length(const volatile struct jp_probe_term *t,
				       const struct jp_probe_hit *hit)
{
	if (t->length == JP_PROBE_LENGTH_OWN)
		return JP_PROBE_TEXT;
	if (t->length == JP_PROBE_LENGTH_RET)
		return hit->ret > 0 ? hit->ret : 0;
	return jp_argument(hit, t->length);
}

/* The first of iovecs that is not empty, in `memory`, which says where they are. */
static __always_inline enum jp_found jp_first_vector(struct jp_vector *memory, __u64 count)
{
	struct jp_vector vector = {};
	int i;

#pragma unroll
	for (i = 0; i < JP_MAX_VECTORS; i++) {
		if (i >= count)
			return JP_FOUND_NONE;
		if (bpf_probe_read_user(&vector, sizeof(vector),
					(const void *)(memory->address + i * sizeof(vector))))
			return JP_FOUND_UNREADABLE;
		if (vector.length)
			break;
	}
	if (!vector.length)
		return count > JP_MAX_VECTORS ? JP_FOUND_UNREADABLE : JP_FOUND_NONE;
	if (memory->length > vector.length)
		memory->length = vector.length;
	memory->address = vector.address;
	return memory->length ? JP_FOUND : JP_FOUND_NONE;
}

/* Where the bytes of a term are. */
static __always_inline enum jp_found jp_find_memory(const volatile struct jp_probe_term *t,
					  const struct jp_probe_hit *hit, __u32 argument, struct jp_vector *memory)
{
	struct jp_vector vectors = {};
	__u16 family = 0;

	memory->address = jp_argument(hit, argument);
	memory->length = jp_length(t, hit);
	switch (t->layout) {
	case JP_PROBE_VECTOR:
		return jp_first_vector(memory, jp_argument(hit, argument + 1));
	case JP_PROBE_MESSAGE:
		if (bpf_probe_read_user(&vectors, sizeof(vectors),
					(const void *)(memory->address + JP_MESSAGE_VECTORS)))
			return JP_FOUND_UNREADABLE;
		memory->address = vectors.address;
		return jp_first_vector(memory, vectors.length);
	case JP_PROBE_ADDRESS:
		memory->length = (__u32)memory->length;
		if (memory->length <= JP_ADDRESS_PATH)
			return JP_FOUND_NONE;
		if (bpf_probe_read_user(&family, sizeof(family), (const void *)memory->address))
			return JP_FOUND_UNREADABLE;
		if (family != JP_FAMILY_UNIX)
			return JP_FOUND_NONE;
		memory->address += JP_ADDRESS_PATH;
		memory->length -= JP_ADDRESS_PATH;
		return JP_FOUND;
	default:
		return memory->length ? JP_FOUND : JP_FOUND_NONE;
	}
}

/* -1: there is none. */
static __noinline int jp_memory_is(const volatile struct jp_probe_term *t,
				   const struct jp_probe_hit *hit, __u32 argument)
{
	__u64 text[JP_PROBE_TEXT / 8] = {};
	struct jp_vector memory = {};
	__u64 bytes = t->bytes;
	enum jp_found found;

	found = jp_find_memory(t, hit, argument, &memory);
	if (found == JP_FOUND_NONE)
		return -1;
	if (bytes > memory.length)
		bytes = memory.length;
	if (bytes > JP_PROBE_TEXT)
		return 0;
	if (found == JP_FOUND_UNREADABLE || bpf_probe_read_user(text, bytes, (const void *)memory.address)) {
		__sync_fetch_and_add(&jp_probe_state.unreadable, 1);
		return 0;
	}
	if (t->layout == JP_PROBE_ADDRESS && !(text[0] & 255))
		text[0] |= '@';
	return jp_equal_text(text, t);
}

#define JP_EINTR 4

/* Of a call that was interrupted nothing is true of its result, but that it may be EINTR. */
static __always_inline int jp_may_be_interrupted(const volatile struct jp_probe_term *t, __s64 ret)
{
	__s64 value = t->field == JP_PROBE_ERRNO ? JP_EINTR : -JP_EINTR;

	return !JP_PROBE_RESTARTS(ret) && t->value == value && jp_compares(t->op, value, value);
}

static __always_inline int jp_holds(const volatile struct jp_probe_term *t,
				    const struct jp_probe_hit *hit)
{
	__s64 value;
	int is;

	if ((t->field == JP_PROBE_RET || t->field == JP_PROBE_ERRNO) && JP_PROBE_INTERRUPTED(hit->ret))
		return jp_may_be_interrupted(t, hit->ret);
	if (t->field == JP_PROBE_COMM)
		return jp_comm_is(t) == (t->op == JP_PROBE_EQ);
	if (t->field == JP_PROBE_MEMORY) {
		is = jp_memory_is(t, hit, t->argument);
		if (is != 1 && t->second != t->argument)
			is = jp_memory_is(t, hit, t->second);
		return is == (t->op == JP_PROBE_EQ);
	}
	value = t->field == JP_PROBE_ARGUMENT ? (__s64)jp_argument(hit, t->argument) : jp_field(t, hit);
	if (t->narrow)
		value = (__s32)value;
	return jp_compares(t->op, value, t->value);
}

/* Whether a term needs more than what is at hand in every call: whose thread it is, its groups, its memory.
 * Those are asked last, and of the threads of interest alone. */
static __always_inline int jp_is_dear(const volatile struct jp_probe_term *t)
{
	return t->field == JP_PROBE_PID || t->field == JP_PROBE_TID || t->field == JP_PROBE_CGROUP ||
	       t->field == JP_PROBE_MEMORY;
}

static __always_inline int jp_terms_hold(const struct jp_probe_hit *hit, int dear)
{
	int i;

#pragma unroll
	for (i = 0; i < JP_PROBE_TERMS; i++) {
		const volatile struct jp_probe_term *t = &jp_probe.terms[i];

		if (i < jp_probe.term_count && jp_is_dear(t) == dear && !jp_holds(t, hit))
			return 0;
	}
	return 1;
}
