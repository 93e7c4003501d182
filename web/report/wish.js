// What the reader asked for, and the address that remembers it.

// to: 0 is the end; thread: "", "p PID NAME", "t INDEX"; side: whose times a comparison shows
const EVERYTHING = {
  tab: "graph", icicle: false, inverted: false, merged: false, bypackage: false, split: "",
  thread: "", from: 0, to: 0, focus: "", ignored: "", hidden: "", fn: -1, zoom: 0,
  sort: "self", up: false, side: "after",
};
const VIEWS = ["icicle", "inverted", "merged", "bypackage"];
let wish = { ...EVERYTHING };
let trail = [];  // wishes before, for Escape
let pattern = "", ignoreCase = false;
let hits = null;  // by label, while searching

const rangeNow = () => (wish.to > 0 ? [wish.from, wish.to] : [0, Infinity]);
// What decides the weights and the graph; the rest of a wish only changes how it is shown.
const keyOf = (w) => JSON.stringify(
  [w.split, w.thread, w.from, w.to, w.focus, w.ignored, w.hidden, w.inverted, w.merged]);
const anyRegExp = (source) =>
  Trees.compile(source, ignoreCase) || Trees.compile(Trees.escapeRegExp(source), ignoreCase);

// As in the SVG: s, c, f, i, h and v; z: node, t: range in us, r: thread, g: split, tab, fn, side,
// sort: what the functions are sorted by, "-" before what is turned round.
function saveState() {
  try {
    const params = new URLSearchParams();
    const put = (key, value, none) => value !== none && params.set(key, value);
    put("s", pattern, "");
    put("c", ignoreCase ? "1" : "", "");
    put("f", wish.focus, "");
    put("i", wish.ignored, "");
    put("h", wish.hidden, "");
    put("v", VIEWS.filter((key) => wish[key]).join(" "), "");
    put("z", wish.zoom, 0);
    if (wish.to > 0) params.set("t", wish.from + "-" + wish.to);
    put("r", wish.thread, "");
    put("g", wish.split, "");
    put("tab", wish.tab, "graph");
    put("fn", wish.fn, -1);
    put("side", wish.side, "after");
    put("sort", (wish.up ? "-" : "") + wish.sort, "self");
    const query = params.toString();
    const { pathname, hash } = window.location;
    window.history.replaceState(null, "", pathname + (query ? "?" + query : "") + hash);
  } catch (error) {
    // A report inside a sandbox has no URL of its own.
  }
}

function restoreState() {
  const params = new URLSearchParams(window.location.search);
  const get = (key) => params.get(key) || "";
  for (const key of VIEWS) wish[key] = get("v").split(" ").includes(key);
  wish.focus = get("f");
  wish.ignored = get("i");
  wish.hidden = get("h");
  const range = /^(\d+)-(\d+)$/.exec(get("t"));
  const [from, to] = range ? [Number(range[1]), Number(range[2])] : [0, 0];
  if (from < to) [wish.from, wish.to] = [from, to];
  if (/^(t \d+$|p \d+ )/.test(get("r"))) wish.thread = get("r");
  if (["process", "thread"].includes(get("g"))) wish.split = get("g");
  if (["time", "functions"].includes(get("tab"))) wish.tab = get("tab");
  if (get("side") === "before" && compares) wish.side = "before";
  wish.fn = params.has("fn") ? Number(get("fn")) | 0 : -1;
  wish.zoom = Math.max(0, Number(get("z")) | 0);
  const sort = /^(-?)((?:self|total)(-before|-after)?|name)$/.exec(get("sort"));
  if (sort && (compares || !sort[3])) [wish.up, wish.sort] = [sort[1] !== "", sort[2]];
  pattern = get("s");
  ignoreCase = get("c") === "1";
}
