// A thread in time order: the flame chart.

const AXIS = 18;

// One thread in time order, callers at the top.
class Chart extends Surface {
  constructor() {
    const keys = "arrow keys walk, Enter shows that time, f focuses, x ignores, h hides";
    super("flame chart in time order: " + keys, {
      hover: (x, y) => this.point(this.find(x, y)),
      click: (x, y) => {
        const s = this.find(x, y);
        if (s) this.zoom(s);
      },
      menu: (x, y, clientX, clientY) => {
        const s = this.find(x, y);
        if (s) openMenu(this.tree.label[s.node], null, clientX, clientY);
      },
      key: (event) => this.key(event),
    });
    this.rows = [];
    this.hovered = this.cursor = null;
  }

  show(thread) {
    this.thread = thread;
    const { hidden, ...which } = spec();
    const place = new Int32Array(paths.count);
    this.tree = withKinds(Trees.derive(paths, rank, { hidden, once: wish.merged, place }), false);
    const counts = Trees.counting(paths, which);
    // Where the samples of a path are drawn; what is not in focus leaves a gap.
    this.place = counts ? place.map((node, i) => (counts[i] ? node : 0)) : place;
    this.hovered = this.cursor = null;
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
    this.rows = Array.from({ length: tree.levels }, () => []);  // by depth, spans in time order
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
        this.rows[depth].push({ node: open, depth, from: start, to: end });
      }
    };
    const stop = firstAt(to);
    for (let i = firstAt(from); i < stop; i += 1) {
      if (samples.thread[i] !== this.thread || !isShownSide(i)) continue;
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
    const [context, width, top, bottom] = this.begin(this.levels * ROW + AXIS);
    const [from, to] = this.range;
    const scale = width / (to - from);
    for (const row of this.rows) {
      for (const span of row) {
        const y = this.yOf(span);
        if (y + ROW < top || y > bottom) break;
        const left = (span.from - from) * scale, wide = Math.max(1, (span.to - span.from) * scale);
        const label = this.tree.label[span.node];
        this.frame(context, left, y, wide, label, colourOf(label, this.tree.kinds[span.node]));
      }
    }
    const edge = document.activeElement === this.canvas ? this.cursor : null;
    for (const span of new Set([this.hovered, edge])) {
      if (!span) continue;
      const left = (span.from - from) * scale;
      this.outline(context, left, this.yOf(span), (span.to - span.from) * scale, span === edge);
    }
    context.fillStyle = isDark() ? "#16191d" : "#ffffff";
    context.fillRect(0, top, width, AXIS - 1);
    context.fillStyle = isDark() ? "#a5adb6" : "#57606a";
    const step = niceStep((to - from) / (width / 90));
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      context.fillRect((t - from) * scale, top + AXIS - 5, 1, 4);
      context.fillText(seconds(t, step), (t - from) * scale + 3, top + 12);
    }
  }

  yOf(span) {
    return AXIS + (span.depth - 1) * ROW;
  }

  find(x, y) {
    if (!this.tree || x < 0) return null;
    const [from, to] = this.range;
    const time = from + x * (to - from) / this.box.clientWidth;
    const span = this.spanAt(Math.floor((y - AXIS) / ROW) + 1, time);
    return span && span.to > time ? span : null;
  }

  // The last that began by then.
  spanAt(depth, time) {
    const row = this.rows[depth] || [];
    let low = 0;
    for (let high = row.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (row[middle].from <= time) low = middle + 1;
      else high = middle;
    }
    return low > 0 ? row[low - 1] : null;
  }

  point(span) {
    if (span === this.hovered) return;
    this.hovered = span;
    describe(span && this.tell(span));
    this.ask();
  }

  tell(span) {
    const name = names[this.tree.label[span.node]], ms = (span.to - span.from) / 1000;
    const range = `${seconds(span.from, 1000)} to ${seconds(span.to, 1000)}`;
    return `${name} \u00b7 ${range}, seen for ${ms.toFixed(1)} ms`;
  }

  zoom(span) {
    change({ from: Math.floor(span.from), to: Math.ceil(span.to) });
  }

  // Up is the caller, down the callee that was seen longest, left and right what was before and
  // after.
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.tree) return;
    const { cursor } = this;
    let to = null;
    if (/^Arrow(Up|Down|Left|Right)$/.test(event.key)) {
      if (!cursor) {
        [to = null] = this.rows[1] || [];
      } else if (event.key === "ArrowUp") {
        if (cursor.depth > 1) to = this.spanAt(cursor.depth - 1, cursor.from);
      } else if (event.key === "ArrowDown") {
        for (const span of this.rows[cursor.depth + 1] || []) {
          const isBelow = span.from >= cursor.from && span.from < cursor.to;
          if (isBelow && (!to || span.to - span.from > to.to - to.from)) to = span;
        }
      } else {
        const row = this.rows[cursor.depth];
        to = row[row.indexOf(cursor) + (event.key === "ArrowLeft" ? -1 : 1)];
      }
    } else if (event.key === "Enter" && cursor) {
      this.zoom(cursor);
    } else if (!this.acts(event, cursor ? this.tree.label[cursor.node] : ALL)) {
      return;
    }
    event.preventDefault();
    if (!to) return;
    this.cursor = to;
    this.arrive(this.yOf(to), this.tell(to));
  }
}

const niceStep = (least) => {
  let step = 1;
  while (step < least) step *= String(step)[0] === "2" ? 2.5 : 2;
  return step;
};
const seconds = (us, step = 1e6) => {
  const digits = Math.max(0, Math.min(6, Math.ceil(6 - Math.log10(step))));
  return (us / 1e6).toFixed(digits) + " s";
};
