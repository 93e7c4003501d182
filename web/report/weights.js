// What was read, and the trees that are made of it.
//
// In a comparison each sample is of one side. A call path is drawn by the mean of its shares of
// both: its weight is the samples after and, scaled to the same total, those before (`sides`).

const INLINED = 16;  // added to the shade
// Of all: what is less is not followed where callers are shown above callees.
const LEAST = 1 / 20000;

let compares = false, unit = "samples";
// Labels: names and what is known of them; those of our own ("all", processes) come last.
let styles, packages, kinds, shades, owners, names, generated, labelCount, ALL, OTHERS, rank;
let paths = null;  // the tree that all others are derived from; null until all is read
let samples = null, threads = [], processes = new Map(), duration = 1, period = 1;
let byWeight = [];  // threads that have samples, the busiest first
let sides = { after: 0, before: 0, factor: 1 };  // what is selected of each, in samples

const addLabel = (name) => names.push(name) - 1;
const kindOf = (label) => (label < labelCount ? kinds[label] : 0);
const isInlined = (label) => label < labelCount && shades[label] >= INLINED;
const packageOf = (label) =>
  (label < labelCount && owners[label] > 0 ? packages[owners[label] - 1] : "");
const shorts = [];
// The same in two lines: below the original the generated name and place.
const titleOf = (label) => names[label] + (generated.has(label) ? "\n" + generated.get(label) : "");
const shortOf = (label) =>
  shorts[label] === undefined ? shorts[label] = Trees.labelOf(names[label]) : shorts[label];
// Some formats know no process IDs, and a process that executes another program keeps its own.
const processKey = (t) => `${t.pid} ${t.process}`;
const processLabel = (p) => (p.pid ? `${p.name} (process ${p.pid})` : p.name);
const threadLabel = (t) => (t.pid ? `${t.name} (thread ${t.tid} of ${t.pid})`
  : t.tid ? `${t.name} (thread ${t.tid})` : t.name);

function takeLook(look) {
  ({ styles, packages, kinds, shades, owners, names, generated } = look);
  labelCount = look.count;
  shorts.length = 0;
  ALL = addLabel("all");
}

// The first sight: a tree to draw.
function takeHead(head) {
  ({ compares, unit } = head);
  takeLook(head.look);
  const { tree } = head;
  tree.label[0] = ALL;
  setSides(tree.total[0], compares ? tree.beforeTotal[0] : 0);
  mix(tree.self, tree.before);
  mix(tree.total, tree.beforeTotal);
  return withKinds(tree, false);
}

function takeProfile(profile) {
  ({ compares, unit, paths, samples, threads } = profile);
  takeLook(profile.look);
  duration = Math.max(profile.duration, samples.count ? samples.time[samples.count - 1] + 1 : 1);
  period = profile.period || duration / Math.max(1, samples.count);
  const MAX_GROUPS = 64;
  for (const thread of threads) Object.assign(thread, { weight: 0, label: -1 });
  for (let i = 0; i < samples.count; i += 1) threads[samples.thread[i]].weight += samples.weight[i];
  for (const thread of threads) {
    const key = processKey(thread);
    if (!processes.has(key)) {
      processes.set(key, { key, pid: thread.pid, name: thread.process, weight: 0, label: -1 });
    }
    processes.get(key).weight += thread.weight;
  }
  byWeight = [...threads.keys()].filter((i) => threads[i].weight > 0)
    .sort((a, b) => threads[b].weight - threads[a].weight);
  for (const i of byWeight.slice(0, MAX_GROUPS)) {
    threads[i].label = addLabel(threadLabel(threads[i]));
  }
  for (const p of busyProcesses().slice(0, MAX_GROUPS)) p.label = addLabel(processLabel(p));
  OTHERS = addLabel("others");
  rank = new Int32Array(names.length);
  names.map((_, i) => i)
    .sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : a - b))
    .forEach((l, i) => { rank[l] = i; });
  paths.label[0] = ALL;
  paths.kinds = kindsOf(paths, false);
}

const busyProcesses = () =>
  [...processes.values()].filter((p) => p.weight > 0).sort((a, b) => b.weight - a.weight);

// Whether the samples have instants: those of the side that is shown.
function hasTime() {
  for (let i = samples.count - 1; i >= 0 && samples.time[i] > 0; i -= 1) {
    if (isShownSide(i)) return true;
  }
  return false;
}
const isShownSide = (i) => !compares || samples.side[i] === (wish.side === "before" ? 1 : 0);

// ---- the two sides of a comparison --------------------------------------------------------------

function setSides(after, before) {
  sides = { after, before, factor: after > 0 && before > 0 ? after / before : 1 };
}

// Weights of the one side become those that are drawn.
function mix(weights, before) {
  if (before) for (let i = 0; i < weights.length; i += 1) weights[i] += sides.factor * before[i];
}

// Of a weight that is drawn and the part that is of the side before: samples after.
const afterOf = (weight, before) => Math.round(weight - sides.factor * before);
const shareOf = (weight, whole) => (whole > 0 ? weight / whole : 0);
// Of both shares: {before, after, change}.
function sharesOf(weight, before) {
  const was = shareOf(before, sides.before);
  const after = shareOf(afterOf(weight, before), sides.after);
  return { before: was, after, change: after - was };
}
const signed = (share, digits = 2) =>
  (share < 0 ? "-" : "+") + Math.abs(100 * share).toFixed(digits) + "%";

// ---- selecting ----------------------------------------------------------------------------------

function inThread() {
  if (wish.thread === "") return null;
  const one = wish.thread.slice(2);
  const nameOf = wish.thread[0] === "p" ? processKey : (thread, i) => String(i);
  return Uint8Array.from(threads, (thread, i) => (nameOf(thread, i) === one ? 1 : 0));
}

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
const spec = () =>
  ({ hidden: flags(wish.hidden), focus: flags(wish.focus), ignored: flags(wish.ignored) });

// Weights of the selected samples, by path, and split into groups if that is wished: a Map of label
// to {self, before}, or null.
function weigh() {
  const zeros = () => new Float64Array(paths.count);
  const weights = () => ({ self: zeros(), before: compares ? zeros() : null });
  const all = weights();
  const groups = new Map();
  const groupOf = wish.split === "thread" ? (t) => threads[t].label
    : wish.split === "process" ? (t) => processes.get(processKey(threads[t])).label : null;
  const [from, to] = rangeNow();
  const flag = inThread();
  const sums = [0, 0];
  for (let i = firstAt(from), end = firstAt(to); i < end; i += 1) {
    const t = samples.thread[i];
    if (flag && !flag[t]) continue;
    const side = compares ? samples.side[i] : 0, node = samples.node[i], weight = samples.weight[i];
    sums[side] += weight;
    (side ? all.before : all.self)[node] += weight;
    if (!groupOf) continue;
    const label = groupOf(t) < 0 ? OTHERS : groupOf(t);
    let group = groups.get(label);
    if (!group) groups.set(label, group = weights());
    (side ? group.before : group.self)[node] += weight;
  }
  setSides(...sums);
  for (const { self, before } of [all, ...groups.values()]) mix(self, before);
  Object.assign(paths, all);
  paths.total = Trees.summed(all.self.slice(), paths.parent);
  if (compares) paths.beforeTotal = Trees.summed(all.before.slice(), paths.parent);
  return groupOf ? groups : null;
}

// ---- trees --------------------------------------------------------------------------------------

// The selection as a tree of functions.
const functionsTree = (once) => Trees.derive(paths, rank, { ...spec(), once });

function makeGraph() {
  const groups = weigh();
  let tree = groups ? Trees.derive(paths, rank, { ...spec(), once: wish.merged, groups })
    : functionsTree(wish.merged);
  if (wish.inverted) tree = Trees.invert(tree, rank, { least: tree.total[0] * LEAST });
  tree.label[0] = ALL;
  return withKinds(tree, wish.inverted);
}

// The kind of each node: what native code does for the garbage collector is the collector's.
// `upward`: below a node are its callers.
function kindsOf(tree, upward) {
  const all = new Uint8Array(tree.count);
  for (let i = 1; i < tree.count; i += 1) {
    const kind = kindOf(tree.label[i]);
    all[i] = kind === NATIVE && !upward && all[tree.parent[i]] === GC ? GC : kind;
  }
  return all;
}

// Adds what drawing takes: kinds, levels, and in a comparison the change of each share.
function withKinds(tree, upward) {
  tree.kinds = kindsOf(tree, upward);
  tree.levels = 1;
  for (let i = 0; i < tree.count; i += 1) {
    if (tree.depth[i] >= tree.levels) tree.levels = tree.depth[i] + 1;
  }
  if (!compares) return tree;
  tree.change = new Float64Array(tree.count);
  tree.most = 1e-9;
  for (let i = 1; i < tree.count; i += 1) {
    tree.change[i] = sharesOf(tree.total[i], tree.beforeTotal[i]).change;
    tree.most = Math.max(tree.most, Math.abs(tree.change[i]));
  }
  return tree;
}
