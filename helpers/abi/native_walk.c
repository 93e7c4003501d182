/* The walk and all helpers of the list, compiled natively. Built once for each set of runtimes,
 * which gives the function a name of its own (JP_NATIVE_WALK). */
#include <stdlib.h>
#include <string.h>

#include "helpers/abi/native.h"
#include "helpers/abi/stack_walk.h"
#include "runtime_helpers.h" /* generated: the helpers and jp_ask_runtime() */

__u32 JP_NATIVE_WALK(const struct jp_host *host, const struct jp_process *process, __u32 tgid,
		     __u32 tid, const struct jp_registers *registers, __u64 base, struct jp_frame *frames,
		     __u32 *depth)
{
	struct jp_walk *w = calloc(1, sizeof(*w));
	__u32 end;

	*depth = 0;
	if (!w)
		return JP_END_UNREADABLE;
	w->host = (void *)host;
	w->process = *process;
	if (w->process.range_count > JP_MAX_RANGES)
		w->process.range_count = JP_MAX_RANGES;
	w->leaf_registers = *registers;
	w->mappings.count = host->mapping_count;
	w->by_table = host->mapping_count != 0;
	jp_walk_begin(w, tgid, tid, base, JP_NEAR_STACK_START);
	jp_walk_all(w);
	*depth = w->depth;
	memcpy(frames, w->frames, w->depth * sizeof(*frames));
	end = w->end;
	free(w);
	return end;
}
