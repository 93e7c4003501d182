/* The peer of interrupt_cost: takes the user stack by the kernel's own callchain code and does
 * nothing with it. */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct chain {
	__u64 addresses[127];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chain);
} chains SEC(".maps");

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u32 zero = 0;
	struct chain *chain = bpf_map_lookup_elem(&chains, &zero);

	if (chain)
		bpf_get_stack(ctx, chain->addresses, sizeof(chain->addresses), BPF_F_USER_STACK);
	return 0;
}
