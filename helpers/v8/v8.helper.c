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
 *
 * In parts: words and types of objects (v8_objects.h), strings (v8_strings.h), a function's record
 * (v8_record.h), leaves without a frame (v8_leaf.h), who awaits whom (v8_await.h).
 */
#include "helpers/v8/v8_record.h"
#include "helpers/v8/v8_leaf.h"

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
	__u64 object = w->scratch[JP_V8_FUNCTION]; /* then its SharedFunctionInfo: the stack is short */
	__u64 data, offset;
	__u32 number;
	int type, answer;

	if (!l)
		return JP_NOT_MINE;
	if (!jp_v8_is_object(object))
		return w->leaf ? jp_v8_no_function(w) : JP_CORRUPT;
	if (jp_v8_words(w, &object, 6))
		return w->leaf ? jp_v8_no_function(w) : JP_UNREADABLE;
	if (w->scratch[0] != w->kept[JP_V8_FUNCTION_MAP]) {
		type = jp_v8_type(w, l, w->scratch[0]);
		if (type < l->first_js_function_type || type > l->last_js_function_type)
			return w->leaf ? jp_v8_no_function(w) : JP_CORRUPT;
		w->kept[JP_V8_FUNCTION_MAP] = w->scratch[0];
	}

	object = w->scratch[(l->function_shared >> 3) & JP_V8_WORD_MASK];
	if (!jp_v8_is_object(object))
		return JP_CORRUPT;
	if (jp_v8_words(w, &object, 7))
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

	w->scratch[JP_V8_SHARED] = object;
	w->scratch[JP_V8_CONTENT] = jp_v8_content(w, l);
	number = jp_find_symbol(w, object, w->scratch[JP_V8_CONTENT]);
	if (!number) {
		if (w->resolves++ >= JP_MAX_RESOLVES)
			return JP_UNREADABLE;
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

/* One who awaits could not be told: scratch[JP_V8_AWAIT] is the answer. */
JP_SUBPROG(jp_v8_unresolved)
{
	int answer = w->scratch[JP_V8_AWAIT];

	jp_count(w, answer);
	jp_emit(w, JP_FRAME_UNRESOLVED, 0, 0, answer);
	return 0;
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
		if (w->scratch[JP_V8_COMBINED])
			answer = JP_CALL(jp_v8_combinator, w);
		else if (w->scratch[JP_V8_FUNCTION])
			answer = JP_CALL(jp_v8_function, w);
		else
			continue;
		if (answer) {
			w->scratch[JP_V8_AWAIT] = answer;
			JP_CALL(jp_v8_unresolved, w);
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
			pc = jp_find_range(w, w->scratch[0]) ? w->scratch[0] : w->scratch[2];
		} else if (jp_read(w, &frame, 8, root + l->isolate_exit_frame)) {
			return 1;
		}
	}
	w->kept[JP_V8_OUTER_FRAME] = JP_V8_NO_OUTER_FRAME;
	/* Within this stack, and V8's. */
	if (frame & 7 || frame <= w->leaf_registers.sp || frame - w->leaf_registers.sp > JP_V8_MAX_STACK ||
	    (w->base && frame >= w->base))
		return 1;
	if (jp_read(w, w->scratch, 8, frame + 8) || !jp_find_range(w, pc ? pc : w->scratch[0]))
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
