// The report; export/html.cc has the essay, export/report_data.h the format of what is read here.
// The files of this folder are the body of one function, in the order of web/CMakeLists.txt.
//
// Samples in time order lie on call paths (nodes of function and line). What the reader selects (a
// range of time, a thread, functions) becomes a weight for each path (weights.js), and every
// picture is a tree derived from those (tree.js), drawn on canvas: what is in the window and wide
// enough to see, so a million paths cost no more than they show. Names are only ever compared and
// put into text nodes.

const byId = (id) => document.getElementById(id);

// name, attributes and properties, children
function create(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const key of Object.keys(given)) {
    if (key in element && !key.startsWith("aria")) element[key] = given[key];
    else element.setAttribute(key, given[key]);
  }
  element.append(...children);
  return element;
}

// The block of that id, which is taken out of the document.
function takeBytes(id) {
  const block = byId(id);
  const base64 = block.textContent;
  block.remove();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    if (this.number() !== 3) {
      throw new Error("a version of the data that this script does not know");
    }
    this.compares = this.number() === 2;
  }

  number() {
    let value = 0, scale = 1;
    for (;;) {
      const byte = this.bytes[this.at];
      this.at += 1;
      value += (byte & 0x7f) * scale;
      if (!(byte & 0x80)) return value;
      scale *= 128;
    }
  }

  string() {
    const size = this.number();
    this.at += size;
    return new TextDecoder().decode(this.bytes.subarray(this.at - size, this.at));
  }

  strings() {
    return Array.from({ length: this.number() }, () => this.string());
  }

  // A column of numbers; small ones are decoded in place, as there are millions.
  column(array, first = 0) {
    const end = this.number() + this.at;
    const { bytes } = this;
    let { at } = this;
    for (let i = first; i < array.length; i += 1) {
      let value = bytes[at++];
      if (value & 0x80) {
        value &= 0x7f;
        for (let scale = 128, byte = 0x80; byte & 0x80; scale *= 128) {
          byte = bytes[at++];
          value += (byte & 0x7f) * scale;
        }
      }
      array[i] = value;
    }
    this.at = end;
    return array;
  }

  // Kinds of code, packages, labels. The last label is one of our own: all.
  look() {
    const styles = Array.from({ length: this.number() }, () => ({
      legend: this.string(), colour: Array.from({ length: 6 }, () => this.number()),
    }));
    const packages = this.strings();
    const count = this.number();
    const lengths = this.column(new Int32Array(count));
    const kinds = this.column(new Uint8Array(count));
    const shades = this.column(new Uint8Array(count));
    const owners = this.column(new Int32Array(count));
    const text = this.string();
    const names = new Array(count);
    for (let i = 0, at = 0; i < count; i += 1) names[i] = text.slice(at, at += lengths[i]);
    const generated = new Map();
    for (let n = this.number(); n > 0; n -= 1) generated.set(this.number(), this.string());
    return { styles, packages, count, kinds, shades, owners, names, generated };
  }

  // A tree without weights: its shape from the levels that are closed before each node.
  nodes(more) {
    const count = this.number();
    const closed = this.column(new Int32Array(count), 1);
    const label = this.column(new Int32Array(count), 1);
    const parent = new Int32Array(count), depth = new Int32Array(count);
    const end = new Int32Array(count);
    const tree = { count, label, parent, depth, end };
    more(tree);
    let open = 0;
    for (let i = 1; i < count; i += 1) {
      for (let k = closed[i]; k > 0; k -= 1) {
        end[open] = i;
        open = parent[open];
      }
      parent[i] = open;
      depth[i] = depth[open] + 1;
      open = i;
    }
    for (; open > 0; open = parent[open]) end[open] = count;
    end[0] = count;
    return tree;
  }

  samples() {
    const count = this.number();
    const time = this.column(new Float64Array(count));
    const thread = this.column(new Int32Array(count));
    const node = this.column(new Int32Array(count));
    const weight = this.column(new Float64Array(count));
    for (let i = 0, t = 0, n = 0; i < count; i += 1) {
      time[i] = t += time[i];
      const zigzag = node[i] >>> 0;
      node[i] = n += (zigzag >>> 1) ^ -(zigzag & 1);
    }
    // 0 after, 1 before
    const side = this.compares ? this.column(new Uint8Array(count)) : null;
    return { count, time, thread, node, weight, side };
  }
}

// The first sight of a large profile: {unit, look, tree}; null of one that is drawn at once.
function readHead() {
  const bytes = takeBytes("head");
  if (bytes.length === 0) return null;
  const reader = new Reader(bytes);
  const unit = reader.string();
  const look = reader.look();
  const tree = reader.nodes((t) => {
    for (const key of ["self", "total", ...(reader.compares ? ["before", "beforeTotal"] : [])]) {
      t[key] = reader.column(new Float64Array(t.count));
    }
  });
  return { compares: reader.compares, unit, look, tree };
}

async function readProfile() {
  const reader = new Reader(await inflated(takeBytes("profile")));
  const profile = {
    compares: reader.compares, title: reader.string(), unit: reader.string(),
    startMs: reader.number(), duration: reader.number(), period: reader.number(),
    comments: reader.strings(), notes: reader.strings(), look: reader.look(),
  };
  profile.threads = Array.from({ length: reader.number() }, () => ({
    pid: reader.number(), tid: reader.number(), process: reader.string(), name: reader.string(),
  }));
  profile.paths = reader.nodes((t) => { t.line = reader.column(new Int32Array(t.count), 1); });
  profile.samples = reader.samples();
  return profile;
}
