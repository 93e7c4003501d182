/* The probes of the kernel half: see probe.h. Included once, by sampler.bpf.c. Each program is
 * loaded only when it is asked for.
 *
 * A system call's tracepoint runs in the thread itself, with its user registers as they are saved: so
 * the stack is walked as in a sample, and a signal that is sent from here is delivered before the
 * thread is back in user mode, without one more instruction of it.
 *
 * Unlike a sample, a probe can be preempted in the middle, and another thread meet one on the same
 * CPU: who finds the CPU's scratch in use counts a lost hit. (Of one and the same program the kernel
 * does not begin a second run, and counts that itself.) */
#pragma once

#include "profiler/capture/probe.h"

const volatile struct jp_probe_config jp_probe SEC(".rodata.jp_probe") = {};
volatile struct jp_probe_state jp_probe_state SEC(".data.jp_probe") = {};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} jp_hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct jp_probe_thread);
} jp_probe_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, JP_PROBE_BEGUN);
	__type(key, __u32);
	__type(value, struct jp_probe_begun);
} jp_probe_begun SEC(".maps");

/* The groups of the terms. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, JP_PROBE_TERMS);
	__type(key, __u32);
	__type(value, __u32);
} jp_probe_cgroups SEC(".maps");

/* Who tells of a hit has it for himself. */
struct jp_probe_telling {
	__u64 busy;
	struct jp_sample sample; /* not on the stack, which the walk needs */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_probe_telling);
} jp_probe_busy SEC(".maps");

#include "profiler/capture/probe_condition.bpf.h"

#define JP_MAX_ANCESTORS 8

/* Whether jprof started the thread's process, or is it: the one that reads a core, a command. */
static __always_inline int jp_is_ours(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct jp_probe_thread *thread;
	int i;

#pragma unroll
	for (i = 0; i < JP_MAX_ANCESTORS; i++) {
		task = task->group_leader;
		thread = bpf_task_storage_get(&jp_probe_threads, task, 0, 0);
		if (thread && thread->is_jprof)
			return 1;
		task = task->real_parent;
	}
	return 0;
}

static __always_inline __u32 jp_logarithm(__u64 value)
{
	__u32 result = 0;

	if (value >> 32) {
		value >>= 32;
		result += 32;
	}
	if (value >> 16) {
		value >>= 16;
		result += 16;
	}
	if (value >> 8) {
		value >>= 8;
		result += 8;
	}
	if (value >> 4) {
		value >>= 4;
		result += 4;
	}
	if (value >> 2) {
		value >>= 2;
		result += 2;
	}
	return result + (value >> 1);
}

#define JP_MAX_TRIES 8 /* other CPUs may set it meanwhile */

/* 0: it is not the slowest one up to now. */
static __always_inline int jp_measure(const struct jp_probe_hit *hit)
{
	__u32 kind = hit->kind & (JP_PROBE_KINDS - 1);
	__u32 bucket = jp_logarithm(hit->duration_ns) & (JP_PROBE_BUCKETS - 1);
	__u64 max, seen;
	int i;

	__sync_fetch_and_add(&jp_probe_state.buckets[kind][bucket], 1);
	__sync_fetch_and_add(&jp_probe_state.sum_ns[kind], hit->duration_ns);
	max = jp_probe_state.max_ns[kind];
#pragma unroll
	for (i = 0; i < JP_MAX_TRIES; i++) {
		if (hit->duration_ns <= max)
			return 0;
		seen = __sync_val_compare_and_swap(&jp_probe_state.max_ns[kind], max, hit->duration_ns);
		if (seen == max)
			return 1;
		max = seen;
	}
	return 0;
}

static __always_inline void jp_tell_hit(struct jp_probe_hit *hit, struct jp_sample *sample)
{
	struct jp_counters *counters = jp_counters();

	bpf_get_current_comm(hit->comm, sizeof(hit->comm));
	hit->uid = (__u32)bpf_get_current_uid_gid();
	__builtin_memset(sample, 0, sizeof(*sample));
	sample->type = JP_RECORD_SAMPLE;
	sample->cpu = bpf_get_smp_processor_id();
	sample->tgid = hit->tgid;
	sample->tid = hit->tid;
	sample->time_ns = hit->time_ns;
	if (counters)
		counters->samples++;
	if (jp_take_user_stack(hit->tgid, hit->tid, &sample->user_stack) ||
	    bpf_ringbuf_output(&jp_ring, sample, sizeof(*sample), BPF_RB_NO_WAKEUP)) {
		if (counters)
			counters->samples_lost++;
	}
	if (bpf_ringbuf_output(&jp_hits, hit, sizeof(*hit), 0))
		__sync_fetch_and_add(&jp_probe_state.lost, 1);
}

/* Who is stopped for jprof is written down before it is, in a place that nobody else waits in: else
 * it would not be let go on. 0: sent. */
static __always_inline int jp_send_signal(struct jp_probe_hit *hit, __u32 number)
{
	__u32 slot = number & (JP_PROBE_STOPPED - 1);

	hit->slot = slot;
	if (jp_probe.stays_stopped_for_us &&
	    __sync_val_compare_and_swap(&jp_probe_state.stopped[slot], 0, hit->tgid)) {
		__sync_fetch_and_add(&jp_probe_state.lost, 1);
		return -1;
	}
	if (!bpf_send_signal_thread(jp_probe.signal))
		return 0;
	if (jp_probe.stays_stopped_for_us)
		jp_probe_state.stopped[slot] = 0;
	__sync_fetch_and_add(&jp_probe_state.lost, 1);
	return -1;
}

/* The condition holds. What is known of the instant is in `hit`. */
static __always_inline void jp_at_hit(struct jp_probe_hit *hit)
{
	__u32 zero = 0, number;
	struct jp_probe_telling *telling;

	hit->time_ns = bpf_ktime_get_ns();
	if (jp_probe.histogram) {
		if (!jp_measure(hit))
			return;
	} else {
		if (jp_is_ours())
			return;
		number = __sync_fetch_and_add(&jp_probe_state.hits, 1);
		if (jp_probe.max_hits && number >= jp_probe.max_hits)
			return;
		if (jp_probe.signal && jp_send_signal(hit, number))
			return;
	}
	telling = bpf_map_lookup_elem(&jp_probe_busy, &zero);
	if (!telling)
		return;
	if (telling->busy) {
		__sync_fetch_and_add(&jp_probe_state.lost, 1);
		return;
	}
	telling->busy = 1;
	jp_tell_hit(hit, &telling->sample);
	telling->busy = 0;
}

/* Whose the thread is; -1: nobody's of interest. */
static __always_inline int jp_fill_ids(struct jp_probe_hit *hit)
{
	struct bpf_pidns_info ids = {};

	if (jp_current_ids(&ids))
		return -1;
	hit->tgid = ids.tgid;
	hit->tid = ids.pid;
	if (jp_config.only_tgid && ids.tgid != jp_config.only_tgid)
		return -1;
	return ids.tgid == jp_probe.self ? -1 : 0;
}

/* Fills in whose the thread is. */
static __always_inline int jp_all_hold(struct jp_probe_hit *hit)
{
	return jp_terms_hold(hit, 0) && !jp_fill_ids(hit) && jp_terms_hold(hit, 1);
}

static __always_inline int jp_disarmed(void)
{
	return jp_probe.max_hits && jp_probe_state.hits >= jp_probe.max_hits;
}

static __always_inline int jp_wants_call(__u64 number)
{
	return number < JP_PROBE_CALLS && (jp_probe.calls[number / 64] >> (number % 64) & 1);
}

static __always_inline void jp_fill_call(struct jp_probe_hit *hit, const struct pt_regs *regs)
{
	hit->number = regs->orig_rax;
	hit->arguments[0] = regs->rdi;
	hit->arguments[1] = regs->rsi;
	hit->arguments[2] = regs->rdx;
	hit->arguments[3] = regs->r10;
	hit->arguments[4] = regs->r8;
	hit->arguments[5] = regs->r9;
}

/* Whether the call that will return to `sp` was left otherwise, by longjmp() or an exception: for as
 * long as it lasts, the kernel has its own address where the return address was. 0: not known. */
static __always_inline int jp_was_left(__u64 sp)
{
	__u64 trampoline = jp_return_trampoline(), address = 0;

	return trampoline && !bpf_probe_read_user(&address, sizeof(address), (const void *)(sp - 8)) &&
	       address != trampoline;
}

/* Of calls within each other the outermost is measured. They are told from one another by the stack,
 * which grows down, and not by counting: of some calls the end is never met, since the kernel follows
 * so many returns at a time and no more, and code may leave functions otherwise. */
static __always_inline void jp_begin(__u32 kind, __u64 sp)
{
	struct jp_probe_thread *thread =
		bpf_task_storage_get(&jp_probe_threads, bpf_get_current_task_btf(), 0,
				     BPF_LOCAL_STORAGE_GET_F_CREATE);

	kind &= JP_PROBE_KINDS - 1;
	if (!thread) {
		__sync_fetch_and_add(&jp_probe_state.lost, 1);
		return;
	}
	if (thread->begun_ns[kind] && sp < thread->sp[kind] && !jp_was_left(thread->sp[kind])) {
		__sync_fetch_and_add(&jp_probe_state.nested[kind], 1);
		return;
	}
	thread->sp[kind] = sp;
	thread->begun_ns[kind] = bpf_ktime_get_ns();
}

/* 0: it began before the probe did, or within another one. */
static __always_inline __u64 jp_end(__u32 kind, __u64 sp)
{
	struct jp_probe_thread *thread =
		bpf_task_storage_get(&jp_probe_threads, bpf_get_current_task_btf(), 0, 0);
	__u64 begun, duration;

	kind &= JP_PROBE_KINDS - 1;
	if (!thread || sp < thread->sp[kind])
		return 0;
	begun = thread->begun_ns[kind];
	thread->begun_ns[kind] = 0;
	if (!begun || sp != thread->sp[kind]) /* a longer one has returned: that one was left otherwise */
		return 0;
	duration = bpf_ktime_get_ns() - begun;
	return duration ? duration : 1;
}

#define JP_STACK_SHIFT 14 /* the kernel's stacks begin at multiples of 16 kB */

static __always_inline struct jp_probe_begun *jp_begun_of(__u64 regs)
{
	__u32 place = (regs >> JP_STACK_SHIFT) & (JP_PROBE_BEGUN - 1);

	return bpf_map_lookup_elem(&jp_probe_begun, &place);
}

/* This and jp_end_call() run at every call that may match, of the whole host: they call no function of the
 * kernel but the clock's. */
static __always_inline void jp_begin_call(__u64 regs)
{
	struct jp_probe_begun *begun = jp_begun_of(regs);

	/* None but the thread itself gives up its place. */
	if (!begun || (begun->regs != regs && __sync_val_compare_and_swap(&begun->regs, 0, regs)))
		jp_begin(0, 0);
	else if (jp_probe.times == JP_PROBE_TIMES_BY_TICK)
		begun->at = bpf_jiffies64();
	else {
		begun->tick = bpf_jiffies64();
		begun->at = bpf_ktime_get_ns();
	}
}

/* 0: it began before the probe did, or was too short for a hit. */
static __always_inline __u64 jp_end_call(__u64 regs)
{
	struct jp_probe_begun *begun = jp_begun_of(regs);
	__u64 duration;

	if (!begun || begun->regs != regs)
		return jp_end(0, 0);
	begun->regs = 0;
	if (jp_probe.times == JP_PROBE_TIMES_BY_TICK)
		return (bpf_jiffies64() - begun->at + 1) * jp_probe.tick_ns;
	/* Nearly every call ends in the tick that it began in: no need to read the clock again. Twice a
	 * tick, since ticks may be late. */
	if (jp_probe.at_least_ns >= 2 * jp_probe.tick_ns && bpf_jiffies64() == begun->tick)
		return 0;
	duration = bpf_ktime_get_ns() - begun->at;
	return duration ? duration : 1;
}

#define JP_CALL_EXIT 60
#define JP_CALL_EXIT_GROUP 231

/* Whether the thread that makes this call to exit leaves its process alive, or with a status of 0. */
static __always_inline int jp_ends_well(const struct jp_probe_hit *hit)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (hit->number == JP_CALL_EXIT_GROUP)
		return !(hit->arguments[0] & 255);
	if (task->signal->live.counter != 1)
		return 1;
	/* The main thread's status is the process's. */
	return hit->tid == hit->tgid ? !(hit->arguments[0] & 255) : !task->group_leader->exit_code;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(jp_probe_enter, struct pt_regs *regs, long number)
{
	struct jp_probe_hit hit = {.point = JP_PROBE_AT_ENTER};

	if (!jp_wants_call(number) || jp_disarmed() || (__u16)regs->cs != JP_USER_CODE_SEGMENT)
		return 0;
	if (jp_probe.hit_point != JP_PROBE_AT_ENTER) {
		if (number != JP_CALL_EXIT && number != JP_CALL_EXIT_GROUP &&
		    (!jp_config.only_tgid || !jp_fill_ids(&hit)))
			jp_begin_call((__u64)regs);
		return 0;
	}
	jp_fill_call(&hit, regs);
	if (jp_all_hold(&hit) && !(jp_probe.only_failing && jp_ends_well(&hit)))
		jp_at_hit(&hit);
	return 0;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(jp_probe_exit, struct pt_regs *regs, long ret)
{
	struct jp_probe_hit hit = {.point = JP_PROBE_AT_EXIT};

	if (!jp_wants_call(regs->orig_rax) || jp_disarmed() || (__u16)regs->cs != JP_USER_CODE_SEGMENT)
		return 0;
	if (jp_probe.times) {
		hit.duration_ns = jp_end_call((__u64)regs);
		if (!hit.duration_ns)
			return 0;
	}
	jp_fill_call(&hit, regs);
	hit.ret = ret;
	if (jp_all_hold(&hit))
		jp_at_hit(&hit);
	return 0;
}

#define JP_SIGNAL_KILL 9
#define JP_GROUP_EXIT 4 /* of signal_struct's flags */

/* Signals that do not end a process by default. */
#define JP_SIGNAL_BIT(number) (1ULL << ((number) - 1))
#define JP_NOT_DEADLY                                                                            \
	(JP_SIGNAL_BIT(17) /* CHLD */ | JP_SIGNAL_BIT(18) /* CONT */ |                           \
	 JP_SIGNAL_BIT(19) /* STOP */ | JP_SIGNAL_BIT(20) /* TSTP */ | JP_SIGNAL_BIT(21) /* TTIN */ | \
	 JP_SIGNAL_BIT(22) /* TTOU */ | JP_SIGNAL_BIT(23) /* URG */ | JP_SIGNAL_BIT(28) /* WINCH */)

/* SIGKILL is how all threads learn that their process ends. The signal that ends it, as a rule
 * delivered in no other way; 0: none does. */
static __always_inline int jp_ending_signal(void)
{
	struct signal_struct *signal = bpf_get_current_task_btf()->signal;

	return signal->flags & JP_GROUP_EXIT ? signal->group_exit_code & 127 : 0;
}

/* The first of a process's threads that asks. */
static __always_inline int jp_is_first_to_end(void)
{
	struct jp_probe_thread *main = bpf_task_storage_get(
		&jp_probe_threads, bpf_get_current_task_btf()->group_leader, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!main)
		__sync_fetch_and_add(&jp_probe_state.lost, 1);
	return main && !__sync_val_compare_and_swap(&main->has_ended, 0, 1);
}

SEC("?tp_btf/signal_deliver")
int BPF_PROG(jp_probe_signal, int number, void *info, void *action)
{
	struct jp_probe_hit hit = {.point = JP_PROBE_AT_SIGNAL};
	void *handler = 0;
	int ends;

	if (jp_disarmed())
		return 0;
	hit.number = number == JP_SIGNAL_KILL ? jp_ending_signal() : number;
	if (!hit.number)
		return 0;
	ends = number == JP_SIGNAL_KILL ||
	       (!bpf_probe_read_kernel(&handler, sizeof(handler), action) /* its first word */ && !handler &&
		number >= 1 && number <= 64 && !(JP_NOT_DEADLY >> (number - 1) & 1));
	if (!ends && jp_probe.only_failing)
		return 0;
	/* Of an end all threads are told: it is met once, by one that the condition is true of. */
	if (jp_all_hold(&hit) && (!ends || jp_is_first_to_end()))
		jp_at_hit(&hit);
	return 0;
}

static __always_inline void jp_fill_function(struct jp_probe_hit *hit, const struct pt_regs *ctx)
{
	hit->arguments[0] = ctx->rdi;
	hit->arguments[1] = ctx->rsi;
	hit->arguments[2] = ctx->rdx;
	hit->arguments[3] = ctx->rcx;
	hit->arguments[4] = ctx->r8;
	hit->arguments[5] = ctx->r9;
	hit->ret = ctx->rax;
}

SEC("?uprobe")
int jp_probe_entry(struct pt_regs *ctx)
{
	struct jp_probe_hit hit = {.point = JP_PROBE_AT_ENTRY};

	hit.kind = bpf_get_attach_cookie(ctx);
	if (jp_disarmed())
		return 0;
	if (jp_probe.hit_point != JP_PROBE_AT_ENTRY) {
		if (!jp_config.only_tgid || !jp_fill_ids(&hit))
			jp_begin(hit.kind, ctx->rsp + 8 /* the return address */);
		return 0;
	}
	jp_fill_function(&hit, ctx);
	if (jp_all_hold(&hit))
		jp_at_hit(&hit);
	return 0;
}

SEC("?uretprobe")
int jp_probe_return(struct pt_regs *ctx)
{
	struct jp_probe_hit hit = {.point = JP_PROBE_AT_RETURN};

	hit.kind = bpf_get_attach_cookie(ctx);
	if (jp_disarmed())
		return 0;
	jp_fill_function(&hit, ctx);
	hit.duration_ns = jp_end(hit.kind, ctx->rsp);
	if (hit.duration_ns && jp_all_hold(&hit))
		jp_at_hit(&hit);
	return 0;
}
