/* Mappings as the kernel has them: for processes and mappings so young that user space has not told of them.
 * By its file, known from other processes, such a mapping has its call-frame table in its first sample.
 *
 * A process's mappings are a maple tree (since Linux 6.1). It is read without its lock, which an interrupt
 * cannot wait for: nodes that another thread takes out of the tree meanwhile are freed no earlier than this
 * program ends (RCU), reading what is no node fails or finds nothing, and what is found holds the address
 * or is not believed. Where the tree's nodes are not laid out as below, nothing is found.
 */
#pragma once

#include "helpers/abi/bpf.h"

#include <bpf/bpf_core_read.h>

#include "helpers/abi/helper.h"
#include "profiler/capture/kernel.bpf.h"

#define JP_NODE_WORDS 32
#define JP_NODE_LEAF 1	/* the types of nodes */
#define JP_NODE_RANGE 2
#define JP_NODE_ARANGE 3
#define JP_RANGE_PIVOTS 15
#define JP_ARANGE_PIVOTS 9
#define JP_TREE_DEPTH 8 /* 65,530 mappings are 5 levels */
#define JP_VM_EXEC 4
#define JP_PAGE_SHIFT 12
#define JP_OVERLAY_MAGIC 0x794c7630

/* A node: its parent, pivots (the last address of each slot), slots. */
struct jp_maple_node {
	__u64 entry; /* points to it, with its type */
	__u64 words[JP_NODE_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jp_maple_node);
} jp_maple_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct jp_file_key);
	__type(value, struct jp_file_table);
} jp_files SEC(".maps");

static __always_inline int jp_knows_nodes(void)
{
	return bpf_core_field_exists(struct mm_struct, mm_mt) &&
	       bpf_core_type_exists(struct maple_arange_64) &&
	       bpf_core_field_offset(struct maple_arange_64, slot) == 8 * (1 + JP_ARANGE_PIVOTS) &&
	       bpf_core_field_offset(struct maple_range_64, slot) == 8 * (1 + JP_RANGE_PIVOTS);
}

/* Goes from node->entry to that of the slot which holds `pc`. Not 0: it was a leaf's, or is none. */
__attribute__((noinline)) int jp_descend(__u64 pc)
{
	struct jp_maple_node *node;
	__u32 zero = 0, type, pivots, slot;

	node = bpf_map_lookup_elem(&jp_maple_nodes, &zero);
	if (!node)
		return 1;
	type = node->entry >> 3 & 15;
	if (type < JP_NODE_LEAF || type > JP_NODE_ARANGE ||
	    bpf_probe_read_kernel(node->words, sizeof(node->words), (void *)(node->entry & ~255ULL))) {
		node->entry = 0;
		return 1;
	}
	pivots = type == JP_NODE_ARANGE ? JP_ARANGE_PIVOTS : JP_RANGE_PIVOTS;
	for (slot = 0; slot < JP_RANGE_PIVOTS; slot++) {
		__u64 pivot = node->words[1 + slot];

		/* A pivot of 0 is of no slot but the first: the last one has none. */
		if (slot >= pivots || pivot >= pc || (pivot == 0 && slot > 0))
			break;
	}
	slot += 1 + pivots;
	JP_OPAQUE(slot);
	node->entry = node->words[slot & (JP_NODE_WORDS - 1)];
	return type == JP_NODE_LEAF;
}

/* The kernel's mapping that is to hold `pc`, 0 for none. */
static __always_inline struct vm_area_struct *jp_find_area(struct task_struct *task, __u64 pc)
{
	__u64 root = (__u64)task->mm->mm_mt.ma_root;
	struct jp_maple_node *node;
	__u32 zero = 0, level;

	node = bpf_map_lookup_elem(&jp_maple_nodes, &zero);
	if (!node || (root & 3) != 2)
		return 0;
	node->entry = root;
	for (level = 0; level < JP_TREE_DEPTH; level++) {
		if (jp_descend(pc))
			return (void *)node->entry;
	}
	return 0;
}

/* 0: of the vDSO. */
static __always_inline struct jp_file_table *jp_find_file(struct inode *inode)
{
	struct jp_file_key key = {};
	__u64 device;

	if (inode) {
		device = BPF_CORE_READ(inode, i_sb, s_dev);
		key.inode = BPF_CORE_READ(inode, i_ino);
		key.device_major = device >> 20;
		key.device_minor = device & 0xfffff;
	}
	return bpf_map_lookup_elem(&jp_files, &key);
}

/* User space may know an overlay's file as /proc has it, or as mapping events do: from Linux 6.8 to 6.17
 * these have the file behind it. The flag that tells such a file from another has changed its number; what is
 * read behind another file leads to no overlay. */
static __always_inline struct jp_file_table *jp_find_mapped_file(struct file *file)
{
	struct jp_file_table *table = jp_find_file(BPF_CORE_READ(file, f_inode));
	struct backing_file *backing = (void *)file;
	struct inode *inode;

	if (table || !bpf_core_field_exists(backing->user_path))
		return table;
	inode = BPF_CORE_READ(backing, user_path.dentry, d_inode);
	if (BPF_CORE_READ(inode, i_sb, s_magic) != JP_OVERLAY_MAGIC)
		return 0;
	return jp_find_file(inode);
}

__attribute__((noinline)) int jp_ask_kernel_for(__u64 pc)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct jp_walk *w = jp_scratch();
	struct jp_file_table *table;
	struct vm_area_struct *area;
	struct file *file;
	__u64 begin, end, offset;
	__u32 i;

	if (!w)
		return 0;
	w->area.begin = w->area.end = 0;
	if (!jp_knows_nodes() || !task->mm)
		return 0;
	area = jp_find_area(task, pc);
	if (!area)
		return 0;
	begin = BPF_CORE_READ(area, vm_start);
	end = BPF_CORE_READ(area, vm_end);
	if (pc - begin >= end - begin)
		return 0;
	file = BPF_CORE_READ(area, vm_file);
	w->area.begin = begin;
	w->area.end = end;
	w->area.is_anonymous_code = 0;
	if (!file && begin != (__u64)task->mm->context.vdso) {
		w->area.is_anonymous_code = !!(BPF_CORE_READ(area, vm_flags) & JP_VM_EXEC);
		return 0;
	}
	table = file ? jp_find_mapped_file(file) : jp_find_file(0);
	if (!table) {
		w->wants_reader = 1;
		return 0;
	}
	offset = BPF_CORE_READ(area, vm_pgoff) << JP_PAGE_SHIFT;
	for (i = 0; i < JP_FILE_SEGMENTS; i++) {
		if (i >= table->segment_count)
			break;
		/* A mapping has whole pages: it may begin before its segment and end behind it. */
		if (offset + (end - begin) <= table->segments[i].offset ||
		    offset >= table->segments[i].offset + table->segments[i].size)
			continue;
		w->mapping = table->mapping;
		w->mapping.begin = begin;
		w->mapping.end = end;
		w->mapping.base = begin - offset + table->segments[i].shift;
		w->area.begin = w->area.end = 0;
		return 1;
	}
	return 0;
}

static __always_inline int jp_ask_kernel(struct jp_walk *w, __u64 pc)
{
	return jp_ask_kernel_for(pc);
}

/* What the kernel puts in place of return addresses in the current process; 0: none, or not known. */
static __always_inline __u64 jp_return_trampoline(void)
{
	struct mm_struct *mm = bpf_get_current_task_btf()->mm;

	if (!bpf_core_field_exists(struct mm_struct, uprobes_state) ||
	    !bpf_core_type_exists(struct xol_area) || !mm || !mm->uprobes_state.xol_area)
		return 0;
	return mm->uprobes_state.xol_area->vaddr;
}

#define JP_MAX_RETURNS 64 /* as many as the kernel follows in one thread */

__attribute__((noinline)) __u64 jp_find_return_at(__u64 pc, __u64 slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct return_instance *instance;
	int i;

	if (!bpf_core_field_exists(struct task_struct, utask) ||
	    !bpf_core_type_exists(struct return_instance) || !task->utask || pc != jp_return_trampoline())
		return pc;
	instance = task->utask->return_instances;
	for (i = 0; i < JP_MAX_RETURNS && instance; i++) {
		if (instance->stack == slot)
			return instance->orig_ret_vaddr;
		instance = instance->next;
	}
	return pc;
}

static __always_inline __u64 jp_find_return(struct jp_walk *w, __u64 pc, __u64 slot)
{
	return jp_find_return_at(pc, slot);
}
