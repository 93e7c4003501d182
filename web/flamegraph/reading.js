// The file's frames: where they are at once, who they are when it is asked for the first time.

const packages = byId("packages").textContent.split("\n").slice(0, -1);
const rootY = Number(group.firstElementChild.children[1].getAttribute("y"));

// What a <g>'s class says; few are different.
const classes = new Map();
function classOf(g) {
  const text = g.getAttribute("class");
  let known = classes.get(text);
  if (!known) {
    const own = /\bp(\d+)/.exec(text);
    known = { kind: Number(/\bk(\d+)/.exec(text)[1]), package: own ? Number(own[1]) : -1,
              inlined: / i$/.test(text), state: /^w /.test(text) ? STATE.w : 0 };
    classes.set(text, known);
  }
  return known;
}

const file = (() => {
  const elements = arriving();
  const count = elements.length;
  const tree = {
    count, leftOut: 0, crowded: 0,
    parent: new Int32Array(count), label: new Int32Array(count), depth: new Int32Array(count),
    end: new Int32Array(count), self: new Float64Array(count), total: new Float64Array(count),
  };
  const cells = new Array(count);
  const open = [];
  let levels = 0;
  for (let index = 0; index < count; index += 1) {
    const g = elements[index], rect = g.firstChild.nextSibling;
    const yText = rect.getAttribute("y");
    const depth = Math.round((rootY - Number(yText)) / ROW);
    levels = Math.max(levels, depth + 1);
    while (open.length > depth) tree.end[open.pop()] = index;
    tree.parent[index] = open.length ? open[open.length - 1] : 0;
    tree.depth[index] = depth;
    open.push(index);
    const known = classOf(g);
    const cell = new Cell(index, depth, rect.getAttribute("x"), yText, rect.getAttribute("width"),
                          rect.getAttribute("fill"), known);
    cell.state = known.state;
    cell.attached = g.parentNode === group;
    cell.g = g;
    cell.rect = rect;
    cell.text = rect.nextSibling;
    g.jprofIndex = index;
    cells[index] = cell;
  }
  for (const i of open) tree.end[i] = count;
  return { tree, cells, levels };
})();

// A comparison has the change of each share in its titles. What is drawn is the mean of both shares
// then, and the samples are those of one side.
const unit = TITLE.exec(file.cells[0].title[0])[3];  // of what is counted
const compares = file.cells.length > 1 && TITLE.exec(file.cells[1].title[0])[4] !== undefined;

const names = [];  // by label
const looks = [];  // by label, of its widest frame: {fill, kind, inlined, package, weight}

// Fills names, looks and what the file's tree says of labels and samples: reads all titles.
function readTitles() {
  const { tree, cells } = file;
  if (names.length) return;
  const numbers = new Map();
  for (const cell of cells) {
    const parts = TITLE.exec(cell.title[0]);
    const name = parts ? parts[1] : cell.title[0];
    let label = numbers.get(name);
    if (label === undefined) {
      label = names.length;
      if (cell.index > 0) numbers.set(name, label);  // a function may be called "all" too
      names.push(name);
    }
    tree.label[cell.index] = label;
    tree.total[cell.index] = tree.self[cell.index] = parts ? Number(parts[2].replace(/,/g, "")) : 0;
    const { fill, kind, inlined, package: own, width } = cell;
    if (!looks[label] || looks[label].weight < width) {
      looks[label] = { fill, kind, inlined, package: own, weight: width };
    }
  }
  if (compares) {
    tree.beforeTotal = tree.total;
    tree.before = tree.total.slice();
    tree.total = Float64Array.from(cells, (cell) => cell.width);
    tree.self = tree.total.slice();
  }
  const weights = [["self", "total"]];
  if (compares) weights.push(["before", "beforeTotal"]);
  for (let i = 1; i < tree.count; i += 1) {
    for (const [self, total] of weights) {
      const of = tree.parent[i];
      tree[self][of] = Math.max(0, tree[self][of] - tree[total][i]);
    }
  }
}

// The samples of a node, of all or of itself, and how its share changed.
const samplesOf = (tree, i) => (compares ? tree.beforeTotal : tree.total)[i];
const ownSamplesOf = (tree, i) => (compares ? tree.before : tree.self)[i];
const shareOf = (part, whole) => (whole > 0 ? part / whole : 0);
function changeOf(tree, i) {
  const after = shareOf(tree.beforeTotal[i], tree.beforeTotal[0]);
  return 2 * (after - shareOf(tree.total[i], tree.total[0]));
}
const mostChanged = () =>
  file.cells.reduce((most, _, i) => Math.max(most, Math.abs(changeOf(file.tree, i))), 1e-9);
// By label, the place of its name among all.
function ranks() {
  const order = names.map((_, i) => i)
    .sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
  const rank = new Int32Array(names.length);
  order.forEach((label, i) => { rank[label] = i; });
  return rank;
}
