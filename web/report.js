// The report; export/html.cc has the essay and writes the data that this reads.
//
// Samples in time order lie on call paths (nodes of function and line). What the reader selects (a
// range of time, a thread, functions) becomes a weight for each path, and every picture is a tree
// derived from those (tree.js), drawn on canvas: what is in the window and wide enough to see, so a
// million paths cost no more than they show. Names are only ever compared and put into text nodes.
"use strict";

(async () => {
  const byId = (id) => document.getElementById(id);
  const ROW = 16;
  const HINT = "click zooms \u00b7 right click: more \u00b7 / searches \u00b7 arrows walk, Enter zooms, Esc goes back \u00b7 drag over the heat map for a range of time";
  const KINDS = ["", "JavaScript", "JavaScript of node_modules", "JavaScript of Node's library", "builtin",
    "WebAssembly", "awaits", "native code", "garbage collector", "kernel", "JIT code", "unnamed"];
  const NATIVE = 7, GC = 8;

  // name, attributes and properties, children
  function create(name, given = {}, ...children) {
    const element = document.createElement(name);
    for (const key of Object.keys(given)) {
      if (key in element && !key.startsWith("aria")) element[key] = given[key];
      else element.setAttribute(key, given[key]);
    }
    element.append(...children);
    return element;
  }

  // ---- the data --------------------------------------------------------------------------------

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  class Reader {
    constructor(bytes) {
      this.bytes = bytes;
      this.at = 0;
    }

    number() {
      let value = 0, scale = 1;
      for (;;) {
        const byte = this.bytes[this.at];
        this.at += 1;
        value += (byte & 0x7f) * scale;
        if (!(byte & 0x80)) return value;
        scale *= 128;
      }
    }

    string() {
      const size = this.number();
      this.at += size;
      return new TextDecoder().decode(this.bytes.subarray(this.at - size, this.at));
    }

    strings() {
      return Array.from({ length: this.number() }, () => this.string());
    }

    // A column of `count` numbers; small ones are decoded in place, as there are millions.
    column(array, first = 0) {
      const end = this.number() + this.at;
      const { bytes } = this;
      let { at } = this;
      for (let i = first; i < array.length; i += 1) {
        let value = bytes[at++];
        if (value & 0x80) {
          value &= 0x7f;
          for (let scale = 128, byte = 0x80; byte & 0x80; scale *= 128) {
            byte = bytes[at++];
            value += (byte & 0x7f) * scale;
          }
        }
        array[i] = value;
      }
      this.at = end;
      return array;
    }
  }

  const root = byId("report");
  let bytes;
  try {
    bytes = bytesOf(byId("profile").textContent);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    root.append("This browser cannot read the profile (" + error + "). It takes one of 2023 or later.");
    return;
  }
  byId("profile").remove();
  const reader = new Reader(bytes);
  if (reader.number() !== 1) throw new Error("a version of the data that this script does not know");
  const title = reader.string();
  const startMs = reader.number();
  let duration = reader.number();
  let period = reader.number();
  const comments = reader.strings();
  const notes = reader.strings();
  const styles = Array.from({ length: reader.number() }, () => ({
    legend: reader.string(), colour: Array.from({ length: 6 }, () => reader.number()),
  }));
  const packages = reader.strings();
  const labelCount = reader.number();
  const lengths = reader.column(new Int32Array(labelCount));
  const kinds = reader.column(new Uint8Array(labelCount));
  const shades = reader.column(new Uint8Array(labelCount));
  const owners = reader.column(new Int32Array(labelCount));
  const text = reader.string();
  const names = new Array(labelCount);
  for (let i = 0, at = 0; i < labelCount; i += 1) names[i] = text.slice(at, at += lengths[i]);
  const threads = Array.from({ length: reader.number() }, () => ({
    pid: reader.number(), tid: reader.number(), process: reader.string(), name: reader.string(),
  }));
  // The call paths: the tree that all others are derived from.
  const paths = (() => {
    const count = reader.number();
    const closed = reader.column(new Int32Array(count), 1);
    const label = reader.column(new Int32Array(count), 1);
    const line = reader.column(new Int32Array(count), 1);
    const parent = new Int32Array(count), depth = new Int32Array(count), end = new Int32Array(count);
    end[0] = count;
    let open = 0;
    for (let i = 1; i < count; i += 1) {
      for (let k = closed[i]; k > 0; k -= 1) {
        end[open] = i;
        open = parent[open];
      }
      parent[i] = open;
      depth[i] = depth[open] + 1;
      open = i;
    }
    for (; open > 0; open = parent[open]) end[open] = count;
    return { count, parent, depth, end, label, line, self: new Float64Array(count), total: new Float64Array(count) };
  })();
  const samples = (() => {
    const count = reader.number();
    const time = reader.column(new Float64Array(count));
    const thread = reader.column(new Int32Array(count));
    const node = reader.column(new Int32Array(count));
    const weight = reader.column(new Float64Array(count));
    for (let i = 0, t = 0, n = 0; i < count; i += 1) {
      time[i] = t += time[i];
      const zigzag = node[i] >>> 0;
      node[i] = n += (zigzag >>> 1) ^ -(zigzag & 1);
    }
    return { count, time, thread, node, weight };
  })();
  duration = Math.max(duration, samples.count ? samples.time[samples.count - 1] + 1 : 1);
  const busiest = new Float64Array(threads.length);
  for (let i = 0; i < samples.count; i += 1) busiest[samples.thread[i]] += samples.weight[i];
  if (period === 0) period = duration / Math.max(1, samples.count);

  // Labels of our own: "all" and, for a split, processes and threads.
  const ownLabels = [];
  const addLabel = (name) => {
    ownLabels.push(names.length);
    names.push(name);
    return names.length - 1;
  };
  const processes = new Map();  // pid -> {label, name, weight}
  threads.forEach((thread, i) => {
    thread.weight = busiest[i];
    if (!processes.has(thread.pid)) processes.set(thread.pid, { pid: thread.pid, name: thread.process, weight: 0, label: -1 });
    processes.get(thread.pid).weight += thread.weight;
    thread.label = -1;
  });
  const byWeight = [...threads.keys()].filter((i) => threads[i].weight > 0).sort((a, b) => threads[b].weight - threads[a].weight);
  const processLabel = (p) => `${p.name} (process ${p.pid})`;
  const threadLabel = (t) => `${t.name} (thread ${t.tid} of ${t.pid})`;
  const MAX_GROUPS = 64;
  for (const i of byWeight.slice(0, MAX_GROUPS)) threads[i].label = addLabel(threadLabel(threads[i]));
  for (const p of [...processes.values()].sort((a, b) => b.weight - a.weight).slice(0, MAX_GROUPS)) p.label = addLabel(processLabel(p));
  const OTHERS = addLabel("others");
  const ALL = addLabel("all");
  const labels = names.length;
  const rank = new Int32Array(labels);
  names.map((_, i) => i).sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : a - b)).forEach((l, i) => { rank[l] = i; });
  paths.label[0] = ALL;
  const kindOf = (label) => (label < labelCount ? kinds[label] : 0);
  const isInlined = (label) => label < labelCount && shades[label] >= 16;
  const packageOf = (label) => (label < labelCount && owners[label] > 0 ? packages[owners[label] - 1] : "");
  const shorts = [];
  const shortOf = (label) => shorts[label] === undefined ? shorts[label] = Trees.labelOf(names[label]) : shorts[label];

  // ---- what the reader asked for ---------------------------------------------------------------

  const EVERYTHING = { tab: "graph", icicle: false, inverted: false, merged: false, bypackage: false, split: "",
    thread: "", from: 0, to: 0, focus: "", ignored: "", hidden: "", fn: -1, zoom: 0, sort: "self", up: false };
  let wish = { ...EVERYTHING };  // to: 0 is the end; thread: "", "p PID", "t INDEX"
  let trail = [];
  let pattern = "", ignoreCase = false;
  let hits = null;  // by label, while searching
  let graphTree = null, table = null;
  const rangeNow = () => (wish.to > 0 ? [wish.from, wish.to] : [0, Infinity]);

  const inThread = () => {
    if (wish.thread === "") return null;
    const flags = new Uint8Array(threads.length);
    const [kind, number] = wish.thread.split(" ");
    threads.forEach((thread, i) => { flags[i] = (kind === "p" ? thread.pid : i) === Number(number) ? 1 : 0; });
    return flags;
  };

  function firstAt(time) {
    let low = 0, high = samples.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (samples.time[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const flags = (source) => {
    const regexp = source && (Trees.compile(source) || Trees.compile(Trees.escapeRegExp(source)));
    return regexp ? Uint8Array.from(names, (name) => (regexp.test(name) ? 1 : 0)) : null;
  };

  function sumTotals() {
    const { self, total, parent } = paths;
    total.set(self);
    for (let i = paths.count - 1; i > 0; i -= 1) total[parent[i]] += total[i];
  }

  // Weights of the selected samples, split into groups if that is wished: [[label or -1, self], ...].
  function weigh() {
    const { self } = paths;
    self.fill(0);
    const [from, to] = rangeNow();
    const flag = inThread();
    const begin = firstAt(from), end = firstAt(to);
    const groups = new Map();
    const groupOf = wish.split === "thread" ? (t) => threads[t].label
      : wish.split === "process" ? (t) => processes.get(threads[t].pid).label : null;
    for (let i = begin; i < end; i += 1) {
      const t = samples.thread[i];
      if (flag && !flag[t]) continue;
      self[samples.node[i]] += samples.weight[i];
      if (groupOf) {
        const label = groupOf(t) < 0 ? OTHERS : groupOf(t);
        let group = groups.get(label);
        if (!group) groups.set(label, group = new Float64Array(paths.count));
        group[samples.node[i]] += samples.weight[i];
      }
    }
    sumTotals();
    return groupOf ? groups : null;
  }

  const spec = () => ({ hidden: flags(wish.hidden), focus: flags(wish.focus), ignored: flags(wish.ignored) });

  // The selection as a tree of functions.
  function functionsTree(once) {
    return Trees.derive(paths, rank, { ...spec(), once });
  }

  function makeGraph() {
    const groups = weigh();
    let tree;
    if (groups) {
      tree = Trees.derive(paths, rank, { ...spec(), once: wish.merged, groups });
    } else {
      tree = functionsTree(wish.merged);
    }
    if (wish.inverted) tree = Trees.invert(tree, rank, { least: tree.total[0] / 20000 });
    tree.label[0] = ALL;
    return withKinds(tree);
  }

  // The kind of each node: what native code does for the garbage collector is the collector's.
  function kindsOf(tree, upward) {
    const all = new Uint8Array(tree.count);
    for (let i = 1; i < tree.count; i += 1) {
      const kind = kindOf(tree.label[i]);
      all[i] = kind === NATIVE && !upward && all[tree.parent[i]] === GC ? GC : kind;
    }
    return all;
  }
  paths.kinds = kindsOf(paths, false);

  function withKinds(tree) {
    tree.kinds = kindsOf(tree, wish.inverted);
    let deepest = 0;
    for (let i = 0; i < tree.count; i += 1) if (tree.depth[i] > deepest) deepest = tree.depth[i];
    tree.levels = deepest + 1;
    return tree;
  }

  // ---- drawing ---------------------------------------------------------------------------------

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const FONT = "12px Verdana, 'DejaVu Sans', sans-serif";
  const pen = create("canvas").getContext("2d");
  pen.font = FONT;
  const widths = new Map();
  const charWidth = (c) => {
    let width = widths.get(c);
    if (width === undefined) widths.set(c, width = pen.measureText(c).width);
    return width;
  };
  const fit = (name, room) => Trees.fit(name, room, charWidth);
  const colours = new Map();

  function colourOf(label, kind) {
    const key = wish.bypackage ? packageOf(label) + "/" + shades[label] % 8 : kind * labels + label;
    let colour = colours.get(key);
    if (colour !== undefined) return colour;
    if (wish.bypackage) {
      const own = packageOf(label);
      colour = own ? Trees.packageColour(own, shades[label] % 8) : "#c9cdd3";
    } else {
      const style = styles[kind].colour;
      const shade = label < labelCount ? shades[label] : 7;
      const mix = [0, 1, 2].map((k) => {
        const part = style[k] + Math.trunc((style[k + 3] - style[k]) * (shade & 15) / 15);
        return shade >= 16 ? part + Math.trunc((255 - part) * 9 / 20) : part;
      });
      colour = `rgb(${mix.join(",")})`;
    }
    if (colours.size > 100000) colours.clear();
    colours.set(key, colour);
    return colour;
  }

  // A canvas as wide as its box and as high as the window on a taller picture that scrolls.
  class Surface {
    constructor(label, { hover, click, menu, key }) {
      this.canvas = create("canvas", { tabIndex: 0, role: "application", "aria-label": label });
      this.spacer = create("div");
      this.box = create("div", { className: "graph" }, this.canvas, this.spacer);
      this.context = this.canvas.getContext("2d");
      this.height = 0;
      this.wanted = false;
      const at = (event) => {
        const bounds = this.canvas.getBoundingClientRect();
        return [event.clientX - bounds.left, event.clientY - bounds.top + this.box.scrollTop];
      };
      this.canvas.addEventListener("mousemove", (event) => hover(...at(event)));
      this.canvas.addEventListener("mouseleave", () => hover(-1, -1));
      this.canvas.addEventListener("click", (event) => click(...at(event)));
      this.canvas.addEventListener("contextmenu", (event) => {
        event.preventDefault();
        menu(...at(event), event.clientX, event.clientY);
      });
      this.canvas.addEventListener("keydown", key);
      this.box.addEventListener("scroll", () => this.ask());
    }

    // Draws before the next frame.
    ask() {
      if (this.wanted) return;
      this.wanted = true;
      requestAnimationFrame(() => {
        this.wanted = false;
        this.draw();
      });
    }

    // Clears and returns [context, width, top, bottom] of what is in sight.
    begin(height) {
      const width = this.box.clientWidth, sight = this.box.clientHeight;
      const scale = window.devicePixelRatio || 1;
      if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(sight * scale)) {
        this.canvas.width = Math.round(width * scale);
        this.canvas.height = Math.round(sight * scale);
        this.canvas.style.width = width + "px";
        this.canvas.style.height = sight + "px";
      }
      this.height = height;
      this.spacer.style.height = Math.max(0, height - sight) + "px";
      const { context } = this;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, sight);
      context.font = FONT;
      context.textBaseline = "alphabetic";
      const top = this.box.scrollTop;
      context.translate(0, -top);
      return [context, width, top, top + sight];
    }

    frame(context, x, y, width, label, kind, strong = true) {
      const isHit = hits && hits[label];
      context.globalAlpha = hits && !isHit ? 0.35 : strong ? 1 : 0.5;
      context.fillStyle = isHit ? "#c2188b" : colourOf(label, kind);
      context.fillRect(x, y, Math.max(width - (width >= 3 ? 0.6 : 0), 0.5), ROW - 1);
      context.globalAlpha = 1;
      if (width < 27) return;
      const shown = fit(shortOf(label), width - 6);
      if (shown === "") return;
      context.fillStyle = isHit ? "#ffffff" : hits && dark.matches ? "#c3c9d0" : "#111111";
      context.fillText(shown, x + 3, y + 11.5);
    }

    outline(context, x, y, width, wide) {
      context.strokeStyle = dark.matches ? "#ffffff" : "#111111";
      context.lineWidth = wide ? 2 : 1.2;
      context.strokeRect(x, y, Math.max(width, 1), ROW - 1);
    }
  }

  // A tree, root at the bottom or (down) at the top. `skip`: levels at the root that are not drawn.
  class Graph extends Surface {
    constructor(label, events, skip = 0) {
      super(label, {
        hover: (x, y) => this.point(this.find(x, y)),
        click: (x, y) => {
          const i = this.find(x, y);
          if (i >= 0) events.zoom(i);
        },
        menu: (x, y, clientX, clientY) => {
          const i = this.find(x, y);
          if (i >= 0) {
            this.cursor = i;
            openMenu(this.tree.label[i], () => events.zoom(i), clientX, clientY);
          }
        },
        key: (event) => this.key(event),
      });
      this.events = events;
      this.skip = skip;
      this.tree = null;
      this.zoomed = 0;
      this.cursor = 0;
      this.hovered = -1;
      this.down = false;
    }

    show(tree, zoomed, down) {
      const turned = this.tree === null || this.down !== down || this.tree.levels !== tree.levels;
      this.tree = tree;
      this.zoomed = this.cursor = zoomed < tree.count ? zoomed : 0;
      this.hovered = -1;
      this.down = down;
      this.draw();
      if (turned) this.box.scrollTop = down ? 0 : 1e9;
    }

    yOf(depth) {
      const level = depth - this.skip;
      const levels = this.tree.levels - this.skip;
      const empty = this.down ? 0 : Math.max(0, this.box.clientHeight - levels * ROW);
      return this.down ? level * ROW : empty + (levels - 1 - level) * ROW;
    }

    // Calls see(node, x, width) for what is wide enough, callers first.
    walk(width, see) {
      const { tree, zoomed } = this;
      const whole = tree.total[zoomed];
      if (!(whole > 0)) return;
      for (let i = zoomed; i > 0; ) see(i = tree.parent[i], 0, width, false);
      const starts = [];  // by depth: where the next callee begins
      const base = tree.depth[zoomed];
      see(zoomed, 0, width, true);
      starts[0] = 0;
      for (let i = zoomed + 1; i < tree.end[zoomed]; ) {
        const level = tree.depth[i] - base;
        const x = starts[level - 1];
        const w = tree.total[i] / whole * width;
        starts[level - 1] = x + w;
        if (w < 0.35) {
          i = tree.end[i];
          continue;
        }
        see(i, x, w, true);
        starts[level] = x;
        i += 1;
      }
    }

    draw() {
      if (!this.tree || this.box.clientWidth === 0) return;
      const { tree } = this;
      const [context, width, top, bottom] = this.begin((tree.levels - this.skip) * ROW);
      let mark = null, edge = null;
      this.walk(width, (i, x, w, strong) => {
        if (tree.depth[i] < this.skip) return;
        const y = this.yOf(tree.depth[i]);
        if (y + ROW < top || y > bottom) return;
        this.frame(context, x, y, w, tree.label[i], tree.kinds[i], strong);
        if (i === this.hovered) mark = [x, y, w, false];
        if (i === this.cursor && document.activeElement === this.canvas) edge = [x, y, w, true];
      });
      if (mark) this.outline(context, ...mark);
      if (edge) this.outline(context, ...edge);
    }

    find(x, y) {
      let found = -1;
      if (!this.tree || x < 0) return found;
      this.walk(this.box.clientWidth, (i, left, w) => {
        const top = this.yOf(this.tree.depth[i]);
        if (this.tree.depth[i] >= this.skip && y >= top && y < top + ROW && x >= left && x < left + w) found = i;
      });
      return found;
    }

    point(i) {
      if (i === this.hovered) return;
      this.hovered = i;
      describe(i < 0 ? null : this.tell(i));
      this.ask();
    }

    tell(i) {
      const { tree } = this;
      const whole = tree.total[0];
      const parts = [`${names[tree.label[i]]} (${Trees.grouped(tree.total[i])} samples, ${i === 0 ? "100%" : (100 * tree.total[i] / whole).toFixed(2) + "%"})`];
      if (!this.events.upward() && i > 0) parts.push("itself " + Trees.percent(tree.self[i], whole));
      const kind = KINDS[tree.kinds[i]] + (isInlined(tree.label[i]) ? ", inlined" : "");
      if (kind) parts.push(kind);
      const own = packageOf(tree.label[i]);
      if (own && tree.kinds[i] !== 9 && tree.kinds[i] !== 4) parts.push(own);
      return parts.join(" \u00b7 ");
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { tree } = this;
      let to = -1;
      const outward = this.down ? "ArrowUp" : "ArrowDown";
      if (event.key === outward) {
        if (this.cursor > 0) to = tree.parent[this.cursor];
      } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        for (let i = this.cursor + 1; i < tree.end[this.cursor]; i = tree.end[i]) {
          if (to < 0 || tree.total[i] > tree.total[to]) to = i;
        }
      } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        let before = -1;
        this.walk(this.box.clientWidth, (i) => {
          if (tree.depth[i] !== tree.depth[this.cursor]) return;
          if (event.key === "ArrowLeft" && i < this.cursor) before = i;
          if (event.key === "ArrowRight" && i > this.cursor && before < 0) before = i;
        });
        to = before;
      } else if (event.key === "Enter") {
        this.events.zoom(this.cursor);
        event.preventDefault();
        return;
      } else if ("fxhts".includes(event.key) && this.cursor > 0) {
        act(event.key, tree.label[this.cursor]);
        event.preventDefault();
        event.stopPropagation();
        return;
      } else {
        return;
      }
      event.preventDefault();
      if (to < 0) return;
      this.cursor = to;
      const y = this.yOf(tree.depth[to]);
      if (y < this.box.scrollTop) this.box.scrollTop = y;
      if (y + ROW > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = y + ROW - this.box.clientHeight;
      this.canvas.setAttribute("aria-label", this.tell(to));
      describe(this.tell(to));
      this.ask();
    }
  }

  // One thread in time order, callers at the top.
  class Chart extends Surface {
    constructor() {
      super("flame chart in time order", {
        hover: (x, y) => this.point(this.find(x, y)),
        click: (x, y) => {
          const s = this.find(x, y);
          if (s) change({ from: Math.floor(s.from), to: Math.ceil(s.to) });
        },
        menu: (x, y, clientX, clientY) => {
          const s = this.find(x, y);
          if (s) openMenu(this.tree.label[s.node], null, clientX, clientY);
        },
        key: () => {},
      });
      this.spans = [];
      this.hovered = null;
    }

    show(thread) {
      this.thread = thread;
      const place = new Int32Array(paths.count);
      this.tree = withKinds(Trees.derive(paths, rank, { hidden: flags(wish.hidden), once: wish.merged, place }));
      this.place = place;
      this.hovered = null;
      this.make();
      this.draw();
    }

    // Spans of equal callers in samples that follow each other; a gap closes them. Of those that are
    // thinner than a pixel one is kept for each pixel and depth.
    make() {
      const { tree, place } = this;
      const [from, to] = this.range = [wish.to > 0 ? wish.from : 0, wish.to > 0 ? wish.to : duration];
      const pixel = (to - from) / 2000;
      const gap = Math.max(2.5 * period, pixel);
      this.spans = [];
      this.levels = 1;
      let open = 0, last = -Infinity;
      const starts = new Float64Array(tree.levels + 1);
      const thin = new Float64Array(tree.levels + 1).fill(-Infinity);
      const close = (until, end) => {
        for (; open !== until; open = tree.parent[open]) {
          const depth = tree.depth[open], start = starts[depth];
          if (end - start < pixel) {
            if (start - thin[depth] < pixel) continue;
            thin[depth] = start;
          }
          this.spans.push({ node: open, depth, from: start, to: end });
        }
      };
      const stop = firstAt(to);
      for (let i = firstAt(from); i < stop; i += 1) {
        if (samples.thread[i] !== this.thread) continue;
        const time = samples.time[i], node = Math.max(0, place[samples.node[i]]);
        if (time - last > gap) close(0, Math.min(last + period, to));
        let a = open, b = node;
        while (a !== b) {
          if (a > b) a = tree.parent[a];
          else b = tree.parent[b];
        }
        close(a, time);
        for (let n = node; n !== a; n = tree.parent[n]) starts[tree.depth[n]] = time;
        this.levels = Math.max(this.levels, tree.depth[node]);
        open = node;
        last = time;
      }
      close(0, Math.min(last + period, to));
    }

    draw() {
      if (!this.tree || this.box.clientWidth === 0) return;
      const AXIS = 18;
      const [context, width, top, bottom] = this.begin(this.levels * ROW + AXIS);
      const [from, to] = this.range;
      const scale = width / (to - from);
      for (const span of this.spans) {
        const y = AXIS + (span.depth - 1) * ROW;
        if (y + ROW < top || y > bottom) continue;
        this.frame(context, (span.from - from) * scale, y, (span.to - span.from) * scale, this.tree.label[span.node], this.tree.kinds[span.node]);
      }
      if (this.hovered) {
        this.outline(context, (this.hovered.from - from) * scale, AXIS + (this.hovered.depth - 1) * ROW, (this.hovered.to - this.hovered.from) * scale);
      }
      context.fillStyle = dark.matches ? "#16191d" : "#ffffff";
      context.fillRect(0, top, width, AXIS - 1);
      context.fillStyle = dark.matches ? "#a5adb6" : "#57606a";
      const step = niceStep((to - from) / (width / 90));
      for (let t = Math.ceil(from / step) * step; t < to; t += step) {
        context.fillRect((t - from) * scale, top + AXIS - 5, 1, 4);
        context.fillText(seconds(t, step), (t - from) * scale + 3, top + 12);
      }
    }

    find(x, y) {
      if (!this.tree || x < 0) return null;
      const [from, to] = this.range;
      const time = from + x * (to - from) / this.box.clientWidth;
      const depth = Math.floor((y - 18) / ROW) + 1;
      let found = null;
      for (const s of this.spans) if (s.depth === depth && s.from <= time && s.to > time) found = s;
      return found;
    }

    point(span) {
      if (span === this.hovered) return;
      this.hovered = span;
      describe(span && `${names[this.tree.label[span.node]]} \u00b7 ${seconds(span.from, 1000)} to ${seconds(span.to, 1000)}, seen for ${((span.to - span.from) / 1000).toFixed(1)} ms`);
      this.ask();
    }
  }

  const niceStep = (least) => {
    let step = 1;
    while (step < least) step *= String(step)[0] === "2" ? 2.5 : 2;
    return step;
  };
  const seconds = (us, step = 1e6) => (us / 1e6).toFixed(Math.max(0, Math.min(6, Math.ceil(6 - Math.log10(step))))) + " s";

  // ---- the heat map ----------------------------------------------------------------------------

  const ROWS = 25, CELL = 4;
  const heat = {
    canvas: create("canvas", { tabIndex: 0, role: "application", "aria-label": "heat map: a column is a second or several, bottom to top. Arrow keys walk, with Shift they select." }),
    anchor: -1, cursor: -1, dragging: false,
  };

  function layoutHeat() {
    const width = Math.max(200, byId("heat").clientWidth - 20);
    const all = Math.max(1, Math.ceil(duration / 1e6));
    heat.per = Math.ceil(all / width) * 1e6;  // us in a column
    heat.columns = Math.ceil(duration / heat.per);
    heat.step = heat.per / ROWS;
    heat.wide = Math.max(1, Math.min(28, Math.floor(width / heat.columns)));
    const counts = new Float64Array(heat.columns * ROWS);
    const flag = inThread();
    for (let i = 0; i < samples.count; i += 1) {
      if (flag && !flag[samples.thread[i]]) continue;
      counts[Math.min(counts.length - 1, Math.floor(samples.time[i] / heat.step))] += samples.weight[i];
    }
    heat.counts = counts;
    heat.most = counts.reduce((a, b) => Math.max(a, b), 1);
    const scale = window.devicePixelRatio || 1;
    heat.canvas.width = heat.columns * heat.wide * scale;
    heat.canvas.height = (ROWS * CELL + 14) * scale;
    heat.canvas.style.width = heat.columns * heat.wide + "px";
    heat.canvas.style.height = ROWS * CELL + 14 + "px";
    drawHeat();
  }

  function drawHeat() {
    const context = heat.canvas.getContext("2d");
    const scale = window.devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, heat.columns * heat.wide, ROWS * CELL + 14);
    const night = dark.matches;
    const gap = heat.wide > 4 ? 1 : 0;
    const [from, to] = rangeNow();
    for (let k = 0; k < heat.counts.length; k += 1) {
      const part = Math.sqrt(heat.counts[k] / heat.most);
      const inside = wish.to === 0 || ((k + 1) * heat.step > from && k * heat.step < to);
      const light = night ? 18 + 50 * part : 96 - 50 * part;
      context.fillStyle = heat.counts[k] === 0 ? (night ? "#1c2026" : "#f3f5f8")
        : inside ? `hsl(${28 - 28 * part},${night ? 75 : 85}%,${light}%)` : `hsl(215,8%,${light}%)`;
      context.fillRect(Math.floor(k / ROWS) * heat.wide, (ROWS - 1 - k % ROWS) * CELL, heat.wide - gap, CELL - gap);
    }
    const outline = (k) => {
      context.strokeStyle = night ? "#ffffff" : "#111111";
      context.strokeRect(Math.floor(k / ROWS) * heat.wide + 0.5, (ROWS - 1 - k % ROWS) * CELL + 0.5, heat.wide - 1, CELL - 1);
    };
    if (heat.cursor >= 0) outline(heat.cursor);
    context.fillStyle = night ? "#a5adb6" : "#57606a";
    context.font = "10px Verdana, 'DejaVu Sans', sans-serif";
    const step = niceStep(Math.max(1, 60 / heat.wide)) * heat.per;
    for (let t = 0; t < duration; t += step) {
      context.fillText(Math.round(t / 1e6) + " s", Math.round(t / heat.per) * heat.wide, ROWS * CELL + 11);
    }
  }

  const cellAt = (event) => {
    const bounds = heat.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - bounds.left) / heat.wide);
    const row = ROWS - 1 - Math.floor((event.clientY - bounds.top) / CELL);
    const clamp = (n, most) => Math.max(0, Math.min(most, n));
    return clamp(column, heat.columns - 1) * ROWS + clamp(row, ROWS - 1);
  };

  function select(a, b, remember) {
    const from = Math.floor(Math.min(a, b) * heat.step), to = Math.ceil((Math.max(a, b) + 1) * heat.step);
    if (remember) trail.push(heat.before);
    wish = { ...wish, from, to: Math.min(to, Math.ceil(duration)), zoom: 0 };
    show();
  }

  let asked = false;
  function wireHeat() {
    const tellCell = (k) => describe(`${seconds(k * heat.step, heat.step)} to ${seconds((k + 1) * heat.step, heat.step)}: ${Trees.grouped(heat.counts[k])} samples`);
    heat.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      heat.canvas.setPointerCapture(event.pointerId);
      heat.dragging = true;
      heat.before = wish;
      heat.anchor = heat.cursor = cellAt(event);
    });
    heat.canvas.addEventListener("pointermove", (event) => {
      heat.cursor = cellAt(event);
      tellCell(heat.cursor);
      if (!heat.dragging || asked) {
        drawHeat();
        return;
      }
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        if (heat.dragging) select(heat.anchor, heat.cursor, false);
      });
    });
    heat.canvas.addEventListener("pointerup", (event) => {
      if (!heat.dragging) return;
      heat.dragging = false;
      select(heat.anchor, cellAt(event), true);
    });
    heat.canvas.addEventListener("pointerleave", () => {
      if (heat.dragging) return;
      heat.cursor = -1;
      describe(null);
      drawHeat();
    });
    heat.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1, ArrowRight: ROWS, ArrowLeft: -ROWS }[event.key];
      if (!step) return;
      event.preventDefault();
      if (heat.anchor < 0) heat.anchor = Math.max(0, heat.cursor);
      heat.cursor = Math.max(0, Math.min(heat.counts.length - 1, Math.max(0, heat.cursor) + step));
      tellCell(heat.cursor);
      if (event.shiftKey) {
        heat.before = wish;
        select(heat.anchor, heat.cursor, true);
      } else {
        heat.anchor = heat.cursor;
        drawHeat();
      }
    });
  }

  // ---- functions, callers and callees, lines ---------------------------------------------------

  const MAX_ROWS = 500;

  function showFunctions() {
    const tree = functionsTree(false);
    const { self, total } = Trees.byFunction(tree, labels);
    const whole = tree.total[0];
    let rows = [];
    for (let l = 0; l < labelCount; l += 1) if (total[l] > 0 && kinds[l] > 0) rows.push(l);
    if (hits) rows = rows.filter((l) => hits[l]);
    const sign = wish.up ? -1 : 1;
    const order = { self: (a, b) => self[b] - self[a], total: (a, b) => total[b] - total[a], name: (a, b) => rank[a] - rank[b] }[wish.sort];
    rows.sort((a, b) => sign * order(a, b) || rank[a] - rank[b]);
    const count = rows.length;
    const room = byId("list").clientWidth - 300;  // what the figures leave for the name
    table.replaceChildren(...rows.slice(0, MAX_ROWS).map((l) => {
      const swatch = create("i");
      swatch.style.background = colourOf(l, kinds[l]);
      const row = create("tr", { tabIndex: 0, "aria-selected": String(l === wish.fn) },
        create("td", {}, Trees.grouped(self[l])), create("td", {}, Trees.percent(self[l], whole)),
        create("td", {}, Trees.grouped(total[l])), create("td", {}, Trees.percent(total[l], whole)),
        create("td", { title: names[l] }, swatch, (fit(shortOf(l), room) || shortOf(l)) + (isInlined(l) ? " (inlined)" : "")));
      const choose = () => {
        wish = { ...wish, fn: l };
        show();
      };
      row.addEventListener("click", choose);
      row.addEventListener("keydown", (event) => {
        const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
        if (to) to.focus();
        else if (event.key === "Enter") choose();
        else return;
        event.preventDefault();
      });
      return row;
    }));
    byId("more").textContent = count > MAX_ROWS ? `${Trees.grouped(count - MAX_ROWS)} more functions; search narrows the list` : "";
    for (const th of byId("list").querySelectorAll("th")) {
      th.setAttribute("aria-sort", th.dataset.sort !== wish.sort ? "none" : (wish.sort === "name") === wish.up ? "descending" : "ascending");
    }
    const fn = wish.fn >= 0 && wish.fn < labelCount && total[wish.fn] > 0 ? wish.fn : rows.length ? rows[0] : -1;
    byId("sandwich").hidden = fn < 0;
    if (fn < 0) return;
    byId("chosen").textContent = `${names[fn]}: itself ${Trees.percent(self[fn], whole)}, with what it calls ${Trees.percent(total[fn], whole)}`;
    const up = withKinds(Trees.invert(tree, rank, { of: fn, least: total[fn] / 20000 }));
    const down = withKinds(Trees.derive(tree, rank, { from: fn }));
    for (const t of [up, down]) t.label[0] = ALL;
    showLines(fn);
    callers.show(up, Math.min(1, up.count - 1), false);
    callees.show(down, Math.min(1, down.count - 1), true);
  }

  // The lines of a function: where it was itself executing, and where it called.
  function showLines(fn) {
    const self = new Map(), total = new Map(), open = new Map();
    const add = (map, line, weight) => map.set(line, (map.get(line) || 0) + weight);
    const path = [];
    for (let i = 1; i < paths.count; ) {
      if (paths.total[i] === 0) {
        i = paths.end[i];
        continue;
      }
      while (path.length && paths.end[path[path.length - 1]] <= i) add(open, paths.line[path.pop()], -1);
      if (paths.label[i] === fn) {
        const line = paths.line[i];
        add(self, line, paths.self[i]);
        if (!open.get(line)) add(total, line, paths.total[i]);
        add(open, line, 1);
        path.push(i);
      }
      i += 1;
    }
    const rows = [...total.keys()].sort((a, b) => total.get(b) - total.get(a));
    const most = Math.max(1, ...rows.slice(0, 1).map((line) => total.get(line)));
    let whole = 0;
    for (const weight of self.values()) whole += weight;
    byId("lines").hidden = rows.length === 0 || (rows.length === 1 && rows[0] === 0);
    byId("lines").querySelector("tbody").replaceChildren(...rows.slice(0, 100).map((line) => {
      const bar = create("i");
      bar.style.width = 100 * total.get(line) / most + "%";
      return create("tr", {}, create("td", {}, Trees.grouped(self.get(line))), create("td", {}, Trees.percent(self.get(line), whole)),
        create("td", {}, Trees.grouped(total.get(line))), create("td", { className: "bar" }, bar),
        create("td", {}, line === 0 ? "line not known" : "line " + line));
    }));
  }

  // ---- showing ---------------------------------------------------------------------------------

  function describe(text) {
    byId("details").textContent = text || HINT;
    byId("details").classList.toggle("hint", !text);
  }

  function showLegend() {
    const shares = new Map();
    const tree = paths;
    for (let i = 1; i < tree.count; i += 1) {
      if (tree.self[i] === 0) continue;
      const key = wish.bypackage ? packageOf(tree.label[i]) : tree.kinds[i];
      shares.set(key, (shares.get(key) || 0) + tree.self[i]);
    }
    const items = [...shares].filter(([k]) => k !== "").sort((a, b) => b[1] - a[1]).slice(0, 14);
    byId("legend").replaceChildren("executing:", ...items.map(([k, weight]) => {
      const swatch = create("i");
      swatch.style.background = wish.bypackage ? Trees.packageColour(k, 4) : `rgb(${styles[k].colour.slice(0, 3).map((c, n) => Math.round((c + styles[k].colour[n + 3]) / 2)).join(",")})`;
      return create("span", {}, swatch, `${wish.bypackage ? k : styles[k].legend} ${Trees.percent(weight, tree.total[0], 1)}`);
    }));
  }

  function report() {
    const tree = wish.tab === "graph" ? graph.tree : null;
    byId("matched").textContent = "";
    if (!hits || !tree) return;
    const isMatch = (i) => hits[tree.label[i]];
    let text = "Matched: " + Trees.percent(Trees.matched(tree, 0, isMatch), tree.total[0], 1);
    if (graph.zoomed) text += " (" + Trees.percent(Trees.matched(tree, graph.zoomed, isMatch), tree.total[graph.zoomed], 1) + " of this view)";
    byId("matched").textContent = text;
  }

  // What decides the weights and the graph; the rest of a wish only changes how it is shown.
  const keyOf = (w) => JSON.stringify([w.split, w.thread, w.from, w.to, w.focus, w.ignored, w.hidden, w.inverted, w.merged]);
  let shownKey = null, heatKey = null;

  function show() {
    for (const [id, box] of Object.entries({ graph: graph.box, time: chart.box, functions: byId("functions") })) {
      box.hidden = wish.tab !== id;
      byId("tab-" + id).setAttribute("aria-selected", String(wish.tab === id));
    }
    for (const id of ["icicle", "inverted", "merged", "bypackage"]) byId(id).setAttribute("aria-pressed", String(wish[id]));
    byId("split").value = wish.split;
    byId("thread").value = wish.thread;
    byId("whole").disabled = wish.to === 0;
    byId("whole").textContent = wish.to === 0 ? "whole recording" : `${seconds(wish.from, 1e5)} to ${seconds(wish.to, 1e5)} \u00d7`;
    byId("unfilter").hidden = wish.focus === "" && wish.ignored === "" && wish.hidden === "";
    byId("unzoom").hidden = wish.zoom === 0 || wish.tab !== "graph";
    colours.clear();
    if (shownKey !== keyOf(wish)) {
      shownKey = keyOf(wish);
      graphTree = makeGraph();
    }
    if (heatKey !== wish.thread) {
      heatKey = wish.thread;
      layoutHeat();
    } else {
      drawHeat();
    }
    showLegend();
    if (wish.tab === "graph") graph.show(graphTree, wish.zoom, wish.icicle);
    else if (wish.tab === "time") showTime();
    else showFunctions();
    report();
    saveState();
  }

  function showTime() {
    const [kind, number] = wish.thread.split(" ");
    const flag = inThread();
    const thread = kind === "t" ? Number(number) : byWeight.find((i) => !flag || flag[i]) ?? 0;
    chart.show(thread);
    if (kind !== "t" && byWeight.length > 1 && threads[thread]) {
      describe(`${threadLabel(threads[thread])}, the busiest; choose another above`);
    }
  }

  function change(wishes) {
    trail.push(wish);
    wish = { ...wish, zoom: 0, ...wishes };
    show();
  }

  function back() {
    closeMenu();
    if (trail.length) {
      wish = trail.pop();
      show();
    } else if (keyOf(wish) !== keyOf(EVERYTHING) || wish.zoom) {
      wish = { ...EVERYTHING, tab: wish.tab };
      show();
    } else if (pattern) {
      search("");
      byId("search").value = "";
    }
  }

  function act(key, label) {
    const also = (source) => (source ? source + "|" : "") + Trees.exactly(names[label]);
    if (key === "f") change({ focus: Trees.exactly(names[label]) });
    else if (key === "x") change({ ignored: also(wish.ignored) });
    else if (key === "h") change({ hidden: also(wish.hidden) });
    else if (key === "t") change({ tab: "functions", fn: label });
    else if (key === "s") {
      search(Trees.exactly(names[label]));
      byId("search").value = Trees.typedOf(pattern);
    }
  }

  function search(source) {
    pattern = source;
    const regexp = source ? Trees.compile(source, ignoreCase) || Trees.compile(Trees.escapeRegExp(source), ignoreCase) : null;
    hits = regexp ? Uint8Array.from(names, (name, l) => (l !== ALL && regexp.test(name) ? 1 : 0)) : null;
    if (wish.tab === "graph") graph.draw();
    else if (wish.tab === "time") chart.draw();
    else showFunctions();
    report();
    saveState();
  }

  // ---- the menu --------------------------------------------------------------------------------

  let menu = null;
  function openMenu(label, zoom, x, y) {
    closeMenu();
    const items = zoom ? [["Zoom in", "Enter", zoom]] : [];
    if (label < labelCount) {
      for (const [text, key] of [["Focus: only stacks with it", "f"], ["Ignore: no stacks with it", "x"],
        ["Hide: take it out of its stacks", "h"], ["Callers, callees, lines", "t"], ["Search for it", "s"]]) {
        items.push([text, key, () => act(key, label)]);
      }
    }
    menu = create("div", { id: "menu", role: "menu" }, ...items.map(([text, key, action]) => {
      const item = create("button", { role: "menuitem" }, text, create("kbd", {}, key));
      item.addEventListener("click", () => {
        closeMenu();
        action();
      });
      return item;
    }));
    menu.style.left = Math.max(0, Math.min(x, window.innerWidth - 300)) + "px";
    menu.style.top = Math.max(0, Math.min(y, window.innerHeight - 26 * items.length - 12)) + "px";
    menu.addEventListener("keydown", (event) => {
      const to = { ArrowDown: document.activeElement.nextElementSibling, ArrowUp: document.activeElement.previousElementSibling }[event.key];
      if (to) to.focus();
      if (event.key !== "Escape") event.stopPropagation();
    });
    document.body.append(menu);
    menu.firstElementChild.focus();
  }
  function closeMenu() {
    if (menu) menu.remove();
    menu = null;
  }

  // ---- the URL ---------------------------------------------------------------------------------

  // As in the SVG: s, f, i, h and v; z: node, t: range in us, r: thread, g: split, tab, fn.
  const VIEWS = ["icicle", "inverted", "merged", "bypackage"];
  function saveState() {
    try {
      const params = new URLSearchParams();
      const put = (key, value, none) => value !== none && params.set(key, value);
      put("s", pattern, "");
      put("f", wish.focus, "");
      put("i", wish.ignored, "");
      put("h", wish.hidden, "");
      put("v", VIEWS.filter((key) => wish[key]).join(" "), "");
      put("z", wish.zoom, 0);
      if (wish.to > 0) params.set("t", wish.from + "-" + wish.to);
      put("r", wish.thread, "");
      put("g", wish.split, "");
      put("tab", wish.tab, "graph");
      put("fn", wish.fn, -1);
      const query = params.toString();
      window.history.replaceState(null, "", window.location.pathname + (query ? "?" + query : "") + window.location.hash);
    } catch (error) {
      // A report inside a sandbox has no URL of its own.
    }
  }

  function restoreState() {
    const params = new URLSearchParams(window.location.search);
    const get = (key) => params.get(key) || "";
    for (const key of VIEWS) wish[key] = get("v").split(" ").includes(key);
    wish.focus = get("f");
    wish.ignored = get("i");
    wish.hidden = get("h");
    const range = /^(\d+)-(\d+)$/.exec(get("t"));
    if (range && Number(range[1]) < Number(range[2])) [wish.from, wish.to] = [Number(range[1]), Number(range[2])];
    if (/^[pt] \d+$/.test(get("r"))) wish.thread = get("r");
    if (["process", "thread"].includes(get("g"))) wish.split = get("g");
    if (["time", "functions"].includes(get("tab"))) wish.tab = get("tab");
    wish.fn = params.has("fn") ? Number(get("fn")) | 0 : -1;
    wish.zoom = Math.max(0, Number(get("z")) | 0);
    pattern = get("s");
  }

  // ---- start -----------------------------------------------------------------------------------

  const graph = new Graph("flame graph: arrow keys walk, Enter zooms, f focuses, x ignores, h hides", {
    zoom: (i) => {
      if (i !== graph.zoomed) change({ zoom: i });
    },
    upward: () => wish.inverted,
  });
  const chart = new Chart();
  const open = (g, i) => {
    const label = g.tree.label[i];
    if (label < labelCount && label !== wish.fn) change({ fn: label });
  };
  const callers = new Graph("callers", { zoom: (i) => open(callers, i), upward: () => true }, 1);
  const callees = new Graph("callees", { zoom: (i) => open(callees, i), upward: () => false }, 1);

  const button = (id, text, title, action) => {
    const node = create("button", { id, title }, text);
    node.addEventListener("click", action);
    return node;
  };
  const tabs = [["graph", "Graph"], ["time", "Time Order"], ["functions", "Functions"]].map(([id, text]) => {
    const node = button("tab-" + id, text, "", () => change({ tab: id, zoom: wish.zoom }));
    node.setAttribute("role", "tab");
    return node;
  });
  const option = (value, text) => create("option", { value }, text);
  const split = create("select", { id: "split", title: "split the graph" }, option("", "not split"), option("process", "by process"), option("thread", "by thread"));
  split.addEventListener("change", () => change({ split: split.value }));
  const sum = Math.max(1, byWeight.reduce((s, i) => s + threads[i].weight, 0));
  const threadSelect = create("select", { id: "thread", title: "process or thread" }, option("", `all threads (${byWeight.length})`));
  const MAX_OPTIONS = 1000;
  for (const p of [...processes.values()].filter((q) => q.weight > 0).sort((a, b) => b.weight - a.weight).slice(0, MAX_OPTIONS)) {
    if (processes.size > 1) threadSelect.append(option("p " + p.pid, `${processLabel(p)} ${Trees.percent(p.weight, sum, 1)}`));
  }
  for (const i of byWeight.slice(0, MAX_OPTIONS)) threadSelect.append(option("t " + i, `${threadLabel(threads[i])} ${Trees.percent(threads[i].weight, sum, 1)}`));
  threadSelect.addEventListener("change", () => change({ thread: threadSelect.value }));
  const input = create("input", { id: "search", type: "search", placeholder: "search: text or /regexp/", autocomplete: "off", spellcheck: false, "aria-label": "search functions" });
  let timer = 0;
  const apply = () => {
    clearTimeout(timer);
    search(input.value ? Trees.patternOf(input.value, ignoreCase, names) : "");
    input.classList.toggle("wrong", pattern !== "" && !hits.some((hit) => hit));
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 150);
  });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") apply();
    if (event.key !== "Escape") return;
    input.value = "";
    apply();
    graph.canvas.focus();
  });
  const ignore = button("ignorecase", "Aa", "ignore case in search", () => {
    ignoreCase = !ignoreCase;
    ignore.setAttribute("aria-pressed", String(ignoreCase));
    search(pattern);
  });
  ignore.setAttribute("aria-pressed", "false");
  const heads = [["self", "itself"], ["self", "%"], ["total", "total"], ["total", "%"], ["name", "function"]].map(([key, text]) => {
    const node = button("", text, "sort", () => {
      wish = { ...wish, sort: key, up: wish.sort === key && !wish.up };
      show();
    });
    const th = create("th", { scope: "col" }, node);
    th.dataset.sort = key;
    return th;
  });
  table = create("tbody");
  root.append(
    create("nav", {}, create("span", { role: "tablist" }, ...tabs.flatMap((t) => [t, " "])),
      button("icicle", "Icicle", "root at the top", () => change({ icicle: !wish.icicle })),
      button("inverted", "Inverted", "what was executing, above it who called it", () => change({ inverted: !wish.inverted })),
      button("merged", "Merge Recursion", "a function that is on the stack already is not shown again", () => change({ merged: !wish.merged })),
      button("bypackage", "By Package", "colours by package", () => change({ bypackage: !wish.bypackage, zoom: wish.zoom })),
      split, threadSelect,
      button("whole", "", "the whole recording again", () => change({ from: 0, to: 0 })),
      create("span", { className: "space" }),
      button("unfilter", "Reset Filters", "all stacks, all functions", () => change({ focus: "", ignored: "", hidden: "" })),
      button("unzoom", "Reset Zoom", "", () => change({ zoom: 0 })),
      input, ignore),
    create("div", { id: "heat" }, heat.canvas),
    create("div", { id: "legend", title: "share of the samples in which this kind of code was executing" }),
    graph.box, chart.box,
    create("div", { id: "functions" },
      create("div", { id: "list" }, create("table", {}, create("thead", {}, create("tr", {}, ...heads)), table), create("p", { id: "more" })),
      create("div", { id: "sandwich" }, create("h2", { id: "chosen" }), callers.box, callees.box,
        create("div", { id: "lines" }, create("table", {}, create("thead", {}, create("tr", {},
          ...["itself", "% of itself", "total", "", "executing"].map((t) => create("th", { scope: "col" }, t)))), create("tbody"))))),
    create("footer", {}, create("div", { id: "details", "aria-live": "polite" }), create("div", { id: "matched", "aria-live": "polite" })));

  // The verdict: one line of it until the reader wants all.
  const verdict = byId("verdict");
  for (const note of notes) verdict.append(create("p", { className: "note" }, "left out: " + note));
  if (startMs > 0) verdict.append(create("p", {}, "recorded " + new Date(startMs).toISOString()));
  if (verdict.querySelectorAll("p").length > 1) {
    const more = button("more-verdict", " \u25be more", "", () => {
      const folded = verdict.classList.toggle("folded");
      more.textContent = folded ? " \u25be more" : " \u25b4 less";
      more.setAttribute("aria-expanded", String(!folded));
      relayout();
    });
    more.setAttribute("aria-expanded", "false");
    verdict.querySelector("p").append(more);
    verdict.classList.add("folded");
  }

  document.addEventListener("mousedown", (event) => {
    if (menu && !menu.contains(event.target)) closeMenu();
  });
  window.addEventListener("keydown", (event) => {
    if (event.key === "F3" || ((event.ctrlKey || event.metaKey) && event.key === "f")
        || (event.key === "/" && event.target !== input)) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "Escape") {
      back();
    } else if (/^Arrow/.test(event.key) && event.target === document.body && wish.tab === "graph") {
      graph.canvas.focus();
      graph.key(event);
    }
  });
  const relayout = () => {
    layoutHeat();
    if (wish.tab === "graph") graph.draw();
    else if (wish.tab === "time") chart.draw();
    else [callers, callees].forEach((g) => g.draw());
  };
  window.addEventListener("resize", relayout);
  dark.addEventListener("change", relayout);
  for (const g of [graph, callers, callees]) for (const type of ["focus", "blur"]) g.canvas.addEventListener(type, () => g.ask());
  wireHeat();
  describe(null);
  restoreState();
  if (pattern) {
    const regexp = Trees.compile(pattern) || Trees.compile(Trees.escapeRegExp(pattern));
    hits = Uint8Array.from(names, (name, l) => (l !== ALL && regexp.test(name) ? 1 : 0));
    input.value = Trees.typedOf(pattern);
  }
  show();
  document.title = title || document.title;
  document.documentElement.dataset.ready = "1";
})();
