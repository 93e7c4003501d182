// Where everything is, for the width of the window.

let scale = 1;       // window's width against the file's
let shift = 0;       // of the rows, down from where the file has them
let total = FULL;    // width of the picture in pixels
let height = svg.viewBox.baseVal.height;
const fileHeight = height;

// Where each cell is now; what is wide enough gets its elements, the rest is drawn together.
function paint() {
  const { tree, cells } = view;
  const focus = cells[zoomed];
  const ratio = cells[0].width / Math.max(focus.width, 0.01);
  const ancestors = new Set();
  for (let i = zoomed; i > 0; ) ancestors.add(i = tree.parent[i]);
  thinRows = Array.from({ length: view.levels }, () => []);
  for (let i = 0; i < tree.count; i += 1) {
    const cell = cells[i];
    const above = ancestors.has(i);
    cell.inView = above || (i >= zoomed && i < tree.end[zoomed]);
    if (!cell.inView) {
      if (cell.attached) setState(cell, cell.state | STATE.hide);
      continue;
    }
    cell.left = above ? PAD : zoomed === 0 ? cell.x : PAD + (cell.x - focus.x) * ratio;
    cell.wide = above ? cells[0].width : zoomed === 0 ? cell.width : cell.width * ratio;
    if (cell.wide * scale >= WIDE || i === current) {
      attach(cell);
      place(cell, above);
    } else {
      if (cell.attached) detach(cell);
      thinRows[cell.depth].push(cell);
    }
  }
  drawThin();
}

function layout() {
  total = FULL;
  if (standalone) {
    total = Math.max(360, document.documentElement.clientWidth || window.innerWidth || FULL);
  }
  const top = layoutHeader();
  height = top + view.levels * ROW + FOOTER;
  scale = (total - 2 * PAD) / (FULL - 2 * PAD);
  shift = top - rootY + (wish.icicle ? 0 : (view.levels - 1) * ROW);
  svg.setAttribute("width", total);
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", "0 0 " + total + " " + height);
  const transform = `translate(${PAD * (1 - scale)} ${shift}) scale(${scale} 1)`;
  for (const node of [group, thinGroup]) {
    if (scale === 1 && shift === 0) node.removeAttribute("transform");
    else node.setAttribute("transform", transform);
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
const leftOut = byId("leftout") || header.insertBefore(
  create("text", { id: "leftout", x: PAD, "font-size": 11, fill: "#9a3412" }),
  subtitle.nextSibling);
const fileLeftOut = leftOut.textContent;
const comments =
  subtitle.firstElementChild ? subtitle.firstElementChild.textContent.split("\n") : [];
let expanded = false;  // the verdict

function layoutHeader() {
  const shown = { unzoom: zoomed !== 0, unfilter: filtered() };
  for (const { node } of buttons) if (node.id in shown) toggle(node, "hide", !shown[node.id]);
  for (const key of ["icicle", "inverted", "merged", "byPackage"]) {
    const node = byId(key.toLowerCase());
    toggle(node, "show", wish[key]);
    node.setAttribute("aria-pressed", String(wish[key]));
  }
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
  addLines(subtitle, lines);
  if (folds) subtitle.append(create("tspan", { class: "more" }, MORE));
  toggle(subtitle, "button", folds);
  if (folds) {
    subtitle.setAttribute("tabindex", "0");
    subtitle.setAttribute("role", "button");
    subtitle.setAttribute("aria-expanded", String(expanded));
  }
  y += 14 * Math.max(1, lines.length);
  const missing = leftOutTexts().flatMap((text) => wrap(text, room, 11));
  leftOut.replaceChildren();
  leftOut.setAttribute("y", y);
  addLines(leftOut, missing);
  return y + 14 * missing.length + 5;
}

// Lines of a <text>.
function addLines(text, lines) {
  lines.forEach((line, i) => {
    text.append(i === 0 ? line : create("tspan", { x: PAD, dy: 14 }, line));
  });
}

// What the file leaves out, and what the view does.
function leftOutTexts() {
  const { leftOut: thin, crowded } = view.tree;
  const texts = [];
  if (fileLeftOut) {
    const elsewhere = view !== file || wish.byPackage;
    texts.push(fileLeftOut + (elsewhere ? "; here they are part of their callers" : ""));
  }
  const parts = [];
  if (thin > 0) parts.push(framesOf(thin, wish.inverted) + " thinner than 0.1 px");
  if (crowded > 0) {
    parts.push(`${Trees.grouped(crowded)} thin frames beyond ${Trees.grouped(MAX_CELLS)}`);
  }
  const notDrawn = fileLeftOut ? "in this view not drawn: " : "not drawn: ";
  if (parts.length) texts.push(notDrawn + parts.join(", "));
  return texts;
}

// Header and footer stay in sight when the picture is higher than the window.
function follow() {
  if (!standalone) return;
  const top = Math.max(0, Math.min(window.scrollY, height - window.innerHeight));
  const bottom = Math.min(0, top + window.innerHeight - height) + height - fileHeight;
  header.setAttribute("transform", "translate(0 " + top + ")");
  footer.setAttribute("transform", "translate(0 " + bottom + ")");
}

// On paper header and footer are where they belong; the style fits the width.
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
