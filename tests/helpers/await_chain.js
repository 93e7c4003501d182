// Asynchronous functions that await each other in many ways, one scenario after the other for ever,
// each by the same call sites. The first time, the innermost function records V8's own stack trace,
// and who awaits it there is printed, a line for each scenario, innermost first:
// "inner 12:9;Promise.all;outer 15:3". Then "ready".
//
// No syntax beyond what Node 12 reads.
'use strict';

Error.stackTraceLimit = 100;

let recorded = null;
let sink = 0;

function spin() {
  let x = 1;
  for (let i = 0; i < 3000000; i++) x = (x * 31 + i) % 65521;
  sink = x;
}

async function leaf() {
  await null;
  if (recorded === null) {
    recorded = new Error().stack;
  } else {
    spin();
  }
  return 1;
}

async function plain() { return await middle(); }
async function middle() {
  const result = 1 + await leaf();
  return result;
}

const holder = {
  run: async () => {
    await (async () => { await leaf(); })();
  },
};
async function arrows() { await holder.run(); }

async function every() { await Promise.all([1, leaf()]); }
async function settled() { await Promise.allSettled([leaf()]); }
async function any() { await Promise.any([leaf()]); }
async function race() { await Promise.race([leaf()]); }
async function chained() { await leaf().then(x => x + 1).then(x => x * 2); }
async function returned() { await (async () => 1)(); return await middle(); }

async function* numbers() {
  await null;
  yield await middle();
}
async function* relay() { yield* numbers(); }
async function reader() {
  for await (const n of numbers()) sink = n;
}
async function farReader() {
  for await (const n of relay()) sink = n;
}

async function inTry() {
  try {
    await middle();
  } finally {
    sink = 0;
  }
}

async function deep(n) {
  if (n === 0) return await leaf();
  return await deep(n - 1);
}
async function deeper() { await deep(20); }

const scenarios = [plain, arrows, every, race, chained, returned, reader, farReader, inTry, deeper];
if (Promise.any) scenarios.push(any);
if (Promise.allSettled) scenarios.push(settled);

function awaiters(stack) {
  const result = [];
  for (const line of stack.split('\n')) {
    const combinator = /^ +at async (Promise\.\w+) \(index \d+\)$/.exec(line);
    if (combinator) result.push(combinator[1]);
    const named = /^ +at async (.*) \(.*:(\d+):(\d+)\)$/.exec(line);
    if (named) result.push(`${named[1].replace(/^Object\./, '')} ${named[2]}:${named[3]}`);
    const anonymous = /^ +at async [^ ]*:(\d+):(\d+)$/.exec(line);
    if (anonymous) result.push(`(anonymous) ${anonymous[1]}:${anonymous[2]}`);
  }
  return result;
}

async function rotate() {
  const truths = [];
  for (let round = 0;; round++) {
    for (const scenario of scenarios.slice()) {
      if (round === 0) recorded = null;
      await scenario();
      if (round > 0) continue;
      const truth = awaiters(recorded);
      if (truth.length > 0) {
        truths.push(truth.join(';'));
      } else {
        scenarios.splice(scenarios.indexOf(scenario), 1);  // this V8 does not follow it
      }
    }
    if (round === 0) console.log(truths.join('\n') + '\nready');
  }
}
rotate();
