// How long a process stands still: for `jprof stacks` and for gdb's backtraces, and, of a process with
// much memory, for `jprof core` and for gcore.
//
//   node bench/stop.mjs [--jprof build/release/jprof] [--runs 100] [--gib 4] [--cores 5]
import { spawn, spawnSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const option = (name, value) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? value : process.argv[at + 1];
};
const jprof = option('jprof', 'build/release/jprof');
const runs = Number(option('runs', 100));
const gib = Number(option('gib', 4));
const cores = Number(option('cores', 5));

const busy = `
  const { Worker } = require('worker_threads');
  for (let i = 0; i < 3; i++) new Worker('setInterval(() => {}, 1000)', { eval: true });
  require('fs').stat('/', () => {});
  function leaf(n) { let x = n; for (let i = 0; i < 1e5; i++) x = (x * 31 + i) | 0; return x; }
  function middle(n) { return n > 20 ? leaf(n) : middle(n + 1); }
  setTimeout(() => { console.log('ready'); for (;;) middle(0); }, 500);`;
const large = `
  const keep = [];
  for (let i = 0; i < ${gib} * 16; i++) keep.push(Buffer.alloc(64 << 20, i + 1));
  console.log('ready');
  setInterval(() => keep.length, 100);`;

function start(program) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.once('data', () => resolve(child));
  });
}
function seconds(command, ...args) {
  const begin = process.hrtime.bigint();
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  return { s: Number(process.hrtime.bigint() - begin) / 1e9, out: done.stdout, err: done.stderr };
}
const sorted = (values) => values.sort((a, b) => a - b);
const show = (ms) => `${ms.toFixed(2)} ms`;

let child = await start(busy);
const longest = [];
const together = [];
let threads = 0;
for (let i = 0; i < runs; i++) {
  const all = JSON.parse(seconds(jprof, 'stacks', `${child.pid}`, '--json').out).threads;
  threads = all.length;
  const pauses = all.map((t) => t.pause_ns / 1e6);
  longest.push(Math.max(...pauses));
  together.push(pauses.reduce((a, b) => a + b, 0));
}
sorted(longest), sorted(together);
console.log(`stacks of ${threads} threads, ${runs} runs: longest pause of a thread median ` +
  `${show(longest[runs >> 1])}, worst ${show(longest[runs - 1])}; all pauses together median ` +
  `${show(together[runs >> 1])}, worst ${show(together[runs - 1])}`);
console.log(`gdb -batch -ex 'thread apply all bt': ` +
  show(1e3 * seconds('gdb', '-batch', '-ex', 'thread apply all bt', '-p', `${child.pid}`).s));
child.kill('SIGKILL');

child = await start(large);
const file = join(tmpdir(), `jprof-bench-core-${process.pid}`);
for (const form of [[], ['--mini'], ['--mini', '--bundle']]) {
  const pauses = [];
  let last;
  for (let i = 0; i < cores; i++) {
    last = seconds(jprof, 'core', `${child.pid}`, '-o', file, ...form);
    pauses.push(Number(/([\d.]+) ms/.exec(last.err)[1]));
  }
  sorted(pauses);
  console.log(`core ${form.join(' ')} of ${gib} GiB, ${cores} runs: pause median ${show(pauses[cores >> 1])}, worst ` +
    `${show(pauses[cores - 1])}; ${(statSync(file).blocks / 2048).toFixed(1)} MiB on disk, in ${last.s.toFixed(1)} s`);
  rmSync(file, { force: true });
}
console.log(`gcore: ${seconds('gcore', '-o', file, `${child.pid}`).s.toFixed(1)} s, all of it a pause`);
rmSync(`${file}.${child.pid}`, { force: true });
child.kill('SIGKILL');
