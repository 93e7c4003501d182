/* The V8 helper: one frame of V8's, from the stack to the function's name.
 *
 *   frame            [fp-8] context, or a small even number: the type of a frame without a function
 *     |              [fp-16] JSFunction
 *     v
 *   JSFunction ----> SharedFunctionInfo (SFI) --+--> name_or_scope_info: String, or
 *                      function_data            |    ScopeInfo: name, inferred name, positions
 *                      (Smi: a builtin)         +--> Script: name, source, id
 *
 * Identity is the SFI: one for each function of the source, however many closures there are of it
 * and whatever tier runs. It is cached by its address with a hash of the words that make it what it
 * is (name, script, and the word behind them, lengths and token offsets): the collector may put
 * another SFI at the address, and that one differs in them. All else is read at first sight only.
 *
 * Every object on the way is checked by the instance type of its map before a field of it is
 * believed, so a layout that does not fit, or a slot that holds something else, ends in JP_CORRUPT
 * and not in a wrong name. During a collection an object's map word may be a forwarding address
 * (bit 0 clear): the object is then read where it went. The SFI itself is read again at the
 * end, and must still be one.
 *
 * An interpreted frame keeps its bytecode offset in a slot, but the slot is written at calls only. At
 * the leaf a register has it, or has it already of the next bytecode; user space finds out which,
 * for it knows the bytecodes, and those of each handler.
 *
 * Not here: which tier, executing lines, inlined functions. User space has what it takes for
 * them in the record and the frame's address.
 *
 * Facts by V8 version: V8's src/execution/frame-constants.h, src/objects/{js-function,
 * shared-function-info,scope-info,script,string}.tq of the respective branch; the metadata's
 * meaning is in tools/gen-postmortem-metadata.py.
 */
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

static __always_inline void jp_v8_begin_symbol(struct jp_walk *w)
{
	jp_begin_symbol(w);
	w->symbol.words[JP_V8_EXTENT] = ~0ULL;
	w->kept[JP_V8_SCRIPT_BEGUN] = 0;
}

/* Whether the last string had any text. */
static __always_inline int jp_v8_appended(struct jp_walk *w)
{
	return w->symbol.text_bytes != w->scratch[JP_V8_TEXT_BEFORE];
}

static __always_inline void jp_v8_cut(struct jp_walk *w)
{
	w->symbol.flags |= JP_SYMBOL_CUT(w->scratch[JP_V8_FIELD] & 7);
}

/* Where there is no room, what comes last in the text goes first. */
static __always_inline void jp_v8_push(struct jp_walk *w, __u64 string, __u32 start, __u32 length)
{
	__u64 n = w->scratch[JP_V8_PENDING];

	if (n - w->scratch[JP_V8_DROPPED] >= JP_PENDING) {
		w->scratch[JP_V8_DROPPED]++;
		jp_v8_cut(w);
	}
	JP_OPAQUE(n);
	struct jp_pending_string *p = &w->pending[n & (JP_PENDING - 1)];

	p->string = string;
	p->start = start;
	p->length = length;
	w->scratch[JP_V8_PENDING] = n + 1;
}

/* Appends the pending strings to the record, flattening: Cons strings are two, Thin and Sliced
 * strings point to another, External ones to memory outside the heap. */
JP_SUBPROG(jp_v8_string)
{
	const struct jp_v8_layout *l = jp_layout(w);
	int i;

	if (!l)
		return JP_NOT_MINE;
	for (i = 0; i < JP_V8_STRING_STEPS; i++) {
		__u64 n = w->scratch[JP_V8_PENDING], string, address, first, second, head[2];
		__u32 start, length, wanted, own;
		int type, shift, encoding;
		__u8 tag;

		if (n == w->scratch[JP_V8_DROPPED])
			return JP_MINE;
		n--;
		w->scratch[JP_V8_PENDING] = n;
		JP_OPAQUE(n);
		string = w->pending[n & (JP_PENDING - 1)].string;
		start = w->pending[n & (JP_PENDING - 1)].start;
		wanted = w->pending[n & (JP_PENDING - 1)].length;
		if (!jp_v8_is_object(string))
			return JP_CORRUPT;
		if (jp_read(w, head, sizeof(head), string - 1))
			return JP_UNREADABLE;
		if (!(head[0] & 1)) { /* moved */
			string = head[0] + 1;
			if (jp_read(w, head, sizeof(head), string - 1))
				return JP_UNREADABLE;
		}
		type = jp_v8_type(w, l, head[0]);
		if (type < 0)
			return JP_UNREADABLE;
		if (type >= l->first_nonstring_type)
			return JP_CORRUPT;
		string -= 1;
		own = l->string_length & 4 ? head[1] >> 32 : (__u32)head[1];
		if ((__s32)own < 0 || start > own)
			return JP_CORRUPT;
		length = wanted == JP_V8_WHOLE || wanted > own - start ? own - start : wanted;
		if (length == 0)
			continue;
		tag = type & l->representation_mask;
		if (tag == l->sequential_tag || tag == l->external_tag) {
			address = string + l->string_chars;
			if (tag == l->external_tag) {
				__u16 at = l->external_data;

				if (type & l->uncached_external_bit) {
					if (jp_read(w, &string, 8, string + l->external_resource))
						return JP_UNREADABLE;
					at = 8; /* behind the resource's vtable */
				}
				if (jp_read(w, &address, 8, string + at))
					return JP_UNREADABLE;
			}
			encoding = type & l->one_byte_bit ? JP_ENCODING_LATIN1 : JP_ENCODING_UTF16;
			shift = encoding == JP_ENCODING_UTF16;
			if (length > JP_STRING_BYTES) {
				length = JP_STRING_BYTES;
				jp_v8_cut(w);
			}
			if (jp_append_text(w, w->scratch[JP_V8_FIELD], encoding,
					   address + ((__u64)start << shift), length << shift))
				return JP_UNREADABLE;
			continue;
		}
		if (tag == l->cons_tag) {
			if (jp_read(w, &first, 8, string + l->cons_first) ||
			    jp_read(w, &second, 8, string + l->cons_second))
				return JP_UNREADABLE;
			/* A slice of a Cons string: V8 flattens before it slices, so all is in the first. */
			if (start == 0 && length == own)
				jp_v8_push(w, second, 0, JP_V8_WHOLE);
			jp_v8_push(w, first, start, start == 0 && length == own ? JP_V8_WHOLE : length);
		} else if (tag == l->thin_tag) {
			if (jp_read(w, &first, 8, string + l->thin_actual))
				return JP_UNREADABLE;
			jp_v8_push(w, first, start, wanted);
		} else if (tag == l->sliced_tag) {
			if (jp_read(w, &first, 8, string + l->sliced_parent) ||
			    jp_read(w, &second, 8, string + l->sliced_offset))
				return JP_UNREADABLE;
			jp_v8_push(w, first, start + (__u32)jp_v8_smi(second), length);
		} else {
			return JP_CORRUPT;
		}
	}
	jp_v8_cut(w);
	/* The beginning of a name stands for it; nothing does not. */
	return jp_v8_appended(w) ? JP_MINE : JP_CORRUPT;
}

static __always_inline int jp_v8_append_string(struct jp_walk *w, __u8 field, __u64 string)
{
	w->scratch[JP_V8_FIELD] = field;
	w->scratch[JP_V8_PENDING] = 0;
	w->scratch[JP_V8_DROPPED] = 0;
	w->scratch[JP_V8_TEXT_BEFORE] = w->symbol.text_bytes;
	jp_v8_push(w, string, 0, JP_V8_WHOLE);
	return JP_CALL(jp_v8_string, w);
}

/* Two words at `at` into scratch[0..1]. Most are in w->object. */
static __always_inline int jp_v8_pair(struct jp_walk *w, __u64 at)
{
	__u64 offset = at - w->scratch[JP_V8_OBJECT_AT];

	if (offset > (JP_OBJECT_WORDS - 2) * 8)
		return jp_read(w, w->scratch, 2 * 8, at);
	offset /= 8;
	JP_OPAQUE(offset);
	offset &= JP_OBJECT_WORDS - 1;
	w->scratch[0] = w->object[offset];
	w->scratch[1] = w->object[offset + 1];
	return 0;
}

/* Reads the beginning of a tagged object into w->object, following a forwarding address once. Its
 * type; -1 when unreadable. */
static __always_inline int jp_v8_object(struct jp_walk *w, const struct jp_v8_layout *l, __u64 *object)
{
	if (jp_read(w, w->object, JP_OBJECT_WORDS * 8, *object - 1)) {
		w->scratch[JP_V8_OBJECT_AT] = 0;
		return jp_v8_object_type(w, l, object);
	}
	if (!(w->object[0] & 1)) {
		w->scratch[JP_V8_OBJECT_AT] = 0;
		*object = w->object[0] + 1;
		return jp_v8_object_type(w, l, object);
	}
	w->scratch[JP_V8_OBJECT_AT] = *object - 1;
	return jp_v8_type(w, l, w->object[0]);
}

/* Name and extent from the ScopeInfo in scratch[JP_V8_SCOPE]. Its variable part is: [one
 * slot in module scopes], the context locals' names (or one table of them), their infos, [receiver
 * slot], the function's name with its slot index, [inferred name], [start and end position]. */
JP_SUBPROG(jp_v8_scope)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 slots, name, index, inferred = 0, start, end, at, after_locals;
	__u32 flags, locals, names;
	int skip, type, answer;

	if (!l)
		return JP_NOT_MINE;
	slots = w->scratch[JP_V8_SCOPE] - 1 + l->scope_slots;
	if (jp_v8_pair(w, slots))
		return JP_UNREADABLE;
	flags = jp_v8_is_smi(w->scratch[0]) ? w->scratch[0] >> 32 : (__u32)w->scratch[0];
	if (jp_v8_pair(w, slots + 8))
		return JP_UNREADABLE;
	if (!jp_v8_is_smi(w->scratch[1]))
		return JP_CORRUPT;
	locals = w->scratch[1] >> 32;
	if (locals > JP_V8_MAX_LOCALS)
		return JP_CORRUPT;
	names = l->scope_hashed_locals && locals >= l->scope_hashed_locals ? 1 : locals;
	at = slots + 8 * (__u64)(l->scope_base + ((flags & 15) == l->scope_module_type) + names + locals);

	/* Only function scopes have a name; their type is the one before the modules'. Not a word more
	 * is read than there must be: behind the object is another one, or nothing. */
	after_locals = at;
	for (skip = (flags & 15) + 1 == l->scope_module_type ? 0 : 3; skip < 3; skip++, at += 8) {
		if (jp_v8_pair(w, at))
			return JP_UNREADABLE;
		name = w->scratch[0];
		index = w->scratch[1];
		if (!jp_v8_is_smi(index) || jp_v8_smi(index) < -1 || jp_v8_smi(index) > 9999)
			continue;
		if (name == 0) {
			if (jp_v8_smi(index) == -1)
				break;
			continue;
		}
		if (!jp_v8_is_object(name))
			continue;
		type = jp_v8_object_type(w, l, &name);
		if (type < 0)
			return JP_UNREADABLE;
		if (type < l->first_nonstring_type)
			break;
	}
	if (skip < 3) {
		at += 2 * 8;
		/* Where positions are elsewhere, the name may be the last of it. */
		if (jp_read(w, &start, 8, at)) {
			if (!l->scope_position_slot)
				return JP_UNREADABLE;
		} else if (jp_v8_is_object(start)) {
			inferred = start;
			at += 8;
		}
	} else {
		/* The top level of a script, a module or of eval'd code. */
		name = 0;
		at = after_locals;
	}
	if (l->scope_position_slot)
		at = slots + 8 * (__u64)l->scope_position_slot;
	if (jp_v8_pair(w, at))
		return JP_UNREADABLE;
	start = w->scratch[0];
	end = w->scratch[1];
	if (jp_v8_is_smi(start) && jp_v8_is_smi(end) && jp_v8_smi(start) >= 0 &&
	    jp_v8_smi(start) <= jp_v8_smi(end))
		w->symbol.words[JP_V8_EXTENT] = end | start >> 32;

	if (name) {
		answer = jp_v8_append_string(w, JP_V8_NAME, name);
		if (answer)
			return answer;
		if (jp_v8_appended(w)) {
			w->symbol.words[JP_V8_NAME_SOURCE] = JP_V8_NAME;
			return JP_MINE;
		}
	}
	if (inferred) {
		type = jp_v8_object_type(w, l, &inferred);
		if (type < 0)
			return JP_UNREADABLE;
		if (type >= l->first_nonstring_type)
			return JP_MINE; /* undefined: nothing was inferred */
		answer = jp_v8_append_string(w, JP_V8_INFERRED, inferred);
		if (answer)
			return answer;
		if (jp_v8_appended(w))
			w->symbol.words[JP_V8_NAME_SOURCE] = JP_V8_INFERRED;
	}
	return JP_MINE;
}

/* Begins a record with the script in scratch[JP_V8_SCRIPT_AT], or without one if that is no script.
 * Most functions of a stack come with others of their script. */
JP_SUBPROG(jp_v8_script)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 script = w->scratch[JP_V8_SCRIPT_AT], name, word;
	int type;

	if (!l)
		return JP_NOT_MINE;
	if (script == w->kept[JP_V8_SCRIPT_BEGUN]) {
		w->symbol.text_bytes = w->kept[JP_V8_SCRIPT_TEXT];
		w->symbol.flags &= JP_SYMBOL_CUT(JP_V8_SCRIPT);
		w->symbol.words[JP_V8_EXTENT] = ~0ULL;
		w->symbol.words[JP_V8_NAME_SOURCE] = 0;
		return JP_MINE;
	}
	jp_v8_begin_symbol(w);
	type = jp_v8_object_type(w, l, &script);
	if (type < 0)
		return JP_UNREADABLE;
	if (type == l->script_type) {
		w->symbol.words[JP_V8_SCRIPT_OBJECT] = script;
		if (jp_read(w, w->scratch, 5 * 8, script - 1) ||
		    jp_read(w, &word, 8, script - 1 + l->script_id))
			return JP_UNREADABLE;
		w->symbol.words[JP_V8_SCRIPT_ID] = word >> 32;
		w->symbol.words[JP_V8_LINE_OFFSET] =
			w->scratch[(l->script_line_offset >> 3) & JP_V8_WORD_MASK] >> 32;
		name = w->scratch[(l->script_source >> 3) & JP_V8_WORD_MASK];
		if (jp_v8_is_object(name) && !jp_read(w, &word, 8, name - 1 + (l->string_length & ~7U)))
			w->symbol.words[JP_V8_SOURCE_HASH] = word;
		name = w->scratch[(l->script_name >> 3) & JP_V8_WORD_MASK];
		if (jp_v8_is_object(name)) {
			type = jp_v8_object_type(w, l, &name);
			if (type < 0)
				return JP_UNREADABLE;
			type = type < l->first_nonstring_type ? jp_v8_append_string(w, JP_V8_SCRIPT, name) : 0;
			if (type)
				return type;
		}
	}
	w->kept[JP_V8_SCRIPT_BEGUN] = w->scratch[JP_V8_SCRIPT_AT];
	w->kept[JP_V8_SCRIPT_TEXT] = w->symbol.text_bytes;
	return JP_MINE;
}

/* First sight of the function in scratch[JP_V8_SHARED], whose words are in scratch[0..6]: makes its
 * record. Its number is left in scratch[JP_V8_SCOPE]. */
JP_SUBPROG(jp_v8_resolve)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 shared, name, map;
	int type, answer;

	if (!l)
		return JP_NOT_MINE;
	if (jp_v8_type(w, l, w->scratch[0]) != l->shared_type)
		return JP_CORRUPT;
	shared = w->scratch[JP_V8_SHARED];
	name = w->scratch[(l->shared_name_or_scope_info >> 3) & JP_V8_WORD_MASK];
	w->scratch[JP_V8_SCRIPT_AT] = w->scratch[(l->shared_script >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_object(w->scratch[JP_V8_SCRIPT_AT]))
		return JP_CORRUPT;
	answer = JP_CALL(jp_v8_script, w);
	if (answer)
		return answer;

	if (jp_v8_is_object(name)) {
		type = jp_v8_object(w, l, &name);
		if (type < 0)
			return JP_UNREADABLE;
		if (type < l->first_nonstring_type) {
			answer = jp_v8_append_string(w, JP_V8_NAME, name);
			w->symbol.words[JP_V8_NAME_SOURCE] = JP_V8_NAME;
		} else if (type == l->scope_info_type) {
			w->scratch[JP_V8_SCOPE] = name;
			answer = JP_CALL(jp_v8_scope, w);
		} else {
			return JP_CORRUPT;
		}
		if (answer)
			return answer;
	} else if (!jp_v8_is_smi(name)) {
		return JP_CORRUPT;
	}

	/* Collector threads may have moved things meanwhile. */
	if (jp_read(w, &map, 8, shared - 1))
		return JP_UNREADABLE;
	if (jp_v8_type(w, l, map) != l->shared_type)
		return JP_CORRUPT;
	w->scratch[JP_V8_SCOPE] = jp_add_symbol(w, shared, w->scratch[JP_V8_CONTENT]);
	return JP_MINE;
}

/* A frame that is V8's but names no function. Its code tells what it is: a builtin that is at work
 * is shown, an entry, exit or stub frame further up the stack is plumbing and left out. */
static __always_inline int jp_v8_no_function(struct jp_walk *w)
{
	if (w->range.kind != JP_RANGE_IMAGE)
		return JP_NOT_MINE;
	if (!w->leaf)
		return JP_MINE;
	w->kept[JP_V8_LEAF_HANDLER] = w->scratch[JP_V8_LIVE];
	jp_emit(w, JP_FRAME_BUILTIN,
		w->scratch[JP_V8_LIVE] ? w->pc & ~(JP_V8_HANDLER_UNIT - 1ULL) : w->pc, 0, 0);
	return JP_MINE;
}

/* Code that V8 compiled, around a leaf's pc: JP_V8_CODE_BEFORE bytes before it, and from it on. */
#define JP_V8_CODE_BEFORE 16
#define JP_V8_CODE_BYTES 48
#define JP_V8_CODE_AHEAD 23 /* bytes of the check of deoptimization, at most */
#define JP_V8_PUSH_BYTE 0x6a /* push of a frame's type */

static __always_inline __u32 jp_v8_bytes(const __u8 *code, __u32 count)
{
	__u32 word = 0;

	__builtin_memcpy(&word, code, 4);
	return count == 4 ? word : word & ((1U << (8 * count)) - 1);
}

/* Whether the pc is in the first instructions, the frame not begun. Optimized code:
 * [check that it is not deoptimized] push rbp; mov rbp,rsp. Baseline code: mov ebx,N; movabs r12,N;
 * call of the builtin that makes the frame. */
static __always_inline int jp_v8_not_entered(const __u8 *c)
{
	__u32 first = jp_v8_bytes(c, 2), i;
	int check = jp_v8_bytes(c, 3) == 0x598b48 /* mov rbx,[rcx+N] */ ||
		    first == 0x43f6 /* test byte [rbx+N],N */ || first == 0x840f || first == 0x850f ||
		    c[0] == 0x74 || c[0] == 0x75 /* je, jne */ || first == 0xba49 /* movabs r10,N */ ||
		    first == 0xff41 /* jmp r10 */ || c[0] == 0xe9 /* jmp */;

	for (i = 0; i <= JP_V8_CODE_AHEAD; i++) {
		if (i && !check)
			break;
		if (jp_v8_bytes(c + i, 4) == 0xe5894855)
			return 1;
	}
	if (c[0] == 0xbb)
		return jp_v8_bytes(c + 5, 2) == 0xbc49;
	if (first == 0xbc49)
		return c[-5] == 0xbb;
	return (c[0] == 0xe8 || first == 0xff41) && jp_v8_bytes(c - 10, 2) == 0xbc49 && c[-15] == 0xbb;
}

/* Whether the pc is in the last instructions, the frame taken down and the return address on top of
 * the stack: [cmp r,N; jg]; ret; [pop r; lea rsp; push r; ret]. */
static __always_inline int jp_v8_left(const __u8 *c)
{
	__u32 jump = jp_v8_bytes(c + 4, 2), wide_jump = jp_v8_bytes(c + 7, 2);

	return c[0] == 0xc3 || c[0] == 0xc2 || jp_v8_bytes(c, 3) == 0xc2037f ||
	       (jp_v8_bytes(c, 4) == 0x00038f0f && c[6] == 0xc2) ||
	       ((jp_v8_bytes(c, 3) & 0xf8fffe) == 0xf88348 && (jump == 0x037f || jump == 0x8f0f)) ||
	       ((jp_v8_bytes(c, 3) & 0xf8fffe) == 0xf88148 &&
		(wide_jump == 0x037f || wide_jump == 0x8f0f)) ||
	       (jp_v8_bytes(c, 4) & 0xfffdf8ff) == 0x8d485841;
}

/* A leaf in JIT code may not have its frame yet, or no longer: the frame pointer is its caller's.
 * The bytes at pc tell, since V8's compilers begin and end all functions alike. Before the frame is
 * made, rdi holds the function; a frame just taken down still lies below the stack pointer, where
 * nobody wrote since. A frame that is given a type, as WebAssembly's, has no function. Not 0: the
 * frame's own slots do not tell the function. */
JP_SUBPROG(jp_v8_leaf)
{
	const __u8 *c = (const __u8 *)w->scratch + JP_V8_CODE_BEFORE;
	__u64 caller = 0, at = 0, below[3];
	__u32 i;

	if (jp_read(w, w->scratch, JP_V8_CODE_BYTES, w->pc - JP_V8_CODE_BEFORE))
		return 0;
	if (jp_v8_not_entered(c)) {
		w->scratch[JP_V8_FUNCTION] = w->leaf_registers.rdi;
		if (jp_v8_bytes(c, 4) == 0xe5894855 && c[4] == JP_V8_PUSH_BYTE)
			w->scratch[JP_V8_FUNCTION] = 0;
		at = w->sp;
	} else if (c[-1] == 0x55 && jp_v8_bytes(c, 3) == 0xe58948 /* mov rbp,rsp */) {
		w->scratch[JP_V8_FUNCTION] = c[3] == JP_V8_PUSH_BYTE ? 0 : w->leaf_registers.rdi;
		at = w->sp + 8;
	} else if (jp_v8_left(c)) {
		/* Where more arguments were given than declared, they were popped too. */
		for (i = 0; i < 12; i++) {
			if (jp_read(w, below, sizeof(below), w->sp - 24 - 8 * i))
				return 0;
			if (below[2] == w->fp)
				break;
		}
		if (below[2] != w->fp)
			return 0;
		w->scratch[JP_V8_FUNCTION] = below[0];
		at = w->sp;
	} else if (w->fp - w->sp < 16 && c[0] != 0x5d /* pop rbp */) {
		/* Linked, but the function is not in it yet: push rsi; push rdi. Code of other kinds has
		 * no function. */
		w->scratch[JP_V8_FUNCTION] = 0;
		if ((c[0] == 0x56 && c[-2] != JP_V8_PUSH_BYTE) || c[0] == 0x57)
			w->scratch[JP_V8_FUNCTION] = w->leaf_registers.rdi;
		return 1;
	} else {
		return 0;
	}
	if (!jp_read(w, &caller, sizeof(caller), at) && caller >= JP_LOWEST_ADDRESS &&
	    caller < JP_USER_LIMIT)
		w->scratch[JP_V8_CALLER] = caller;
	return 1;
}

/* A builtin without a frame of its own runs on top of compiled code: the topmost return address
 * into JIT code below the function's frame pointer is where the function called it. User space
 * checks that it is in that function's code. */
JP_SUBPROG(jp_v8_place)
{
	__u32 i, r;

	w->scratch[JP_V8_PLACE] = 0;
	if (jp_read(w, w->scratch, 8 * 8, w->sp))
		return 0;
	for (i = 0; i < 8; i++) {
		if (w->sp + 8 * i >= w->fp)
			break;
		for (r = 0; r < JP_MAX_RANGES; r++) {
			if (r >= w->process.range_count)
				break;
			if (w->process.ranges[r].kind == JP_RANGE_JIT &&
			    w->scratch[i] - w->process.ranges[r].begin <
				    w->process.ranges[r].end - w->process.ranges[r].begin) {
				w->scratch[JP_V8_PLACE] = w->scratch[i];
				return 0;
			}
		}
	}
	return 0;
}

/* Whether the slot beside the bytecode offset's holds bytecode. */
static __always_inline int jp_v8_has_bytecode(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 bytecode = l->frame_bytecode_offset == -32 ? w->window[JP_SLOT(-24)] :
							    w->window[JP_SLOT(-32)];

	return l->bytecode_array_type && jp_v8_is_object(bytecode) &&
	       jp_v8_object_type(w, l, &bytecode) == l->bytecode_array_type;
}

/* What tells a function from another that had the same address before: the words in scratch[0..6]
 * of its SharedFunctionInfo, and the script's id. A collection frees a script with all that belongs
 * to it, and the next script's objects may well come to lie where its were, each at the same place;
 * but no id is given twice. */
static __always_inline __u64 jp_v8_content(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 script = w->scratch[(l->shared_script >> 3) & JP_V8_WORD_MASK], content;

	content = jp_mix(w->scratch[(l->shared_name_or_scope_info >> 3) & JP_V8_WORD_MASK], script);
	content = jp_mix(content, w->scratch[((l->shared_script >> 3) + 1) & JP_V8_WORD_MASK]);
	if (script != w->kept[JP_V8_SCRIPT_SEEN]) {
		w->kept[JP_V8_SCRIPT_SEEN] = script;
		if (!jp_v8_is_object(script) ||
		    jp_read(w, &w->kept[JP_V8_SCRIPT_WORD], 8, script - 1 + l->script_id))
			w->kept[JP_V8_SCRIPT_WORD] = 0;
	}
	return jp_mix(content, w->kept[JP_V8_SCRIPT_WORD]);
}

/* The frame of the JSFunction in scratch[JP_V8_FUNCTION]; of one that awaits, if w->async. A
 * builtin is not emitted, only noted in scratch[JP_V8_BUILTIN]. */
JP_SUBPROG(jp_v8_function)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 function = w->scratch[JP_V8_FUNCTION];
	__u64 shared, data, content, offset;
	__u32 number;
	int type, answer;

	if (!l)
		return JP_NOT_MINE;
	if (!jp_v8_is_object(function))
		return w->leaf ? jp_v8_no_function(w) : JP_CORRUPT;
	if (jp_v8_words(w, &function, 6))
		return w->leaf ? jp_v8_no_function(w) : JP_UNREADABLE;
	if (w->scratch[0] != w->kept[JP_V8_FUNCTION_MAP]) {
		type = jp_v8_type(w, l, w->scratch[0]);
		if (type < l->first_js_function_type || type > l->last_js_function_type)
			return w->leaf ? jp_v8_no_function(w) : JP_CORRUPT;
		w->kept[JP_V8_FUNCTION_MAP] = w->scratch[0];
	}

	shared = w->scratch[(l->function_shared >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_object(shared))
		return JP_CORRUPT;
	if (jp_v8_words(w, &shared, 7))
		return JP_UNREADABLE;
	/* A Smi is the number of a builtin: a function of JavaScript's own library. */
	data = w->scratch[(l->shared_data >> 3) & JP_V8_WORD_MASK];
	if (l->shared_data_2 && jp_v8_is_smi(data))
		data = w->scratch[(l->shared_data_2 >> 3) & JP_V8_WORD_MASK];
	if (jp_v8_is_smi(data) && !w->scratch[JP_V8_EXIT]) {
		if (jp_v8_type(w, l, w->scratch[0]) != l->shared_type)
			return JP_CORRUPT;
		w->scratch[JP_V8_BUILTIN] = 1;
		return JP_MINE;
	}

	content = jp_v8_content(w, l);
	number = jp_find_symbol(w, shared, content);
	if (!number) {
		if (w->resolves++ >= JP_MAX_RESOLVES)
			return JP_UNREADABLE;
		w->scratch[JP_V8_SHARED] = shared;
		w->scratch[JP_V8_CONTENT] = content;
		answer = JP_CALL(jp_v8_resolve, w);
		if (answer)
			return answer;
		number = w->scratch[JP_V8_SCOPE];
		if (!number)
			return JP_UNREADABLE;
	}
	if (w->async) {
		jp_emit(w, JP_FRAME_RUNTIME, w->scratch[JP_V8_AWAIT] >> 32, number, JP_V8_BYTECODE);
		return JP_MINE;
	}
	if (w->scratch[JP_V8_EXIT]) {
		jp_emit(w, JP_FRAME_RUNTIME, 0, number, JP_V8_NO_PLACE);
		return JP_MINE;
	}
	offset = l->frame_bytecode_offset == -32 ? w->window[JP_SLOT(-32)] : w->window[JP_SLOT(-40)];
	if (w->range.kind == JP_RANGE_JIT) {
		jp_emit(w, JP_FRAME_RUNTIME, w->pc, number, JP_V8_PC);
	} else if (w->scratch[JP_V8_LIVE] && jp_v8_is_smi(offset) && jp_v8_has_bytecode(w, l)) {
		jp_emit(w, JP_FRAME_RUNTIME, w->scratch[JP_V8_LIVE], number, JP_V8_HANDLER);
	} else if (w->leaf) {
		/* A builtin or bytecode handler without a frame of its own, on top of the function. */
		jp_emit(w, JP_FRAME_BUILTIN, w->pc, 0, 0);
		JP_CALL(jp_v8_place, w);
		w->leaf = 0;
		if (w->scratch[JP_V8_PLACE])
			jp_emit(w, JP_FRAME_RUNTIME, w->scratch[JP_V8_PLACE], number, JP_V8_PC);
		else if (jp_v8_is_smi(offset) && jp_v8_has_bytecode(w, l))
			jp_emit(w, JP_FRAME_RUNTIME, 0, number, JP_V8_INTERPRETED);
		else
			jp_emit(w, JP_FRAME_RUNTIME, 0, number, JP_V8_NO_PLACE);
	} else if (jp_v8_is_smi(offset)) {
		/* Interpreted frames all return to the same place; what tells where they are is their slot. */
		jp_emit(w, JP_FRAME_RUNTIME, offset >> 32, number, JP_V8_BYTECODE);
	} else {
		jp_emit(w, JP_FRAME_RUNTIME, 0, number, JP_V8_NO_PLACE);
	}
	return JP_MINE;
}

#include "helpers/v8/v8_await.h"

/* The frame in which JavaScript called a builtin of C++: the function is among its arguments. What
 * it does is in the native frames above it. */
static __always_inline int jp_v8_builtin_exit(struct jp_walk *w)
{
	w->scratch[JP_V8_EXIT] = 1;
	if (w->leaf || jp_read(w, &w->scratch[JP_V8_FUNCTION], 8, w->fp + 24) ||
	    JP_CALL(jp_v8_function, w))
		return jp_v8_no_function(w);
	return JP_MINE;
}

/* A frame that has its type where others have the context. One of WebAssembly has its instance where
 * others have the function; which function it is, user space finds from the pc. */
JP_SUBPROG(jp_v8_typed)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 type = w->window[JP_SLOT(-8)] >> 1, instance = w->window[JP_SLOT(-16)];
	__u32 number;

	if (!l)
		return JP_NOT_MINE;
	if (w->range.kind != JP_RANGE_JIT || !type)
		return jp_v8_no_function(w);
	if (!w->leaf && (type == l->frame_wasm_to_js || type == l->frame_js_to_wasm))
		return JP_MINE;
	if (type != l->frame_wasm || !jp_v8_is_object(instance))
		return JP_NOT_MINE;
	number = jp_find_symbol(w, instance, JP_V8_WASM);
	if (!number) {
		if (w->resolves++ >= JP_MAX_RESOLVES)
			return JP_UNREADABLE;
		jp_v8_begin_symbol(w);
		w->symbol.words[JP_V8_WASM_INSTANCE] = instance;
		number = jp_add_symbol(w, instance, JP_V8_WASM);
		if (!number)
			return JP_UNREADABLE;
	}
	jp_emit(w, JP_FRAME_RUNTIME, w->pc, number, JP_V8_WASM);
	return JP_MINE;
}

/* Those who await the function above the frame at hand: the frame is of a builtin that goes on with
 * an asynchronous function, or of the loop that calls a callback. */
static __always_inline void jp_v8_awaiters(struct jp_walk *w)
{
	__u64 seen = 0, i; /* 64 bits: the verifier loses track of less, when it is spilled */
	int answer;

	if (w->scratch[JP_V8_BUILTIN] ? JP_CALL(jp_v8_resumed, w) : JP_CALL(jp_v8_microtask, w))
		return;
	w->async = 1;
	for (i = 0; i < JP_V8_MAX_AWAITERS; i++) {
		if (w->kept[JP_V8_AWAITS]++ >= JP_V8_MAX_AWAITERS)
			break;
		/* Promise.all() may close a circle: compare with what was met after 1, 2, 4 ... steps. */
		if (!(i & (i - 1)))
			seen = w->scratch[JP_V8_PROMISE];
		if (JP_CALL(jp_v8_await, w) || w->scratch[JP_V8_PROMISE] == seen)
			break;
		if (w->scratch[JP_V8_COMBINED]) {
			answer = JP_CALL(jp_v8_combinator, w);
		} else if (w->scratch[JP_V8_FUNCTION]) {
			answer = JP_CALL(jp_v8_function, w);
		} else {
			continue;
		}
		if (answer) {
			jp_count(w, answer);
			jp_emit(w, JP_FRAME_UNRESOLVED, 0, 0, answer);
		}
	}
	w->async = 0;
}

/* The address of a JP_V8_HANDLER frame whose handler is at the pc, or 0. */
static __always_inline __u64 jp_v8_in_handler(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 offset = w->pc - w->range.begin, bytecode = w->leaf_registers.r9;

	if (w->range.kind != JP_RANGE_IMAGE || !l->handlers || offset < l->handlers ||
	    offset > 0xffffffffULL)
		return 0;
	/* A handler of V8 7 that needs the register keeps the next one's offset in its frame. */
	if (!bytecode && w->window[JP_SLOT(-8)] < JP_V8_FRAME_TYPES)
		bytecode = w->window[JP_SLOT(-16)];
	if (bytecode >= JP_V8_MAX_BYTECODES)
		return 0;
	return bytecode << 32 | (offset & ~(JP_V8_HANDLER_UNIT - 1ULL));
}

JP_SUBPROG(jp_v8_frame)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 context = w->window[JP_SLOT(-8)];
	int answer = JP_MINE, repaired = 0, loop = 0;

	if (!l)
		return JP_NOT_MINE;
	w->scratch[JP_V8_LIVE] = w->kept[JP_V8_LEAF_HANDLER];
	w->kept[JP_V8_LEAF_HANDLER] = 0;
	if (w->leaf) {
		jp_remember(w, w->leaf_registers.r13);
		w->scratch[JP_V8_LIVE] = jp_v8_in_handler(w, l);
	}
	w->kept[JP_V8_OUTER_FRAME] = JP_V8_NO_OUTER_FRAME;
	w->scratch[JP_V8_EXIT] = 0;
	w->scratch[JP_V8_BUILTIN] = 0;
	w->scratch[JP_V8_CALLER] = 0;
	w->scratch[JP_V8_FUNCTION] = w->window[JP_SLOT(-16)];
	if (w->leaf && w->range.kind == JP_RANGE_JIT)
		repaired = JP_CALL(jp_v8_leaf, w);
	else if (w->leaf && w->fp - w->sp < 16) /* a builtin that is making its frame */
		return jp_v8_no_function(w);

	if (!repaired) {
		if (!(context & 1) && context < JP_V8_FRAME_TYPES) {
			if (context && context == 2 * l->frame_builtin_exit)
				return jp_v8_builtin_exit(w);
			/* It keeps the exit frame of the JavaScript that called C++ before. */
			if ((context == JP_V8_ENTRY || context == JP_V8_CONSTRUCT_ENTRY) &&
			    !jp_read(w, w->scratch, 8, w->fp - 64) && w->scratch[0])
				w->kept[JP_V8_OUTER_FRAME] = w->scratch[0];
			loop = w->process.flags & JP_PROCESS_ASYNC && jp_v8_is_microtask_loop(w, l);
			if (!loop)
				return JP_CALL(jp_v8_typed, w);
		} else if (!jp_v8_is_object(context)) {
			return w->leaf ? jp_v8_no_function(w) : JP_CORRUPT;
		}
	}
	if (!loop)
		answer = JP_CALL(jp_v8_function, w);
	if (w->process.flags & JP_PROCESS_ASYNC && !w->leaf && (loop || w->scratch[JP_V8_BUILTIN]))
		jp_v8_awaiters(w);
	if (w->scratch[JP_V8_BUILTIN])
		jp_emit(w, JP_FRAME_BUILTIN, w->pc, 0, 0);
	if (!w->scratch[JP_V8_CALLER])
		return answer;
	if (answer == JP_NOT_MINE) {
		jp_emit(w, JP_FRAME_NATIVE, w->pc, 0, 0);
	} else if (answer != JP_MINE) {
		jp_count(w, answer);
		jp_emit(w, JP_FRAME_UNRESOLVED, w->pc, 0, answer);
	}
	w->pc = w->scratch[JP_V8_CALLER];
	return JP_STEPPED;
}

/* Whether code of V8's or JIT code is at pc. */
static __always_inline int jp_v8_owns(struct jp_walk *w, __u64 pc)
{
	__u32 i;

	for (i = 0; i < JP_MAX_RANGES; i++) {
		if (i >= w->process.range_count)
			break;
		if (pc - w->process.ranges[i].begin <
		    w->process.ranges[i].end - w->process.ranges[i].begin)
			return 1;
	}
	return 0;
}

/* Native code that JavaScript called cannot be walked. V8 itself must find its frames from there:
 * it keeps the frame pointer of the frame that was left last, in the isolate (the root register,
 * r13, points into it; known from a sample in V8's code) and, for calls before, in each entry
 * frame. */
JP_SUBPROG(jp_v8_resume)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 frame = w->kept[JP_V8_OUTER_FRAME], root, pc = 0;
	__u32 i;

	if (!l || !l->isolate_exit_frame || frame == JP_V8_NO_OUTER_FRAME)
		return 1;
	if (!frame) {
		root = jp_recall(w);
		if (!root)
			return 1;
		/* A call that left no exit frame: its caller's, with the return address beside. */
		if (l->isolate_fast_call && !jp_read(w, w->scratch, 3 * 8, root + l->isolate_fast_call - 8) &&
		    w->scratch[1]) {
			frame = w->scratch[1];
			pc = jp_v8_owns(w, w->scratch[0]) ? w->scratch[0] : w->scratch[2];
		} else if (jp_read(w, &frame, 8, root + l->isolate_exit_frame)) {
			return 1;
		}
	}
	w->kept[JP_V8_OUTER_FRAME] = JP_V8_NO_OUTER_FRAME;
	/* Within this stack, and V8's. */
	if (frame & 7 || frame <= w->leaf_registers.sp || frame - w->leaf_registers.sp > JP_V8_MAX_STACK ||
	    (w->base && frame >= w->base))
		return 1;
	if (jp_read(w, w->scratch, 8, frame + 8) || !jp_v8_owns(w, pc ? pc : w->scratch[0]))
		return 1;
	w->fp = frame;
	w->pc = pc;
	for (i = 0; i < JP_MAX_RANGES && !pc; i++) {
		if (i >= w->process.range_count)
			return 1;
		/* An exit frame is of some builtin; its marker tells the rest. */
		if (w->process.ranges[i].kind == JP_RANGE_IMAGE)
			w->pc = pc = w->process.ranges[i].begin + 1;
	}
	return pc ? 0 : 1;
}
