// Calls of many kinds. target.js runs each scenario once with `r` true, when the leaf records V8's own
// stack, and then for long with `r` false, through the same call sites.
//
// Rules, which conformance.mjs relies on: the outermost function of a scenario belongs to that scenario
// alone; each function with a name is the only one of that name; a function's brackets balance at
// the end of its last line and not before, counted from the start of its first; no syntax beyond Node 12.
'use strict';
const { EventEmitter } = require('events');
const vm = require('vm');

let record = () => {};
let sink = 0;

function smallLeaf(r) {
  if (r) {
    record(new Error());
    return 0;
  }
  let x = 1;
  for (let i = 0; i < 600; i++) x = (x * 31 + i) % 65521;
  sink = x;
  return x;
}

// Too large to be inlined: with it the callers have frames of their own.
function bigLeaf(r) {
  if (r) {
    record(new Error());
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
const leaf = process.env.CONFORMANCE_LEAF === 'big' ? bigLeaf : smallLeaf;

// ---- functions of each kind
function plainC(r) { return 1 + leaf(r); }
function plainB(r) {
  const a = r ? 1 : 2;
  return a + plainC(r) - a;
}
function plainA(r) {
  return 3 * plainB(r);
}
function plain(r) { return plainA(r) + plainA.length; }

const holder = {
  factor: 3,
  holderMethod(r) {
    return this.factor * leaf(r);
  },
};
function method(r) {
  return holder.holderMethod(r);
}

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
class Square extends Shape {
  constructor(r, side) {
    super(r);
    this.side = side;
  }
}
function construct(r) { return Shape.make(r).size; }
function derived(r) {
  const square = new Square(r, 4);
  return square.size + square.side;
}
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
function OldStyle(r) {
  this.value = leaf(r);
}
OldStyle.prototype.twice = function oldTwice(r) {
  return 2 * new OldStyle(r).value;
};
const old = Object.create(OldStyle.prototype);
function prototypes(r) {
  return old.twice(r);
}

function makeClosure(n) {
  return function closureInner(r) { let s = n; s += leaf(r); return s; };
}
const closureOf = makeClosure(7);
const arrowOf = (r) => closureOf(r) | 0;
function closures(r) {
  return arrowOf(r);
}

const anonymousOf = [
  function (r) {
    return leaf(r) + 1;
  },
];
function anonymous(r) {
  return anonymousOf[0](r);
}

class Capturing {
  constructor() { this.base = 5; }
  captureThis(r) {
    const inner = () => {
      return this.base + leaf(r);
    };
    return inner();
  }
}
const capturing = new Capturing();
function captured(r) {
  return capturing.captureThis(r);
}

// ---- names
const computedKey = 'computed' + Math.floor(Math.random() + 1);
const computedOf = {
  [computedKey](r) {
    return leaf(r) - 1;
  },
};
function computed(r) {
  return computedOf[computedKey](r);
}
const renamedOf = [
  (r) => {
    return leaf(r) * 2;
  },
];
Object.defineProperty(renamedOf[0], 'name', { value: ['built', 'at', 'run', 'time'].join('-') });
function renamed(r) {
  return renamedOf[0](r);
}
function größeÄndern(r) {
  return leaf(r) + 1;
}
function latin(r) {
  return größeÄndern(r);
}
function 深さを測る(r) {
  return leaf(r) + 2;
}
function wideName(r) {
  return 深さを測る(r);
}
const symbolKey = Symbol('symbolic');
const symbolOf = {
  [symbolKey](r) {
    return leaf(r) + 3;
  },
};
function symbols(r) {
  return symbolOf[symbolKey](r);
}

// ---- called from builtins
function callbacks(r) {
  let total = 0;
  [1].forEach(function visit(v) {
    total += [v].map((w) => w + leaf(r))[0];
  });
  return total;
}
function reducing(r) {
  return [1, 2].reduce(function reducer(a, b) {
    return a + b + leaf(r);
  });
}
let sortRecord = false;
function compare(a, b) {
  leaf(sortRecord);
  return a - b;
}
function sorting(r) {
  sortRecord = r;
  return [2, 1].sort(compare)[0];
}
let replaceRecord = false;
function replacer(m) {
  return m + leaf(replaceRecord);
}
function replacing(r) {
  replaceRecord = r;
  return 'abc'.replace(/b/, replacer).length;
}
let jsonRecord = false;
const jsonOf = {
  toJSON() {
    return leaf(jsonRecord);
  },
};
function stringify(r) {
  jsonRecord = r;
  return JSON.stringify(jsonOf).length;
}
let reviveRecord = false;
function reviver(key, value) {
  return value + leaf(reviveRecord);
}
function parsing(r) {
  reviveRecord = r;
  return JSON.parse('1', reviver);
}
function reflected(r, a, b) { return (a | 0) + leaf(r) + (b | 0); }
function reflection(r) { return Reflect.apply(reflected, null, [r, 1]); }
function reflectedNew(r) {
  this.value = leaf(r);
}
function reflectConstruct(r) {
  return Reflect.construct(reflectedNew, [r]).value;
}
function boundTarget(a, r) {
  return a + leaf(r);
}
const bound = boundTarget.bind(null, 3);
function binding(r) {
  return bound(r);
}
function called(r) {
  return this.add + leaf(r);
}
function callAndApply(r) {
  return called.call({ add: 1 }, r);
}
let proxyRecord = false;
const proxied = new Proxy({ value: 1 }, {
  get(target, key) {
    return target[key] + leaf(proxyRecord);
  },
});
function proxies(r) {
  proxyRecord = r;
  return proxied.value;
}
let textRecord = false;
const textual = {
  toString() {
    return String(leaf(textRecord));
  },
};
function texts(r) {
  textRecord = r;
  return `${textual}`.length;
}
let spreadRecord = false;
const iterable = {
  [Symbol.iterator]() {
    let n = leaf(spreadRecord) & 0;
    return {
      next: function iteratorNext() {
        return { done: n++ > 0, value: leaf(spreadRecord) };
      },
    };
  },
};
function spreading(r) {
  spreadRecord = r;
  let sum = 0;
  for (const v of iterable) sum += v;
  return sum;
}

// ---- arguments that are too few, too many
function fewer(r, a, b, c) {
  return (a === undefined ? 1 : a) + leaf(r) + (c | b);
}
function more(r) {
  return arguments.length + fewer(r);
}
function mismatch(r) {
  return more(r, 1, 2, 3, 4);
}
function rest(r, ...others) {
  return others.length + leaf(r);
}
function restArguments(r) {
  return rest(r, ...[1, 2]);
}

// ---- code made at run time
const evalOf = eval(`(function evalInner(r, leaf) {
  return 1 +
    leaf(r);
})`);
function evaluated(r) {
  return evalOf(r, leaf);
}
const functionOf = new Function('r', 'leaf', 'const a = r ? 1 : 2;\nreturn a + leaf(r);');
function newFunction(r) {
  return functionOf(r, leaf);
}
const vmOf = new vm.Script(`(function vmInner(r, leaf) {
  return 2 + leaf(r);
})`, { filename: 'vm-offset.js', lineOffset: 1000, columnOffset: 20 }).runInThisContext();
function vmOffset(r) {
  return vmOf(r, leaf);
}
const contextOf = vm.runInNewContext(`(function contextInner(r, leaf) { return 2 + leaf(r); })`, {},
  { filename: 'vm-context.js' });
function vmContext(r) {
  return contextOf(r, leaf);
}

// ---- control flow
function thrower(r) {
  const v = leaf(r);
  if (v < 0) throw new Error('never');
  return v;
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
function afterThrow(r) {
  let n = 0;
  try {
    if (n === 0) throw sink;
  } catch (e) {
    n = leaf(r);
  }
  return n;
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
// Inlined into loops by each compiler, Maglev too.
function mark() {
  record(new Error());
}
function tiny(x, r) {
  if (r) mark();
  let s = x;
  for (let i = 0; i < 300; i++) s = (s * 31 + i) % 65521;
  return s;
}
function tinyLoop(r) {
  let s = 0;
  for (let i = 0; i < 4; i++) {
    s ^= 1;
    s += tiny(s + i, r);
  }
  return s;
}
function inlinedLoop(r) {
  let s = 0;
  for (let i = 0; i < 8; i++) {
    s ^= tinyLoop(r);
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
function* delegateInner(r) {
  yield leaf(r);
}
function* delegateOuter(r) {
  yield* delegateInner(r);
}
function delegates(r) {
  let sum = 0;
  for (const v of delegateOuter(r)) sum += v;
  return sum;
}
function switched(r) {
  let n = 0;
  for (let i = 0; i < 3; i++) {
    switch (i) {
      case 0:
        n += leaf(r);
        break;
      case 1:
        n -= leaf(r);
        break;
      default:
        n ^= leaf(r);
    }
  }
  return n;
}

// ---- depth, size
function recurse(n, r) {
  if (n === 0) return leaf(r);
  return 1 + recurse(n - 1, r);
}
function recursion(r) {
  return recurse(40, r);
}
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
// The same function from another place.
function again(r) {
  const o = { r: r, callAgain() { return wide(this.r); } };
  return o.callAgain();
}
const localNames = Array.from({ length: 150 }, (_, i) => `local${i}`);
const manyOf = vm.runInThisContext(`(function manyLocals(r, leaf) {
  let ${localNames.map((n, i) => `${n} = ${i}`).join(', ')};
  const f = () => ${localNames.join(' + ')};
  local7 = leaf(r);
  return f === null ? f : local7;
})`, { filename: 'vm-many.js' });
function locals(r) {
  return manyOf(r, leaf);
}

// Two calls in turn, tiny functions: many samples at the edges of functions.
function pingOdd(n, r) {
  return n === 0 ? leaf(r) : pingEven(n - 1, r) ^ 1;
}
function pingEven(n, r) {
  return n === 0 ? leaf(r) : pingOdd(n - 1, r) + 1;
}
function pingPong(r) {
  return pingEven(12, r);
}

// ---- time in builtins
const text = 'lorem ipsum dolor sit amet '.repeat(40) + '!';
function matching(r) {
  if (r) return leaf(r);
  return /(\w+\s)+!/.test(text.slice(-60)) ? 1 : 0;
}
function regexp(r) {
  return matching(r);
}
const numbers = Array.from({ length: 300 }, (_, i) => i * 7919 % 1000);
function arrayWork(r) {
  if (r) return leaf(r);
  return numbers.slice().sort().indexOf(3) + numbers.join().length;
}
function builtins(r) {
  return arrayWork(r);
}
function stringWork(r) {
  if (r) return leaf(r);
  return JSON.stringify(numbers).length + parseInt(text.toUpperCase(), 36);
}
function runtime(r) {
  return stringWork(r);
}

const sync = [plain, method, construct, derived, getter, setter, prototypes, closures, anonymous,
  captured, computed, renamed, latin, wideName, symbols, callbacks, reducing, sorting, replacing,
  stringify, parsing, reflection, reflectConstruct, binding, callAndApply, proxies, texts,
  spreading, mismatch, restArguments, evaluated, newFunction, vmOffset, vmContext, guarded,
  afterThrow, looping, inlinedLoop, generators, delegates, switched, recursion, deep, again, locals, pingPong,
  regexp, builtins, runtime];

// ---- scenarios that end later: each returns a promise
const batch = (r) => (r ? 1 : 40);

const emitter = new EventEmitter();
emitter.on('work', function listener(r) {
  sink = leaf(r);
});
function events(r) {
  emitter.emit('work', r);
}
sync.push(events);

function timers(r) {
  return new Promise((done) => {
    setTimeout(function onTimer() {
      for (let i = batch(r); i > 0; i--) {
        sink = leaf(r);
      }
      done();
    }, 0);
  });
}
function ticks(r) {
  return new Promise((done) => {
    process.nextTick(function onTick() {
      sink = leaf(r);
      done();
    });
  });
}
function immediates(r) {
  return new Promise((done) => {
    setImmediate(function onImmediate() {
      for (let i = batch(r); i > 0; i--) {
        sink = leaf(r);
      }
      done();
    });
  });
}
function promises(r) {
  return Promise.resolve(r).then(function onFulfilled(v) {
    return leaf(v);
  });
}
async function awaitInner(r) {
  sink = leaf(r);
  await null;
  return leaf(r);
}
async function awaiting(r) {
  const v = await awaitInner(r);
  return v + leaf(r);
}
async function* asyncCounting(r) {
  for (let i = 0; i < 2; i++) {
    yield leaf(r);
  }
}
async function asyncGenerators(r) {
  let sum = 0;
  for await (const v of asyncCounting(r)) sum += v;
  return sum;
}

// ---- WebAssembly: outer calls inner, which calls the imported function
function wasmModule() {
  const bytes = (...parts) => [].concat(...parts);
  const name = (s) => bytes(s.length, [...Buffer.from(s)]);
  const section = (id, body) => bytes(id, body.length, body);
  return new Uint8Array(bytes(
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    section(2, bytes(1, name('e'), name('f'), 0, 0)),
    section(3, [2, 0, 0]),
    section(7, bytes(1, name('outer'), 0, 2)),
    section(10, [2, 6, 0, 0x20, 0, 0x10, 0, 0x0b, 6, 0, 0x20, 0, 0x10, 1, 0x0b]),
    section(0, bytes(name('name'), section(1, bytes(3, 0, name('imported'), 1, name('wasmInner'),
      2, name('wasmOuter')))))));
}
const wasmInstance = new WebAssembly.Instance(new WebAssembly.Module(wasmModule()), {
  e: {
    f: function wasmImport(r) {
      return leaf(r === 1);
    },
  },
});
const wasmRun = wasmInstance.exports.outer;
function wasm(r) {
  return wasmRun(r ? 1 : 0);
}
sync.push(wasm);

// The other isolate has scenarios of its own.
function workerInner(r) {
  return 1 + leaf(r);
}
function worker(r) {
  return 2 * workerInner(r);
}

exports.leaf = leaf;
exports.sync = sync;
exports.later = [timers, ticks, immediates, promises, awaiting, asyncGenerators];
exports.worker = [worker];
exports.onRecord = (callback) => { record = callback; };
