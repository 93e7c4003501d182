// The page: what is shown when.

const TIME_HINT = " \u00b7 drag over the heat map for a range of time";

const GRAPH_KEYS = "arrow keys walk, Enter zooms, f focuses, x ignores, h hides";
const graph = new Graph("flame graph: " + GRAPH_KEYS, {
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

function describe(text) {
  byId("details").textContent = text || HINT + (paths && hasTime() ? TIME_HINT : "");
  byId("details").classList.toggle("hint", !text);
}

function showLegend() {
  if (compares && !wish.bypackage) {
    const item = (part, text) => {
      const swatch = create("i");
      swatch.style.background = Trees.changeColour(part, isDark());
      return create("span", {}, swatch, text);
    };
    byId("legend").replaceChildren("change of the share (width: mean of both):",
      item(1, `more, up to ${signed(graphTree.most)}`),
      item(-1, `less, down to ${signed(-graphTree.most)}`));
    return;
  }
  const shares = new Map();
  const inlined = new Map();  // by kind
  const tree = paths;
  for (let i = 1; i < tree.count; i += 1) {
    if (tree.self[i] === 0) continue;
    const key = wish.bypackage ? packageOf(tree.label[i]) : tree.kinds[i];
    shares.set(key, (shares.get(key) || 0) + tree.self[i]);
    if (!isInlined(tree.label[i])) continue;
    inlined.set(tree.kinds[i], (inlined.get(tree.kinds[i]) || 0) + tree.self[i]);
  }
  const items = [...shares].filter(([k]) => k !== "").sort((a, b) => b[1] - a[1]).slice(0, 14);
  const item = (colour, text, weight) => {
    const swatch = create("i");
    swatch.style.background = colour;
    return create("span", {}, swatch, `${text} ${Trees.percent(weight, tree.total[0], 1)}`);
  };
  byId("legend").replaceChildren("executing:", ...items.map(([k, weight]) => wish.bypackage
    ? item(packageColour(k, 4), k, weight) : item(colourOfKind(k, 7), styles[k].legend, weight)));
  if (wish.bypackage || inlined.size === 0) return;
  const [[most]] = [...inlined].sort((a, b) => b[1] - a[1]);
  const all = [...inlined.values()].reduce((a, b) => a + b, 0);
  byId("legend").append(item(colourOfKind(most, 7 + INLINED), "paler: inlined", all));
}

// How many branches of a tree of callers were not followed. `all`: of what they are a part.
function tellLeftOut(count, all) {
  byId("leftout").hidden = count === 0;
  byId("leftout").textContent =
    `not drawn: ${framesOf(count, true)} of less than ${100 * LEAST}% of ${all}`;
}

function report() {
  const tree = wish.tab === "graph" ? graph.tree : null;
  byId("matched").textContent = "";
  if (!hits || !tree) return;
  const isMatch = (i) => hits[tree.label[i]];
  const share = (root) => {
    const all = Trees.matched(tree, root, isMatch);
    if (!compares) return Trees.percent(all, tree.total[root], 1);
    const { before, after } = sharesOf(all, Trees.matched(tree, root, isMatch, tree.beforeTotal));
    return `${(100 * before).toFixed(1)}% before, ${(100 * after).toFixed(1)}% after`;
  };
  let text = "Matched: " + share(0);
  if (graph.zoomed) text += ` (${share(graph.zoomed)}${compares ? "" : " of this view"})`;
  byId("matched").textContent = text;
}

let graphTree = null, shownKey = null;

function show() {
  const tabs = { graph: graph.box, time: chart.box, functions: byId("functions") };
  for (const [id, box] of Object.entries(tabs)) {
    box.hidden = wish.tab !== id;
    byId("tab-" + id).setAttribute("aria-selected", String(wish.tab === id));
  }
  for (const id of VIEWS) byId(id).setAttribute("aria-pressed", String(wish[id]));
  byId("side").value = wish.side;
  byId("split").value = wish.split;
  byId("thread").value = wish.thread;
  byId("whole").hidden = wish.to === 0;
  byId("tab-time").hidden = !hasTime();
  byId("whole").textContent = `${seconds(wish.from, 1e5)} to ${seconds(wish.to, 1e5)} \u00d7`;
  byId("unfilter").hidden = wish.focus === "" && wish.ignored === "" && wish.hidden === "";
  byId("unzoom").hidden = wish.zoom === 0 || wish.tab !== "graph";
  colours.clear();
  if (wish.bypackage && !packageColour) choosePackageColours();
  if (shownKey !== keyOf(wish)) {
    shownKey = keyOf(wish);
    graphTree = makeGraph();
  }
  if (heat.key !== heatKey()) layoutHeat();
  else drawHeat();
  showLegend();
  tellLeftOut(wish.tab === "graph" ? graphTree.leftOut : 0, "all");
  if (wish.tab === "graph") graph.show(graphTree, wish.zoom, wish.icicle);
  else if (wish.tab === "time") showTime();
  else showFunctions();
  report();
  saveState();
}

// Flags of those that have samples of the side that is shown.
function threadsOfSide() {
  const flag = new Uint8Array(threads.length);
  for (let i = 0; i < samples.count; i += 1) if (isShownSide(i)) flag[samples.thread[i]] = 1;
  return flag;
}

function showTime() {
  const [kind, number] = wish.thread.split(" ");
  const flag = inThread();
  const shown = compares ? threadsOfSide() : null;
  const isOne = (i) => (!flag || flag[i]) && (!shown || shown[i]);
  const thread = kind === "t" ? Number(number) : byWeight.find(isOne) ?? 0;
  chart.show(thread);
  if (kind !== "t" && byWeight.length > 1 && threads[thread]) {
    describe(`${threadLabel(threads[thread])}, the busiest; choose another above`);
  }
}
