// What can be done: going on and back, search, the menu of a function.

function change(wishes) {
  if (!paths) return;  // not all is read yet
  trail.push(wish);
  wish = { ...wish, zoom: 0, ...wishes };
  show();
}

function back() {
  closeMenu();
  if (trail.length) {
    wish = trail.pop();
    show();
  } else if (keyOf(wish) !== keyOf(EVERYTHING) || wish.zoom) {
    wish = { ...EVERYTHING, tab: wish.tab, side: wish.side };
    show();
  } else if (pattern) {
    search("");
    byId("search").value = "";
  }
}

function act(key, label) {
  const also = (source) => (source ? source + "|" : "") + Trees.exactly(names[label]);
  if (key === "f") change({ focus: Trees.exactly(names[label]) });
  else if (key === "x") change({ ignored: also(wish.ignored) });
  else if (key === "h") change({ hidden: also(wish.hidden) });
  else if (key === "t") change({ tab: "functions", fn: label });
  else if (key === "s") {
    search(Trees.exactly(names[label]));
    byId("search").value = Trees.typedOf(pattern);
  }
}

function setPattern(source) {
  pattern = source;
  const regexp = source ? anyRegExp(source) : null;
  byId("ignorecase").setAttribute("aria-pressed", String(ignoreCase));
  const flag = (name, l) => (l !== ALL && regexp.test(name) ? 1 : 0);
  hits = regexp ? Uint8Array.from(names, flag) : null;
}

function search(source) {
  setPattern(source);
  if (wish.tab === "graph") graph.draw();
  else if (wish.tab === "time") chart.draw();
  else showFunctions();
  report();
  saveState();
}

// ---- the menu -----------------------------------------------------------------------------------

let menu = null;
function openMenu(label, zoom, x, y) {
  closeMenu();
  const before = document.activeElement;
  const items = zoom ? [["Zoom in", "Enter", zoom]] : [];
  if (label < labelCount) {
    for (const [text, key] of ACTIONS) items.push([text, key, () => act(key, label)]);
  }
  const choose = (action) => {
    closeMenu();
    action();
  };
  menu = create("div", { id: "menu", role: "menu" }, ...items.map(([text, key, action]) => {
    const item = create("button", { role: "menuitem" }, text, create("kbd", {}, key));
    item.addEventListener("click", () => choose(action));
    return item;
  }));
  menu.style.left = Math.max(0, Math.min(x, window.innerWidth - 300)) + "px";
  menu.style.top = Math.max(0, Math.min(y, window.innerHeight - 26 * items.length - 12)) + "px";
  menu.addEventListener("keydown", (event) => {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || key === "Enter") return;
    const { nextElementSibling, previousElementSibling } = document.activeElement;
    const to = { ArrowDown: nextElementSibling, ArrowUp: previousElementSibling }[key];
    const chosen = items.find((item) => item[1] === key);
    if (to) {
      to.focus();
    } else if (chosen) {
      choose(chosen[2]);
    } else if (key === "Escape") {
      closeMenu();
      before.focus({ preventScroll: true });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  document.body.append(menu);
  menu.firstElementChild.focus();
}
function closeMenu() {
  if (menu) menu.remove();
  menu = null;
}
