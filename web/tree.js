// The arithmetic of the pictures: names, trees, and trees made of trees. No document, no drawing;
// flamegraph/ (SVG) and report/ (HTML) share it.
//
// A tree is a struct of arrays in preorder: a node's callees are right behind it, up to end[i], and
// parents come before their callees. Node 0 is all. label[i] is a number; equal functions have
// equal ones. Weights are samples. So everything here is a loop over arrays, and a million nodes
// are no trouble.
//
// In a comparison self and total are what a node is drawn by, of both sides together, and `before`
// and `beforeTotal` are the samples of one side: in the HTML of what is compared with. The SVG has
// these of what is compared.
"use strict";  // of the function that this is the beginning of

const Trees = (() => {
  // ---- names -----------------------------------------------------------------------------------

  // "render /srv/app.js:12" -> "render app.js:12". The same as LabelOf in export/label_text.cc.
  function labelOf(name) {
    const slash = name.lastIndexOf("/");
    const path = name.search(/ (?:\/|[a-z]+:)/);
    if (path < 0 || path > slash || !/^.[^]*:\d+$/.test(name.slice(slash + 1))) return name;
    return name.slice(0, path + 1) + name.slice(slash + 1);
  }

  // Whether what is behind a dot or a slash is a name: not a number, what a compiler made of the
  // function before it, or the ending of a file.
  const ENDING = new RegExp("^(?:cold|constprop|isra|llvm|localalias|lto_priv|part|" +
                            "cjs|dll|exe|jsx?|mjs|py|rb|so|tsx?|" +
                            "(?:func|gowrap|deferwrap)[0-9]+)(?![\\w$\\u0080-\\uffff])");
  const beginsName = (rest) => /^[A-Za-z_$(<\u0080-\uffff]/.test(rest) && !ENDING.test(rest);

  // Where a label may be cut: {begins, end}. What says which function it is lies between the last
  // of `begins` and `end`; the others are where its qualifiers begin. Of "render app.js:12" it is
  // "render", of "v8::Foo<a::b>::Bar(int)" it is "Bar", of "net/http.(*Transport).dial" it is
  // "dial". The same as PartsOf in export/label_text.cc.
  function partsOf(label) {
    const place = /^(.+) [^ ]+:\d+$/s.exec(label);
    if (place) return { begins: [0], end: place[1].length };
    const begins = [0];
    let nested = 0, isName = true;  // no longer behind a blank or a colon: a place or whatever
    for (let i = 0; i < label.length && nested >= 0; i += 1) {
      const c = label[i];
      if (nested === 0 && label.startsWith("operator", i)) {
        // Its own brackets are part of its name.
        const operator = /^operator(\(\)|\[\]|[<>=!+\-*/%&|^~,]{0,4})/;
        i += operator.exec(label.slice(i, i + 12))[0].length - 1;
      } else if ("<[{".includes(c) ||
                 (c === "(" && (nested > 0 || i === begins[begins.length - 1]))) {
        nested += 1;
      } else if (c === ">" || (nested > 0 && "]})".includes(c))) {
        nested -= 1;
      } else if (nested > 0) {
        continue;
      } else if (c === ":" && label[i + 1] === ":" && i + 2 < label.length) {
        begins.push(i + 2);
        i += 1;
      } else if (c === "(") {
        return { begins, end: i };
      } else if (c === " " || c === ":") {
        isName = false;
      } else if ((c === "." || c === "/") && isName && beginsName(label.slice(i + 1))) {
        begins.push(i + 1);
      }
    }
    return { begins: nested === 0 ? begins : [0], end: label.length };
  }

  // The label cut to `room`: the function whole if it fits, then as much of the rest as does, with
  // ".." where it is cut; "" where not even three characters fit. `width`: of one character. The
  // same as FitText in export/label_text.cc.
  function fit(label, room, width) {
    let whole = 0;
    for (const c of label) if ((whole += width(c)) > room) break;
    if (whole <= room) return room < 3 * width("n") ? "" : label;
    const measure = (text) => {
      let sum = 0;
      for (const c of text) if ((sum += width(c)) > room) break;
      return sum;
    };
    const prefix = (text, limit) => {
      let used = 0, keep = 0;
      for (const c of text) {
        if ((used += width(c)) > limit) break;
        keep += c.length;
      }
      return text.slice(0, keep);
    };
    room -= 2 * width(".");
    const { begins, end } = partsOf(label);
    const core = label.slice(begins[begins.length - 1], end);
    if (measure(core) > room) {
      const cut = prefix(core, room);
      return cut.length < 2 ? "" : cut + "..";
    }
    if (begins.length > 1) {
      // Without its arguments it fits.
      const bare = label.slice(0, end);
      if (end < label.length && measure(bare) <= room) return bare + "..";
      const begin = begins.find((b) => b > 0 && measure(label.slice(b, end)) <= room);
      const tail = label.slice(begin, end);
      return prefix(label.slice(0, begin), room - measure(tail)) + ".." + tail;
    }
    // "render app.js:12": the line, and as much of the file's end as fits.
    let from = label.lastIndexOf(":");
    const left = room - measure(core);
    if (from < end || measure(label.slice(from)) > left) return core + "..";
    let used = measure(label.slice(from));
    for (const c of [...label.slice(end, from)].reverse()) {
      if ((used += width(c)) > left) break;
      from -= c.length;
    }
    return core + ".." + label.slice(from);
  }

  // What is typed is text. It is a regular expression when written as /.../, or when no name holds
  // it as text and it uses alternatives, anchors or repetition.
  const escapeRegExp = (text) => text.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&");

  function compile(source, ignoreCase) {
    try {
      return new RegExp(source, ignoreCase ? "i" : "");
    } catch (error) {
      return null;
    }
  }

  function patternOf(typed, ignoreCase, names) {
    const explicit = /^\/(.+)\/$/.exec(typed);
    if (explicit && compile(explicit[1])) return explicit[1];
    const literal = escapeRegExp(typed);
    const regexp = compile(literal, ignoreCase);
    for (const name of names) {
      if (regexp.test(name)) return literal;
    }
    return /[|^$]|[.\])][*+?]/.test(typed) && compile(typed) ? typed : literal;
  }

  // Back to what was typed: text where the pattern is nothing but escaped text.
  function typedOf(pattern) {
    const text = pattern.replace(/\\([^A-Za-z0-9])/g, "$1");
    return escapeRegExp(text) === pattern ? text : "/" + pattern + "/";
  }

  const exactly = (name) => "^" + escapeRegExp(name) + "$";

  const grouped = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");
  const percent = (part, whole, digits = 2) => {
    const value = whole > 0 ? 100 * part / whole : 0;
    return (value === 100 ? "100" : value.toFixed(digits)) + "%";
  };

  // Hues that can be told apart. Each package has its own by its name, the same in every picture,
  // but gives way to those that weigh more: of the first twelve no two have one hue, the next
  // twelve are paler. `weights`: by name. Returns what gives the colour of a name, in one of eight
  // shades.
  const HUES = [2, 26, 44, 64, 96, 140, 170, 192, 214, 246, 282, 326], PALER = 12;
  function packageColours(weights) {
    const hashOf = (name) => {
      let hash = 2166136261;
      for (let i = 0; i < name.length; i += 1) {
        hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
      }
      return (hash ^ hash >>> 15) >>> 0;
    };
    const places = new Map();
    let taken = new Set();
    const order = [...weights].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    for (const [name] of order.slice(0, 2 * HUES.length)) {
      if (taken.size === HUES.length) taken = new Set();
      let hue = hashOf(name) % HUES.length;
      while (taken.has(hue)) hue = (hue + 5) % HUES.length;  // to one that is far away
      taken.add(hue);
      places.set(name, hue + (places.size < HUES.length ? 0 : PALER));
    }
    return (name, shade) => {
      const place = places.get(name) ?? PALER + hashOf(name) % HUES.length;
      return place < PALER ? `hsl(${HUES[place]},64%,${66 + shade}%)`
        : `hsl(${HUES[place - PALER]},38%,${77 + shade}%)`;
    };
  }

  // Nothing, red for more, blue for less, in twelve steps. `part`: of the largest change, -1 to 1.
  // The same as ColourOfChange in export/svg.cc.
  function changeColour(part, dark) {
    const to = part < 0 ? [0x3f, 0x86, 0xd9] : [0xe2, 0x4a, 0x33];
    const from = dark ? [0x86, 0x8d, 0x96] : [0xec, 0xec, 0xec];
    const step = Math.round(12 * Math.abs(part));
    const mix = to.map((c, i) => from[i] + Math.trunc((c - from[i]) * step / 12));
    return "#" + mix.map((c) => c.toString(16).padStart(2, "0")).join("");
  }

  // ---- trees -----------------------------------------------------------------------------------

  // (parent, label) -> node, for trees under construction: open addressing over typed arrays, as
  // Map is ten times slower on a million entries.
  class Growing {
    constructor(expected, compares) {
      this.capacity = 1024;
      while (this.capacity < expected * 2) this.capacity *= 2;
      this.table = new Int32Array(this.capacity);  // 0: empty
      this.parent = new Int32Array(expected + 1);
      this.label = new Int32Array(expected + 1);
      this.self = new Float64Array(expected + 1);
      this.before = compares ? new Float64Array(expected + 1) : null;
      this.count = 1;
    }

    child(parent, label) {
      const mask = this.capacity - 1;
      let slot = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(label, 0x85ebca6b)) >>> 0;
      slot = (slot ^ slot >>> 15) & mask;
      for (let node; (node = this.table[slot]) !== 0; slot = (slot + 1) & mask) {
        if (this.parent[node] === parent && this.label[node] === label) return node;
      }
      if (this.count === this.parent.length) this.grow();
      const node = this.count;
      this.count += 1;
      this.parent[node] = parent;
      this.label[node] = label;
      this.table[slot] = node;
      if (this.count * 2 > this.capacity) this.rehash();
      return node;
    }

    grow() {
      for (const name of ["parent", "label", "self", "before"]) {
        const old = this[name];
        if (!old) continue;
        this[name] = new old.constructor(old.length * 2);
        this[name].set(old);
      }
    }

    rehash() {
      this.capacity *= 2;
      this.table = new Int32Array(this.capacity);
      const mask = this.capacity - 1;
      for (let node = 1; node < this.count; node += 1) {
        const parent = this.parent[node], label = this.label[node];
        let slot = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(label, 0x85ebca6b)) >>> 0;
        slot = (slot ^ slot >>> 15) & mask;
        while (this.table[slot] !== 0) slot = (slot + 1) & mask;
        this.table[slot] = node;
      }
    }

    // Preorder, siblings by the rank of their labels, without what has no weight. `least`: what
    // weighs less is left out too, its weight stays with its callers; counted in leftOut.
    finish(rank, least = 0) {
      const count = this.count;
      const total = summed(this.self.slice(0, count), this.parent);
      const size = new Int32Array(count).fill(1);
      let kept = count, leftOut = 0;
      const keep = (i) => total[i] > 0 && total[i] >= least;
      for (let i = count - 1; i > 0; i -= 1) {
        if (keep(i)) {
          size[this.parent[i]] += size[i];
        } else {
          kept -= 1;
          if (total[i] > 0) leftOut += 1;
        }
      }
      const order = this.siblings(rank);
      const tree = {
        count: kept, leftOut,
        parent: new Int32Array(kept), label: new Int32Array(kept), depth: new Int32Array(kept),
        end: new Int32Array(kept), self: new Float64Array(kept), total: new Float64Array(kept),
        at: new Int32Array(count).fill(-1),  // where a node of this one went
      };
      const next = new Int32Array(count);
      tree.at[0] = 0;
      next[0] = 1;
      tree.end[0] = kept;
      tree.self[0] = this.self[0];
      tree.total[0] = total[0];
      for (let k = 0; k < order.length; k += 1) {
        const i = order[k];
        if (!keep(i)) continue;
        const p = this.parent[i];
        const at = next[p];
        next[p] += size[i];
        next[i] = at + 1;
        tree.at[i] = at;
        tree.parent[at] = tree.at[p];
        tree.label[at] = this.label[i];
        tree.depth[at] = tree.depth[tree.at[p]] + 1;
        tree.end[at] = at + size[i];
        tree.self[at] = this.self[i];
        tree.total[at] = total[i];
      }
      if (this.before) {
        const beforeTotal = summed(this.before.slice(0, count), this.parent);
        tree.before = new Float64Array(kept);
        tree.beforeTotal = new Float64Array(kept);
        for (let i = 0; i < count; i += 1) {
          if (tree.at[i] < 0) continue;
          tree.before[tree.at[i]] = this.before[i];
          tree.beforeTotal[tree.at[i]] = beforeTotal[i];
        }
      }
      return tree;
    }

    // All nodes but the first, by (parent, rank of the label). Nodes come in their parents' order,
    // mostly in the right one: only the children of a parent that has them in disorder are sorted.
    siblings(rank) {
      const { count, parent, label } = this;
      const starts = new Int32Array(count + 1);
      const last = new Int32Array(count).fill(-1);
      const disorder = [];
      for (let i = 1; i < count; i += 1) {
        const p = parent[i], r = rank[label[i]];
        starts[p + 1] += 1;
        if (last[p] > r && last[p] < rank.length) {
          disorder.push(p);
          last[p] = rank.length;
        } else if (last[p] < r) {
          last[p] = r;
        }
      }
      for (let p = 0; p < count; p += 1) starts[p + 1] += starts[p];
      const order = new Int32Array(count - 1);
      const next = starts.slice(0, count);
      for (let i = 1; i < count; i += 1) order[next[parent[i]]++] = i;
      for (const p of disorder) {
        order.subarray(starts[p], starts[p + 1]).sort((a, b) => rank[label[a]] - rank[label[b]]);
      }
      return order;
    }
  }

  // Each with the weight of all below it, in place. Callers come before their callees.
  function summed(weights, parent) {
    for (let i = weights.length - 1; i > 0; i -= 1) weights[parent[i]] += weights[i];
    return weights;
  }

  // The samples of `source` anew. Its nodes are in preorder, with parent, end, label, self, total.
  //   hidden[label]   taken out of its stacks; what it calls moves to its caller
  //   focus[label]    only stacks with such a function count
  //   ignored[label]  stacks with such a function do not
  //   once            a function that is on the stack already is taken out: recursion is one frame
  //   from            only what such a function calls, all its occurrences as one
  //   groups          Map of label to {self, before} in place of the source's: each group below a
  //                   node of its own
  //   least           what weighs less is left out
  // `place`, if given, is filled: for each node of source the node of the result, -1 for none.
  function derive(source, rank, { groups, least = 0, place, focus, ignored, ...spec } = {}) {
    const growing = new Growing(source.count, Boolean(source.before));
    spec.counts = counting(source, { focus, ignored });
    const to = new Int32Array(source.count).fill(-1);
    if (!groups) addTo(growing, 0, source, rank, to, spec);
    for (const [label, { self, before }] of groups || []) {
      const total = summed(self.slice(), source.parent);
      addTo(growing, growing.child(0, label), { ...source, self, total, before }, rank, to, spec);
    }
    const tree = growing.finish(rank, least);
    if (place) for (let i = 0; i < source.count; i += 1) place[i] = to[i] < 0 ? -1 : tree.at[to[i]];
    return tree;
  }

  // By node, whether stacks that end there have a function in focus and no ignored one; null: all.
  function counting({ count, parent, label }, { focus, ignored }) {
    if (!focus && !ignored) return null;
    const state = new Uint8Array(count);  // 1: in focus, 2: ignored
    for (let i = 1; i < count; i += 1) {
      const l = label[i];
      state[i] = state[parent[i]] | (focus && focus[l] ? 1 : 0) | (ignored && ignored[l] ? 2 : 0);
    }
    return state.map((s) => (s === (focus ? 1 : 0) ? 1 : 0));
  }

  // `source` with the weights of the samples that derive() keeps, at the nodes where they show.
  function filtered(source, { hidden, focus, ignored }) {
    const counts = counting(source, { focus, ignored });
    if (!counts && !hidden) return source;
    const { count, parent, label } = source;
    const shown = new Int32Array(count);
    for (let i = 1; i < count; i += 1) shown[i] = hidden && hidden[label[i]] ? shown[parent[i]] : i;
    const moved = (weights) => {
      const sums = new Float64Array(count);
      for (let i = 0; i < count; i += 1) if (!counts || counts[i]) sums[shown[i]] += weights[i];
      return sums;
    };
    const sums = { self: moved(source.self) };
    sums.total = summed(sums.self.slice(), parent);
    if (source.before) {
      sums.before = moved(source.before);
      sums.beforeTotal = summed(sums.before.slice(), parent);
    }
    return { ...source, ...sums };
  }

  function addTo(growing, root, source, rank, to, { hidden, counts, once, from }) {
    const { count, parent, end, label, self, total, before } = source;
    const within = once || from !== undefined ? new Int32Array(rank.length) : null;
    const path = [];
    to[0] = from === undefined ? root : -1;
    const add = (node, i) => {
      growing.self[node] += self[i];
      if (before) growing.before[node] += before[i];
    };
    if (from === undefined && (!counts || counts[0])) add(root, 0);
    for (let i = 1; i < count; ) {
      if (total[i] === 0) {
        i = end[i];
        continue;
      }
      const l = label[i], p = parent[i];
      let again = false;
      if (within) {
        while (path.length && path[path.length - 1] !== p) within[label[path.pop()]] -= 1;
        again = within[l] > 0;
        within[l] += 1;
        path.push(i);
      }
      if (from !== undefined && to[p] < 0) to[i] = l === from ? growing.child(root, l) : -1;
      else if ((hidden && hidden[l]) || (once && again)) to[i] = to[p];
      else to[i] = growing.child(to[p], l);
      if (self[i] > 0 && to[i] >= 0 && (!counts || counts[i])) add(to[i], i);
      i += 1;
    }
  }

  // Upside down: below all the functions that were executing, below these their callers. With
  // `of`, below all that function, whatever it called counted, recursion once. Branches below
  // `least` are not followed, and only their first node is counted in leftOut.
  function invert(tree, rank, { least = 0, of } = {}) {
    const growing = new Growing(1024, Boolean(tree.before));
    // Entries: a node of the result, the node of `tree` that it stands for there, and what of it.
    const { self, before } =
      of === undefined ? tree : { self: tree.total, before: tree.beforeTotal };
    const places = [], weights = [], befores = [];
    const start = (i) => {
      places.push(i);
      weights.push(self[i]);
      if (before) befores.push(before[i]);
    };
    for (let i = of === undefined ? 0 : 1; i < tree.count; ) {
      const starts = of === undefined ? self[i] > 0 : tree.label[i] === of;
      if (starts) start(i);
      i = starts && of !== undefined ? tree.end[i] : i + 1;
    }
    const nodes = places.map((i) => (i === 0 ? 0 : growing.child(0, tree.label[i])));
    for (let count = places.length; count > 0; ) {
      const branch = new Float64Array(growing.count);
      for (let e = 0; e < count; e += 1) branch[nodes[e]] += weights[e];
      let kept = 0;
      for (let e = 0; e < count; e += 1) {
        const node = nodes[e], caller = tree.parent[places[e]];
        if (places[e] === 0 || caller === 0 || branch[node] < least) {
          growing.self[node] += weights[e];
          if (before) growing.before[node] += befores[e];
          continue;
        }
        nodes[kept] = growing.child(node, tree.label[caller]);
        places[kept] = caller;
        weights[kept] = weights[e];
        if (before) befores[kept] = befores[e];
        kept += 1;
      }
      count = kept;
    }
    return growing.finish(rank, least);
  }

  // The `most` widest nodes of a tree, callers before callees; `crowded` says how many more there
  // were.
  function widest(tree, most) {
    const { count, parent, depth, end, total } = tree;
    if (count <= most) return { ...tree, crowded: 0 };
    const order = Uint32Array.from(total, (_, i) => i)
      .sort((a, b) => total[b] - total[a] || depth[a] - depth[b] || a - b);
    const kept = order.subarray(0, most).sort();
    const at = new Int32Array(count + 1);  // how many are kept before each: its number, if it is
    for (const i of kept) at[i + 1] = 1;
    for (let i = 0; i < count; i += 1) at[i + 1] += at[i];
    const result = { count: most, leftOut: tree.leftOut, crowded: count - most,
                     parent: Int32Array.from(kept, (i) => at[parent[i]]),
                     end: Int32Array.from(kept, (i) => at[end[i]]) };
    const others = tree.before ? ["before", "beforeTotal"] : [];
    for (const key of ["label", "depth", "self", "total", ...others]) {
      result[key] = tree[key].constructor.from(kept, (i) => tree[key][i]);
    }
    return result;
  }

  // For each label: its own weight, and with all that it calls, recursion counted once; of a
  // comparison likewise before and beforeTotal.
  function byFunction(tree, labels) {
    const sums = { self: new Float64Array(labels), total: new Float64Array(labels) };
    if (tree.before) {
      sums.before = new Float64Array(labels);
      sums.beforeTotal = new Float64Array(labels);
    }
    const within = new Int32Array(labels);
    const path = [];
    for (let i = 1; i < tree.count; i += 1) {
      while (path.length && path[path.length - 1] !== tree.parent[i]) {
        within[tree.label[path.pop()]] -= 1;
      }
      const l = tree.label[i];
      sums.self[l] += tree.self[i];
      if (tree.before) sums.before[l] += tree.before[i];
      if (within[l] === 0) {
        sums.total[l] += tree.total[i];
        if (tree.before) sums.beforeTotal[l] += tree.beforeTotal[i];
      }
      within[l] += 1;
      path.push(i);
    }
    return sums;
  }

  // Samples in marked nodes below `root`, each counted once however deep they nest; all of `root`
  // where it or a caller of it is marked.
  function matched(tree, root, isMatch, total = tree.total) {
    for (let i = root; i > 0; i = tree.parent[i]) if (isMatch(i)) return total[root];
    let sum = 0;
    for (let i = root; i < tree.end[root]; ) {
      if (i > 0 && isMatch(i)) {
        sum += total[i];
        i = tree.end[i];
      } else {
        i += 1;
      }
    }
    return sum;
  }

  return { labelOf, partsOf, fit, summed, escapeRegExp, compile, patternOf, typedOf, exactly,
           grouped, percent, packageColours, changeColour, counting, filtered, derive, invert,
           widest, byFunction, matched };
})();
