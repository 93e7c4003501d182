/* What the kernel half (profiler/capture/sampler.bpf.c) and the user half (bpf_sampler.cc) say to
 * each other: the records in the ring, the maps' values, the counters. Plain C, both sides include
 * it. All integers are host order; both halves run on one machine.
 *
 * Order in the ring: a symbol record comes before the first stack that refers to its number, a
 * stack before the first sample that does. A number is never given twice in one run; the same
 * function or stack may get a second number after a cache forgot it.
 */
#pragma once

#include <linux/types.h>

#include "helpers/abi/unwind_table.h"

/* Frames that one stack record holds; deeper stacks are cut and marked (JP_END_DEPTH). */
#define JP_MAX_FRAMES 512
#define JP_MAX_KERNEL_FRAMES 127

/* Bytes of text in one symbol record, and of one string in it. */
#define JP_TEXT_BYTES 2048
#define JP_STRING_BYTES 1024

#define JP_MAX_RANGES 16
#define JP_MAX_LAYOUTS 64
#define JP_LAYOUT_BYTES 256

enum jp_record_type {
	JP_RECORD_SAMPLE = 1,
	JP_RECORD_STACK = 2,
	JP_RECORD_KERNEL_STACK = 3,
	JP_RECORD_SYMBOL = 4,
};

/* One per sample: 32 bytes. */
struct jp_sample {
	__u16 type;
	__u16 cpu;
	__u32 tgid;
	__u32 tid;
	__u32 user_stack;   /* 0: none */
	__u32 kernel_stack; /* 0: the sample hit user mode */
	__u32 reserved;
	__u64 time_ns; /* CLOCK_MONOTONIC */
};

/* Values of enum WalkEnd in profiler/core/frame.h. */
enum jp_walk_end {
	JP_END_ROOT = 0,
	JP_END_NO_STACK = 1,
	JP_END_UNREADABLE = 2,
	JP_END_NOT_ASCENDING = 3,
	JP_END_UNALIGNED = 4,
	JP_END_NOT_USER = 5,
	JP_END_DEPTH = 6,
	JP_END_NEAR_BASE = 7,
	JP_END_NO_RULE = 8,
	JP_END_NOT_64_BIT = 9,
};

/* Values of RawFrame::Kind. */
enum jp_frame_kind {
	JP_FRAME_NATIVE = 0,
	JP_FRAME_RUNTIME = 1,
	JP_FRAME_BUILTIN = 2,
	JP_FRAME_UNRESOLVED = 3,
};

/* In flags of a frame. */
#define JP_FRAME_RETURN_ADDRESS 1 /* look up address - 1 */
#define JP_FRAME_ASYNC 2 /* not on the stack: it awaits the result of the frame before it */

struct jp_frame {
	__u64 address;
	__u32 symbol;
	__u8 kind;
	__u8 runtime;
	__u8 detail;
	__u8 flags;
};

struct jp_stack {
	__u16 type;
	__u16 end; /* enum jp_walk_end */
	__u32 tgid;
	__u32 number;
	__u32 depth;
	/* then `depth` of struct jp_frame, leaf first */
};

struct jp_kernel_stack {
	__u16 type;
	__u16 reserved;
	__u32 number;
	__u32 depth;
	__u32 reserved2;
	/* then `depth` addresses of 64 bits, leaf first */
};

/* A symbol record ends in `text_bytes` of chunks, each a jp_chunk and then its bytes, unpadded.
 * Several chunks of one field in a row are one string. Which fields and words there are is the
 * runtime's own affair (its *_layout.h). */
enum jp_encoding {
	JP_ENCODING_LATIN1 = 0,
	JP_ENCODING_UTF16 = 1, /* little-endian */
	JP_ENCODING_UTF8 = 2,
};

struct jp_chunk {
	__u8 field;
	__u8 encoding;
	__u16 bytes;
};

/* In flags: the text of this field (1 to 7) lacks its end: it was longer than JP_STRING_BYTES, or
 * had too many pieces. */
#define JP_SYMBOL_CUT(field) (1U << (field))

struct jp_symbol {
	__u16 type;
	__u8 runtime;
	__u8 flags;
	__u32 tgid;
	__u32 number;
	__u32 text_bytes;
	__u64 identity; /* what makes two frames the same function, to this runtime */
	__u64 words[8];
};

/* What a walk starts from, in the order in which the kernel saves them (its struct pt_regs): taken in
 * one piece. */
struct jp_registers {
	__u64 r15, r14, r13, r12, fp, rbx;
	__u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	__u64 orig_rax, pc, cs, flags, sp, ss;
};

/* Index, among the words of jp_registers, of the register that DWARF gives this number, below
 * JP_REGISTERS; rsp, which no caller asks for, has that of orig_rax. */
static inline __u32 jp_register_index(__u32 number)
{
	/* from the left: r15 to r8, rsp, rbp, rdi, rsi, rbx, rcx, rdx, rax */
	return 0x01236789f4ed5bcaULL >> (4 * number) & 15;
}

/* What a helper answers about a frame; jp_frame.detail of an unresolved one. */
enum jp_answer {
	JP_MINE = 0,       /* described: nothing, one or several frames were emitted */
	JP_NOT_MINE = 1,   /* the walk treats it as native code */
	JP_UNREADABLE = 2, /* memory of the target could not be read: shown as unresolved */
	JP_CORRUPT = 3,    /* memory that makes no sense: shown as unresolved */
	JP_SKIPPED = 5,    /* not an answer: native frames in between could not be walked */
	JP_LATE = 6,       /* not an answer: unreadable, since it was asked too late (level ring) */
	JP_STEPPED = 4,    /* described, and w->pc is now the caller's: fp already was (leaf only) */
};

/* Code that a runtime helper is asked about. */
enum jp_range_kind {
	JP_RANGE_IMAGE = 0, /* in a mapped file: the runtime's own code */
	JP_RANGE_JIT = 1,   /* anonymous memory */
};

struct jp_range {
	__u64 begin;
	__u64 end;
	__u32 layout; /* index into the layouts */
	__u8 runtime; /* number in the registry, from 1 */
	__u8 kind;
	__u16 reserved;
};

#define JP_PROCESS_ASYNC 1 /* in flags: helpers emit those who await, too */

/* One process, as the walk needs it: the value of the process map. Ranges do not overlap. */
struct jp_process {
	__u32 range_count;
	__u32 life; /* another one after exec, or when the pid is used again: names are not shared */
	__u32 flags;
	__u16 new_code_layout; /* of anonymous code that no range is about yet */
	__u8 new_code_runtime; /* 0: it is nobody's */
	__u8 reserved;
	struct jp_range ranges[JP_MAX_RANGES];
};

/* What the loader tells the kernel half: the one variable of its section .rodata.jp_config. */
struct jp_config {
	__u32 only_tgid; /* 0: every process */
	__u32 only_tid;  /* 0: every thread */
	__u32 skip_foreign; /* leave out the processes in jp_foreign */
	__u8 only_cgroup;   /* leave out what is not in the group of jp_cgroup */
	__u8 only_comm;     /* leave out threads neither of whose names, its own and its process's, is `comm` */
	__u16 reserved;
	char comm[16];
	__u64 namespace_device; /* of the pid namespace to count pids in, as stat() tells them */
	__u64 namespace_inode;  /* 0: the initial one */
};

/* Counters of the kernel half, per CPU, only ever growing. */
struct jp_counters {
	__u64 samples;          /* of the target: what became a record, or was lost below */
	__u64 samples_lost;     /* no room in the ring for the sample or for its stack */
	__u64 symbols;          /* symbol records accepted */
	__u64 symbols_lost;     /* no room in the ring: the function stays nameless in this sample */
	__u64 helper_unreadable;
	__u64 helper_corrupt;
	__u64 no_rule; /* walks that end where call-frame information says what they cannot follow */
};
