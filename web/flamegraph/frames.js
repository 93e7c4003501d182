// The live half of the flame graph; export/svg.cc has the essay and writes what this reads. The files
// of this folder are the body of one function, init(), in the order of web/CMakeLists.txt.
//
// A view is a tree (tree.js) and one cell for each of its nodes: the elements that show it. The
// first view is the file's own frames. Others are made when they are asked for (inverted, recursion
// merged, functions hidden, focused on or left out), and their elements take the place of the
// file's, in the same form. Rules that the rest keeps:
//  - the file's frames, unzoomed and upright, have the attributes that the file gave them (bookmarks
//    name frames by them); the window's width is met by scaling the group, and texts scale back;
//  - names are only ever compared and put into text nodes;
//  - no part of it needs anything that a 2021 browser lacks.

const SVG = "http://www.w3.org/2000/svg";
const HTML = "http://www.w3.org/1999/xhtml";
const byId = (id) => document.getElementById(id);
const group = byId("frames");
const svg = group.ownerSVGElement;
const header = byId("header");
const footer = byId("footer");
const details = byId("details");
const matched = byId("matched");
const standalone = svg === document.documentElement;
const PAD = 10;
const FULL = 1200;
const ROW = 16;
const FOOTER = 34;
const MAX_CELLS = 20000;  // of a view that is made here
const HINT = "click zooms \u00b7 right click: more \u00b7 / searches \u00b7 arrows walk, Enter zooms, Esc goes back";
// By number, as in export/code_kind.h.
const KINDS = ["", "JavaScript", "JavaScript of node_modules", "JavaScript of Node's library", "builtin",
  "WebAssembly", "awaits", "native code", "garbage collector", "kernel", "JIT code", "unnamed"];

const toggle = (element, name, on) => {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
};
const create = (name, attributes = {}, text = null) => {
  const element = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  if (text !== null) element.textContent = text;
  return element;
};

// ---- the file's frames, read once ----------------------------------------------------------------

// A comparison has the change of each share in its titles. What is drawn is the mean of both shares
// then, and the samples are those of one side.
let compares = false;
const names = [];         // by label
const numbers = new Map();
const labelFor = (name) => {
  let label = numbers.get(name);
  if (label === undefined) {
    label = names.length;
    numbers.set(name, label);
    names.push(name);
  }
  return label;
};
const looks = [];         // by label, of its widest frame: {fill, kind, inlined, package, weight}
const packages = byId("packages").textContent.split("\n").slice(0, -1);
let unit = "samples";  // of what is counted, as the file's titles say
const rootY = Number(group.firstElementChild.children[1].getAttribute("y"));

const file = (() => {
  const elements = group.children;
  const count = elements.length;
  const tree = {
    count, leftOut: 0,
    parent: new Int32Array(count), label: new Int32Array(count), depth: new Int32Array(count),
    end: new Int32Array(count), self: new Float64Array(count), total: new Float64Array(count),
  };
  const cells = new Array(count);
  const open = [];
  let index = 0, levels = 0;
  for (let g = group.firstElementChild; g; g = g.nextElementSibling, index += 1) {
    const title = g.firstElementChild, rect = title.nextElementSibling, text = rect.nextElementSibling;
    const [shown, generated] = title.textContent.split("\n");
    const parts = /^([^]*) \(([\d,]+) (\S+), [\d.]+%(; [+-][\d.]+%)?\)$/.exec(shown);
    const yText = rect.getAttribute("y"), xText = rect.getAttribute("x");
    const widthText = rect.getAttribute("width");
    const depth = Math.round((rootY - Number(yText)) / ROW);
    levels = Math.max(levels, depth + 1);
    while (open.length > depth) tree.end[open.pop()] = index;
    const caller = open.length ? open[open.length - 1] : 0;
    const samples = parts ? Number(parts[2].replace(/,/g, "")) : 0;
    if (parts) unit = parts[3];
    const label = labelFor(parts ? parts[1] : shown);
    tree.parent[index] = caller;
    tree.label[index] = label;
    tree.depth[index] = depth;
    tree.total[index] = tree.self[index] = samples;
    if (parts && parts[4]) compares = true;
    open.push(index);
    const classes = g.getAttribute("class");
    const kind = Number(/\bk(\d+)/.exec(classes)[1]);
    const own = /\bp(\d+)/.exec(classes);
    const inlined = / i$/.test(classes);
    const fill = rect.getAttribute("fill");
    const look = looks[label];
    const width = Number(widthText);
    if (!look || look.weight < width) {
      looks[label] = { fill, kind, inlined, package: own ? Number(own[1]) : -1, weight: width };
    }
    cells[index] = {
      index, g, rect, text, shown, generated, fill, kind, inlined,
      xText, yText, widthText, x: Number(xText), width,
      moved: false, lowered: false, label: null, match: false,
    };
  }
  for (const i of open) tree.end[i] = count;
  if (compares) {
    tree.beforeTotal = tree.total;
    tree.before = tree.total.slice();
    tree.total = Float64Array.from(cells, (cell) => cell.width);
    tree.self = tree.total.slice();
  }
  for (let i = 1; i < count; i += 1) {
    for (const [self, total] of compares ? [["self", "total"], ["before", "beforeTotal"]] : [["self", "total"]]) {
      const of = tree.parent[i];
      tree[self][of] = Math.max(0, tree[self][of] - tree[total][i]);
    }
  }
  return { tree, cells, levels };
})();
// The samples of a node, of all or of itself, and how its share changed.
const samplesOf = (tree, i) => (compares ? tree.beforeTotal : tree.total)[i];
const ownSamplesOf = (tree, i) => (compares ? tree.before : tree.self)[i];
const shareOf = (part, whole) => (whole > 0 ? part / whole : 0);
function changeOf(tree, i) {
  const after = shareOf(tree.beforeTotal[i], tree.beforeTotal[0]);
  return 2 * (after - shareOf(tree.total[i], tree.total[0]));
}
const mostChanged = compares ? file.cells.reduce((most, _, i) => Math.max(most, Math.abs(changeOf(file.tree, i))), 1e-9) : 0;
const shorts = [];  // by label, made when needed
const shortOf = (label) => shorts[label] === undefined ? shorts[label] = Trees.labelOf(names[label])
                                                       : shorts[label];
const rank = new Int32Array(names.length);
let ranked = false;
function ranks() {
  if (ranked) return rank;
  const order = names.map((_, i) => i).sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
  order.forEach((label, i) => { rank[label] = i; });
  ranked = true;
  return rank;
}

// ---- text that fits ------------------------------------------------------------------------------

const pen = (() => {
  try {
    const context = document.createElementNS(HTML, "canvas").getContext("2d");
    context.font = "12px Verdana, 'DejaVu Sans', sans-serif";
    return context;
  } catch (error) {
    return null;
  }
})();
const widths = new Map();
const charWidth = (c) => {
  let width = widths.get(c);
  if (width === undefined) {
    width = pen ? pen.measureText(c).width : 7.08;
    widths.set(c, width);
  }
  return width;
};
const textWidth = (text, size = 12) => [...text].reduce((sum, c) => sum + charWidth(c), 0) * size / 12;
const fit = (text, room, size = 12) => Trees.fit(text, room * 12 / size, charWidth);
function wrap(text, room, size) {
  const lines = [];
  let line = "", used = 0;
  for (const word of text.split(/(?<= )/)) {
    const width = textWidth(word, size);
    if (line && used + width > room) {
      lines.push(line.trimEnd());
      line = "";
      used = 0;
    }
    line += word;
    used += width;
  }
  return [...lines, line].map((l) => fit(l, room, size));
}
