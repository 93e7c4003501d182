/* V8's strings, of every representation, as text of the record at hand. A part of v8.helper.c. */
#pragma once

#include "helpers/v8/v8_objects.h"

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

/* Appends the last of the pending strings to the record, or puts in its place what it is made of: Cons
 * strings are two, Thin and Sliced strings point to another, External ones to memory outside the heap. */
JP_SUBPROG(jp_v8_string)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 n = w->scratch[JP_V8_PENDING], string, address;
	__u64 *head = w->scratch, *first = head + 2, *second = head + 3;
	__u32 start, length, wanted, own;
	int type, shift, encoding;
	__u8 tag;

	if (!l)
		return JP_NOT_MINE;
	n--;
	w->scratch[JP_V8_PENDING] = n;
	JP_OPAQUE(n);
	string = w->pending[n & (JP_PENDING - 1)].string;
	start = w->pending[n & (JP_PENDING - 1)].start;
	wanted = w->pending[n & (JP_PENDING - 1)].length;
	if (!jp_v8_is_object(string))
		return JP_CORRUPT;
	if (jp_read(w, head, 2 * sizeof(*head), string - 1))
		return JP_UNREADABLE;
	if (!(head[0] & 1)) { /* moved */
		string = head[0] + 1;
		if (jp_read(w, head, 2 * sizeof(*head), string - 1))
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
		return JP_MINE;
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
		return JP_MINE;
	}
	if (tag == l->cons_tag) {
		if (jp_read(w, first, 8, string + l->cons_first) ||
		    jp_read(w, second, 8, string + l->cons_second))
			return JP_UNREADABLE;
		/* A slice of a Cons string: V8 flattens before it slices, so all is in the first. */
		if (start == 0 && length == own)
			jp_v8_push(w, *second, 0, JP_V8_WHOLE);
		jp_v8_push(w, *first, start, start == 0 && length == own ? JP_V8_WHOLE : length);
	} else if (tag == l->thin_tag) {
		if (jp_read(w, first, 8, string + l->thin_actual))
			return JP_UNREADABLE;
		jp_v8_push(w, *first, start, wanted);
	} else if (tag == l->sliced_tag) {
		if (jp_read(w, first, 8, string + l->sliced_parent) ||
		    jp_read(w, second, 8, string + l->sliced_offset))
			return JP_UNREADABLE;
		jp_v8_push(w, *first, start + (__u32)jp_v8_smi(*second), length);
	} else {
		return JP_CORRUPT;
	}
	return JP_MINE;
}

/* Appends a string, flattened. A step is a subprogram, since the verifier follows a loop round by round. */
static __always_inline int jp_v8_append_string(struct jp_walk *w, __u8 field, __u64 string)
{
	__u64 i; /* 64 bits: the verifier loses track of less, when it is spilled */
	int answer;

	w->scratch[JP_V8_FIELD] = field;
	w->scratch[JP_V8_PENDING] = 0;
	w->scratch[JP_V8_DROPPED] = 0;
	w->scratch[JP_V8_TEXT_BEFORE] = w->symbol.text_bytes;
	jp_v8_push(w, string, 0, JP_V8_WHOLE);
	for (i = 0; i < JP_V8_STRING_STEPS; i++) {
		if (w->scratch[JP_V8_PENDING] == w->scratch[JP_V8_DROPPED])
			return JP_MINE;
		answer = JP_CALL(jp_v8_string, w);
		if (answer)
			return answer;
	}
	jp_v8_cut(w);
	/* The beginning of a name stands for it; nothing does not. */
	return jp_v8_appended(w) ? JP_MINE : JP_CORRUPT;
}
