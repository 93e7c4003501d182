// The live half of the flame graph; export/svg.cc has the essay and writes what this reads. The
// files of this folder are the body of one function, init(), in the order of web/CMakeLists.txt.
//
// A view is a tree (tree.js) and one cell for each of its nodes. The first view is the file's own
// frames. Others are made when they are asked for (inverted, recursion merged, functions hidden,
// focused on or left out), and take the place of the file's, in the same form.
//
// A cell has elements in the document while it is wide enough to be pointed at (WIDE), in focus, or
// under the mouse; the thin ones are drawn together, as one path of each colour. A picture of
// 20,000 frames so has some hundred elements at a time, and is found in by arithmetic. Rules that
// the rest keeps:
//  - the file's frames, unzoomed and upright, have the attributes that the file gave them
//    (bookmarks name frames by them); the window's width is met by scaling the group, and texts
//    scale back;
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
const WIDE = 3;           // pixels; arriving.js and export/svg.cc (class w) have the same
const MAX_CELLS = 20000;  // of a view that is made here

const toggle = (element, name, on) => {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
};
const create = (name, attributes = {}, text = null) => {
  const element = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  if (text !== null) element.textContent = text;
  return element;
};

// ---- cells --------------------------------------------------------------------------------------

// Classes of a <g>, as bits.
const STATE = { w: 1, hide: 2, parent: 4, match: 8 };

// A node of a view. xText, yText, widthText are its geometry in the whole picture, as attributes.
class Cell {
  constructor(index, depth, xText, yText, widthText, fill, { kind, package: own, inlined }) {
    this.index = index;
    this.depth = depth;
    this.xText = xText;
    this.yText = yText;
    this.widthText = widthText;
    this.fill = fill;
    this.kind = kind;
    this.package = own;
    this.inlined = inlined;
    this.x = Number(xText);
    this.width = Number(widthText);
    this.match = false;
    // As it is shown: in units of the file.
    this.inView = true;
    this.left = this.x;
    this.wide = this.width;
    // In the document.
    this.g = this.rect = this.text = null;
    this.attached = false;
    this.moved = this.lowered = false;
    this.state = 0;
    this.label = null;  // not known yet
    this.labelAt = "";
    this.titleLines = null;
  }

  // The title, and below it the generated position.
  get title() {
    if (!this.titleLines) this.titleLines = this.g.firstChild.textContent.split("\n");
    return this.titleLines;
  }
  get name() {
    const parts = TITLE.exec(this.title[0]);
    return parts ? parts[1] : this.title[0];
  }
}
const TITLE = /^([^]*) \(([\d,]+) (\S+), [\d.]+%(; [+-][\d.]+%)?\)$/;

function attach(cell) {
  if (cell.attached) return;
  if (!cell.g) {
    const own = cell.package < 0 ? "" : ` p${cell.package}`;
    cell.g = create("g", { class: `k${cell.kind}${own}${cell.inlined ? " i" : ""}` });
    cell.rect = create("rect", { x: cell.xText, y: cell.yText, width: cell.widthText,
                                 height: ROW - 1, fill: cell.fill });
    cell.text = create("text");
    cell.g.append(create("title", {}, cell.title[0]), cell.rect, cell.text);
    cell.g.jprofIndex = cell.index;
  }
  group.appendChild(cell.g);
  cell.attached = true;
  setFill(cell, fillOf(cell));
  setState(cell, cell.match ? STATE.match : 0);
}

function detach(cell) {
  cell.g.remove();
  cell.attached = false;
}

function setState(cell, state) {
  const changed = cell.state ^ state;
  for (const name of changed ? Object.keys(STATE) : []) {
    if (changed & STATE[name]) cell.g.classList.toggle(name, (state & STATE[name]) !== 0);
  }
  cell.state = state;
}

function setFill(cell, fill) {
  if (cell.rect.getAttribute("fill") !== fill) cell.rect.setAttribute("fill", fill);
}

// Gives an attached cell its place and its label.
function place(cell, parent) {
  const moved = cell.left !== cell.x || cell.wide !== cell.width;
  if (moved || cell.moved) {
    cell.rect.setAttribute("x", moved ? cell.left.toFixed(2) : cell.xText);
    cell.rect.setAttribute("width", moved ? cell.wide.toFixed(2) : cell.widthText);
    cell.moved = moved;
  }
  if (cell.lowered !== wish.icicle) {
    cell.rect.setAttribute("y", topOf(cell));
    cell.lowered = wish.icicle;
  }
  const pixels = cell.wide * scale;
  setState(cell, (pixels >= WIDE ? STATE.w : 0) | (parent ? STATE.parent : 0) |
    (cell.match ? STATE.match : 0));
  const label = pixels < 27 ? "" : fit(Trees.labelOf(cell.name), pixels - 6);
  if (cell.label === null) cell.label = cell.text.textContent;
  if (label !== cell.label) cell.text.textContent = cell.label = label;
  const at = label && (cell.left * scale + 3).toFixed(2) + " " + (topOf(cell) + 11) + " " + scale;
  if (at === cell.labelAt) return;
  cell.labelAt = at;
  cell.text.setAttribute("x", (cell.left * scale + 3).toFixed(2));
  cell.text.setAttribute("y", topOf(cell) + 11);
  if (scale === 1) cell.text.removeAttribute("transform");
  else cell.text.setAttribute("transform", "scale(" + 1 / scale + " 1)");
}

const topOf = (cell) => (wish.icicle ? rootY + cell.depth * ROW : Number(cell.yText));

// ---- what is too thin for elements --------------------------------------------------------------

const thinGroup = create("g", { id: "thin", "pointer-events": "none", "aria-hidden": "true" });
let thinRows = [];  // by depth, from left to right

function drawThin() {
  const paths = new Map();  // by colour, "" for what matches
  for (const row of thinRows) {
    for (const cell of row) {
      const fill = cell.match ? "" : fillOf(cell);
      const whole = cell.wide === cell.width;
      const width = whole ? cell.widthText : cell.wide.toFixed(2);
      const left = whole ? cell.xText : cell.left.toFixed(2);
      const box = `M${left} ${topOf(cell)}h${width}v${ROW - 1}h-${width}z`;
      paths.set(fill, (paths.get(fill) || "") + box);
    }
  }
  thinGroup.replaceChildren(...[...paths].map(([fill, d]) =>
    create("path", fill ? { fill, d } : { class: "match", d })));
}

// The thin cell under the mouse.
function thinAt(event) {
  const bounds = svg.getBoundingClientRect();
  const perPixel = total / bounds.width;
  const x = ((event.clientX - bounds.left) * perPixel - PAD * (1 - scale)) / scale;
  const y = (event.clientY - bounds.top) * perPixel - shift;
  const depth = Math.floor(wish.icicle ? (y - rootY) / ROW : (rootY + ROW - y) / ROW);
  const row = thinRows[depth] || [];
  let low = 0;
  for (let high = row.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (row[middle].left + row[middle].wide <= x) low = middle + 1;
    else high = middle;
  }
  return low < row.length && row[low].left <= x ? row[low] : null;
}

// ---- text that fits -----------------------------------------------------------------------------

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
const textWidth = (text, size = 12) =>
  [...text].reduce((sum, c) => sum + charWidth(c), 0) * size / 12;
const fit = (text, room, size = 12) => Trees.fit(text, room * 12 / size, charWidth);
function wrap(text, room, size) {
  const lines = [];
  let line = "", used = 0;
  for (const word of text.match(/[^ ]* |[^ ]+$/g) || []) {
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
