// What node's --cpu-prof makes of the state in which jprof took a sample, by V8's own rules. They are
// rules of the code at the leaf alone; what --cpu-prof measured plays no part.
//
// V8's sampler (src/profiler/{tick-sample,symbolizer}.cc, StackFrameIteratorForProfiler in
// src/execution/frames.cc) stops the thread by a signal, and looks up the code at the pc: that is the
// innermost entry. It takes the frame at the frame pointer for that code's own, and goes on at its caller.
// Return addresses have what was inlined there looked up, the pc has not. From this follows:
//
//   compiled code at the pc   the function that was compiled has the time, not what was inlined into it
//   a builtin at the pc       where it made no frame, the frame skipped is its caller's: if that is a
//                             function, that function's caller has the time, or what was inlined there
//   C++ at the pc             JavaScript's exit frame is where it goes on, so nothing is skipped
//   kernel at the pc          the signal is taken on return to the user's code, which counts
//   a collection              (garbage collector), whatever runs
//
// The interpreter's handlers have a rule by which they count for the function, as here. Left alone are the
// instructions that make and take down a frame, which V8 leaves out: too few to matter. And jprof shows no
// stubs but at the leaf: a builtin without a frame that another builtin called, and not the function, is
// here taken for one that the function called.
//
// `node bench/cpu_prof_agreement.mjs known` shows the rules at work where the truth is known.
import { builtinFrames } from './builtin_frames.mjs';

const KERNEL = 2 ** 63;
const collection = /v8::internal::(Heap::(CollectGarbage|PerformGarbageCollection)|IncrementalMarking)/;
// Time of --cpu-prof itself, which it cannot see.
const sampler = /v8::sampler::SignalHandler::|sys_rt_sigreturn/;

export const key = (file, line) => `${file.replace(/^file:\/\//, '')}:${line}`;
export const add = (histogram, k, weight) => histogram.set(k, (histogram.get(k) || 0) + weight);

// From samples of bench/pprof.mjs, self time by function: `own` as jprof tells it, `theirs` as
// --cpu-prof would. `binary` is the node that ran.
export function selfTimes(samples, binary) {
  const hasFrame = builtinFrames(binary);
  const scripts = ({ lines }) =>
    lines.filter(({ file, start }) => file !== '' && start > 0).map(({ file, start }) => key(file, start));
  const own = new Map();
  const theirs = new Map();
  for (const { count, frames } of samples) {
    const isLeftOut = ({ name }) => collection.test(name) || sampler.test(name);
    if (frames.some(({ lines }) => lines.some(isLeftOut))) continue;
    const user = frames.slice(frames.findIndex(({ address }) => address < KERNEL));
    const [self, caller] = user.map((frame) => scripts(frame)).filter((functions) => functions.length > 0);
    if (!self) continue;
    add(own, self[0], count);
    if (scripts(user[0]).length > 0) add(theirs, self.at(-1), count);
    else if (hasFrame(user[0].address) !== false || scripts(user[1]).length === 0) add(theirs, self[0], count);
    else if (caller) add(theirs, caller[0], count);
  }
  return { own, theirs };
}
