// The buttons, the address, and the start of it all.

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

// ---- the URL ------------------------------------------------------------------------------------

const VIEWS = ["icicle", "inverted", "merged", "byPackage"];

function saveState() {
  try {
    const params = new URLSearchParams(window.location.search);
    for (const key of ["s", "c", "x", "y", "v", "f", "i", "h"]) params.delete(key);
    if (zoomed !== 0) {
      params.set("x", view.cells[zoomed].xText);
      params.set("y", view.cells[zoomed].yText);
    }
    if (pattern) params.set("s", pattern);
    if (ignoreCase) params.set("c", "1");
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
  ignoreCase = params.get("c") === "1";
  const wanted = makeView();
  if (wanted !== file) for (const cell of file.cells) if (cell.attached) detach(cell);
  view = wanted;
  zoomed = Math.max(0, view.cells.findIndex((cell) => cell.xText === x && cell.yText === y));
}

// ---- start --------------------------------------------------------------------------------------

group.setAttribute("role", "group");
group.setAttribute("aria-label", "frames: arrow keys walk, Enter zooms");
details.setAttribute("aria-live", "polite");
matched.setAttribute("aria-live", "polite");
for (const { node } of buttons) node.addEventListener("click", () => press(node));
subtitle.addEventListener("click", () => subtitle.classList.contains("button") && press(subtitle));
svg.addEventListener("click", (event) => {
  const cell = cellUnder(event);
  if (!cell) return;
  setCurrent(cell.index);
  zoomTo(cell.index);
});
svg.addEventListener("contextmenu", (event) => {
  const cell = cellUnder(event);
  if (!cell) return;
  event.preventDefault();
  reveal(cell);  // a finger that rests has not moved there
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
svg.addEventListener("mousemove", (event) => {
  const cell = cellAt(event.target) ? null : cellUnder(event);
  if (!cell) return;
  reveal(cell);
  describe(cell);
});
document.addEventListener("focusin", (event) => {
  const cell = cellAt(event.target);
  if (cell && cell.index !== current) setCurrent(cell.index);
});
window.addEventListener("keydown", onKey);
window.addEventListener("resize", layout);
window.addEventListener("scroll", follow, { passive: true });
window.addEventListener("beforeprint", beforePrint);
window.addEventListener("afterprint", follow);
group.before(thinGroup);
restoreState();
colour();
match();
setCurrent(zoomed);
layout();
describe(null);
// The widest frames are at the bottom; a picture higher than the window starts there.
if (standalone) window.scrollTo(0, wish.icicle ? 0 : height);
follow();
