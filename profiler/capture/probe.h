/* What a probe is, as the kernel half (probe.bpf.h) and the user half know it: an instant at which a
 * condition holds, and what is done there. `jprof trap` acts at it, `jprof hist` measures up to it.
 * Plain C, both sides include it.
 *
 * The condition is constants of the BPF object, set before it is loaded: the verifier drops the
 * branches that they rule out, so what runs at each system call is the condition and no more. */
#pragma once

#include <linux/types.h>

#define JP_PROBE_TERMS 12
#define JP_PROBE_TEXT 64 /* a power of two, a multiple of 8 */
#define JP_PROBE_CALLS 512
#define JP_PROBE_STOPPED 1024 /* a power of two */
#define JP_PROBE_KINDS 4 /* a power of two */
#define JP_PROBE_BUCKETS 64

/* Where it is attached: bits. */
#define JP_PROBE_AT_ENTER 1   /* a system call begins */
#define JP_PROBE_AT_EXIT 2    /* and has ended: before the next instruction in user mode */
#define JP_PROBE_AT_SIGNAL 4  /* a signal is delivered */
#define JP_PROBE_AT_ENTRY 8   /* a function of a mapped file begins (uprobe) */
#define JP_PROBE_AT_RETURN 16 /* and has returned */

enum jp_probe_field {
	JP_PROBE_RET = 1,
	JP_PROBE_ERRNO = 2, /* 0: none */
	JP_PROBE_ARGUMENT = 3,
	JP_PROBE_PID = 4,
	JP_PROBE_TID = 5,
	JP_PROBE_UID = 6,
	JP_PROBE_CGROUP = 7, /* 1: in a group or below it; `argument` is the group's index in the map */
	JP_PROBE_DURATION = 8, /* ns since the call began */
	JP_PROBE_SIGNAL = 9,
	JP_PROBE_COMM = 10, /* of the thread, or of its process */
	JP_PROBE_MEMORY = 11, /* that an argument points to begins with a text */
};

/* What it points to. */
enum jp_probe_layout {
	JP_PROBE_STRING = 0,  /* text up to a zero */
	JP_PROBE_BYTES = 1,
	JP_PROBE_VECTOR = 2,  /* iovecs, their number in the next argument: the first that is not empty */
	JP_PROBE_MESSAGE = 3, /* a msghdr with iovecs */
	JP_PROBE_ADDRESS = 4, /* a sockaddr_un: its path; of an abstract name an @ and the name */
};

/* How much of it there is: as an argument says, or */
#define JP_PROBE_LENGTH_RET 6  /* the result of the call */
#define JP_PROBE_LENGTH_OWN 7  /* it does itself */

enum jp_probe_op {
	JP_PROBE_EQ = 0,
	JP_PROBE_NE = 1,
	JP_PROBE_GT = 2,
	JP_PROBE_GE = 3,
	JP_PROBE_LT = 4,
	JP_PROBE_LE = 5,
};

/* Whether a duration is needed, and how. Reading the clock is most of what a call costs that is measured. */
enum jp_probe_times {
	JP_PROBE_TIMES_NONE = 0,
	JP_PROBE_TIMES_EXACT = 1,
	JP_PROBE_TIMES_BY_TICK = 2, /* of a system call: up to two ticks of the kernel (1 to 10 ms) too long */
};

/* All terms hold, or there is no hit. */
struct jp_probe_term {
	__u8 field;
	__u8 op;       /* of texts EQ and NE alone */
	__u8 argument; /* number of it, from 0 */
	__u8 narrow;   /* compare the low 32 bits, with a sign */
	__u8 second;   /* of memory: another argument that it may be true of; or the same one */
	__u8 layout;   /* of memory: enum jp_probe_layout */
	__u8 length;   /* of memory: number of an argument, or JP_PROBE_LENGTH_... */
	__u8 reserved;
	__u32 bytes;   /* of text */
	__u32 reserved2;
	__s64 value;
	char text[JP_PROBE_TEXT]; /* the rest is zero */
};

struct jp_probe_config {
	__u64 calls[JP_PROBE_CALLS / 64]; /* system calls: a bit for each number */
	__u32 points;     /* JP_PROBE_AT_... */
	__u32 hit_point;  /* the one of them at which the condition is asked */
	__u32 term_count;
	__u32 self;       /* a process that is left out: jprof */
	__u32 max_hits;   /* then it does nothing more; 0: no limit */
	__u32 signal;     /* sent to the thread at a hit, before it is back in user mode; 0: none */
	__u8 stays_stopped_for_us; /* the signal is SIGSTOP, and jprof will let the process go on */
	__u8 histogram;   /* measure: hits are those that take longer than all before */
	__u8 times;       /* enum jp_probe_times */
	__u8 only_failing; /* AT_ENTER of exit and exit_group, AT_SIGNAL: only what ends the process badly */
	__u64 tick_ns;     /* of the kernel; set when it is loaded */
	__u64 at_least_ns; /* what takes less time than this can be no hit */
	struct jp_probe_term terms[JP_PROBE_TERMS];
};

/* What is kept of a thread, with the kernel's own record of it. */
struct jp_probe_thread {
	__u64 begun_ns[JP_PROBE_KINDS]; /* the call that is being measured; 0: none */
	__u64 sp[JP_PROBE_KINDS];       /* of a function: where the stack will be when it has returned */
	__u64 is_jprof;                 /* jprof itself: what descends from it is left out */
	__u64 has_ended;                /* of a main thread: the signal that ends its process has been met */
};

#define JP_PROBE_BEGUN 65536 /* a power of two */

/* A system call that is being measured, in the place that its thread's kernel stack leads to. One whose place is
 * taken is in the thread's jp_probe_thread, which takes longer to get at. */
struct jp_probe_begun {
	__u64 regs; /* where the thread's user registers are, at the top of that stack; 0: nobody's */
	__u64 at;   /* ns, or ticks */
	__u64 tick; /* of TIMES_EXACT: that it began in */
};

/* What a call that a signal interrupts returns as long as it is in the kernel: it begins anew, or is -EINTR to
 * the program, as that one's handler has it. The first of them always begins anew. */
#define JP_PROBE_RESTARTS(ret) ((ret) == -513)
#define JP_PROBE_INTERRUPTED(ret) \
	(JP_PROBE_RESTARTS(ret) || (ret) == -512 || (ret) == -514 || (ret) == -516)

/* Shared memory. */
struct jp_probe_state {
	__u32 hits;       /* that matched; those beyond max_hits were let be */
	__u32 lost;       /* no room in a ring, or a probe was at work on that CPU */
	__u32 unreadable; /* memory of a term could not be read: taken as not equal */
	__u32 reserved;
	__u32 stopped[JP_PROBE_STOPPED]; /* processes that wait for jprof, by a hit's slot; it clears them */
	__u64 buckets[JP_PROBE_KINDS][JP_PROBE_BUCKETS]; /* by the binary logarithm of the ns */
	__u64 sum_ns[JP_PROBE_KINDS];
	__u64 max_ns[JP_PROBE_KINDS];
	__u64 nested[JP_PROBE_KINDS]; /* calls from within one of the same kind: part of that one */
};

/* One record of the ring of hits; a jp_sample of the same thread and time has the stack. */
struct jp_probe_hit {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u32 point;
	__s64 number; /* of the system call, or of the signal */
	__s64 ret;
	__u64 arguments[6];
	__u64 duration_ns; /* 0: not measured */
	__u32 kind;        /* what the place of attachment was told to be: below JP_PROBE_KINDS */
	__u32 slot;        /* in jp_probe_state's stopped: where the process waits */
	char comm[16];
};
