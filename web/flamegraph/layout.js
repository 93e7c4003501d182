// Where everything is, for the width of the window.

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
