// What both pictures say.

// Kinds of code by number, as in export/code_kind.h.
const KINDS = ["", "JavaScript", "JavaScript of node_modules", "JavaScript of Node's library",
  "builtin", "WebAssembly", "awaits", "native code", "garbage collector", "kernel", "JIT code",
  "unnamed"];
const BUILTIN = 4, NATIVE = 7, GC = 8, KERNEL = 9;

const HINT = "click zooms \u00b7 right click: more \u00b7 / searches \u00b7 " +
  "arrows walk, Enter zooms, Esc goes back";

// What can be done with a function: what the menu says of it, and its key.
const ACTIONS = [["Focus: only stacks with it", "f"], ["Ignore: no stacks with it", "x"],
  ["Hide: take it out of its stacks", "h"], ["Callers, callees, lines", "t"],
  ["Search for it", "s"]];

// So many frames are not drawn. `upward`: what is above them are their callers, which are not drawn
// either.
function framesOf(count, upward) {
  const [frames, their] = count === 1 ? ["frame", "its"] : ["frames", "their"];
  return `${Trees.grouped(count)} ${frames}` + (upward ? `, and ${their} callers,` : "");
}
