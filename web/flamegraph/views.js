// What is shown: the file's frames, or a tree made of them, in colours of code or of packages.

// What the reader asked for. Patterns are sources of regular expressions, "" for none.
let wish = { icicle: false, inverted: false, merged: false, byPackage: false,
             focus: "", ignored: "", hidden: "" };
let view = file;
let zoomed = 0;      // cell that fills the width
let trail = [];      // {wish, zoomed} before, for Escape
const filtered = () => wish.focus !== "" || wish.ignored !== "" || wish.hidden !== "";

const flags = (source) => {
  const regexp = source && (Trees.compile(source) || Trees.compile(Trees.escapeRegExp(source)));
  const flag = (name, label) => (label > 0 && regexp.test(name) ? 1 : 0);
  return regexp ? Uint8Array.from(names, flag) : null;
};

function makeView() {
  if (!wish.inverted && !wish.merged && !filtered()) return file;
  readTitles();
  const rank = ranks();
  const spec = { hidden: flags(wish.hidden), focus: flags(wish.focus), ignored: flags(wish.ignored),
                 once: wish.merged };
  const whole = Trees.derive(file.tree, rank, spec);
  // What is thinner than 0.1 px is not drawn, as in the file.
  const least = whole.total[0] / (10 * (FULL - 2 * PAD));
  const tree = wish.inverted ? Trees.invert(whole, rank, { least })
    : Trees.derive(file.tree, rank, { ...spec, least });
  return dress(Trees.widest(tree, MAX_CELLS));
}

// Gives each node of a tree its cell.
function dress(tree) {
  const cells = new Array(tree.count);
  const all = tree.total[0];
  const starts = new Float64Array(tree.count);  // where the node's next callee begins
  const edge = (samples) => Math.round((all > 0 ? samples / all : 1) * (FULL - 2 * PAD) * 100);
  const most = compares ? mostChanged() : 1;
  let levels = 1;
  for (let i = 0; i < tree.count; i += 1) {
    const p = tree.parent[i];
    const start = i === 0 ? 0 : starts[p];
    starts[p] += i === 0 ? 0 : tree.total[i];
    starts[i] = start;
    const left = edge(start), right = i === 0 ? edge(all) : edge(start + tree.total[i]);
    const look = looks[tree.label[i]];
    const name = names[tree.label[i]];
    const xText = (PAD + left / 100).toFixed(2), widthText = ((right - left) / 100).toFixed(2);
    const yText = String(rootY - tree.depth[i] * ROW);
    levels = Math.max(levels, tree.depth[i] + 1);
    const change = compares ? changeOf(tree, i) : 0;
    const part = Math.max(-1, Math.min(1, change / most));
    const fill = compares ? Trees.changeColour(part) : look.fill;
    const samples = samplesOf(tree, i);
    const more = compares ? `; ${change < 0 ? "-" : "+"}${Math.abs(100 * change).toFixed(2)}%` : "";
    const share = (100 * shareOf(samples, samplesOf(tree, 0))).toFixed(2);
    const shown = i === 0 ? `all (${Trees.grouped(samples)} ${unit}, 100%)`
      : `${name} (${Trees.grouped(samples)} ${unit}, ${share}%${more})`;
    cells[i] = new Cell(i, tree.depth[i], xText, yText, widthText, fill, look);
    cells[i].titleLines = [shown];
  }
  return { tree, cells, levels };
}

// Shows what `wish` says, zoomed to the cell `to`.
function show(to = 0) {
  const next = makeView();
  if (next !== view) {
    for (const cell of view.cells) if (cell.attached) detach(cell);
    view = next;
    current = 0;
  }
  zoomed = to < view.tree.count ? to : 0;
  colour();
  match();
  setCurrent(zoomed);
  layout();
  if (standalone) window.scrollTo(0, wish.icicle ? 0 : height);
  follow();
}

// Goes on from here; Escape comes back.
function change(wishes, to = 0) {
  trail.push({ wish, zoomed });
  wish = { ...wish, ...wishes };
  show(to);
}

const alternatives = (source, name) => (source ? source + "|" : "") + Trees.exactly(name);
const onCurrent = {
  focus: () => change({ focus: Trees.exactly(view.cells[current].name) }),
  ignored: () => change({ ignored: alternatives(wish.ignored, view.cells[current].name) }),
  hidden: () => change({ hidden: alternatives(wish.hidden, view.cells[current].name) }),
};

// ---- colours ------------------------------------------------------------------------------------

const shadeOf = (label) => (Math.imul(label, 0x9e3779b1) >>> 29);

const packageOf = (cell) => (cell.package < 0 ? "" : packages[cell.package]);

function fillOf(cell) {
  if (!wish.byPackage) return cell.fill;
  const name = packageOf(cell);
  return name === "" ? "#c9cdd3" : packageColour(name, shadeOf(view.tree.label[cell.index]));
}

// By what executes in all of the file, whatever is in view.
let packageColour = null;
function choosePackageColours() {
  readTitles();
  const weights = new Map();
  for (let i = 1; i < file.tree.count; i += 1) {
    const name = packageOf(file.cells[i]);
    if (name !== "") weights.set(name, (weights.get(name) || 0) + file.tree.self[i]);
  }
  packageColour = Trees.packageColours(weights);
}

function colour() {
  if (wish.byPackage && !packageColour) choosePackageColours();
  for (const cell of view.cells) if (cell.attached) setFill(cell, fillOf(cell));
  makeLegend();
}

// The file's legend, or one of the packages that were executing most.
const fileLegend = byId("legend");
const ownLegend = create("g", { id: "packagelegend", "font-size": 11 });
header.appendChild(ownLegend);
let legend = [];  // {box, text}; the first has no box
function makeLegend() {
  toggle(fileLegend, "hide", wish.byPackage);
  toggle(ownLegend, "hide", !wish.byPackage);
  ownLegend.replaceChildren();
  if (wish.byPackage) {
    const shares = new Map();
    const { tree } = view;
    for (let i = 1; i < tree.count; i += 1) {
      // Upside down, the first level is what was executing.
      const weight = !wish.inverted ? tree.self[i] : tree.depth[i] === 1 ? tree.total[i] : 0;
      const name = packageOf(view.cells[i]);
      if (name !== "") shares.set(name, (shares.get(name) || 0) + weight);
    }
    ownLegend.appendChild(create("text", {}, "executing:"));
    for (const [name, weight] of [...shares].sort((a, b) => b[1] - a[1]).slice(0, 12)) {
      if (weight === 0) break;
      const text = name + " " + Trees.percent(weight, tree.total[0], 1);
      ownLegend.append(create("rect", { width: 11, height: 11, fill: packageColour(name, 4) }),
        create("text", {}, text));
    }
  }
  legend = [];
  for (const child of (wish.byPackage ? ownLegend : fileLegend).children) {
    if (child.localName === "rect") legend.push({ box: child, text: null });
    else if (child.localName !== "text") continue;
    else if (legend.length === 0) legend.push({ box: null, text: child });
    else legend[legend.length - 1].text = child;
  }
}
