// The live half of the flame graph; export/svg.cc has the essay and writes what this reads.
//
// The picture is a list of frames in preorder, so a frame's callees are the ones right behind it,
// and everything here is a loop over that list. Rules that the rest keeps:
//  - an unzoomed frame has the attributes that the file gave it (bookmarks name frames by them);
//    the window's width is met by scaling the group, and texts scale back;
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
  const buttons = { unzoom: byId("unzoom"), search: byId("search"), ignorecase: byId("ignorecase") };
  const standalone = svg === document.documentElement;
  const PAD = 10;
  const FULL = 1200;
  const HINT = "click zooms \u00b7 / searches \u00b7 arrows walk \u00b7 Enter zooms \u00b7 Esc goes back";

  // The same as LabelOf in export/svg.cc.
  function labelOf(name) {
    const slash = name.lastIndexOf("/");
    const path = name.search(/ (?:\/|[a-z]+:)/);
    if (path < 0 || path > slash || !/^.[^]*:\d+$/.test(name.slice(slash + 1))) return name;
    return name.slice(0, path + 1) + name.slice(slash + 1);
  }

  // ---- the frames, read once -------------------------------------------------------------------

  const frames = [];
  const indexOf = new Map();
  {
    const open = [];
    let rootY = 0;
    for (let g = group.firstElementChild; g; g = g.nextElementSibling) {
      const [title, rect, text] = g.children;
      const shown = title.textContent;
      const parts = /^([^]*) \(([\d,]+) samples, [\d.]+%\)$/.exec(shown);
      const y = Number(rect.getAttribute("y"));
      if (frames.length === 0) rootY = y;
      const depth = Math.round((rootY - y) / 16);
      const index = frames.length;
      while (open.length > depth) frames[open.pop()].end = index;
      frames.push({
        g, rect, text, depth, shown, index,
        name: parts ? parts[1] : shown,
        short: labelOf(parts ? parts[1] : shown),
        samples: parts ? Number(parts[2].replace(/,/g, "")) : 0,
        parent: open.length ? open[open.length - 1] : -1,
        end: 0,
        xText: rect.getAttribute("x"),
        widthText: rect.getAttribute("width"),
        yText: rect.getAttribute("y"),
        x: Number(rect.getAttribute("x")),
        width: Number(rect.getAttribute("width")),
        y,
        moved: false,
        label: null,
        match: false,
      });
      indexOf.set(g, index);
      open.push(index);
    }
    for (const index of open) frames[index].end = frames.length;
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
  const fit = (name, room, size = 12) => {
    const dots = 2 * charWidth(".") * size / 12;
    let used = 0, end = 0, keep = 0, count = 0;
    for (const c of name) {
      used += charWidth(c) * size / 12;
      if (used > room) return count < 3 ? "" : name.slice(0, keep) + "..";
      end += c.length;
      count += 1;
      if (used + dots <= room) keep = end;
    }
    return room < 3 * 7 ? "" : name;
  };

  // ---- zoom and layout -------------------------------------------------------------------------

  let zoomed = 0;      // index of the frame that fills the width
  let trail = [];      // the ones before it, for Escape
  let scale = 1;       // window's width against the file's
  let total = FULL;    // width of the picture in pixels
  let height = svg.viewBox.baseVal.height;
  const fileHeight = height;

  // Lines that are cut to the window: their text nodes, and what these hold in the file.
  const lines = [["title", 17, 310], ["subtitle", 11, 0]].map(([id, size, besides]) => {
    const node = byId(id).lastChild;
    return { node, text: node ? node.data : "", size, besides };
  });
  const legend = [];  // {box, text}; the first has no box
  for (const child of byId("legend").children) {
    if (child.localName === "rect") legend.push({ box: child, text: null });
    else if (child.localName === "text" && legend.length === 0) legend.push({ box: null, text: child });
    else if (child.localName === "text") legend[legend.length - 1].text = child;
  }
  const LEGEND_ROW = 15;

  const toggle = (element, name, on) => {
    if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
  };

  function place(frame, x, width, moved) {
    if (moved || frame.moved) {
      frame.rect.setAttribute("x", moved ? x.toFixed(2) : frame.xText);
      frame.rect.setAttribute("width", moved ? width.toFixed(2) : frame.widthText);
      frame.moved = moved;
    }
    const pixels = width * scale;
    toggle(frame.g, "w", pixels >= 3);
    const label = pixels < 27 ? "" : fit(frame.short, pixels - 6);
    if (label !== frame.label) {
      frame.text.textContent = label;
      frame.label = label;
    }
    if (label) frame.text.setAttribute("x", (x * scale + 3).toFixed(2));
  }

  function paint() {
    const focus = frames[zoomed];
    const ratio = frames[0].width / Math.max(focus.width, 0.01);
    let ancestor = zoomed;
    const ancestors = new Set();
    while (frames[ancestor].parent >= 0) {
      ancestor = frames[ancestor].parent;
      ancestors.add(ancestor);
    }
    for (const frame of frames) {
      const above = ancestors.has(frame.index);
      const inside = frame.index >= zoomed && frame.index < focus.end;
      toggle(frame.g, "hide", !above && !inside);
      toggle(frame.g, "parent", above);
      if (above) {
        place(frame, PAD, frames[0].width, true);
      } else if (inside && zoomed === 0) {
        place(frame, frame.x, frame.width, false);
      } else if (inside) {
        place(frame, PAD + (frame.x - focus.x) * ratio, frame.width * ratio, true);
      }
    }
    toggle(buttons.unzoom, "hide", zoomed === 0);
  }

  function layout() {
    total = FULL;
    if (standalone) total = Math.max(360, document.documentElement.clientWidth || window.innerWidth || FULL);
    const below = layoutHeader();
    height = fileHeight + below;
    scale = (total - 2 * PAD) / (FULL - 2 * PAD);
    svg.setAttribute("width", total);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", "0 0 " + total + " " + height);
    if (scale === 1 && below === 0) {
      group.removeAttribute("transform");
    } else {
      group.setAttribute("transform", "translate(" + PAD * (1 - scale) + " " + below + ") scale(" + scale + " 1)");
    }
    const unscale = scale === 1 ? null : "scale(" + 1 / scale + " 1)";
    for (const frame of frames) {
      if (unscale) frame.text.setAttribute("transform", unscale);
      else frame.text.removeAttribute("transform");
    }
    buttons.search.setAttribute("x", total - PAD);
    buttons.ignorecase.setAttribute("x", total - PAD - 105);
    buttons.unzoom.setAttribute("x", total - PAD - 205);
    matched.setAttribute("x", total - PAD);
    if (field) field.box.setAttribute("x", fieldX());
    paint();
    follow();
  }

  // The legend takes as many rows as it needs; returns by how much that moves the rest down.
  function layoutHeader() {
    for (const { node, text, size, besides } of lines) {
      if (node) node.data = fit(text, total - 2 * PAD - besides, size);
    }
    let x = PAD, below = 0;
    for (const { box, text } of legend) {
      const width = (box ? 15 : 0) + [...text.textContent].reduce((sum, c) => sum + charWidth(c), 0) * 11 / 12;
      if (x > PAD && x + width > total - PAD) {
        x = PAD;
        below += LEGEND_ROW;
      }
      if (box) {
        box.setAttribute("x", x);
        box.setAttribute("y", 54 + below);
      }
      text.setAttribute("x", box ? x + 15 : x);
      text.setAttribute("y", 63 + below);
      x += width + 12;
    }
    header.querySelector(".bar").setAttribute("height", 70 + below);
    return below;
  }

  // Header and footer stay in sight when the picture is higher than the window.
  function follow() {
    if (!standalone) return;
    const top = Math.max(0, Math.min(window.scrollY, height - window.innerHeight));
    const bottom = Math.min(0, top + window.innerHeight - height) + height - fileHeight;
    header.setAttribute("transform", "translate(0 " + top + ")");
    footer.setAttribute("transform", "translate(0 " + bottom + ")");
  }

  function zoomTo(index, remember) {
    if (index === zoomed) return;
    if (remember) trail.push(zoomed);
    zoomed = index;
    if (zoomed === 0) trail = [];
    paint();
    report();
    saveState();
  }

  // ---- search ----------------------------------------------------------------------------------

  let pattern = "";      // source of the regular expression, "" for none; what the URL's s holds
  let ignoreCase = false;

  const escapeRegExp = (text) => text.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&");

  // What is typed is text. It is a regular expression when written as /.../, or when no frame
  // holds it as text and it uses alternatives, anchors or repetition.
  function patternOf(typed) {
    const explicit = /^\/(.+)\/$/.exec(typed);
    if (explicit && compile(explicit[1])) return explicit[1];
    const literal = escapeRegExp(typed);
    const regexp = compile(literal);
    if (frames.some((frame) => regexp.test(frame.name))) return literal;
    return /[|^$]|[.\])][*+?]/.test(typed) && compile(typed) ? typed : literal;
  }

  function compile(source) {
    try {
      return new RegExp(source, ignoreCase ? "i" : "");
    } catch (error) {
      return null;
    }
  }

  function search(source) {
    pattern = source;
    const regexp = source ? compile(source) || compile(escapeRegExp(source)) : null;
    for (const frame of frames) {
      frame.match = regexp !== null && frame.index > 0 && regexp.test(frame.name);
      toggle(frame.g, "match", frame.match);
    }
    toggle(group, "searching", regexp !== null);
    toggle(buttons.search, "show", regexp !== null);
    buttons.search.textContent = regexp ? "Reset Search" : "Search";
    report();
    saveState();
  }

  // Samples below `root` in matching frames, nested ones counted once: with the outermost.
  function matchedSamples(root) {
    for (let i = root; i >= 0; i = frames[i].parent) {
      if (frames[i].match) return frames[root].samples;
    }
    let sum = 0;
    for (let i = root; i < frames[root].end; ) {
      if (frames[i].match) {
        sum += frames[i].samples;
        i = frames[i].end;
      } else {
        i += 1;
      }
    }
    return sum;
  }

  function report() {
    toggle(matched, "hide", pattern === "");
    if (pattern === "") return;
    const percent = (part, whole) => {
      const value = whole > 0 ? 100 * part / whole : 0;
      return (value === 100 ? "100" : value.toFixed(1)) + "%";
    };
    let text = "Matched: " + percent(matchedSamples(0), frames[0].samples);
    if (zoomed !== 0) {
      text += " (" + percent(matchedSamples(zoomed), frames[zoomed].samples) + " of this view)";
    }
    matched.textContent = text;
  }

  function setIgnoreCase(on) {
    ignoreCase = on;
    toggle(buttons.ignorecase, "show", on);
    buttons.ignorecase.setAttribute("aria-pressed", String(on));
    if (pattern) search(pattern);
  }

  // ---- the search field ------------------------------------------------------------------------

  let field = null;  // {box, input} while it is open
  const fieldX = () => Math.max(PAD, total - PAD - 560);

  function openField() {
    if (field) {
      field.input.focus();
      field.input.select();
      return;
    }
    const box = document.createElementNS(SVG, "foreignObject");
    box.setAttribute("x", fieldX());
    box.setAttribute("y", 8);
    box.setAttribute("width", 265);
    box.setAttribute("height", 28);
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
      search(input.value ? patternOf(input.value) : "");
      toggle(input, "wrong", pattern !== "" && !frames.some((frame) => frame.match));
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
    if (pattern) input.value = shownPattern();
    input.focus();
    input.select();
  }

  // Back to what was typed: text where the pattern is nothing but escaped text.
  function shownPattern() {
    const text = pattern.replace(/\\([^A-Za-z0-9])/g, "$1");
    return escapeRegExp(text) === pattern ? text : "/" + pattern + "/";
  }

  function closeField() {
    if (!field) return;
    const box = field.box;
    field = null;
    box.remove();
    buttons.search.focus({ preventScroll: true });
  }

  // ---- what the mouse and the keyboard point at ------------------------------------------------

  let current = 0;  // the frame that the arrows start from; it alone is in the Tab order

  function describe(frame) {
    details.textContent = frame ? frame.shown : HINT;
    toggle(details, "hint", !frame);
  }

  const frameAt = (node) => {
    while (node && node.parentNode !== group) node = node.parentNode;
    return node && indexOf.has(node) ? frames[indexOf.get(node)] : null;
  };

  function setCurrent(index) {
    const old = frames[current].g;
    old.setAttribute("tabindex", "-1");
    current = index;
    const g = frames[current].g;
    g.setAttribute("tabindex", "0");
    g.setAttribute("role", "button");
    g.setAttribute("aria-label", frames[current].shown);
  }

  function walk(key) {
    const from = frames[current];
    const visible = (frame) => !frame.g.classList.contains("hide");
    let to = -1;
    if (key === "ArrowDown") {
      to = from.parent;
    } else if (key === "ArrowUp") {
      // The widest callee: the way that most samples went.
      for (let i = current + 1; i < from.end; i = frames[i].end) {
        if (visible(frames[i]) && (to < 0 || frames[i].samples > frames[to].samples)) to = i;
      }
    } else if (key === "ArrowRight") {
      for (let i = from.end; i < frames.length && to < 0; i += 1) {
        if (frames[i].depth === from.depth && visible(frames[i])) to = i;
      }
    } else {
      for (let i = current - 1; i > 0 && to < 0; i -= 1) {
        if (frames[i].depth === from.depth && visible(frames[i])) to = i;
      }
    }
    if (to < 0) return;
    setCurrent(to);
    frames[to].g.focus();
  }

  function back() {
    if (zoomed !== 0) {
      const to = trail.length ? trail.pop() : 0;
      zoomTo(to, false);
    } else if (pattern) {
      search("");
    }
  }

  function isShortcut(event) {
    const control = (event.ctrlKey || event.metaKey) && !event.altKey;
    const key = event.key.toLowerCase();
    return event.key === "F3" || (control && (key === "f" || key === "i"));
  }

  function onKey(event) {
    const key = event.key;
    if (isShortcut(event)) {
      event.preventDefault();
      if (key.toLowerCase() === "i") setIgnoreCase(!ignoreCase);
      else openField();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = Object.values(buttons).find((button) => button === event.target);
    if (key === "/") {
      openField();
    } else if (key === "Escape") {
      back();
    } else if (key === "Enter" || (key === " " && (onButton || frameAt(event.target)))) {
      if (onButton) press(onButton);
      else zoomTo(current, true);
    } else if (/^Arrow(Up|Down|Left|Right)$/.test(key)) {
      walk(key);
    } else {
      return;
    }
    event.preventDefault();
  }

  function press(button) {
    if (button === buttons.unzoom) zoomTo(0, false);
    else if (button === buttons.ignorecase) setIgnoreCase(!ignoreCase);
    else if (pattern) search("");
    else openField();
  }

  // ---- the URL ---------------------------------------------------------------------------------

  function saveState() {
    try {
      const params = new URLSearchParams(window.location.search);
      for (const key of ["s", "x", "y"]) params.delete(key);
      if (zoomed !== 0) {
        params.set("x", frames[zoomed].xText);
        params.set("y", frames[zoomed].yText);
      }
      if (pattern) params.set("s", pattern);
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
    const x = params.get("x");
    const y = params.get("y");
    const source = params.get("s");
    const to = frames.findIndex((frame) => frame.xText === x && frame.yText === y);
    if (to > 0) {
      zoomed = to;
      setCurrent(to);
    }
    if (source) search(source);
  }

  // ---- start -----------------------------------------------------------------------------------

  for (const button of Object.values(buttons)) {
    button.setAttribute("tabindex", "0");
    button.setAttribute("role", "button");
    button.addEventListener("click", () => press(button));
    if (button !== buttons.unzoom) button.classList.remove("hide");
  }
  buttons.ignorecase.setAttribute("aria-pressed", "false");
  group.addEventListener("click", (event) => {
    const frame = frameAt(event.target);
    if (!frame) return;
    setCurrent(frame.index);
    zoomTo(frame.index, true);
  });
  // Focus is watched from the document: a group that listens to it would be focusable itself.
  for (const [target, type] of [[group, "mouseover"], [document, "focusin"]]) {
    target.addEventListener(type, (event) => describe(frameAt(event.target)));
  }
  for (const [target, type] of [[group, "mouseout"], [document, "focusout"]]) {
    target.addEventListener(type, () => describe(null));
  }
  document.addEventListener("focusin", (event) => {
    const frame = frameAt(event.target);
    if (frame && frame.index !== current) setCurrent(frame.index);
  });
  window.addEventListener("keydown", onKey);
  window.addEventListener("resize", layout);
  window.addEventListener("scroll", follow, { passive: true });
  describe(null);
  setCurrent(0);
  restoreState();
  layout();
  report();
  // The widest frames are at the bottom; a picture higher than the window starts there.
  if (standalone) window.scrollTo(0, height);
  follow();
}
