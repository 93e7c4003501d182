/* Tagged words, objects and their types; what the walk's spare words hold meanwhile. A part of
 * v8.helper.c. Every read is checked: -1 or JP_UNREADABLE where there is nothing to read. */
#pragma once

#include "helpers/abi/helper.h"
#include "helpers/v8/v8_layout.h"

/* Uses of w->scratch: 0 to 6 for words just read; others live from one subprogram to the next. */
#define JP_V8_WORD_MASK 7
#define JP_V8_FIELD 7        /* text field that jp_v8_string appends to */
#define JP_V8_PENDING 8      /* strings pushed and not popped */
#define JP_V8_SHARED 9       /* tagged SFI */
#define JP_V8_CONTENT 10     /* its content hash */
#define JP_V8_SCOPE 11       /* tagged ScopeInfo; later the symbol's number */
#define JP_V8_CALLER 12      /* of a leaf without a frame: its return address, else 0 */
#define JP_V8_FUNCTION 13    /* tagged JSFunction of the frame */
#define JP_V8_PLACE 14       /* where the function is, if code without a frame runs on top; else 0 */
#define JP_V8_EXIT 15        /* not 0: the function is a builtin written in C++ */
#define JP_V8_DROPPED 16     /* of the pending strings, those at the bottom that found no room */
#define JP_V8_TEXT_BEFORE 17 /* bytes of text before the string */
#define JP_V8_BUILTIN 18     /* not 0: the frame is a builtin's, still to be emitted */
#define JP_V8_PROMISE 19     /* tagged: who awaits it is looked for */
#define JP_V8_AWAIT 20       /* Smi: where the function awaits, as an interpreted frame has it */
#define JP_V8_COMBINED 21    /* enum jp_v8_combinator that awaits, else 0 */
#define JP_V8_LIVE 22        /* address of a JP_V8_HANDLER frame, if the frame is one; else 0 */
#define JP_V8_SCRIPT_AT 23   /* tagged: the function's script */
#define JP_V8_NAME_STRING 24     /* tagged: its name; 0: none */
#define JP_V8_INFERRED_STRING 25 /* right behind: what V8 inferred for one without */

/* w->object: the beginning of the function's name or ScopeInfo, from w->scratch[JP_V8_OBJECT_AT] on. */
#define JP_V8_OBJECT_AT JP_V8_PLACE /* its address; 0: it could not be read in one go */

/* Uses of w->kept. */
#define JP_V8_OUTER_FRAME 0  /* where to resume; 0: V8 was not met yet */
#define JP_V8_FUNCTION_MAP 1 /* map of the last JSFunction: most functions have the same */
#define JP_V8_AWAITS 2       /* steps from promise to promise, so far */
#define JP_V8_SCRIPT_SEEN 3  /* the last function's script, tagged */
#define JP_V8_SCRIPT_WORD 4  /* the word of it that holds its id */
#define JP_V8_LEAF_HANDLER 5 /* the leaf is in a handler with a frame of its own: for JP_V8_LIVE */
#define JP_V8_SCRIPT_BEGUN 6 /* tagged: the record in w->symbol begins with this script */
#define JP_V8_SCRIPT_TEXT 7  /* the bytes of its text */
#define JP_V8_TYPES 8        /* from here on: maps met, each with its instance type in the upper 16 bits */
#define JP_V8_TYPES_SHIFT 61 /* of a hash: 3 bits are left */

#define JP_V8_MAP_BITS 0xffffffffffffULL

#define JP_V8_STRING_STEPS 24
#define JP_V8_WHOLE 0xffffffffU
#define JP_V8_FRAME_TYPES 128 /* frame type markers lie below (type << 1) */
#define JP_V8_ENTRY 2           /* the marker of C++ calling JavaScript, in all versions */
#define JP_V8_CONSTRUCT_ENTRY 4 /* the same for a constructor */
#define JP_V8_NO_OUTER_FRAME 1  /* in JP_V8_OUTER_FRAME: V8 was met, and has no frame further up */
#define JP_V8_MAX_LOCALS 100000
#define JP_V8_MAX_STACK (1ULL << 30)
#define JP_V8_MAX_BYTECODES (1ULL << 24)

static __always_inline int jp_v8_is_smi(__u64 word)
{
	return (word & 0xffffffffULL) == 0;
}

static __always_inline int jp_v8_is_object(__u64 word)
{
	return (word & 3) == 1;
}

static __always_inline __s32 jp_v8_smi(__u64 word)
{
	return (__s32)(word >> 32);
}

/* Instance type of the object whose map word is `map`; -1 when unreadable. */
static __always_inline int jp_v8_type(struct jp_walk *w, const struct jp_v8_layout *l, __u64 map)
{
	__u64 at = JP_V8_TYPES + (map * 0x9e3779b97f4a7c15ULL >> JP_V8_TYPES_SHIFT);
	__u16 type;

	if (!jp_v8_is_object(map))
		return -1;
	JP_OPAQUE(at);
	at &= JP_KEPT_WORDS - 1;
	if ((w->kept[at] & JP_V8_MAP_BITS) == map)
		return w->kept[at] >> 48;
	if (jp_read(w, &type, sizeof(type), map - 1 + l->map_instance_type))
		return -1;
	w->kept[at] = (__u64)type << 48 | (map & JP_V8_MAP_BITS);
	return type;
}

/* Reads `count` words of a tagged object into scratch[0..], following a forwarding address once.
 * Updates *object. 0, or JP_UNREADABLE. */
static __always_inline int jp_v8_words(struct jp_walk *w, __u64 *object, __u32 count)
{
	if (jp_read(w, w->scratch, count * 8, *object - 1))
		return JP_UNREADABLE;
	if (w->scratch[0] & 1)
		return 0;
	*object = w->scratch[0] + 1;
	return jp_read(w, w->scratch, count * 8, *object - 1) ? JP_UNREADABLE : 0;
}

/* Type of a tagged object, following a forwarding address once; -1 when unreadable. */
static __always_inline int jp_v8_object_type(struct jp_walk *w, const struct jp_v8_layout *l,
					     __u64 *object)
{
	__u64 map;

	if (jp_read(w, &map, sizeof(map), *object - 1))
		return -1;
	if (!(map & 1)) {
		*object = map + 1;
		if (jp_read(w, &map, sizeof(map), *object - 1))
			return -1;
	}
	return jp_v8_type(w, l, map);
}
