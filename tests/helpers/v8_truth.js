// Calls of many kinds, one scenario after the other for ever, each by the same call sites. Before
// that, each runs once with a leaf that records V8's own stack; what it saw is printed, a JSON line
// for each scenario: its functions, outermost first, as [name, line, column]. Then "ready".
//
// Every function calls on from one place only, so that its line and column follow from the chain.
// No syntax beyond what Node 12 reads.
'use strict';

let recorded = null;
let sink = 0;

function smallLeaf(record) {
  if (record) {
    recorded = new Error().stack;
    return 0;
  }
  let x = 1;
  for (let i = 0; i < 600; i++) x = (x * 31 + i) % 65521;
  sink = x;
  return x;
}

// Too large to be inlined: with "big" as argument the callers' frames are there.
function bigLeaf(record) {
  if (record) {
    recorded = new Error().stack;
    return 0;
  }
  let x = 1;
  for (let i = 0; i < 60; i++) {
    x = ((x * 31 + i) % 65521 ^ (i << 1)) + (x >> 1);
    x = ((x * 33 + i) % 65511 ^ (i << 2)) + (x >> 2);
    x = ((x * 35 + i) % 65501 ^ (i << 3)) + (x >> 3);
    x = ((x * 37 + i) % 65491 ^ (i << 4)) + (x >> 1);
    x = ((x * 39 + i) % 65481 ^ (i << 5)) + (x >> 2);
    x = ((x * 41 + i) % 65471 ^ (i << 1)) + (x >> 3);
    x = ((x * 43 + i) % 65461 ^ (i << 2)) + (x >> 1);
    x = ((x * 45 + i) % 65451 ^ (i << 3)) + (x >> 2);
    x = ((x * 47 + i) % 65441 ^ (i << 4)) + (x >> 3);
    x = ((x * 49 + i) % 65431 ^ (i << 5)) + (x >> 1);
    x = ((x * 51 + i) % 65421 ^ (i << 1)) + (x >> 2);
    x = ((x * 53 + i) % 65411 ^ (i << 2)) + (x >> 3);
    x = ((x * 55 + i) % 65401 ^ (i << 3)) + (x >> 1);
    x = ((x * 57 + i) % 65391 ^ (i << 4)) + (x >> 2);
    x = ((x * 59 + i) % 65381 ^ (i << 5)) + (x >> 3);
    x = ((x * 61 + i) % 65371 ^ (i << 1)) + (x >> 1);
    x = ((x * 63 + i) % 65361 ^ (i << 2)) + (x >> 2);
    x = ((x * 65 + i) % 65351 ^ (i << 3)) + (x >> 3);
    x = ((x * 67 + i) % 65341 ^ (i << 4)) + (x >> 1);
    x = ((x * 69 + i) % 65331 ^ (i << 5)) + (x >> 2);
    x = ((x * 71 + i) % 65321 ^ (i << 1)) + (x >> 3);
    x = ((x * 73 + i) % 65311 ^ (i << 2)) + (x >> 1);
    x = ((x * 75 + i) % 65301 ^ (i << 3)) + (x >> 2);
    x = ((x * 77 + i) % 65291 ^ (i << 4)) + (x >> 3);
  }
  sink = x;
  return x;
}
const leaf = process.argv[2] === 'big' ? bigLeaf : smallLeaf;

// Small functions in a row: inlined whole when optimized.
function plainC(r) { return 1 + leaf(r); }
function plainB(r) {
  const a = r ? 1 : 2;
  return a + plainC(r) - a;
}
function plainA(r) {
  return 3 * plainB(r);
}
function plain(r) { return plainA(r) + plainA.length; }

class Shape {
  constructor(r) { this.size = r === undefined ? 0 : this.measure(r); }
  measure(r) { return 2 + leaf(r); }
  static make(r) {
    return new Shape(r);
  }
  get area() { return this.size * leaf(this.record); }
  set area(r) {
    this.size = 5 * leaf(r);
  }
}
function construct(r) { return Shape.make(r).size; }
const shape = new Shape();
function getter(r) {
  shape.record = r;
  return 1 +
      shape.area;
}
function setter(r) {
  shape.area =
    r;
  return 1;
}

function makeClosure(n) {
  return function closureInner(r) { let s = n; s += leaf(r); return s; };
}
const closureOf = makeClosure(7);
const arrowOf = (r) => closureOf(r) | 0;
function closures(r) {
  return arrowOf(r);
}

function callbacks(r) {
  let total = 0;
  [1].forEach(function visit(v) {
    total += [v].map((w) => w + leaf(r))[0];
  });
  return total;
}

function compare(a, b) { if (sortRecord !== null) leaf(sortRecord); return a - b; }
let sortRecord = null;
function sorting(r) {
  sortRecord = r;
  return [2, 1].sort(compare)[0];
}

function guarded(r) {
  let n = 0;
  try {
    n = thrower(r);
  } catch (e) {
    n = -1;
  } finally {
    n++;
  }
  return n;
}
function thrower(r) {
  const v = leaf(r);
  if (v < 0) throw new Error('never');
  return v;
}

// Long in one call: replaced on the stack.
function looping(r) {
  let s = 0;
  for (let i = 0; i < (r ? 1 : 300); i++) {
    s += i;
    s ^= leaf(r);
  }
  return s;
}

function* counting() {
  let n = 1, r = yield n;
  for (;;) {
    n = (n + leaf(r)) | 0;
    r = yield n;
  }
}
const counter = counting();
counter.next();
function generators(r) {
  return counter.next(r).value;
}

function applied(r, a, b) { return (a | 0) + leaf(r) + (b | 0); }
function indirect(r) { return Reflect.apply(applied, null, [r, 1]); }

// Many functions inlined in one, at several depths and from several places of other chains.
function d5(r, k) { return k + leaf(r); }
function d4(r, k) { return d5(r, k + 1) + k; }
function d3(r, k) { const q = k * 2; return q + d4(r, q); }
function d2(r, k) {
  if (k > 100) return 0;
  return d3(
      r,
      k - 1);
}
function d1(r, k) { return d2(r, k) - 1; }
function deep(r) { return d1(r, 3); }

function wide(r) {
  const u = r ? 1 : 2, v = u + 1, w = v * u;
  const t = w > 2 ? `${u}` : 'x';
  return t.length + u * v + w - leaf(r) * u;
}
// The same functions from another place.
function again(r) {
  const o = { r: r, call() { return wide(this.r); } };
  return o.call();
}

const scenarios = [plain, construct, getter, setter, closures, callbacks, sorting, guarded, looping,
  generators, indirect, deep, again];

function milliseconds() {
  const t = process.hrtime();
  return t[0] * 1000 + t[1] / 1e6;
}
function drive(scenario, duration) {
  const end = milliseconds() + duration;
  while (milliseconds() < end) {
    for (let i = 0; i < 20; i++) scenario(false);
  }
}

Error.stackTraceLimit = 50;
for (const scenario of scenarios) {
  drive(scenario, 20);
  const prepare = Error.prepareStackTrace;
  Error.prepareStackTrace = (error, sites) => sites.filter((s) => s.getFileName() === __filename)
    .map((s) => [s.getFunctionName() || '', s.getLineNumber(), s.getColumnNumber()]);
  scenario(true);
  Error.prepareStackTrace = prepare;
  const chain = recorded.reverse();
  const from = chain.findIndex((site) => site[0] === scenario.name);
  console.log(JSON.stringify(chain.slice(from)));
}
console.log('ready');
for (;;) {
  for (const scenario of scenarios) drive(scenario, 60);
}
