// What the mouse and the keyboard point at, what is told of it, what can be done with it.

let menu = null;

function openMenu(cell, clientX, clientY) {
  closeMenu();
  setCurrent(cell.index);
  const items = [["Zoom in", "Enter", () => zoomTo(cell.index)]];
  if (cell.index > 0) {
    for (const [label, key] of ACTIONS) if (key in letters) items.push([label, key, letters[key]]);
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
    } else if (!["Enter", " ", "Tab", "ArrowLeft", "ArrowRight"].includes(event.key)) {
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
  if (current > 0) search(Trees.exactly(view.cells[current].name));
}

// ---- what the mouse and the keyboard point at ---------------------------------------------------

let current = 0;  // the frame that the arrows start from; it alone is in the Tab order

function tellOf(cell) {
  const { tree } = view;
  const [shown, generated] = cell.title;
  const parts = [shown];
  if (!wish.inverted && cell.index > 0) {
    parts.push("itself " + tellOwn(cell));
  }
  const kind = KINDS[cell.kind] + (cell.inlined ? ", inlined" : "");
  if (kind) parts.push(kind);
  const own = packageOf(cell);
  if (own && cell.kind !== KERNEL && cell.kind !== BUILTIN) parts.push(own);
  if (generated) parts.push("from " + generated);
  return parts;
}

// What is not drawn is part of its callers, if the file does not tell what they have themselves.
function tellOwn(cell) {
  readTitles();
  const { tree } = view;
  const known = view === file ? cell.g.getAttribute("data-self") : null;
  const isMost = fileLeftOut !== "" && view !== file;
  const own = known === null ? ownSamplesOf(tree, cell.index) : Number(known);
  return (isMost && own > 0 ? "at most " : "") + Trees.percent(own, samplesOf(tree, 0));
}

function describe(cell) {
  const room = total - 2 * PAD - (pattern ? textWidth(matched.textContent) * 1.15 + 20 : 0);
  let text = fit(HINT, room);
  if (cell) {
    const [shown, ...rest] = tellOf(cell);
    const tail = rest.length ? " \u00b7 " + rest.join(" \u00b7 ") : "";
    text = shown + tail;
    if (textWidth(text) > room) {
      // The name gives way, the figures stay.
      const end = shown.lastIndexOf(" ("), figures = shown.slice(end) + tail;
      text = fit(shown.slice(0, end), Math.max(60, room - textWidth(figures))) + figures;
    }
  }
  details.textContent = text;
  toggle(details, "hint", !cell);
}

const cellAt = (node) => {
  while (node && node.parentNode !== group) node = node.parentNode;
  return node && node.jprofIndex !== undefined ? view.cells[node.jprofIndex] : null;
};
// The same of an event of the mouse, thin ones too, which have no elements.
const cellUnder = (event) =>
  event.target === svg || event.target.id === "background" ? thinAt(event) : cellAt(event.target);

// A thin cell that is pointed at has elements until the next paint(): its title, its edge.
function reveal(cell) {
  attach(cell);
  place(cell, (cell.state & STATE.parent) !== 0);
}

function setCurrent(index) {
  const before = view.cells[current];
  if (before && before.attached) before.g.setAttribute("tabindex", "-1");
  current = index;
  reveal(view.cells[index]);
  const { g } = view.cells[index];
  g.setAttribute("tabindex", "0");
  g.setAttribute("role", "button");
  g.setAttribute("aria-label",
    tellOf(view.cells[index]).join(", ") + ", level " + view.tree.depth[index]);
}

function walk(key) {
  const { tree, cells } = view;
  const visible = (i) => cells[i].inView;
  const towardsRoot = wish.icicle ? "ArrowUp" : "ArrowDown";
  let to = -1;
  if (key === towardsRoot) {
    if (current > 0) to = tree.parent[current];
  } else if (key === "ArrowUp" || key === "ArrowDown") {
    // The widest callee: the way that most samples went.
    for (let i = current + 1; i < tree.end[current]; i = tree.end[i]) {
      if (visible(i) && (to < 0 || cells[i].width > cells[to].width)) to = i;
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
    closeMenu();
    if (key.toLowerCase() === "i") setIgnoreCase(!ignoreCase);
    else openField();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.closest && event.target.closest(".button");
  if (key in letters) {
    closeMenu();
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
