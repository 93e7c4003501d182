// A thread in time order: the flame chart.

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
    const AXIS = 18;
    const [context, width, top, bottom] = this.begin(this.levels * ROW + AXIS);
    const [from, to] = this.range;
    const scale = width / (to - from);
    for (const span of this.spans) {
      const y = AXIS + (span.depth - 1) * ROW;
      if (y + ROW < top || y > bottom) continue;
      this.frame(context, (span.from - from) * scale, y, (span.to - span.from) * scale, this.tree.label[span.node], colourOf(this.tree.label[span.node], this.tree.kinds[span.node]));
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
