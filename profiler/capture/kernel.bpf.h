/* What the kernel half looks into of the kernel's own structures; loading the object relocates the offsets. */
#pragma once

#include <linux/types.h>

#define JP_KERNEL __attribute__((preserve_access_index))

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
} JP_KERNEL;

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
} JP_KERNEL;

struct dentry {
	struct inode *d_inode;
} JP_KERNEL;

struct path {
	struct dentry *dentry;
} JP_KERNEL;

struct file {
	struct inode *f_inode;
} JP_KERNEL;

/* A file, and more behind it: since Linux 6.8 what /proc says of a mapping of an overlay's file. */
struct backing_file {
	struct path user_path;
} JP_KERNEL;

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
} JP_KERNEL;

struct maple_tree {
	void *ma_root;
} JP_KERNEL;

struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
} JP_KERNEL;

struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
} JP_KERNEL;

typedef struct {
	void *vdso;
} JP_KERNEL mm_context_t;

struct xol_area {
	unsigned long vaddr;
} JP_KERNEL;

struct uprobes_state {
	struct xol_area *xol_area;
} JP_KERNEL;

/* A return that is to be met: what the kernel has replaced, and where. The innermost comes first. */
struct return_instance {
	unsigned long stack;
	unsigned long orig_ret_vaddr;
	struct return_instance *next;
} JP_KERNEL;

struct uprobe_task {
	struct return_instance *return_instances;
} JP_KERNEL;

struct mm_struct {
	struct maple_tree mm_mt;
	unsigned long start_stack;
	mm_context_t context;
	struct uprobes_state uprobes_state;
} JP_KERNEL;

struct thread_struct {
	unsigned long fsbase;
} JP_KERNEL;

typedef struct {
	int counter;
} JP_KERNEL atomic_t;

struct signal_struct {
	atomic_t live;
	unsigned int flags;
	int group_exit_code;
} JP_KERNEL;

struct task_struct {
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct uprobe_task *utask;
	int exit_code;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	char comm[16];
	struct thread_struct thread;
} JP_KERNEL;

