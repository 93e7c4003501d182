// The functions' table, and of one of them callers, callees and lines.

const MAX_ROWS = 500, MAX_LINES = 100;
const percentage = (share) => (100 * share).toFixed(2) + "%";

// Of the table: [what it is sorted by, its head, what it is sorted by of a function, what is
// shown]. `sums`: as Trees.byFunction() makes them.
function columnsOf(sums) {
  const { self, total, before, beforeTotal } = sums;
  const name = ["name", "function", (l) => -rank[l], null];
  if (!compares) {
    return [["self", "itself", (l) => self[l], (l) => Trees.grouped(self[l])],
      ["self", "%", (l) => self[l], (l) => Trees.percent(self[l], sums.whole)],
      ["total", "total", (l) => total[l], (l) => Trees.grouped(total[l])],
      ["total", "%", (l) => total[l], (l) => Trees.percent(total[l], sums.whole)], name];
  }
  const sides = (key, what, weights, befores) => ["before", "after", "change"].map((part) => {
    const value = (l) => sharesOf(weights[l], befores[l])[part];
    return [part === "change" ? key : key + "-" + part, part === "before" ? what + " before" : part,
      value, (l) => (part === "change" ? signed : percentage)(value(l))];
  });
  return [...sides("self", "itself", self, before),
    ...sides("total", "total", total, beforeTotal), name];
}

function showFunctions() {
  const tree = functionsTree(false);
  const sums = { ...Trees.byFunction(tree, names.length), whole: tree.total[0] };
  const { self, total } = sums;
  let rows = [];
  for (let l = 0; l < labelCount; l += 1) if (total[l] > 0 && kinds[l] > 0) rows.push(l);
  if (hits) rows = rows.filter((l) => hits[l]);
  const columns = columnsOf(sums);
  const by = columns.find(([key]) => key === wish.sort)[2];
  const weights = new Float64Array(labelCount);
  for (const l of rows) weights[l] = by(l);
  const sign = wish.up ? -1 : 1;
  rows.sort((a, b) => sign * (weights[b] - weights[a]) || rank[a] - rank[b]);
  const figures = columns.slice(0, -1);
  const shown = rows.slice(0, MAX_ROWS);
  byId("rows").replaceChildren(...shown.map((l) => rowOf(l, figures)));
  const more = Trees.grouped(rows.length - MAX_ROWS);
  byId("more").textContent =
    rows.length > MAX_ROWS ? `${more} more functions; search narrows the list` : "";
  showHeads(columns);
  nameRows(shown);
  const isThere = wish.fn >= 0 && wish.fn < labelCount && total[wish.fn] > 0;
  const fn = isThere ? wish.fn : rows.length ? rows[0] : -1;
  byId("sandwich").hidden = fn < 0;
  if (fn < 0) return;
  const tell = (weights_, befores) => {
    if (!compares) return Trees.percent(weights_[fn], sums.whole);
    const { before, after, change } = sharesOf(weights_[fn], befores[fn]);
    return `${percentage(before)} before, ${percentage(after)} after (${signed(change)})`;
  };
  const from = generated.has(fn) ? ` (from ${generated.get(fn)})` : "";
  byId("chosen").textContent = `${names[fn]}${from}: itself ${tell(self, sums.before)}, ` +
    `with what it calls ${tell(total, sums.beforeTotal)}`;
  const up = withKinds(Trees.invert(tree, rank, { of: fn, least: total[fn] * LEAST }), true);
  const down = withKinds(Trees.derive(tree, rank, { from: fn }), false);
  for (const t of [up, down]) t.label[0] = ALL;
  showLines(fn);
  tellLeftOut(up.leftOut, shortOf(fn));
  callers.show(up, Math.min(1, up.count - 1), false);
  callees.show(down, Math.min(1, down.count - 1), true);
}

function rowOf(l, figures) {
  const swatch = create("i");
  swatch.style.background = colourOf(l, kinds[l]);
  const row = create("tr", { tabIndex: 0, "aria-selected": String(l === wish.fn) },
    ...figures.map(([key, , value, shown]) => {
      const cell = create("td", {}, shown(l));
      if (compares && (key === "self" || key === "total")) cell.className = changeClass(value(l));
      return cell;
    }),
    create("td", { title: titleOf(l) }, swatch));
  const choose = () => {
    wish = { ...wish, fn: l };
    show();
  };
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (event) => {
    const { nextElementSibling, previousElementSibling } = row;
    const to = { ArrowDown: nextElementSibling, ArrowUp: previousElementSibling }[event.key];
    if (to) to.focus();
    else if (event.key === "Enter") choose();
    else return;
    event.preventDefault();
  });
  return row;
}

// Names, in the room that the figures leave.
function nameRows(labels) {
  const first = byId("rows").firstElementChild;
  const room = first ? first.lastElementChild.clientWidth - 32 : 0;
  labels.forEach((l, k) => {
    const more = isInlined(l) ? " (inlined)" : "";
    const left = room - pen.measureText(more).width;
    byId("rows").children[k].lastElementChild.append((fit(shortOf(l), left) || shortOf(l)) + more);
  });
}

// What is less than a hundredth of a percent is no change.
const changeClass = (change) => (Math.abs(change) < 0.00005 ? "" : change > 0 ? "more" : "less");

function showHeads(columns) {
  byId("heads").replaceChildren(...columns.map(([key, text]) => {
    const button = create("button", { title: "sort" }, text);
    button.addEventListener("click", () => {
      wish = { ...wish, sort: key, up: wish.sort === key && !wish.up };
      show();
    });
    const order = key !== wish.sort ? "none"
      : (wish.sort === "name") === wish.up ? "descending" : "ascending";
    return create("th", { scope: "col", "aria-sort": order }, button);
  }));
}

// The lines of a function: where it was itself executing, and where it called.
function showLines(fn) {
  const kept = Trees.filtered(paths, spec());
  const self = new Map(), total = new Map(), open = new Map();  // by line; [weight, that of before]
  const add = (map, line, weight, before) => {
    const sum = map.get(line) || [0, 0];
    map.set(line, [sum[0] + weight, sum[1] + before]);
  };
  const path = [];
  for (let i = 1; i < paths.count; ) {
    if (kept.total[i] === 0) {
      i = paths.end[i];
      continue;
    }
    while (path.length && paths.end[path[path.length - 1]] <= i) {
      add(open, paths.line[path.pop()], -1, 0);
    }
    if (paths.label[i] === fn) {
      const line = paths.line[i];
      add(self, line, kept.self[i], compares ? kept.before[i] : 0);
      if (!(open.get(line) || [0])[0]) {
        add(total, line, kept.total[i], compares ? kept.beforeTotal[i] : 0);
      }
      add(open, line, 1, 0);
      path.push(i);
    }
    i += 1;
  }
  const rows = [...total.keys()].sort((a, b) => total.get(b)[0] - total.get(a)[0]);
  const most = Math.max(1e-9, ...rows.slice(0, 1).map((line) => total.get(line)[0]));
  let whole = 0;
  for (const [weight] of self.values()) whole += weight;
  const figuresOf = (line) => {
    if (!compares) {
      const [own] = self.get(line);
      return [Trees.grouped(own), Trees.percent(own, whole), Trees.grouped(total.get(line)[0])];
    }
    const own = sharesOf(...self.get(line));
    const { change } = sharesOf(...total.get(line));
    return [percentage(own.before), percentage(own.after), signed(change)];
  };
  byId("lines").hidden = rows.length === 0 || (rows.length === 1 && rows[0] === 0);
  const body = byId("lines").querySelector("tbody");
  body.replaceChildren(...rows.slice(0, MAX_LINES).map((line) => {
    const bar = create("i");
    bar.style.width = 100 * total.get(line)[0] / most + "%";
    return create("tr", {}, ...figuresOf(line).map((text) => create("td", {}, text)),
      create("td", { className: "bar" }, bar),
      create("td", {}, line === 0 ? "line not known" : "line " + line));
  }));
  const more = rows.length - MAX_LINES;
  if (more > 0) {
    const text = `${Trees.grouped(more)} more ${more === 1 ? "line" : "lines"}`;
    body.append(create("tr", {}, create("td", { colSpan: 5 }, text)));
  }
}
