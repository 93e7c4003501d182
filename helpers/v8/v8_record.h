/* The record of a function at first sight: its names, extent and script. A part of v8.helper.c. */
#pragma once

#include "helpers/v8/v8_strings.h"

static __always_inline void jp_v8_begin_symbol(struct jp_walk *w)
{
	jp_begin_symbol(w);
	w->symbol.words[JP_V8_EXTENT] = ~0ULL;
	w->kept[JP_V8_SCRIPT_BEGUN] = 0;
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

/* Extent from the ScopeInfo in scratch[JP_V8_SCOPE], and where its names are. Its variable part is: [one
 * slot in module scopes], the context locals' names (or one table of them), their infos, [receiver
 * slot], the function's name with its slot index, [inferred name], [start and end position]. */
JP_SUBPROG(jp_v8_scope)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 *pair = w->scratch, *slots = pair + 2, *after_locals = pair + 3; /* the stack is short */
	__u64 *name = &w->scratch[JP_V8_NAME_STRING], *inferred = &w->scratch[JP_V8_INFERRED_STRING];
	__u64 at;
	__u32 flags, locals, names;
	int skip, type;

	if (!l)
		return JP_NOT_MINE;
	*slots = w->scratch[JP_V8_SCOPE] - 1 + l->scope_slots;
	*inferred = 0;
	if (jp_v8_pair(w, *slots))
		return JP_UNREADABLE;
	flags = jp_v8_is_smi(pair[0]) ? pair[0] >> 32 : (__u32)pair[0];
	if (jp_v8_pair(w, *slots + 8))
		return JP_UNREADABLE;
	if (!jp_v8_is_smi(pair[1]))
		return JP_CORRUPT;
	locals = pair[1] >> 32;
	if (locals > JP_V8_MAX_LOCALS)
		return JP_CORRUPT;
	names = l->scope_hashed_locals && locals >= l->scope_hashed_locals ? 1 : locals;
	at = *slots + 8 * (__u64)(l->scope_base + ((flags & 15) == l->scope_module_type) + names + locals);

	/* Only function scopes have a name; their type is the one before the modules'. Not a word more
	 * is read than there must be: behind the object is another one, or nothing. */
	*after_locals = at;
	for (skip = (flags & 15) + 1 == l->scope_module_type ? 0 : 3; skip < 3; skip++, at += 8) {
		if (jp_v8_pair(w, at))
			return JP_UNREADABLE;
		*name = pair[0];
		if (!jp_v8_is_smi(pair[1]) || jp_v8_smi(pair[1]) < -1 || jp_v8_smi(pair[1]) > 9999)
			continue;
		if (*name == 0) {
			if (jp_v8_smi(pair[1]) == -1)
				break;
			continue;
		}
		if (!jp_v8_is_object(*name))
			continue;
		type = jp_v8_object_type(w, l, name);
		if (type < 0)
			return JP_UNREADABLE;
		if (type < l->first_nonstring_type)
			break;
	}
	if (skip < 3) {
		at += 2 * 8;
		/* Where positions are elsewhere, the name may be the last of it. */
		if (jp_read(w, inferred, 8, at)) {
			if (!l->scope_position_slot)
				return JP_UNREADABLE;
			*inferred = 0;
		} else if (jp_v8_is_object(*inferred)) {
			at += 8;
		} else {
			*inferred = 0;
		}
	} else {
		/* The top level of a script, a module or of eval'd code. */
		*name = 0;
		at = *after_locals;
	}
	if (l->scope_position_slot)
		at = *slots + 8 * (__u64)l->scope_position_slot;
	if (jp_v8_pair(w, at))
		return JP_UNREADABLE;
	if (jp_v8_is_smi(pair[0]) && jp_v8_is_smi(pair[1]) && jp_v8_smi(pair[0]) >= 0 &&
	    jp_v8_smi(pair[0]) <= jp_v8_smi(pair[1]))
		w->symbol.words[JP_V8_EXTENT] = pair[1] | pair[0] >> 32;
	return JP_MINE;
}

/* Appends the first of the two strings that has any text. */
static __always_inline int jp_v8_append_name(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 i; /* 64 bits: the verifier loses track of less, when it is spilled */

	for (i = 0; i < 2; i++) {
		int answer, type = -1;

		if (!w->scratch[JP_V8_NAME_STRING + i])
			continue;
		type = jp_v8_object_type(w, l, &w->scratch[JP_V8_NAME_STRING + i]);
		if (type < 0)
			return JP_UNREADABLE;
		if (type >= l->first_nonstring_type) /* undefined: nothing was inferred */
			return i ? JP_MINE : JP_CORRUPT;
		answer = jp_v8_append_string(w, i ? JP_V8_INFERRED : JP_V8_NAME,
					     w->scratch[JP_V8_NAME_STRING + i]);
		if (answer)
			return answer;
		if (jp_v8_appended(w))
			break;
	}
	return JP_MINE;
}

/* Begins a record with the script in scratch[JP_V8_SCRIPT_AT], or without one if that is no script, and
 * leaves the string of its name in scratch[JP_V8_NAME_STRING]. Most functions of a stack come with others of
 * their script. */
JP_SUBPROG(jp_v8_script)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 script = w->scratch[JP_V8_SCRIPT_AT], name, word;
	int type;

	if (!l)
		return JP_NOT_MINE;
	w->scratch[JP_V8_NAME_STRING] = 0;
	if (script == w->kept[JP_V8_SCRIPT_BEGUN]) {
		w->symbol.text_bytes = w->kept[JP_V8_SCRIPT_TEXT];
		w->symbol.flags &= JP_SYMBOL_CUT(JP_V8_SCRIPT);
		w->symbol.words[JP_V8_EXTENT] = ~0ULL;
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
			if (type < l->first_nonstring_type)
				w->scratch[JP_V8_NAME_STRING] = name;
		}
	}
	return JP_MINE;
}

/* First sight of the function in scratch[JP_V8_SHARED], whose words are in scratch[0..6]: makes its
 * record. Its number is left in scratch[JP_V8_SCOPE]. */
JP_SUBPROG(jp_v8_resolve)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 name;
	int type, answer;

	if (!l)
		return JP_NOT_MINE;
	if (jp_v8_type(w, l, w->scratch[0]) != l->shared_type)
		return JP_CORRUPT;
	/* Nobody else uses the word meanwhile, and the stack is short. */
	w->scratch[JP_V8_INFERRED_STRING] =
		w->scratch[(l->shared_name_or_scope_info >> 3) & JP_V8_WORD_MASK];
	w->scratch[JP_V8_SCRIPT_AT] = w->scratch[(l->shared_script >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_object(w->scratch[JP_V8_SCRIPT_AT]))
		return JP_CORRUPT;
	answer = JP_CALL(jp_v8_script, w);
	if (!answer && w->scratch[JP_V8_NAME_STRING])
		answer = jp_v8_append_string(w, JP_V8_SCRIPT, w->scratch[JP_V8_NAME_STRING]);
	if (answer)
		return answer;
	w->kept[JP_V8_SCRIPT_BEGUN] = w->scratch[JP_V8_SCRIPT_AT];
	w->kept[JP_V8_SCRIPT_TEXT] = w->symbol.text_bytes;

	name = w->scratch[JP_V8_INFERRED_STRING];
	if (jp_v8_is_object(name)) {
		type = jp_v8_object(w, l, &name);
		if (type < 0)
			return JP_UNREADABLE;
		w->scratch[JP_V8_NAME_STRING] = name;
		w->scratch[JP_V8_INFERRED_STRING] = 0;
		if (type == l->scope_info_type) {
			w->scratch[JP_V8_SCOPE] = name;
			answer = JP_CALL(jp_v8_scope, w);
			if (answer)
				return answer;
		} else if (type >= l->first_nonstring_type) {
			return JP_CORRUPT;
		}
		answer = jp_v8_append_name(w, l);
		if (answer)
			return answer;
	} else if (!jp_v8_is_smi(name)) {
		return JP_CORRUPT;
	}

	/* Collector threads may have moved things meanwhile. */
	if (jp_read(w, w->scratch, 8, w->scratch[JP_V8_SHARED] - 1))
		return JP_UNREADABLE;
	if (jp_v8_type(w, l, w->scratch[0]) != l->shared_type)
		return JP_CORRUPT;
	w->scratch[JP_V8_SCOPE] = jp_add_symbol(w, w->scratch[JP_V8_SHARED], w->scratch[JP_V8_CONTENT]);
	return JP_MINE;
}
