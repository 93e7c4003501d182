// Functions whose shares of self time are known, for the program itself takes the CPU time of each.
// Says ready, waits for a byte, works for argv[2] seconds, and says what it measured: {function: share}.
'use strict';

const numbers = Float64Array.from({ length: 400 }, (_, i) => i / 7);
const words = Array.from({ length: 512 }, (_, i) => `word ${i} ${'x'.repeat(i % 13)}`);
const map = new Map(words.map((word, i) => [word, i]));
const shapes = Array.from({ length: 64 }, (_, i) => Object.assign({}, { [`key${i}`]: i }, { value: i }));
const record = { name: 'record', values: Array.from({ length: 200 }, (_, i) => i) };

// Compiled code alone.
function sum() {
  let s = 0;
  for (let k = 0; k < 40; k++) for (let i = 0; i < numbers.length; i++) s += numbers[i] * k;
  return s;
}

// Is inlined into its caller, which does nothing but call it.
function dot(k) {
  let s = 0;
  for (let i = 0; i < numbers.length; i++) s += numbers[i] * numbers[(i * k) & 255];
  return s;
}
function callsDot() {
  let s = 0;
  for (let k = 0; k < 40; k++) s += dot(k);
  return s;
}

// Spends its time in builtins without a frame of their own.
function lookUp() {
  let s = 0;
  for (let i = 0; i < words.length; i++) s += map.get(words[i]);
  return s;
}
function callsLookUp() {
  return lookUp() + 1;
}

// The same, by the inline cache.
function load() {
  let s = 0;
  for (let k = 0; k < 16; k++) for (let i = 0; i < shapes.length; i++) s += shapes[i].value;
  return s;
}
function callsLoad() {
  return load() + 1;
}

// Spends its time in C++.
function encode() {
  return JSON.stringify(record).length;
}

const kept = new Map();
const parts = [sum, callsDot, callsLookUp, callsLoad, encode];
function run(part, until) {
  let s = 0;
  for (let now; (now = performance.now()) < until; ) for (let i = 0; i < 20; i++) s += part();
  return s;
}

function cpuTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

process.stdin.once('data', () => {
  const end = performance.now() + 1000 * Number(process.argv[2] || 8);
  const times = new Map();
  for (let turn = 0; performance.now() < end; turn++) {
    const part = parts[turn % parts.length];
    const begin = cpuTime();
    kept.set(part, run(part, performance.now() + 2 + 3 * (turn % parts.length)));
    times.set(part.name, (times.get(part.name) || 0) + cpuTime() - begin);
  }
  const all = [...times.values()].reduce((a, b) => a + b, 0);
  const truth = {};
  for (const [name, time] of times) truth[name.replace(/^calls(.)/, (_, c) => c.toLowerCase())] = time / all;
  process.stdout.write(JSON.stringify(truth) + '\n', () => process.exit(0));
});
process.stdout.write('ready\n');
