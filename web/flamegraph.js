// The live half of the flame graph; export/svg.cc has the essay and writes what this reads.
//
// A view is a tree (tree.js) and one cell for each of its nodes: the elements that show it. The
// first view is the file's own frames. Others are made when they are asked for (inverted, recursion
// merged, functions hidden, focused on or left out), and their elements take the place of the
// file's, in the same form. Rules that the rest keeps:
//  - the file's frames, unzoomed and upright, have the attributes that the file gave them (bookmarks
//    name frames by them); the window's width is met by scaling the group, and texts scale back;
//  - names are only ever compared and put into text nodes;
//  - no part of it needs anything that a 2021 browser lacks.
"use strict";

function init() {
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
  const MAX_CELLS = 20000;  // of a view that is made here
  const HINT = "click zooms \u00b7 right click: more \u00b7 / searches \u00b7 arrows walk, Enter zooms, Esc goes back";
  // By number, as in export/code_kind.h.
  const KINDS = ["", "JavaScript", "JavaScript of node_modules", "JavaScript of Node's library", "builtin",
    "WebAssembly", "awaits", "native code", "garbage collector", "kernel", "JIT code", "unnamed"];

  const toggle = (element, name, on) => {
    if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
  };
  const create = (name, attributes = {}, text = null) => {
    const element = document.createElementNS(SVG, name);
    for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
    if (text !== null) element.textContent = text;
    return element;
  };

  // ---- the file's frames, read once ------------------------------------------------------------

  const names = [];         // by label
  const numbers = new Map();
  const labelFor = (name) => {
    let label = numbers.get(name);
    if (label === undefined) {
      label = names.length;
      numbers.set(name, label);
      names.push(name);
    }
    return label;
  };
  const looks = [];         // by label, of its widest frame: {fill, kind, inlined, package, weight}
  const packages = byId("packages").textContent.split("\n").slice(0, -1);
  let unit = "samples";  // of what is counted, as the file's titles say
  const rootY = Number(group.firstElementChild.children[1].getAttribute("y"));

  const file = (() => {
    const elements = group.children;
    const count = elements.length;
    const tree = {
      count, leftOut: 0,
      parent: new Int32Array(count), label: new Int32Array(count), depth: new Int32Array(count),
      end: new Int32Array(count), self: new Float64Array(count), total: new Float64Array(count),
    };
    const cells = new Array(count);
    const open = [];
    let index = 0, levels = 0;
    for (let g = group.firstElementChild; g; g = g.nextElementSibling, index += 1) {
      const title = g.firstElementChild, rect = title.nextElementSibling, text = rect.nextElementSibling;
      const shown = title.textContent;
      const parts = /^([^]*) \(([\d,]+) (\S+), [\d.]+%(?:; [+-][\d.]+%)?\)$/.exec(shown);
      const yText = rect.getAttribute("y"), xText = rect.getAttribute("x");
      const widthText = rect.getAttribute("width");
      const depth = Math.round((rootY - Number(yText)) / ROW);
      levels = Math.max(levels, depth + 1);
      while (open.length > depth) tree.end[open.pop()] = index;
      const caller = open.length ? open[open.length - 1] : 0;
      const samples = parts ? Number(parts[2].replace(/,/g, "")) : 0;
      if (parts) unit = parts[3];
      const label = labelFor(parts ? parts[1] : shown);
      tree.parent[index] = caller;
      tree.label[index] = label;
      tree.depth[index] = depth;
      tree.total[index] = tree.self[index] = samples;
      if (index > 0) tree.self[caller] = Math.max(0, tree.self[caller] - samples);
      open.push(index);
      const classes = g.getAttribute("class");
      const kind = Number(/\bk(\d+)/.exec(classes)[1]);
      const own = /\bp(\d+)/.exec(classes);
      const inlined = / i$/.test(classes);
      const fill = rect.getAttribute("fill");
      const look = looks[label];
      if (!look || look.weight < samples) {
        looks[label] = { fill, kind, inlined, package: own ? Number(own[1]) : -1, weight: samples };
      }
      cells[index] = {
        index, g, rect, text, shown, fill, kind, inlined,
        xText, yText, widthText, x: Number(xText), width: Number(widthText),
        moved: false, lowered: false, label: null, match: false,
      };
    }
    for (const i of open) tree.end[i] = count;
    return { tree, cells, levels };
  })();
  const shorts = [];  // by label, made when needed
  const shortOf = (label) => shorts[label] === undefined ? shorts[label] = Trees.labelOf(names[label])
                                                         : shorts[label];
  const rank = new Int32Array(names.length);
  let ranked = false;
  function ranks() {
    if (ranked) return rank;
    const order = names.map((_, i) => i).sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
    order.forEach((label, i) => { rank[label] = i; });
    ranked = true;
    return rank;
  }

  // ---- text that fits --------------------------------------------------------------------------

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
  const textWidth = (text, size = 12) => [...text].reduce((sum, c) => sum + charWidth(c), 0) * size / 12;
  const fit = (text, room, size = 12) => Trees.fit(text, room * 12 / size, charWidth);
  function wrap(text, room, size) {
    const lines = [];
    let line = "", used = 0;
    for (const word of text.split(/(?<= )/)) {
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

  // ---- views -----------------------------------------------------------------------------------

  // What the reader asked for. Patterns are sources of regular expressions, "" for none.
  let wish = { icicle: false, inverted: false, merged: false, byPackage: false, focus: "", ignored: "", hidden: "" };
  let view = file;
  let zoomed = 0;      // cell that fills the width
  let trail = [];      // {wish, zoomed} before, for Escape
  const filtered = () => wish.focus !== "" || wish.ignored !== "" || wish.hidden !== "";

  const flags = (source) => {
    const regexp = source && (Trees.compile(source) || Trees.compile(Trees.escapeRegExp(source)));
    return regexp ? Uint8Array.from(names, (name, label) => (label > 0 && regexp.test(name) ? 1 : 0)) : null;
  };

  function makeView() {
    if (!wish.inverted && !wish.merged && !filtered()) return file;
    const rank = ranks();
    const spec = { hidden: flags(wish.hidden), focus: flags(wish.focus), ignored: flags(wish.ignored), once: wish.merged };
    const whole = Trees.derive(file.tree, rank, spec);
    const make = (least) => wish.inverted ? Trees.invert(whole, rank, { least }) : Trees.derive(file.tree, rank, { ...spec, least });
    // What is thinner than 0.1 px is not drawn, as in the file.
    let tree = make(whole.total[0] / (10 * (FULL - 2 * PAD)));
    if (tree.count > MAX_CELLS) {
      const widest = tree.total.slice().sort();
      tree = make(widest[tree.count - MAX_CELLS] + 1e-9);
    }
    return dress(tree);
  }

  // Gives each node of a tree its elements.
  function dress(tree) {
    const cells = new Array(tree.count);
    const all = tree.total[0];
    const starts = new Float64Array(tree.count);  // where the node's next callee begins
    const edge = (samples) => Math.round((all > 0 ? samples / all : 1) * (FULL - 2 * PAD) * 100);
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
      const shown = i === 0 ? `all (${Trees.grouped(all)} ${unit}, 100%)`
        : `${name} (${Trees.grouped(tree.total[i])} ${unit}, ${(all > 0 ? 100 * tree.total[i] / all : 0).toFixed(2)}%)`;
      const g = create("g", { class: `k${look.kind}` + (look.package < 0 ? "" : ` p${look.package}`) + (look.inlined ? " i" : "") });
      const rect = create("rect", { x: xText, y: yText, width: widthText, height: ROW - 1, fill: look.fill });
      const text = create("text", { x: xText, y: Number(yText) + 11 });
      g.append(create("title", {}, shown), rect, text);
      cells[i] = {
        index: i, g, rect, text, shown, fill: look.fill, kind: look.kind, inlined: look.inlined,
        xText, yText, widthText, x: Number(xText), width: Number(widthText),
        moved: false, lowered: false, label: null, match: false,
      };
    }
    return { tree, cells, levels };
  }

  function mark() {
    view.cells.forEach((cell, index) => { cell.g.jprofIndex = index; });
  }

  // Shows what `wish` says, zoomed to the cell `to`.
  function show(to = 0) {
    const next = makeView();
    if (next !== view) {
      group.replaceChildren(...next.cells.map((cell) => cell.g));
      view = next;
      mark();
      current = 0;
    }
    zoomed = to < view.tree.count ? to : 0;
    colour();
    search(pattern);
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
    focus: () => change({ focus: Trees.exactly(names[view.tree.label[current]]) }),
    ignored: () => change({ ignored: alternatives(wish.ignored, names[view.tree.label[current]]) }),
    hidden: () => change({ hidden: alternatives(wish.hidden, names[view.tree.label[current]]) }),
  };

  // ---- colours ---------------------------------------------------------------------------------

  const dark = window.matchMedia ? window.matchMedia("(prefers-color-scheme: dark)") : { matches: false };
  const shadeOf = (label) => (Math.imul(label, 0x9e3779b1) >>> 29);

  function packageOf(label) {
    const own = looks[label].package;
    return own < 0 ? "" : packages[own];
  }

  function fillOf(cell) {
    if (!wish.byPackage) return cell.fill;
    const label = view.tree.label[cell.index];
    const name = packageOf(label);
    return name === "" ? "#c9cdd3" : Trees.packageColour(name, shadeOf(label));
  }

  function colour() {
    for (const cell of view.cells) {
      const fill = fillOf(cell);
      if (cell.rect.getAttribute("fill") !== fill) cell.rect.setAttribute("fill", fill);
    }
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
      for (let i = 1; i < view.tree.count; i += 1) {
        // Upside down, the first level is what was executing.
        const weight = !wish.inverted ? view.tree.self[i] : view.tree.depth[i] === 1 ? view.tree.total[i] : 0;
        const name = packageOf(view.tree.label[i]);
        if (name !== "") shares.set(name, (shares.get(name) || 0) + weight);
      }
      ownLegend.appendChild(create("text", {}, "executing:"));
      for (const [name, weight] of [...shares].sort((a, b) => b[1] - a[1]).slice(0, 12)) {
        if (weight === 0) break;
        ownLegend.appendChild(create("rect", { width: 11, height: 11, fill: Trees.packageColour(name, 4) }));
        ownLegend.appendChild(create("text", {}, name + " " + Trees.percent(weight, view.tree.total[0], 1)));
      }
    }
    legend = [];
    for (const child of (wish.byPackage ? ownLegend : fileLegend).children) {
      if (child.localName === "rect") legend.push({ box: child, text: null });
      else if (child.localName === "text" && legend.length === 0) legend.push({ box: null, text: child });
      else if (child.localName === "text") legend[legend.length - 1].text = child;
    }
  }

  // ---- layout ----------------------------------------------------------------------------------

  let scale = 1;       // window's width against the file's
  let total = FULL;    // width of the picture in pixels
  let height = svg.viewBox.baseVal.height;
  const fileHeight = height;

  function place(cell, x, width, moved) {
    if (moved || cell.moved) {
      cell.rect.setAttribute("x", moved ? x.toFixed(2) : cell.xText);
      cell.rect.setAttribute("width", moved ? width.toFixed(2) : cell.widthText);
      cell.moved = moved;
    }
    const pixels = width * scale;
    toggle(cell.g, "w", pixels >= 3);
    const label = pixels < 27 ? "" : fit(shortOf(view.tree.label[cell.index]), pixels - 6);
    if (label !== cell.label) {
      cell.text.textContent = label;
      cell.label = label;
    }
    if (label) cell.text.setAttribute("x", (x * scale + 3).toFixed(2));
  }

  function paint() {
    const { tree, cells } = view;
    const focus = cells[zoomed];
    const ratio = cells[0].width / Math.max(focus.width, 0.01);
    const ancestors = new Set();
    for (let i = zoomed; i > 0; ) ancestors.add(i = tree.parent[i]);
    for (let i = 0; i < tree.count; i += 1) {
      const cell = cells[i];
      const above = ancestors.has(i);
      const inside = i >= zoomed && i < tree.end[zoomed];
      toggle(cell.g, "hide", !above && !inside);
      toggle(cell.g, "parent", above);
      if (cell.lowered !== wish.icicle) {
        const y = wish.icicle ? rootY + tree.depth[i] * ROW : Number(cell.yText);
        cell.rect.setAttribute("y", wish.icicle ? y : cell.yText);
        cell.text.setAttribute("y", y + 11);
        cell.lowered = wish.icicle;
      }
      if (above) {
        place(cell, PAD, cells[0].width, true);
      } else if (inside && zoomed === 0) {
        place(cell, cell.x, cell.width, false);
      } else if (inside) {
        place(cell, PAD + (cell.x - focus.x) * ratio, cell.width * ratio, true);
      }
    }
  }

  function layout() {
    total = FULL;
    if (standalone) total = Math.max(360, document.documentElement.clientWidth || window.innerWidth || FULL);
    const top = layoutHeader();
    height = top + view.levels * ROW + FOOTER;
    scale = (total - 2 * PAD) / (FULL - 2 * PAD);
    const shift = top - rootY + (wish.icicle ? 0 : (view.levels - 1) * ROW);
    svg.setAttribute("width", total);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", "0 0 " + total + " " + height);
    if (scale === 1 && shift === 0) {
      group.removeAttribute("transform");
    } else {
      group.setAttribute("transform", "translate(" + PAD * (1 - scale) + " " + shift + ") scale(" + scale + " 1)");
    }
    const unscale = scale === 1 ? null : "scale(" + 1 / scale + " 1)";
    for (const cell of view.cells) {
      if (unscale) cell.text.setAttribute("transform", unscale);
      else cell.text.removeAttribute("transform");
    }
    matched.setAttribute("x", total - PAD);
    paint();
    report();
    follow();
    saveState();
  }

  // Title and buttons, the verdict, the legend: each takes as many rows as it needs. Returns where
  // the frames begin.
  const titleText = byId("title").lastChild;
  const fullTitle = titleText ? titleText.data : "";
  const subtitle = byId("subtitle");
  const leftOut = byId("leftout");
  const comments = subtitle.firstElementChild ? subtitle.firstElementChild.textContent.split("\n") : [];
  let expanded = false;  // the verdict

  function layoutHeader() {
    const visible = buttons.filter(({ node }) => !node.classList.contains("hide"));
    const GAP = 18;
    const room = visible.reduce((sum, { node }) => sum + textWidth(node.textContent) + GAP, 0);
    const titleWidth = textWidth(fullTitle, 17);
    const beside = Math.min(titleWidth, 260) + GAP + room < total - 2 * PAD;
    if (titleText) titleText.data = fit(fullTitle, total - 2 * PAD - (beside ? room : 0), 17);
    let x = beside ? total - PAD - room + GAP : PAD, y = beside ? 25 : 46;
    for (const { node } of visible) {
      const width = textWidth(node.textContent);
      if (!beside && x > PAD && x + width > total - PAD) {
        x = PAD;
        y += 18;
      }
      node.setAttribute("x", x);
      node.setAttribute("y", y);
      x += width + GAP;
    }
    if (field) {
      field.box.setAttribute("x", Math.max(PAD, total - PAD - 275));
      field.box.setAttribute("y", y + 8);
    }

    y = layoutVerdict(y + 19);
    x = PAD;
    for (const { box, text } of legend) {
      const width = (box ? 15 : 0) + textWidth(text.textContent, 11);
      if (x > PAD && x + width > total - PAD) {
        x = PAD;
        y += 15;
      }
      if (box) {
        box.setAttribute("x", x);
        box.setAttribute("y", y - 9);
      }
      text.setAttribute("x", box ? x + 15 : x);
      text.setAttribute("y", y);
      x += width + 12;
    }
    header.querySelector(".bar").setAttribute("height", y + 7);
    return y + 13;
  }

  function layoutVerdict(y) {
    const room = total - 2 * PAD;
    const MORE = expanded ? " \u25b4 less" : " \u25be more";
    const more = textWidth(MORE, 11) + 8;
    const first = comments.length ? wrap(comments[0], room, 11) : [];
    const rest = comments.slice(1).flatMap((comment) => wrap(comment, room, 11));
    const folds = first.length > 2 || rest.length > 0;
    let lines = expanded ? [...first, ...rest] : first.slice(0, 2);
    if (folds) lines[lines.length - 1] = fit(lines[lines.length - 1], room - more, 11);
    const tooltip = subtitle.querySelector("title");
    subtitle.replaceChildren(...(tooltip ? [tooltip] : []));
    subtitle.setAttribute("y", y);
    lines.forEach((line, i) => {
      if (i === 0) subtitle.append(line);
      else subtitle.append(create("tspan", { x: PAD, dy: 14 }, line));
    });
    if (folds) subtitle.append(create("tspan", { class: "more" }, MORE));
    toggle(subtitle, "button", folds);
    if (folds) {
      subtitle.setAttribute("tabindex", "0");
      subtitle.setAttribute("role", "button");
      subtitle.setAttribute("aria-expanded", String(expanded));
    }
    y += 14 * Math.max(1, lines.length);
    if (leftOut) {
      leftOut.setAttribute("y", y);
      leftOut.textContent = fit(leftOutText(), room, 11);
      y += 14;
    }
    return y + 5;
  }

  const fileLeftOut = leftOut ? leftOut.textContent : "";
  function leftOutText() {
    return view === file ? fileLeftOut : fileLeftOut + "; here they are part of their callers";
  }

  // Header and footer stay in sight when the picture is higher than the window.
  function follow() {
    if (!standalone) return;
    const top = Math.max(0, Math.min(window.scrollY, height - window.innerHeight));
    const bottom = Math.min(0, top + window.innerHeight - height) + height - fileHeight;
    header.setAttribute("transform", "translate(0 " + top + ")");
    footer.setAttribute("transform", "translate(0 " + bottom + ")");
  }

  // On paper everything is where it belongs, and as wide as in the file.
  function beforePrint() {
    header.removeAttribute("transform");
    footer.setAttribute("transform", "translate(0 " + (height - fileHeight) + ")");
  }

  function zoomTo(index) {
    if (index === zoomed) return;
    if (index === 0) trail = trail.filter((step) => step.wish !== wish);
    else trail.push({ wish, zoomed });
    zoomed = index;
    layout();
  }

  function back() {
    closeMenu();
    const step = trail.pop();
    if (step) {
      if (step.wish === wish) {
        zoomed = step.zoomed;
        layout();
      } else {
        wish = step.wish;
        show(step.zoomed);
      }
    } else if (zoomed !== 0) {
      zoomTo(0);
    } else if (filtered()) {
      wish = { ...wish, focus: "", ignored: "", hidden: "" };
      show();
    } else if (pattern) {
      search("");
    }
  }

  // ---- search ----------------------------------------------------------------------------------

  let pattern = "";      // source of the regular expression, "" for none; what the URL's s holds
  let ignoreCase = false;

  function search(source) {
    pattern = source;
    const regexp = source ? Trees.compile(source, ignoreCase) || Trees.compile(Trees.escapeRegExp(source), ignoreCase) : null;
    const hits = regexp ? names.map((name) => regexp.test(name)) : null;
    for (const cell of view.cells) {
      cell.match = hits !== null && cell.index > 0 && hits[view.tree.label[cell.index]];
      toggle(cell.g, "match", cell.match);
    }
    toggle(group, "searching", regexp !== null);
    const button = byId("search");
    toggle(button, "show", regexp !== null);
    button.textContent = regexp ? "Reset Search" : "Search";
    layoutHeader();
    report();
    saveState();
  }

  function report() {
    const shown = { unzoom: zoomed !== 0, unfilter: filtered() };
    for (const { node } of buttons) if (node.id in shown) toggle(node, "hide", !shown[node.id]);
    for (const key of ["icicle", "inverted", "merged", "byPackage"]) {
      const node = byId(key.toLowerCase());
      toggle(node, "show", wish[key]);
      node.setAttribute("aria-pressed", String(wish[key]));
    }
    layoutHeader();
    toggle(matched, "hide", pattern === "");
    if (pattern === "") return;
    const share = (root) => Trees.percent(Trees.matched(view.tree, root, (i) => view.cells[i].match), view.tree.total[root], 1);
    let text = "Matched: " + share(0);
    if (zoomed !== 0) text += " (" + share(zoomed) + " of this view)";
    matched.textContent = text;
  }

  function setIgnoreCase(on) {
    ignoreCase = on;
    toggle(byId("ignorecase"), "show", on);
    byId("ignorecase").setAttribute("aria-pressed", String(on));
    if (pattern) search(pattern);
  }

  // ---- the search field ------------------------------------------------------------------------

  let field = null;  // {box, input} while it is open

  function openField() {
    if (field) {
      field.input.focus();
      field.input.select();
      return;
    }
    const box = create("foreignObject", { width: 265, height: 28 });
    const input = document.createElementNS(HTML, "input");
    input.setAttribute("id", "field");
    input.setAttribute("type", "text");
    input.setAttribute("autocomplete", "off");
    input.setAttribute("spellcheck", "false");
    input.setAttribute("placeholder", "text, or /regular expression/");
    input.setAttribute("aria-label", "Search frames");
    const before = pattern;
    let timer = 0;
    const apply = () => {
      clearTimeout(timer);
      search(input.value ? Trees.patternOf(input.value, ignoreCase, names) : "");
      toggle(input, "wrong", pattern !== "" && !view.cells.some((cell) => cell.match));
    };
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(apply, 120);
    });
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") {
        apply();
        closeField();
      } else if (event.key === "Escape") {
        clearTimeout(timer);
        search(before);
        closeField();
      } else if (!isShortcut(event)) {
        event.stopPropagation();
        return;
      }
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
      }
    });
    box.appendChild(input);
    header.appendChild(box);
    field = { box, input };
    layoutHeader();
    if (pattern) input.value = Trees.typedOf(pattern);
    input.focus();
    input.select();
  }

  function closeField() {
    if (!field) return;
    const box = field.box;
    field = null;
    box.remove();
    byId("search").focus({ preventScroll: true });
  }

  // ---- what can be done with a frame -----------------------------------------------------------

  let menu = null;

  function openMenu(cell, clientX, clientY) {
    closeMenu();
    setCurrent(cell.index);
    const items = [["Zoom in", "Enter", () => zoomTo(cell.index)]];
    if (cell.index > 0) {
      items.push(
        ["Focus: only stacks with it", "f", onCurrent.focus],
        ["Ignore: no stacks with it", "x", onCurrent.ignored],
        ["Hide: take it out of its stacks", "h", onCurrent.hidden],
        ["Search for it", "s", searchCurrent]);
    }
    const width = 300, tall = 27 * items.length + 10;
    const box = create("foreignObject", { id: "menu", width, height: tall });
    const bounds = svg.getBoundingClientRect();
    box.setAttribute("x", Math.max(0, Math.min(clientX - bounds.left, total - width)));
    box.setAttribute("y", Math.max(0, Math.min(clientY - bounds.top, height - tall)));
    const list = document.createElementNS(HTML, "div");
    list.setAttribute("role", "menu");
    for (const [label, key, act] of items) {
      const item = document.createElementNS(HTML, "button");
      item.setAttribute("role", "menuitem");
      const hint = document.createElementNS(HTML, "kbd");
      hint.textContent = key;
      item.append(label, hint);
      item.addEventListener("click", () => {
        closeMenu();
        act();
      });
      list.appendChild(item);
    }
    list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        const buttons = [...list.children];
        const next = buttons.indexOf(document.activeElement) + step + buttons.length;
        buttons[next % buttons.length].focus();
        event.preventDefault();
      } else if (event.key === "Escape") {
        closeMenu();
        view.cells[current].g.focus({ preventScroll: true });
      } else if (event.key !== "Enter" && event.key !== " " && event.key !== "Tab") {
        return;
      }
      event.stopPropagation();
    });
    box.appendChild(list);
    svg.appendChild(box);
    menu = box;
    list.firstElementChild.focus({ preventScroll: true });
  }

  function closeMenu() {
    if (menu) menu.remove();
    menu = null;
  }

  function searchCurrent() {
    if (current > 0) search(Trees.exactly(names[view.tree.label[current]]));
  }

  // ---- what the mouse and the keyboard point at ------------------------------------------------

  let current = 0;  // the frame that the arrows start from; it alone is in the Tab order

  function tellOf(cell) {
    const { tree } = view;
    const parts = [cell.shown];
    if (!wish.inverted && cell.index > 0) {
      parts.push("itself " + Trees.percent(tree.self[cell.index], tree.total[0]));
    }
    const kind = KINDS[cell.kind] + (cell.inlined ? ", inlined" : "");
    if (kind) parts.push(kind);
    const own = packageOf(tree.label[cell.index]);
    if (own && cell.kind !== 9 && cell.kind !== 4) parts.push(own);
    return parts;
  }

  function describe(cell) {
    const room = total - 2 * PAD - (pattern ? textWidth(matched.textContent) * 1.15 + 20 : 0);
    let text = HINT;
    if (cell) {
      const [shown, ...rest] = tellOf(cell);
      const tail = rest.length ? " \u00b7 " + rest.join(" \u00b7 ") : "";
      text = shown + tail;
      if (textWidth(text) > room) {
        // The name gives way, the figures stay.
        const figures = shown.slice(shown.lastIndexOf(" (")) + tail;
        text = fit(shown.slice(0, shown.lastIndexOf(" (")), Math.max(60, room - textWidth(figures))) + figures;
      }
    }
    details.textContent = text;
    toggle(details, "hint", !cell);
  }

  const cellAt = (node) => {
    while (node && node.parentNode !== group) node = node.parentNode;
    return node && node.jprofIndex !== undefined ? view.cells[node.jprofIndex] : null;
  };

  function setCurrent(index) {
    if (current < view.cells.length) view.cells[current].g.setAttribute("tabindex", "-1");
    current = index;
    const { g } = view.cells[index];
    g.setAttribute("tabindex", "0");
    g.setAttribute("role", "button");
    g.setAttribute("aria-label", tellOf(view.cells[index]).join(", ") + ", level " + view.tree.depth[index]);
  }

  function walk(key) {
    const { tree, cells } = view;
    const visible = (i) => !cells[i].g.classList.contains("hide");
    const towardsRoot = wish.icicle ? "ArrowUp" : "ArrowDown";
    let to = -1;
    if (key === towardsRoot) {
      if (current > 0) to = tree.parent[current];
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      // The widest callee: the way that most samples went.
      for (let i = current + 1; i < tree.end[current]; i = tree.end[i]) {
        if (visible(i) && (to < 0 || tree.total[i] > tree.total[to])) to = i;
      }
    } else if (key === "ArrowRight") {
      for (let i = tree.end[current]; i < tree.count && to < 0; i += 1) {
        if (tree.depth[i] === tree.depth[current] && visible(i)) to = i;
      }
    } else {
      for (let i = current - 1; i > 0 && to < 0; i -= 1) {
        if (tree.depth[i] === tree.depth[current] && visible(i)) to = i;
      }
    }
    if (to < 0) return;
    setCurrent(to);
    cells[to].g.focus();
  }

  function isShortcut(event) {
    const control = (event.ctrlKey || event.metaKey) && !event.altKey;
    const key = event.key.toLowerCase();
    return event.key === "F3" || (control && (key === "f" || key === "i"));
  }

  const letters = {
    "/": openField,
    f: () => current > 0 && onCurrent.focus(),
    x: () => current > 0 && onCurrent.ignored(),
    h: () => current > 0 && onCurrent.hidden(),
    s: searchCurrent,
  };

  function onKey(event) {
    const key = event.key;
    if (isShortcut(event)) {
      event.preventDefault();
      if (key.toLowerCase() === "i") setIgnoreCase(!ignoreCase);
      else openField();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest && event.target.closest(".button");
    if (key in letters) {
      letters[key]();
    } else if (key === "Escape") {
      back();
    } else if (key === "Enter" || (key === " " && (onButton || cellAt(event.target)))) {
      if (onButton) press(onButton);
      else zoomTo(current);
    } else if (/^Arrow(Up|Down|Left|Right)$/.test(key)) {
      walk(key);
    } else {
      return;
    }
    event.preventDefault();
  }

  // ---- buttons ---------------------------------------------------------------------------------

  const presses = {
    icicle: () => change({ icicle: !wish.icicle }),
    inverted: () => change({ inverted: !wish.inverted }),
    merged: () => change({ merged: !wish.merged }),
    bypackage: () => change({ byPackage: !wish.byPackage }, zoomed),
    unfilter: () => change({ focus: "", ignored: "", hidden: "" }),
    unzoom: () => zoomTo(0),
    ignorecase: () => setIgnoreCase(!ignoreCase),
    search: () => (pattern ? search("") : openField()),
  };
  const press = (node) => {
    if (node === subtitle) {
      expanded = !expanded;
      layout();
    } else {
      presses[node.id]();
    }
  };
  const buttons = [
    ["icicle", "Icicle", "root at the top"],
    ["inverted", "Inverted", "what was executing, below it who called it"],
    ["merged", "Merge Recursion", "a function that is on the stack already is not shown again"],
    ["bypackage", "By Package", "colours by package"],
    ["unfilter", "Reset Filters", "all stacks, all functions"],
    ["unzoom"], ["ignorecase"], ["search"],
  ].map(([id, text, hint]) => {
    let node = byId(id);
    if (!node) {
      node = create("text", { id, class: "button" });
      node.append(text);
      node.setAttribute("aria-label", text + ": " + hint);
      header.insertBefore(node, byId("unzoom"));
    }
    if (id !== "unzoom") node.classList.remove("hide");
    node.setAttribute("text-anchor", "start");
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
    return { node };
  });

  // ---- the URL ---------------------------------------------------------------------------------

  const VIEWS = ["icicle", "inverted", "merged", "byPackage"];

  function saveState() {
    try {
      const params = new URLSearchParams(window.location.search);
      for (const key of ["s", "x", "y", "v", "f", "i", "h"]) params.delete(key);
      if (zoomed !== 0) {
        params.set("x", view.cells[zoomed].xText);
        params.set("y", view.cells[zoomed].yText);
      }
      if (pattern) params.set("s", pattern);
      const on = VIEWS.filter((key) => wish[key]);
      if (on.length) params.set("v", on.join(" ").toLowerCase());
      for (const [key, value] of [["f", wish.focus], ["i", wish.ignored], ["h", wish.hidden]]) {
        if (value) params.set(key, value);
      }
      const query = params.toString();
      const url = window.location.pathname + (query ? "?" + query : "") + window.location.hash;
      window.history.replaceState(null, "", url);
    } catch (error) {
      // A picture inside a sandbox has no URL of its own; zoom and search work without.
    }
  }

  function restoreState() {
    let params;
    try {
      params = new URLSearchParams(window.location.search);
    } catch (error) {
      return;
    }
    const on = (params.get("v") || "").split(" ");
    for (const key of VIEWS) wish[key] = on.includes(key.toLowerCase());
    wish.focus = params.get("f") || "";
    wish.ignored = params.get("i") || "";
    wish.hidden = params.get("h") || "";
    const x = params.get("x"), y = params.get("y");
    pattern = params.get("s") || "";
    view = makeView();
    if (view !== file) group.replaceChildren(...view.cells.map((cell) => cell.g));
    zoomed = Math.max(0, view.cells.findIndex((cell) => cell.xText === x && cell.yText === y));
  }

  // ---- start -----------------------------------------------------------------------------------

  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "frames: arrow keys walk, Enter zooms");
  details.setAttribute("aria-live", "polite");
  matched.setAttribute("aria-live", "polite");
  for (const { node } of buttons) node.addEventListener("click", () => press(node));
  subtitle.addEventListener("click", () => subtitle.classList.contains("button") && press(subtitle));
  group.addEventListener("click", (event) => {
    const cell = cellAt(event.target);
    if (!cell) return;
    setCurrent(cell.index);
    zoomTo(cell.index);
  });
  group.addEventListener("contextmenu", (event) => {
    const cell = cellAt(event.target);
    if (!cell) return;
    event.preventDefault();
    const box = cell.g.getBoundingClientRect();
    const byKey = event.clientX === 0 && event.clientY === 0;
    openMenu(cell, byKey ? box.left + 20 : event.clientX, byKey ? box.top + 8 : event.clientY);
  });
  document.addEventListener("mousedown", (event) => {
    if (menu && !menu.contains(event.target)) closeMenu();
  });
  // Focus is watched from the document: a group that listens to it would be focusable itself.
  for (const [target, type] of [[group, "mouseover"], [document, "focusin"]]) {
    target.addEventListener(type, (event) => describe(cellAt(event.target)));
  }
  for (const [target, type] of [[group, "mouseout"], [document, "focusout"]]) {
    target.addEventListener(type, () => describe(null));
  }
  document.addEventListener("focusin", (event) => {
    const cell = cellAt(event.target);
    if (cell && cell.index !== current) setCurrent(cell.index);
  });
  window.addEventListener("keydown", onKey);
  window.addEventListener("resize", layout);
  window.addEventListener("scroll", follow, { passive: true });
  window.addEventListener("beforeprint", beforePrint);
  window.addEventListener("afterprint", follow);
  restoreState();
  mark();
  colour();
  search(pattern);
  setCurrent(zoomed);
  layout();
  describe(null);
  // The widest frames are at the bottom; a picture higher than the window starts there.
  if (standalone) window.scrollTo(0, wish.icicle ? 0 : height);
  follow();
}
