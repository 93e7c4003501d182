// How long a process stands still: for `jprof stacks` and for gdb's backtraces, and, of a process with
// much memory, for `jprof core` and for gcore.
//
//   node bench/stop.mjs [--jprof build/release/jprof] [--runs 100] [--gib 4] [--cores 5]     (0: not that part)
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

// It writes when it could not run for a while, and how long.
const busy = `
  const fs = require('fs');
  fs.stat('/', () => {});
  const now = () => { const [s, ns] = process.hrtime(); return s * 1e3 + ns / 1e6; };
  function leaf() {
    for (let i = 0, last = now(); i < 1e4; i++) {
      const t = now();
      if (t - last > 0.1) fs.writeSync(1, t + ' ' + (t - last) + '\\n');
      last = t;
    }
  }
  function middle(n) { return n > 20 ? leaf() : middle(n + 1); }
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
const medianAndWorst = (values) => {
  sorted(values);
  return `median ${show(values[values.length >> 1])}, worst ${show(values[values.length - 1])}`;
};
const now = () => Number(process.hrtime.bigint()) / 1e6;

let child;
if (runs > 0) {
  child = await start(busy);
  const gaps = []; // of the process: end, length
  let rest = '';
  child.stdout.on('data', (data) => {
    const lines = (rest + data).split('\n');
    rest = lines.pop();
    for (const line of lines) gaps.push(line.split(' ').map(Number));
  });
  const longest = [];
  const spans = { 'jprof stacks': [], 'jprof stacks --no-stop': [], 'no jprof': [] };
  const timed = async (what, work) => {
    const begin = now();
    const result = await work();
    spans[what].push([begin, now()]);
    return result;
  };
  let threads = 0;
  for (let i = 0; i < runs; i++) {
    const out = await timed('jprof stacks', () => seconds(jprof, 'stacks', `${child.pid}`, '--json').out);
    const all = JSON.parse(out).threads;
    threads = all.length;
    longest.push(Math.max(...all.map((t) => t.pause_ns / 1e6)));
    await timed('jprof stacks --no-stop', () => seconds(jprof, 'stacks', `${child.pid}`, '--json', '--no-stop'));
    await timed('no jprof', () => new Promise((done) => setTimeout(done, 200)));
  }
  console.log(`stacks of ${threads} threads, ${runs} runs: longest pause of a thread ${medianAndWorst(longest)}`);
  for (const [what, times] of Object.entries(spans)) {
    const worst = times.map(([begin, end]) =>
      Math.max(0, ...gaps.filter(([at]) => at > begin && at < end).map(([, length]) => length)));
    console.log(`  longest time that the thread itself did not run, with ${what}: ${medianAndWorst(worst)}`);
  }
  console.log(`gdb -batch -ex 'thread apply all bt': ` +
    show(1e3 * seconds('gdb', '-batch', '-ex', 'thread apply all bt', '-p', `${child.pid}`).s));
  child.kill('SIGKILL');
}
if (cores === 0) process.exit();

child = await start(large);
const file = join(tmpdir(), `jprof-bench-core-${process.pid}`);
for (const form of [[], ['--mini'], ['--mini', '--bundle']]) {
  const pauses = [];
  let last;
  for (let i = 0; i < cores; i++) {
    last = seconds(jprof, 'core', `${child.pid}`, '-o', file, ...form);
    pauses.push(Number(/([\d.]+) ms/.exec(last.err)[1]));
  }
  console.log(`core ${form.join(' ')} of ${gib} GiB, ${cores} runs: pause ${medianAndWorst(pauses)}; ` +
    `${(statSync(file).blocks / 2048).toFixed(1)} MiB on disk, in ${last.s.toFixed(1)} s`);
  rmSync(file, { force: true });
}
console.log(`gcore: ${seconds('gcore', '-o', file, `${child.pid}`).s.toFixed(1)} s, all of it a pause`);
rmSync(`${file}.${child.pid}`, { force: true });
child.kill('SIGKILL');
