// Asynchronous functions that await each other in all ways there are, for awaits.mjs: prints what V8's own
// stack was when each worked, then "ready", then runs them in turn, for ever. A line is JSON: {scenario,
// chains: [[[name, file, line, column, isAsync], ...], ...]}, innermost function first.
//
// Whose stack it is, is told by what is not awaited: each scenario works in functions of its own.
// No syntax beyond what Node 12 reads.
'use strict';
const { EventEmitter } = require('events');
const fs = require('fs');
const util = require('util');

Error.stackTraceLimit = 200;

let chains = null;
let sink = 0;

function record(error) {
  const saved = Error.prepareStackTrace;
  Error.prepareStackTrace = (_, sites) => sites;
  const sites = error.stack;
  Error.prepareStackTrace = saved;
  const chain = [];
  for (const site of sites) {
    const combinator = /^async (Promise\..*)$/.exec(site.toString());
    if (combinator) chain.push([combinator[1], '', 0, 0, true]);
    else if (site.getFileName() === __filename || site.isEval()) {
      chain.push([site.getFunctionName() || '', site.getFileName() || '', site.getLineNumber(), site.getColumnNumber(),
        Boolean(site.isAsync && site.isAsync())]);
    }
  }
  chains.push(chain);
}

// All of the time is spent here.
function work() {
  if (chains) record(new Error());
  let x = 1;
  for (let i = 0; i < 100000; i++) x = (x * 31 + i) % 65521;
  sink = x;
  return 1;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const turn = () => new Promise((done) => setImmediate(done));

// ---- functions
async function plainLeaf() { await null; return work(); }
async function plainMiddle() {
  const result = 1 + await plainLeaf();
  return result;
}
async function plain() { return await plainMiddle(); }

async function loopLeaf(i) {
  await null;
  sink += i;
  work();
}
async function inLoops() {
  for (let i = 0; i < 3; i++) {
    await loopLeaf(i);
  }
  let n = 2;
  while (n-- > 0) await loopLeaf(n);
}
async function ownLoop() {
  let sum = 0;
  for (const n of [1, 2, 3]) {
    sum += await n;
    sum += work();
  }
  return sum;
}
async function awaitedLeaf() { await null; work(); return turn(); }
async function awaitOfAwait() { await (await awaitedLeaf()); }
async function argumentLeaf(n) { await n; return work(); }
async function inArguments() {
  return Math.max(
    await argumentLeaf(1),
    1 + await argumentLeaf(2));
}
async function notYetLeaf() { work(); await null; }
async function notYet() {
  await null;
  await notYetLeaf();  // works before its first await: on the stack of this one
}
async function guardedLeaf() { await null; work(); throw sink; }
async function guarded() {
  try {
    await guardedLeaf();
  } catch (e) {
    await null;
    work();
  } finally {
    await plainLeaf();
  }
}
async function branchLeaf() { await null; return work(); }
async function branches() {
  for (let i = 0; i < 3; i++) {
    switch (i) {
      case 0: await branchLeaf(); break;
      case 1: sink += i > 0 ? await branchLeaf() : 0; break;
      default: sink = sink || await branchLeaf();
    }
  }
}
const arrowLeaf = async () => { await null; work(); };
const arrowHolder = {
  run: async () => {
    await (async () => { await arrowLeaf(); })();
  },
};
async function arrows() { await arrowHolder.run(); }
const conciseLeaf = async (x) => work(await x);
const concise = async () => await conciseLeaf(1);

class Base {
  constructor() { this.n = 1; }
  async load() { await null; return this.n + work(); }
  static async make() { await null; work(); return new this(); }
  get lazy() { return this.load(); }
}
class Derived extends Base {
  async load() { return 1 + await super.load(); }
}
async function methods() {
  const object = await Derived.make();
  await object.load();
  await object.lazy;
}
async function defaultsLeaf() { await null; return work(); }
async function defaults(x = defaultsLeaf()) { await x; }

const AsyncFunction = Object.getPrototypeOf(plain).constructor;
async function madeLeaf() { await null; work(); }
const madeOf = new AsyncFunction('leaf', 'const a = 1;\nawait leaf();\nreturn a;');
async function made() { await madeOf(madeLeaf); }

async function deepLeaf() { await null; work(); }
async function deepStep(n) {
  if (n === 0) return await deepLeaf();
  return await deepStep(n - 1);
}
async function deep() { await deepStep(40); }

// Hot in itself, after an await: replaced while it runs, then compiled.
async function workHot(n) {
  await null;
  if (chains) record(new Error());
  let x = 1;
  for (let i = 0; i < n; i++) {
    x = (x * 31 + i) % 65521;
  }
  sink = x;
}
async function hot() {
  await workHot(150000);
}
// The one that awaits is hot as well.
async function brief(x) { await x; return x + 1; }
async function hotCallerLeaf(x) { await x; work(); }
async function hotCaller() {
  let sum = 0;
  for (let i = 0; i < 40; i++) sum += await brief(i);
  await hotCallerLeaf(sum);
}
// Gone on with so often that it is compiled, with what it calls in it.
function workStep(n) {
  if (chains && n === 0) record(new Error());
  let x = n;
  for (let i = 0; i < 1000; i++) x = (x * 31 + i) % 65521;
  return x;
}
async function briefLeaf(n) {
  await n;
  return workStep(n);
}
async function hotLeaf() {
  for (let i = 0; i < 500; i++) {
    sink += await briefLeaf(i);
  }
}
async function* hotCounting() {
  for (let i = 0; i < 500; i++) {
    yield workStep(await i);
  }
}
async function hotGenerator() {
  for await (const n of hotCounting()) sink += n;
}
async function hotCallback() {
  for (let i = 0; i < 500; i++) sink += await Promise.resolve(i).then(workStep);
}

// ---- several at once
async function allLeaf() { await null; work(); }
async function all() { await Promise.all([1, allLeaf(), turn()]); }
async function everyElementLeaf(n) { await n; return work(); }
async function everyElement() { await Promise.all([1, 2, 3].map(async (n) => 1 + await everyElementLeaf(n))); }
async function nestedLeaf() { await null; work(); }
async function nested() { await Promise.all([Promise.all([null, null, nestedLeaf()])]); }
async function allSettledLeaf() { await null; work(); }
async function allSettled() { await Promise.allSettled([0, allSettledLeaf()]); }
async function anyLeaf() { await null; work(); }
async function any() { await Promise.any([anyLeaf()]); }
async function raceLeaf() { await null; work(); }
async function race() { await Promise.race([turn(), raceLeaf()]); }
async function sharedLeaf() { await null; work(); }
async function shared() {
  const one = sharedLeaf();
  await Promise.all([one, one]);  // two await it: nobody is shown
}

// ---- promises by hand
async function thenLeaf() { await null; return work(); }
async function then() { await thenLeaf().then((x) => x + 1).then((x) => x * 2); }
async function catchLeaf() { await null; return work(); }
async function catching() { await catchLeaf().catch(() => 0).finally(() => 1); }
function thenCallbackLeaf() { work(); }
async function thenCallback() { await Promise.resolve(1).then(() => thenCallbackLeaf()); }
function finallyLeaf() { work(); }
async function finallyCallback() { await Promise.resolve(1).finally(() => { finallyLeaf(); }); }
function catchCallbackLeaf() { work(); }
async function catchCallback() { await Promise.reject(1).catch(function handler() { catchCallbackLeaf(); }); }
async function asyncCallbackLeaf() { await turn(); work(); }
async function asyncCallback() { await turn().then(async () => { await asyncCallbackLeaf(); }); }
async function thrownAway() {
  let done = null;
  const end = new Promise((resolve) => { done = resolve; });
  Promise.resolve(1).then(function thrownAwayLeaf() { work(); done(); });  // nobody awaits it
  await end;
}
async function floatingLeaf(done) { await turn(); work(); done(); }
async function floating() {
  await new Promise((done) => { floatingLeaf(done); });  // not awaited itself
}
async function returnedLeaf() { await turn(); return work(); }
async function returnedMiddle() { return returnedLeaf(); }
async function returned() { return await returnedMiddle(); }
async function resolvedLeaf() { await turn(); return work(); }
async function resolved() { await new Promise((done) => done(resolvedLeaf())); }
async function thenableLeaf() { await turn(); return work(); }
async function thenable() {
  await { then(done) { thenableLeaf().then(done); } };
}
function ownThenLeaf(done) { done(work()); }
async function ownThen() {
  await { then(done) { ownThenLeaf(done); } };
}
class OwnPromise extends Promise {}
async function subclassLeaf() { await turn(); return work(); }
async function subclass() { await OwnPromise.resolve(subclassLeaf()).then((x) => x + 1); }
async function microtask() {
  await new Promise((done) => {
    Promise.resolve().then(() => 0);
    queueMicrotask(function microtaskLeaf() { work(); done(); });
  });
}

// ---- what ends later
async function timerLeaf() { await sleep(1); work(); }
async function timers() { await timerLeaf(); }
async function timerCallback() {
  await new Promise((done) => setTimeout(function timerCallbackLeaf() { work(); done(); }, 1));
}
async function tickLeaf() { await new Promise((done) => process.nextTick(done)); work(); }
async function ticks() { await tickLeaf(); }
const stat = util.promisify(fs.stat);
async function statLeaf() { await stat(__filename); work(); }
async function promisified() { await statLeaf(); }
const later = util.promisify((x, callback) => setImmediate(callback, null, x));
async function laterLeaf() { return work(await later(1)); }
async function promisifiedOwn() { await laterLeaf(); }
const callbackOf = util.callbackify(async function callbackLeaf() { await null; return work(); });
async function callbackified() { await util.promisify(callbackOf)(); }
async function eventLeaf(emitter) {
  await null;
  work();
  emitter.emit('end');
}
async function events() {
  const emitter = new EventEmitter();
  emitter.on('start', eventLeaf);
  const end = new Promise((done) => emitter.once('end', done));
  emitter.emit('start', emitter);
  await end;
}

// ---- asynchronous generators
async function countingLeaf() { await null; return work(); }
async function* counting() {
  for (let i = 0; i < 2; i++) {
    yield await countingLeaf();
  }
}
async function forAwait() {
  for await (const n of counting()) sink = n;
}
async function* relayInner() { yield await relayLeaf(); yield 2; }
async function relayLeaf() { await null; return work(); }
async function* relay() { yield* relayInner(); }
async function relayed() {
  for await (const n of relay()) sink = n;
}
async function* ownWork() {
  await null;
  work();
  yield 1;
  work();
}
async function generatorItself() {
  for await (const n of ownWork()) {
    sink = n;
    work();
  }
}
async function* nextOf() { await null; yield work(); }
async function byNext() {
  const g = nextOf();
  await g.next();
  await g.return(1);
}
async function fromSyncLeaf(n) { await n; return work(); }
async function fromSync() {
  for await (const n of [fromSyncLeaf(1), 2]) sink = n;
}
async function* queuedOf() { await null; yield work(); yield work(); }
async function queued() {
  const g = queuedOf();
  const first = g.next(), second = g.next();
  await first;
  await second;
}
async function iteratorLeaf() { await null; return work(); }
const ownIterable = {
  [Symbol.asyncIterator]() {
    let n = 0;
    return {
      async next() {
        await iteratorLeaf();
        return { done: n++ > 0, value: n };
      },
    };
  },
};
async function ownIterator() {
  for await (const n of ownIterable) sink = n;
}

const scenarios = [plain, inLoops, ownLoop, awaitOfAwait, inArguments, notYet, guarded, branches, arrows, concise, methods,
  defaults, made, deep, hot, hotCaller,
  hotLeaf, hotGenerator, hotCallback, all, everyElement, nested, race, shared, then, catching, thenCallback,
  finallyCallback, catchCallback, asyncCallback, thrownAway, floating, returned, resolved, thenable, ownThen, subclass, microtask,
  timers, timerCallback, ticks, promisified, promisifiedOwn, callbackified, events, forAwait, relayed, generatorItself,
  byNext, fromSync, queued, ownIterator];
if (Promise.allSettled) scenarios.push(allSettled);
if (Promise.any) scenarios.push(any);

const warmUp = 8;
// One call site for the truth and for all that is sampled.
async function rotate() {
  for (let round = 0;; round++) {
    for (const scenario of scenarios) {
      if (round === 0) chains = [];
      await scenario();
      if (round === 0) console.log(JSON.stringify({ scenario: scenario.name, chains }));
    }
    if (round === warmUp) console.log('ready');
    chains = null;
  }
}
rotate();
