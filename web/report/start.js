// What the page is made of, and the start of it all.

const button = (id, text, title, action) => {
  const node = create("button", { id, title }, text);
  node.addEventListener("click", action);
  return node;
};
const choice = (id, title, options, action) => {
  const node = create("select", { id, title },
    ...options.map(([value, text]) => create("option", { value }, text)));
  node.addEventListener("change", () => action(node.value));
  return node;
};

const input = create("input", {
  id: "search", type: "search", placeholder: "search: text or /regexp/", autocomplete: "off",
  spellcheck: false, "aria-label": "search functions",
});

function wireSearch() {
  let timer = 0;
  const apply = () => {
    clearTimeout(timer);
    search(input.value ? Trees.patternOf(input.value, ignoreCase, names) : "");
    input.classList.toggle("wrong", pattern !== "" && !hits.some((hit) => hit));
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 150);
  });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return;  // keys of the input method
    if (event.key === "Enter") apply();
    if (event.key !== "Escape") return;
    input.value = "";
    apply();
    graph.canvas.focus();
  });
}

function toolbar() {
  const TABS = [["graph", "Graph"], ["time", "Time Order"], ["functions", "Functions"]];
  const tabs = TABS.map(([id, text]) => {
    const node = button("tab-" + id, text, "", () => change({ tab: id, zoom: wish.zoom }));
    node.setAttribute("role", "tab");
    return node;
  });
  const ignore = button("ignorecase", "Aa", "ignore case in search", () => {
    ignoreCase = !ignoreCase;
    search(pattern);
  });
  return create("nav", { inert: true },
    create("span", { role: "tablist" }, ...tabs.flatMap((t) => [t, " "])),
    button("icicle", "Icicle", "root at the top", () => change({ icicle: !wish.icicle })),
    button("inverted", "Inverted", "what was executing, above it who called it",
      () => change({ inverted: !wish.inverted })),
    button("merged", "Merge Recursion",
      "a function that is on the stack already is not shown again",
      () => change({ merged: !wish.merged })),
    button("bypackage", "By Package", "colours by package",
      () => change({ bypackage: !wish.bypackage, zoom: wish.zoom })),
    choice("split", "split the graph",
      [["", "not split"], ["process", "by process"], ["thread", "by thread"]],
      (value) => change({ split: value })),
    choice("thread", "process or thread", [["", "all threads"]],
      (value) => change({ thread: value })),
    choice("side", "of the heat map and of Time Order",
      [["after", "times: after"], ["before", "times: before"]],
      (value) => change({ side: value, zoom: wish.zoom })),
    button("unfilter", "Reset Filters", "all stacks, all functions",
      () => change({ focus: "", ignored: "", hidden: "" })),
    button("unzoom", "Reset Zoom", "", () => change({ zoom: 0 })),
    input, ignore);
}

function buildPage() {
  byId("report").append(toolbar(),
    create("div", { id: "heat" }, heat.canvas,
      button("whole", "", "the whole recording again", () => change({ from: 0, to: 0 }))),
    create("div", {
      id: "legend", title: "share of the samples in which this kind of code was executing",
    }),
    create("div", { id: "leftout", hidden: true }),
    graph.box, chart.box,
    create("div", { id: "functions", hidden: true },
      create("div", { id: "list" },
        create("table", {}, create("thead", {}, create("tr", { id: "heads" })),
          create("tbody", { id: "rows" })),
        create("p", { id: "more" })),
      create("div", { id: "sandwich" }, create("h2", { id: "chosen" }), callers.box, callees.box,
        create("div", { id: "lines" },
          create("table", {}, create("thead", {}, create("tr")), create("tbody"))))),
    create("footer", {}, create("div", { id: "details", "aria-live": "polite" }),
      create("div", { id: "matched", "aria-live": "polite" })));
  chart.box.hidden = true;
  for (const id of ["unfilter", "unzoom", "side", "whole"]) byId(id).hidden = true;
}

// What a profile adds to the page.
function completePage(profile) {
  const MAX_OPTIONS = 1000;
  const sum = Math.max(1, byWeight.reduce((s, i) => s + threads[i].weight, 0));
  const select = byId("thread");
  const add = (value, text, weight) => {
    select.append(create("option", { value }, `${text} ${Trees.percent(weight, sum, 1)}`));
  };
  select.options[0].text = `all threads (${byWeight.length})`;
  const several = processes.size > 1 ? busyProcesses() : [];
  for (const p of several.slice(0, MAX_OPTIONS)) add("p " + p.key, processLabel(p), p.weight);
  for (const i of byWeight.slice(0, MAX_OPTIONS)) {
    add("t " + i, threadLabel(threads[i]), threads[i].weight);
  }
  byId("side").hidden = !compares;
  byId("functions").classList.toggle("compares", compares);
  const heads = compares ? ["itself before", "after", "total, change", "", "executing"]
    : ["itself", "% of itself", "total", "", "executing"];
  byId("lines").querySelector("thead tr")
    .append(...heads.map((text) => create("th", { scope: "col" }, text)));

  // The verdict: one line of it until the reader wants all.
  const verdict = byId("verdict");
  for (const note of profile.notes) {
    verdict.append(create("p", { className: "note" }, "left out: " + note));
  }
  if (profile.startMs > 0) {
    verdict.append(create("p", {}, "recorded " + new Date(profile.startMs).toISOString()));
  }
  if (verdict.querySelectorAll("p").length > 1) {
    const more = button("more-verdict", " \u25be more", "", () => {
      const folded = verdict.classList.toggle("folded");
      more.textContent = folded ? " \u25be more" : " \u25b4 less";
      more.setAttribute("aria-expanded", String(!folded));
      relayout();
    });
    more.setAttribute("aria-expanded", "false");
    verdict.querySelector("p").append(more);
    verdict.classList.add("folded");
  }
  byId("report").querySelector("nav").inert = false;
}

function relayout() {
  if (paths) layoutHeat();
  if (wish.tab === "graph") graph.draw();
  else if (wish.tab === "time") chart.draw();
  else [callers, callees].forEach((g) => g.draw());
}

function wirePage() {
  document.addEventListener("mousedown", (event) => {
    if (menu && !menu.contains(event.target)) closeMenu();
  });
  window.addEventListener("keydown", (event) => {
    if (event.key === "F3" || ((event.ctrlKey || event.metaKey) && event.key === "f")
        || (event.key === "/" && event.target !== input)) {
      event.preventDefault();
      closeMenu();
      input.focus();
      input.select();
    } else if (event.key === "Escape") {
      back();
    } else if (/^Arrow/.test(event.key) && event.target === document.body && wish.tab === "graph") {
      graph.canvas.focus();
      graph.key(event);
    }
  });
  window.addEventListener("resize", relayout);
  for (const type of ["beforeprint", "afterprint"]) {
    window.addEventListener(type, () => {
      onPaper = type === "beforeprint";
      relayout();
      for (const surface of [graph, chart, callers, callees]) {
        onPaper ? surface.cut() : surface.mend();
      }
    });
  }
  dark.addEventListener("change", relayout);
  for (const surface of [graph, chart, callers, callees]) {
    for (const type of ["focus", "blur"]) {
      surface.canvas.addEventListener(type, () => surface.ask());
    }
  }
}

buildPage();
wireSearch();
wireHeat();
const head = readHead();
if (head && window.location.search === "") graph.show(takeHead(head), 0, false);
describe(head && "reading the profile");
// What follows this script has not arrived yet.
if (document.readyState === "loading") {
  await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
}
let profile;
try {
  profile = await readProfile();
} catch (error) {
  describe(`This browser cannot read the profile (${error}). It takes one of 2023 or later.`);
  return;
}
takeProfile(profile);
completePage(profile);
restoreState();
setPattern(pattern);
if (pattern) input.value = Trees.typedOf(pattern);
describe(null);
wirePage();
show();
document.documentElement.dataset.ready = "1";
