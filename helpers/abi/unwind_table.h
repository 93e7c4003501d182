/* Call-frame tables as the walk reads them: how to get from a frame to its caller, for each address
 * of a file. Plain C; profiler/unwind makes them, table_step.h uses them.
 *
 * All tables lie in one pool of 64-bit words. A table is three runs of words in it:
 *
 *   buckets  half a word for each JP_BUCKET_BYTES of code: in the upper bits the number of the row that
 *            holds at the first address of it, in the lower JP_BUCKET_SHIFT bits how many more begin
 *            within; rows are counted from the table's first
 *   rows     half a word each, sorted by address: in the upper bits the number of its rule, in the
 *            lower ones where in its bucket it begins; a row holds until the next one begins
 *   rules    two words each, struct jp_rule; few are distinct
 *
 * A word's first half is its lower one. So a search touches a bucket, a handful of rows side by side,
 * and a rule, and does not look where the row begins that came into the bucket from before it: that
 * is why the lower bits are enough. A process has a sorted array of its mappings of files that have a
 * table, all processes' in one array.
 */
#pragma once

#include <linux/types.h>

#define JP_BUCKET_SHIFT 10
#define JP_BUCKET_BYTES (1 << JP_BUCKET_SHIFT)
#define JP_RULE_WORDS 2

/* The pool grows by chunks. */
#define JP_CHUNK_SHIFT 16
#define JP_CHUNK_WORDS (1 << JP_CHUNK_SHIFT)
#define JP_MAX_CHUNKS 128

/* DWARF's numbers of registers. */
#define JP_REGISTER_RBP 6
#define JP_REGISTER_RSP 7
#define JP_REGISTERS 16

/* How the canonical frame address (CFA) is found: the stack pointer's value in the caller. The
 * return address lies right below it. */
enum jp_rule_kind {
	JP_RULE_NONE = 0,   /* nothing is known of this code */
	JP_RULE_FRAME = 1,  /* it has a frame pointer: CFA = rbp + 16, rbp saved at CFA - 16 */
	JP_RULE_OFFSET = 2, /* CFA = register + cfa_offset */
	JP_RULE_DEREF = 3,  /* CFA = word at (register + cfa_offset), + cfa_extra */
	JP_RULE_PLT = 4,    /* a linkage stub: CFA = rsp + cfa_offset, + 8 from its byte cfa_extra on */
	JP_RULE_SIGNAL = 5, /* the kernel's signal frame */
	JP_RULE_ROOT = 6,   /* has no caller */
	JP_RULE_OTHER = 7,  /* says something that is not expressed here: see jp_step_otherwise() */
};

/* Where the caller's rbp is. */
enum jp_rule_fp {
	JP_FP_SAME = 0,    /* still in rbp */
	JP_FP_AT_CFA = 1,  /* at CFA + fp_offset */
	JP_FP_AT_FP = 2,   /* at rbp + fp_offset */
};

struct jp_rule {
	__s32 cfa_offset;
	__s32 cfa_extra;
	__s32 fp_offset;
	__u8 kind;
	__u8 base; /* DWARF's number of the register */
	__u8 fp;   /* enum jp_rule_fp */
	__u8 reserved;
};

/* One mapping of a process whose file has a table. */
struct jp_mapping {
	__u64 begin;
	__u64 end;
	__u64 base;    /* address, in the process, of the table's begin; may lie outside the mapping */
	__u32 buckets; /* first word of each run */
	__u32 rows;
	__u32 rules;
	__u32 size; /* bytes of code, from `base` on, that the table is about */
};

/* The same of a file: what the kernel half needs to make a jp_mapping of a mapping that it finds by
 * itself, because user space has not told of it yet. */
#define JP_FILE_SEGMENTS 4

struct jp_file_key {
	__u64 inode; /* all 0: the vDSO */
	__u32 device_major;
	__u32 device_minor;
};

struct jp_file_table {
	struct jp_mapping mapping; /* without addresses */
	__u32 segment_count;
	__u32 reserved;
	struct {
		__u64 offset; /* in the file */
		__u64 size;
		__u64 shift; /* of a mapping's base: base = begin - its offset in the file + shift */
	} segments[JP_FILE_SEGMENTS]; /* of code */
};

/* A process's mappings in the array of all, sorted by `begin`. */
struct jp_mapping_slice {
	__u32 first;
	__u32 count;
};
