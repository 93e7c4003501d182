/* What the V8 helper must know of one V8 build: made by v8_probe.cc, read by v8.helper.c in both
 * its builds. Offsets are bytes from an object's first word (untagged address). Also the meaning of
 * the fields and words of V8's symbol records, which v8_shared_functions.cc reads.
 */
#pragma once

#include <linux/types.h>

struct jp_v8_layout {
	__u32 version; /* major << 24 | minor << 16 | build */

	/* Map */
	__u16 map_instance_type; /* u16 field */

	/* Instance types */
	__u16 first_js_function_type;
	__u16 last_js_function_type;
	__u16 shared_type;
	__u16 scope_info_type;
	__u16 bytecode_array_type; /* 0: not known */
	__u16 script_type;
	__u16 first_nonstring_type;

	/* Frame: bytes from fp, negative, to the bytecode offset of an interpreted frame */
	__s16 frame_bytecode_offset;
	/* Type marker of the frame in which JavaScript calls a builtin written in C++; 0: not known */
	__u16 frame_builtin_exit;
	/* Of a WebAssembly function, and of what lies between it and JavaScript; 0: not known */
	__u16 frame_wasm;
	__u16 frame_wasm_to_js;
	__u16 frame_js_to_wasm;

	/* Isolate: bytes from the root register to the frame pointer of the last exit frame, and of the
	 * last caller of C without one; 0: not known */
	__s32 isolate_exit_frame;
	__s32 isolate_fast_call;

	/* Bytes from the first embedded builtin to the first bytecode handler; behind it are others only.
	 * 0: not known */
	__u32 handlers;

	/* JSFunction, SharedFunctionInfo */
	__u16 function_shared;
	__u16 shared_data;    /* a Smi in it: the function is a builtin */
	__u16 shared_data_2;  /* where data lies in the second field if the first is a Smi; else 0 */
	__u16 shared_name_or_scope_info;
	__u16 shared_script;

	/* ScopeInfo: word slots start at scope_slots; the variable part begins at scope_base slots. */
	__u16 scope_slots;
	__u16 scope_base;
	__u16 scope_module_type;    /* value of the scope type bits that has one more slot */
	__u16 scope_position_slot;  /* slot of the start position, 0: behind the name */
	__u16 scope_hashed_locals;  /* from so many locals on, their names take one slot; 0: never */

	/* Script */
	__u16 script_source;
	__u16 script_name;
	__u16 script_line_offset;
	__u16 script_id;

	/* String */
	__u16 string_length; /* i32 field */
	__u16 string_chars;
	__u16 cons_first;
	__u16 cons_second;
	__u16 thin_actual;
	__u16 sliced_parent;
	__u16 sliced_offset;
	__u16 external_data;     /* pointer to the characters */
	__u16 external_resource; /* object whose second word points to them, for uncached strings */

	/* Who awaits whom. async_function_type is 0 where that is not known. */
	__u16 async_function_type;
	__u16 async_generator_type;
	__u16 promise_type;
	__u16 reaction_type;
	__u16 capability_type;
	__u16 request_type;     /* of an asynchronous generator */
	__u16 function_context;
	__u16 context_slots;    /* Context: the first slot behind those that each context has */
	__u16 reaction_next;    /* PromiseReaction, and the microtasks: the first of the four fields */

	/* The microtask at work. Types of what runs a reaction, fulfilled or rejected, and of what
	 * resolves a promise by another's then(); where V8's loop over them is in the builtins, whose size
	 * must be this; bytes from the root register to the one at work. builtins_bytes is 0 where that is
	 * not known. */
	__u16 fulfill_task_type;
	__u16 reject_task_type;
	__u16 thenable_task_type;
	__u32 builtins_bytes;
	__u32 microtasks_begin;
	__u32 microtasks_end;
	__s32 isolate_microtask;

	__u8 representation_mask;
	__u8 sequential_tag;
	__u8 cons_tag;
	__u8 external_tag;
	__u8 sliced_tag;
	__u8 thin_tag;
	__u8 one_byte_bit;
	__u8 uncached_external_bit;
};

/* Fields of text in a symbol record. */
enum jp_v8_field {
	JP_V8_NAME = 1,     /* the function's own name */
	JP_V8_INFERRED = 2, /* what V8 inferred for a function without one */
	JP_V8_SCRIPT = 3,   /* the script's name: a path, a URL, "node:internal/..." */
};

/* Words of a symbol record. */
enum jp_v8_word {
	JP_V8_EXTENT = 0,      /* where the function begins in its source, in UTF-16 units, in the low half, and
	                        * ends, above; ~0: unknown */
	JP_V8_SCRIPT_OBJECT = 1, /* tagged address at the time; 0: none */
	JP_V8_SCRIPT_ID = 2,
	JP_V8_SOURCE_HASH = 3, /* of the source's text: V8's hash in the low half, its length above; 0: unknown */
	JP_V8_LINE_OFFSET = 4,   /* of the script's first line in its file */
	JP_V8_WASM_INSTANCE = 5, /* tagged: the record is of an instance's functions; 0: of one function */
	/* enum jp_v8_combinator, with the promise's number in it from 1 on, or 0, above; not 0: all else
	 * is empty */
	JP_V8_COMBINATOR = 6,
};
#define JP_V8_NUMBER_SHIFT 8

/* What awaits several promises at once. Also, with the number, the identity of its symbol. */
enum jp_v8_combinator {
	JP_V8_PROMISE_ALL = 1,
	JP_V8_PROMISE_ALL_SETTLED = 2,
	JP_V8_PROMISE_ANY = 3,
};

/* The alignment of embedded builtins: a pc is known well enough to tell the builtin. */
#define JP_V8_HANDLER_UNIT 32

/* What jp_frame.address is, in jp_frame.detail of a JP_FRAME_RUNTIME frame. */
enum jp_v8_detail {
	JP_V8_BYTECODE = 0, /* interpreted: the word in the frame's slot for the bytecode offset, as a number */
	JP_V8_PC = 1,       /* in JIT code */
	JP_V8_INTERPRETED = 4, /* as JP_V8_NO_PLACE, and it is interpreted */
	JP_V8_NO_PLACE = 2, /* on top of it runs code without a frame: where the function is, is not known */
	JP_V8_WASM = 3,     /* in WebAssembly code, which alone tells the function */
	JP_V8_HANDLER = 5, /* interpreted, in a bytecode handler: in the upper half the register for the
			    * bytecode offset, as a number; in the lower half, a multiple of
			    * JP_V8_HANDLER_UNIT, where from the first embedded builtin on the pc is */
};
