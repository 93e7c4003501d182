// The same amount of work each time: bench/compare measures what a profiler adds to it. Half of it below
// thirty callers of JavaScript, in hot functions that call others; half in the runtime's own code.
//   usage: node fixed.js ROUNDS
'use strict';
const rounds = Number(process.argv[2]) || 1000;

function mixed(a, b) {
  return (Math.imul(a ^ (b >>> 3), 2654435761) + b) | 0;
}

function sum(n, seed) {
  let total = seed;
  for (let i = 0; i < n; i++) total = mixed(total, i);
  return total;
}

function deep(callers, n) {
  return callers === 0 ? sum(n, 1) : deep(callers - 1, n) + 1;
}

const record = { name: 'x'.repeat(40), list: Array.from({ length: 200 }, (_, i) => ({ id: i, text: `entry ${i}` })) };

function text() {
  return JSON.parse(JSON.stringify(record)).list.map((entry) => entry.text.split(' ').reverse().join('-')).sort().length;
}

let total = 0;
for (let i = 0; i < rounds; i++) total += deep(30, 200_000) + text() + text() + text();
if (total === 42) console.log(total);
