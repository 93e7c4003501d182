// A tree, drawn: the graph, and callers and callees of a function.

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
    const empty = this.down ? 0 : Math.max(0, this.size(levels * ROW)[1] - levels * ROW);
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
      this.frame(context, x, y, w, tree.label[i], colourOfNode(tree, i), strong);
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
      const depth = this.tree.depth[i], top = this.yOf(depth);
      if (depth >= this.skip && y >= top && y < top + ROW && x >= left && x < left + w) found = i;
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
    const name = names[tree.label[i]];
    const parts = [];
    if (compares) {
      const { after, before, change } = sharesOf(tree.total[i], tree.beforeTotal[i]);
      const samples = Trees.grouped(afterOf(tree.total[i], tree.beforeTotal[i]));
      parts.push(`${name} (${samples} ${unit}, ${(100 * after).toFixed(2)}%; ${signed(change)})`,
        `before ${(100 * before).toFixed(2)}%`);
      if (!this.events.upward() && i > 0) {
        parts.push("itself " + signed(sharesOf(tree.self[i], tree.before[i]).change));
      }
    } else {
      const share = i === 0 ? "100%" : (100 * tree.total[i] / whole).toFixed(2) + "%";
      parts.push(`${name} (${Trees.grouped(tree.total[i])} ${unit}, ${share})`);
      if (!this.events.upward() && i > 0) {
        parts.push("itself " + Trees.percent(tree.self[i], whole));
      }
    }
    const kind = KINDS[tree.kinds[i]] + (isInlined(tree.label[i]) ? ", inlined" : "");
    if (kind) parts.push(kind);
    const own = packageOf(tree.label[i]);
    if (own && tree.kinds[i] !== KERNEL && tree.kinds[i] !== BUILTIN) parts.push(own);
    if (generated.has(tree.label[i])) parts.push("from " + generated.get(tree.label[i]));
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
    } else if (!this.acts(event, tree.label[this.cursor])) {
      return;
    }
    event.preventDefault();
    if (to < 0) return;
    this.cursor = to;
    this.arrive(this.yOf(tree.depth[to]), this.tell(to));
  }
}
