/* Who awaits whom: a part of v8.helper.c, behind what it needs of it.
 *
 * An asynchronous function that goes on after an await runs on a stack of its own: below it is
 * V8's microtask loop. Who called it is known nevertheless, by what happens when it is done:
 *
 *   frame of a builtin that goes on with it: [fp-8] context ----> generator
 *
 *   generator --+--> function, and the bytecode at which it awaits
 *               +--> promise for its result (asynchronous generators: of the first request)
 *                      |
 *                      v
 *                    reaction --> fulfill handler: a builtin's closure --> context --+
 *                                                                                    |
 *               the generator that awaits, at whose function it starts again  <------+
 *
 * While a callback of then() runs, it is the microtask at work that has the promise for its result.
 *
 * Handlers of other kinds pass the result on to another promise: Promise.all() and its like in
 * their context, resolving functions likewise, callbacks of then() by the promise that the
 * reaction settles. V8's own stack traces go the same way (src/execution/isolate.cc), and end where this
 * ends: at a promise that nobody or more than one awaits. What a handler is, its context tells: the
 * types of the objects in it, which no other builtin has there.
 */
#pragma once

/* Steps from one promise to the next, in one walk: some 1 us each. Programs await deeper than V8's
 * own traces show by default, which is 10 frames, and the verifier bears it. */
#define JP_V8_MAX_AWAITERS 48

/* Fields that are the same in all versions. */
#define JP_V8_GENERATOR_FUNCTION 24
#define JP_V8_GENERATOR_BYTECODE 48 /* while it is suspended */
#define JP_V8_GENERATOR_STATE 64    /* where to go on; -2 while it runs, -1 once it is done */
#define JP_V8_GENERATOR_RESULT 80   /* promise, or queue of requests */
#define JP_V8_REQUEST_PROMISE 32
#define JP_V8_PROMISE_REACTIONS 24 /* its status in the next word */
#define JP_V8_CAPABILITY_PROMISE 8
#define JP_V8_CONTEXT_EXTENSION 32
#define JP_V8_FUNCTION_HASH 8

/* Of the promises that are combined, those beyond have no number: they are many, and alike. */
#define JP_V8_MAX_NUMBER 1024

/* Type of an object, -1 for anything else. */
static __always_inline int jp_v8_kind(struct jp_walk *w, const struct jp_v8_layout *l,
				     __u64 *object)
{
	return jp_v8_is_object(*object) ? jp_v8_object_type(w, l, object) : -1;
}

/* Looks at the generator in scratch[JP_V8_PROMISE], and leaves there the promise for its result,
 * its words from the function on in scratch[0..5]. Not 0: it is none, or there is nobody to find. */
JP_SUBPROG(jp_v8_generator)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 generator = w->scratch[JP_V8_PROMISE], result;
	int type;

	if (!l || !l->async_function_type)
		return 1;
	type = jp_v8_kind(w, l, &generator);
	if (type != l->async_function_type && type != l->async_generator_type)
		return 1;
	if (jp_read(w, w->scratch, 6 * 8, generator - 1 + JP_V8_GENERATOR_FUNCTION) ||
	    jp_read(w, &result, 8, generator - 1 + JP_V8_GENERATOR_RESULT))
		return 1;
	if (type == l->async_generator_type &&
	    (jp_v8_kind(w, l, &result) != l->request_type ||
	     jp_read(w, &result, 8, result - 1 + JP_V8_REQUEST_PROMISE)))
		result = 0;
	w->scratch[JP_V8_PROMISE] = result;
	return 0;
}

/* Whether the frame at hand is of V8's loop over the microtasks. */
static __always_inline int jp_v8_is_microtask_loop(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 at = w->pc - w->range.begin;

	return l->builtins_bytes && w->range.kind == JP_RANGE_IMAGE && !w->leaf &&
	       w->range.end - w->range.begin == l->builtins_bytes && at > l->microtasks_begin &&
	       at <= l->microtasks_end;
}

/* Whether the frame at hand, a builtin's, runs an asynchronous function: leaves the promise for its
 * result in scratch[JP_V8_PROMISE], and returns 0. */
JP_SUBPROG(jp_v8_resumed)
{
	if (jp_read(w, &w->scratch[JP_V8_PROMISE], 8,
		    w->window[JP_SLOT(-8)] - 1 + JP_V8_CONTEXT_EXTENSION) ||
	    JP_CALL(jp_v8_generator, w))
		return 1;
	return jp_v8_smi(w->scratch[(JP_V8_GENERATOR_STATE - JP_V8_GENERATOR_FUNCTION) / 8]) != -2;
}

/* Of a builtin's closure in scratch[JP_V8_FUNCTION], what is in its context: scratch[0] the
 * extension, scratch[1] and [2] the first two slots; its identity hash in scratch[JP_V8_AWAIT].
 * Not 0: it is no builtin. */
JP_SUBPROG(jp_v8_closure)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 function = w->scratch[JP_V8_FUNCTION], shared, context, data;
	int type;

	if (!l || !jp_v8_is_object(function) || jp_v8_words(w, &function, 6))
		return 1;
	type = jp_v8_type(w, l, w->scratch[0]);
	if (type < l->first_js_function_type || type > l->last_js_function_type)
		return 1;
	w->scratch[JP_V8_AWAIT] = w->scratch[JP_V8_FUNCTION_HASH / 8];
	shared = w->scratch[(l->function_shared >> 3) & JP_V8_WORD_MASK];
	context = w->scratch[(l->function_context >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_object(shared) || !jp_v8_is_object(context) || jp_v8_words(w, &shared, 7) ||
	    jp_v8_type(w, l, w->scratch[0]) != l->shared_type)
		return 1;
	data = w->scratch[(l->shared_data >> 3) & JP_V8_WORD_MASK];
	if (l->shared_data_2 && jp_v8_is_smi(data))
		data = w->scratch[(l->shared_data_2 >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_smi(data) || jp_v8_object_type(w, l, &context) < 0 ||
	    jp_read(w, w->scratch, 8, context - 1 + JP_V8_CONTEXT_EXTENSION))
		return 1;
	/* A context that ends before them is no error. */
	if (jp_read(w, &w->scratch[1], 2 * 8, context - 1 + l->context_slots))
		w->scratch[1] = w->scratch[2] = 0;
	return 0;
}

/* Whether the microtask at work calls a callback, for whose result there is a promise: leaves that
 * in scratch[JP_V8_PROMISE], and returns 0. One that goes on with an asynchronous function does
 * not: the frame of the builtin that it calls tells who awaits. */
JP_SUBPROG(jp_v8_microtask)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 root = jp_recall(w), task, promise;
	int type;

	if (!l || !l->async_function_type || !root ||
	    jp_read(w, &task, 8, root + (__s64)l->isolate_microtask))
		return 1;
	type = jp_v8_kind(w, l, &task);
	if (type != l->fulfill_task_type && type != l->reject_task_type && type != l->thenable_task_type)
		return 1;
	/* Argument, context, handler, promise; or context, promise to resolve, object, its then(). */
	if (jp_read(w, w->scratch, 4 * 8, task - 1 + l->reaction_next))
		return 1;
	promise = type == l->thenable_task_type ? w->scratch[1] : w->scratch[3];
	w->scratch[JP_V8_FUNCTION] = w->scratch[2];
	if (type != l->thenable_task_type && !JP_CALL(jp_v8_closure, w)) {
		w->scratch[JP_V8_PROMISE] = w->scratch[0];
		if (!JP_CALL(jp_v8_generator, w))
			return 1;
	}
	w->scratch[JP_V8_PROMISE] = promise;
	return 0;
}

/* Whether scratch[1] and [2] are of a context that counts how many promises are still awaited,
 * beside the promise that is settled in the end, which is left in scratch[JP_V8_PROMISE]. */
static __always_inline int jp_v8_is_combined(struct jp_walk *w, const struct jp_v8_layout *l)
{
	__u64 capability = w->scratch[2];

	return jp_v8_is_smi(w->scratch[1]) && jp_v8_kind(w, l, &capability) == l->capability_type &&
	       !jp_read(w, &w->scratch[JP_V8_PROMISE], 8, capability - 1 + JP_V8_CAPABILITY_PROMISE);
}

/* From the promise in scratch[JP_V8_PROMISE] to the next one. What awaits it is left in
 * scratch[JP_V8_FUNCTION], or in scratch[JP_V8_COMBINED], or is neither; scratch[JP_V8_AWAIT] has
 * the place, or the number of the promise among those that are combined. Not 0: the end. */
JP_SUBPROG(jp_v8_await)
{
	const struct jp_v8_layout *l = jp_layout(w);
	__u64 object = w->scratch[JP_V8_PROMISE], reject, then;
	int type, is_closure;

	w->scratch[JP_V8_COMBINED] = 0;
	if (!l || jp_v8_kind(w, l, &object) != l->promise_type ||
	    jp_read(w, w->scratch, 2 * 8, object - 1 + JP_V8_PROMISE_REACTIONS) ||
	    (w->scratch[1] >> 32) & 3 /* it is settled */)
		return 1;
	object = w->scratch[0];
	if (jp_v8_kind(w, l, &object) != l->reaction_type ||
	    jp_read(w, w->scratch, 4 * 8, object - 1 + l->reaction_next) ||
	    w->scratch[0] != 0 /* there is another reaction */)
		return 1;
	reject = w->scratch[1];
	w->scratch[JP_V8_FUNCTION] = w->scratch[2];
	then = w->scratch[3];

	is_closure = !JP_CALL(jp_v8_closure, w);
	object = is_closure ? w->scratch[0] : 0;
	if (is_closure && jp_v8_is_combined(w, l)) {
		__u64 number = w->scratch[JP_V8_AWAIT];

		/* Both closures of allSettled() are its own. */
		w->scratch[JP_V8_FUNCTION] = reject;
		w->scratch[JP_V8_COMBINED] = !JP_CALL(jp_v8_closure, w) && jp_v8_is_smi(w->scratch[1]) ?
						     JP_V8_PROMISE_ALL_SETTLED :
						     JP_V8_PROMISE_ALL;
		w->scratch[JP_V8_AWAIT] = number;
		return 0;
	}
	if (is_closure) {
		__u64 slot = w->scratch[1];

		w->scratch[JP_V8_PROMISE] = object;
		if (!JP_CALL(jp_v8_generator, w)) {
			w->scratch[JP_V8_FUNCTION] = w->scratch[0];
			w->scratch[JP_V8_AWAIT] =
				w->scratch[(JP_V8_GENERATOR_BYTECODE - JP_V8_GENERATOR_FUNCTION) / 8];
			object = w->scratch[(JP_V8_GENERATOR_STATE - JP_V8_GENERATOR_FUNCTION) / 8];
			return !jp_v8_is_smi(object) || jp_v8_smi(object) < 0 ||
			       !jp_v8_is_smi(w->scratch[JP_V8_AWAIT]);
		}
		object = slot;
	}
	/* Promise.any() counts those that fail. */
	w->scratch[JP_V8_FUNCTION] = reject;
	if (!JP_CALL(jp_v8_closure, w) && jp_v8_is_combined(w, l)) {
		w->scratch[JP_V8_COMBINED] = JP_V8_PROMISE_ANY;
		return 0;
	}
	w->scratch[JP_V8_FUNCTION] = 0;
	type = jp_v8_kind(w, l, &object);
	if (type != l->promise_type) {
		object = then;
		type = jp_v8_kind(w, l, &object);
	}
	if (type == l->capability_type &&
	    jp_read(w, &object, 8, object - 1 + JP_V8_CAPABILITY_PROMISE))
		return 1;
	w->scratch[JP_V8_PROMISE] = object;
	return type != l->promise_type && type != l->capability_type;
}

/* The frame of what is in scratch[JP_V8_COMBINED]. V8 keeps the promise's number, from 1 on, as the
 * identity hash of its closure. */
JP_SUBPROG(jp_v8_combinator)
{
	__u64 which = w->scratch[JP_V8_COMBINED], number = w->scratch[JP_V8_AWAIT];
	__u32 symbol;

	if (jp_v8_is_smi(number) && (number >>= 32) <= JP_V8_MAX_NUMBER)
		which |= number << JP_V8_NUMBER_SHIFT;
	symbol = jp_find_symbol(w, which, 0);
	if (!symbol) {
		if (w->resolves++ >= JP_MAX_RESOLVES)
			return JP_UNREADABLE;
		jp_v8_begin_symbol(w);
		w->symbol.words[JP_V8_COMBINATOR] = which;
		symbol = jp_add_symbol(w, which, 0);
		if (!symbol)
			return JP_UNREADABLE;
	}
	jp_emit(w, JP_FRAME_RUNTIME, 0, symbol, JP_V8_NO_PLACE);
	return JP_MINE;
}
