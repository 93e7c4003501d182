/* The kernel half of jprof: runs in the sampling interrupt.
 *
 * At each hit of a CPU's sampling event, while the thread stands still: filter, take the kernel
 * stack, walk the user stack (helpers/abi/stack_walk.h), ask the runtime helpers for the names of
 * JIT frames, and write a 32-byte sample to the ring. A stack or a name is written only at its
 * first sight, found by hash; all else refers to it by number. Nothing here waits or wakes: the
 * reader drains the ring on a timer.
 *
 * Resolving here and not later is the point of the whole: the garbage collector moves functions, so
 * an address that is kept to be looked up later may name another function by then.
 *
 * All state is in one per-CPU scratch (struct jp_walk). A sample cannot interrupt another one on
 * the same CPU: the kernel does not run an event program while any other BPF program runs there. It
 * does not count such samples either; they are few, and not in our sums.
 *
 * User registers lie at the top of the task's kernel stack, saved on each entry from user mode: by
 * the sampling interrupt, or by what it interrupted.
 */
#include "helpers/abi/bpf.h"

#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>

#include <bpf/bpf_tracing.h>

#include "helpers/abi/stack_walk.h"
#include "profiler/capture/kernel_mappings.bpf.h"
#include "runtime_helpers.h" /* generated: the helpers and jp_ask_runtime() */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set by the loader before the program is verified. */
const volatile struct jp_config jp_config SEC(".rodata.jp_config") = {};

#define JP_USER_CODE_SEGMENT 0x33 /* 64-bit user mode; 32-bit code has other frames */
#define JP_USER_MODE 3

/* Processes that user space knows not to be of the selection. It decides about all others when their
 * samples arrive, so that what is missing here costs time alone. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} jp_foreign SEC(".maps");

/* Its one element is the group of jp_config.only_cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jp_cgroup SEC(".maps");

/* A record in it wakes the reader; its content means nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} jp_wishes SEC(".maps");

struct jp_kernel_scratch {
	struct jp_kernel_stack head;
	__u64 addresses[JP_MAX_KERNEL_FRAMES + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_kernel_scratch);
} jp_kernel_scratches SEC(".maps");

/* Number of the kernel stack, 0 when it has no frame; -1 when it did not fit into the ring. */
static __always_inline int jp_take_kernel_stack(struct bpf_perf_event_data *ctx, __u32 *number)
{
	struct jp_kernel_scratch *k;
	__u32 zero = 0, i, depth;
	__u64 hash = JP_RECORD_KERNEL_STACK;
	long bytes;

	*number = 0;
	if (ctx->regs.cs & 3) /* the sample hit user mode */
		return 0;
	k = bpf_map_lookup_elem(&jp_kernel_scratches, &zero);
	if (!k)
		return -1;
	bytes = bpf_get_stack(ctx, k->addresses, JP_MAX_KERNEL_FRAMES * sizeof(__u64), 0);
	if (bytes <= 0)
		return 0;
	depth = bytes / sizeof(__u64);
	for (i = 0; i < JP_MAX_KERNEL_FRAMES; i++) {
		if (i >= depth)
			break;
		hash = jp_mix(hash, k->addresses[i]);
	}
	*number = jp_find_known(&jp_known_stacks, hash, hash);
	if (*number)
		return 0;
	k->head.type = JP_RECORD_KERNEL_STACK;
	k->head.number = *number = __sync_fetch_and_add(&jp_next_number, 1);
	k->head.depth = depth;
	JP_OPAQUE(depth);
	depth &= 127;
	if (bpf_ringbuf_output(&jp_ring, k, sizeof(k->head) + depth * sizeof(__u64), BPF_RB_NO_WAKEUP))
		return -1;
	jp_keep_known(&jp_known_stacks, hash, hash, *number);
	return 0;
}

/* Sends the stack in the scratch unless it is known. -1 when it did not fit into the ring. */
static __always_inline int jp_send_user_stack(struct jp_walk *w, __u32 *number)
{
	__u64 hash = jp_mix(jp_mix(w->hash, w->end), (__u64)w->tgid << 32 | w->depth);
	__u32 depth = w->depth;

	*number = jp_find_known(&jp_known_stacks, hash, hash);
	if (*number)
		return 0;
	w->stack.type = JP_RECORD_STACK;
	w->stack.end = w->end;
	w->stack.tgid = w->tgid;
	w->stack.number = *number = __sync_fetch_and_add(&jp_next_number, 1);
	w->stack.depth = depth;
	if (depth > JP_MAX_FRAMES)
		return -1;
	JP_OPAQUE(depth);
	if (depth > JP_MAX_FRAMES)
		return -1;
	if (bpf_ringbuf_output(&jp_ring, &w->stack, sizeof(w->stack) + depth * sizeof(w->frames[0]),
			       BPF_RB_NO_WAKEUP))
		return -1;
	jp_keep_known(&jp_known_stacks, hash, hash, *number);
	return 0;
}

static __always_inline void jp_wake_reader(void)
{
	__u64 wish = 1;

	if (!bpf_ringbuf_query(&jp_wishes, BPF_RB_AVAIL_DATA))
		bpf_ringbuf_output(&jp_wishes, &wish, sizeof(wish), BPF_RB_FORCE_WAKEUP);
}

/* What user space said of the process: looked up only when it may have said something new, or when
 * the CPU's last sample was of another process. A lookup is cold memory at a low rate. */
static __always_inline void jp_find_process(struct jp_walk *w, __u32 tgid, __u64 memory)
{
	__u32 changes = jp_changes;
	struct jp_mapping_slice *slice;
	struct jp_process *process;

	if (w->process_of == tgid && w->memory_of == memory && w->changes == changes) {
		w->process.range_count = w->own_ranges;
		return;
	}
	process = bpf_map_lookup_elem(&jp_processes, &tgid);
	if (process)
		bpf_probe_read_kernel(&w->process, sizeof(w->process), process);
	else
		w->process.range_count = 0;
	w->own_ranges = w->process.range_count;
	slice = bpf_map_lookup_elem(&jp_mapping_slices, &tgid);
	w->mappings.first = slice ? slice->first : 0;
	w->mappings.count = slice ? slice->count : 0;
	__builtin_memset(&w->area, 0, sizeof(w->area));
	__builtin_memset(w->areas, 0, sizeof(w->areas));
	w->process_of = tgid;
	w->memory_of = memory;
	w->changes = changes;
}

/* Walks the user stack of the current thread. */
static __always_inline int jp_take_user_stack(__u32 tgid, __u32 tid, __u32 *number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct jp_walk *w = jp_scratch();
	struct jp_registers *r;
	__u64 sp, base;
	__u32 near_base = JP_NEAR_THREAD_BLOCK;
	__u16 cs;

	*number = 0;
	if (!w || !task->mm)
		return 0;
	r = &w->leaf_registers;
	if (bpf_probe_read_kernel(r, sizeof(*r), (void *)bpf_task_pt_regs(task)))
		return 0;
	sp = r->sp;
	cs = (__u16)r->cs; /* above it are other things, on some processors */
	if ((cs & JP_USER_MODE) != JP_USER_MODE)
		return 0;
	jp_find_process(w, tgid, (__u64)task->mm);
	/* The thread control block lies above a thread's stack, behind its thread-local storage. The
	 * main thread's is elsewhere: its stack begins where the kernel put it. */
	base = task->thread.fsbase;
	if (base - sp >= task->mm->start_stack - sp) {
		base = task->mm->start_stack;
		near_base = JP_NEAR_STACK_START;
	}
	w->by_table = 1;
	jp_walk_begin(w, tgid, tid, base, near_base);
	if (cs == JP_USER_CODE_SEGMENT) {
		jp_walk_all(w);
	} else {
		jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
		w->end = JP_END_NOT_64_BIT;
	}
	if (w->wants_reader)
		jp_wake_reader();
	return jp_send_user_stack(w, number);
}

/* Of two command names. */
static __always_inline int jp_same(const char *a, const volatile char *b)
{
	int i;

	for (i = 0; i < 16; i++) {
		if (a[i] != b[i])
			return 0;
		if (!a[i])
			return 1;
	}
	return 1;
}

/* Whether the current thread or its process has the name that is asked for. */
__attribute__((noinline)) int jp_has_name(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	char comm[16] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	if (jp_same(comm, jp_config.comm))
		return 1;
	bpf_probe_read_kernel(comm, sizeof(comm), task->group_leader->comm);
	return jp_same(comm, jp_config.comm);
}

/* The numbers of the current thread, in our pid namespace. -1: it has none there. */
static __always_inline int jp_current_ids(struct bpf_pidns_info *ids)
{
	__u64 both;

	if (jp_config.namespace_inode)
		return bpf_get_ns_current_pid_tgid(jp_config.namespace_device,
						   jp_config.namespace_inode, ids, sizeof(*ids));
	both = bpf_get_current_pid_tgid();
	ids->tgid = both >> 32;
	ids->pid = (__u32)both;
	return 0;
}

#include "profiler/capture/probe.bpf.h"

SEC("perf_event")
int jp_on_sample(struct bpf_perf_event_data *ctx)
{
	struct jp_sample sample = {.type = JP_RECORD_SAMPLE};
	struct jp_counters *counters = jp_counters();
	struct bpf_pidns_info ids = {};

	if (!counters)
		return 0;
	if (jp_current_ids(&ids))
		return 0;
	if (ids.pid == 0) /* the idle task */
		return 0;
	if (jp_config.only_tgid && ids.tgid != jp_config.only_tgid)
		return 0;
	if (jp_config.only_tid && ids.pid != jp_config.only_tid)
		return 0;
	if (jp_config.skip_foreign) {
		__u32 tgid = ids.tgid;

		if (bpf_map_lookup_elem(&jp_foreign, &tgid))
			return 0;
	}
	if (jp_config.only_cgroup && bpf_current_task_under_cgroup(&jp_cgroup, 0) != 1)
		return 0;
	if (jp_config.only_comm && !jp_has_name())
		return 0;

	counters->samples++;
	sample.cpu = bpf_get_smp_processor_id();
	sample.tgid = ids.tgid;
	sample.tid = ids.pid;
	sample.time_ns = bpf_ktime_get_ns();
	if (jp_take_kernel_stack(ctx, &sample.kernel_stack) ||
	    jp_take_user_stack(ids.tgid, ids.pid, &sample.user_stack) ||
	    bpf_ringbuf_output(&jp_ring, &sample, sizeof(sample), BPF_RB_NO_WAKEUP))
		counters->samples_lost++;
	return 0;
}
