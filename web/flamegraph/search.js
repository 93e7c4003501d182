// Search: the pattern, what it matches, the field that it is typed into.

let pattern = "";      // source of the regular expression, "" for none; what the URL's s holds
let ignoreCase = false;

function search(source) {
  pattern = source;
  match();
  drawThin();
  layoutHeader();
  report();
  saveState();
}

// Marks the cells that match the pattern.
function match() {
  if (pattern) readTitles();
  const regexp = pattern
    ? Trees.compile(pattern, ignoreCase) || Trees.compile(Trees.escapeRegExp(pattern), ignoreCase)
    : null;
  const hits = regexp ? names.map((name) => regexp.test(name)) : null;
  for (const cell of view.cells) {
    cell.match = hits !== null && cell.index > 0 && hits[view.tree.label[cell.index]];
    if (cell.attached) setState(cell, (cell.state & ~STATE.match) | (cell.match ? STATE.match : 0));
  }
  toggle(group, "searching", regexp !== null);
  toggle(thinGroup, "searching", regexp !== null);
  toggle(byId("ignorecase"), "show", ignoreCase);
  byId("ignorecase").setAttribute("aria-pressed", String(ignoreCase));
  const button = byId("search");
  toggle(button, "show", regexp !== null);
  button.textContent = regexp ? "Reset Search" : "Search";
}

function report() {
  toggle(matched, "hide", pattern === "");
  if (pattern !== "") matched.textContent = matchedText();
  if (details.classList.contains("hint")) describe(null);
}

function matchedText() {
  const { tree } = view;
  const samples = compares ? tree.beforeTotal : tree.total;
  const matches = (i) => view.cells[i].match;
  const share = (root) =>
    Trees.percent(Trees.matched(tree, root, matches, samples), samples[root], 1);
  const text = "Matched: " + share(0);
  return zoomed === 0 ? text : text + " (" + share(zoomed) + " of this view)";
}

function setIgnoreCase(on) {
  ignoreCase = on;
  search(pattern);
}

// ---- the search field ---------------------------------------------------------------------------

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
    readTitles();
    search(input.value ? Trees.patternOf(input.value, ignoreCase, names) : "");
    toggle(input, "wrong", pattern !== "" && !view.cells.some((cell) => cell.match));
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 120);
  });
  input.addEventListener("keydown", (event) => {
    if (!event.isComposing && isShortcut(event)) return;
    event.stopPropagation();
    if (event.isComposing) return;  // keys of the input method
    if (event.key === "Enter") {
      apply();
      closeField();
    } else if (event.key === "Escape") {
      clearTimeout(timer);
      search(before);
      closeField();
    } else {
      return;
    }
    event.preventDefault();
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
