/* The helper of the made-up runtime: finds the table's entry for a native frame of toy_call(). */
#include "helpers/abi/helper.h"
#include "tests/helpers/toy/toy_layout.h"

JP_SUBPROG(jp_toy_frame)
{
	const struct jp_toy_layout *l = jp_layout(w);
	struct toy_frame frame;
	__u64 state, function, first_word, line;
	__u32 number;
	int i;

	if (!l)
		return JP_NOT_MINE;
	state = l->state;
	for (i = 0; i < TOY_MAX_FRAMES; i++) {
		if (jp_read(w, &frame, sizeof(frame),
			    state + __builtin_offsetof(struct toy_state, frames) + i * sizeof(frame)))
			return JP_UNREADABLE;
		if (frame.fp == w->fp)
			break;
	}
	if (i == TOY_MAX_FRAMES)
		return w->leaf ? JP_NOT_MINE : JP_CORRUPT; /* before the entry is made, or after */
	if (frame.function > 3)
		return JP_CORRUPT;
	function = state + __builtin_offsetof(struct toy_state, functions) +
		   frame.function * sizeof(struct toy_function);
	if (jp_read(w, &first_word, sizeof(first_word), function) ||
	    jp_read(w, &line, sizeof(line), function + __builtin_offsetof(struct toy_function, line)))
		return JP_UNREADABLE;
	number = jp_find_symbol(w, function, first_word);
	if (!number) {
		jp_begin_symbol(w);
		w->symbol.words[TOY_LINE] = line;
		if (jp_append_text(w, TOY_NAME, JP_ENCODING_UTF8, function, TOY_NAME_BYTES))
			return JP_UNREADABLE;
		number = jp_add_symbol(w, function, first_word);
		if (!number)
			return JP_UNREADABLE;
	}
	jp_emit(w, JP_FRAME_RUNTIME, w->pc, number, 0);
	return JP_MINE;
}
