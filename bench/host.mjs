#!/usr/bin/env node
// What jprof -a takes and gives on a host in an extreme state; bench/host_load.c makes the states.
//
//   quiet      CPU time at 49 Hz on a host where nothing happens
//   storm      500 fork+exec a second, each child burns 2 ms: CPU time, and the samples of children that are placed
//              (no frame outside of all files), rooted (not cut), and in their own code with its callers
//   threads    500 runnable threads at 10 kHz: samples lost; those that did not happen show in the achieved rate
//   processes  1,000 processes: memory, with kernel maps and rings
//   mappings   a process with 60,000 executable mappings: time to its first sample
//   perfmap    a perf map with two million lines, 200 MB: CPU time, samples named
//
// CPU time is of user and kernel, between two readings while jprof records: loading and naming are not in it.
// Memory is resident memory, and what the kernel charged for maps that are not mapped, and the rings.
//
//   usage: node bench/host.mjs [quiet] [storm] ...      (all by default; needs root)
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { jprof, parseFolded, percent, root, startReady, stop } from './lib.mjs';

const wanted = process.argv.slice(2);
const seconds = Number(process.env.SECONDS || 30);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const load = path.join(root, 'build/release/bench/host_load');
const folder = mkdtempSync(path.join(os.tmpdir(), 'host-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const pageBytes = 4096;
const ringPages = 33;  // of one CPU's side-band
const ticksPerSecond = 100;

function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

// In MB.
function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kb = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)[1]);
  let maps = 0;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let what = '';
    try { what = readlinkSync(`/proc/${pid}/fd/${fd}`); } catch { /* closed meanwhile */ }
    if (!what.includes('bpf-map')) continue;
    maps += Number(/^memlock:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? 0);
  }
  const rings = os.cpus().length * ringPages * pageBytes;
  return { resident: kb('VmRSS') / 1024, maps: maps / 2 ** 20, all: kb('VmRSS') / 1024 + (maps + rings) / 2 ** 20 };
}

// Records for `seconds`, with readings from the second second to the last but one.
async function record(args, during = seconds) {
  const out = path.join(folder, 'out.folded');
  os.setPriority(0);
  const child = spawn(jprof, [...args, '-d', String(during), '-o', out], { stdio: ['ignore', 'ignore', 'pipe'] });
  os.setPriority(os.constants.priority.PRIORITY_HIGHEST);  // or 500 threads would keep it from reading
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const ended = once(child, 'exit');
  // From the start of the recording on, which -d counts.
  while (!/perf_event/.test(readdirSync(`/proc/${child.pid}/fd`).map((fd) => {
    try { return readlinkSync(`/proc/${child.pid}/fd/${fd}`); } catch { return ''; }
  }).join())) await sleep(20);
  const began = performance.now();
  await sleep(3000);
  const before = { cpu: cpuSeconds(child.pid), at: performance.now(), memory: memory(child.pid) };
  const course = [before.memory.all];  // each ten seconds
  for (let left = during - 4; left > 0; left -= 10) {
    await sleep(Math.min(left, 10) * 1000);
    course.push(memory(child.pid).all);
  }
  const after = { cpu: cpuSeconds(child.pid), at: performance.now(), memory: memory(child.pid) };
  const [status] = await ended;
  const lines = err.trim().split('\n').map((line) => line.replace(/^jprof: /, ''));
  const verdict = lines.find((line) => / samples in /.test(line));
  if (status !== 0 || !verdict) throw new Error(`jprof ${args.join(' ')}: ${status}\n${err}`);
  const cpu = (after.cpu - before.cpu) / ((after.at - before.at) / 1000);
  const over = (performance.now() - began) / 1000 - during;
  return { over, text: readFileSync(out, 'utf8'), lines, verdict, cpu, before, after, course };
}

const ofCpu = (cpu) => `${(100 * cpu).toFixed(2)} % of one CPU, ${((100 * cpu) / os.cpus().length).toFixed(2)} % of the host`;
const mb = (m) => `${m.all.toFixed(0)} MB (resident ${m.resident.toFixed(0)}, maps ${m.maps.toFixed(0)})`;

const states = {
  async quiet() {
    const r = await record(['-a', '-F', '49']);
    console.log(`CPU ${ofCpu(r.cpu)}; aim 1 %`);
    console.log(r.verdict);
  },

  async storm() {
    const child = await startReady(load, ['storm', '500', '2']);
    const r = await record(['-a', '-F', '49']);
    await stop(child);
    let all = 0, placed = 0, rooted = 0, own = 0, whole = 0;
    for (const line of r.text.split('\n')) {
      if (!line.startsWith('exe;')) continue;  // what /proc/self/exe is called
      const frames = line.slice(0, line.lastIndexOf(' ')).split(';');
      const count = Number(line.slice(line.lastIndexOf(' ') + 1));
      all += count;
      const lost = frames.includes('[unknown]');
      const cut = frames.includes('[truncated]');
      placed += lost ? 0 : count;
      rooted += lost || cut ? 0 : count;
      if (!frames.includes('burn')) continue;
      own += count;
      whole += frames.includes('main') && frames.includes('child_work') ? count : 0;
    }
    console.log(`CPU ${ofCpu(r.cpu)}; aim 5 %`);
    console.log(`samples of children: ${all}, placed ${percent(placed, all)} (aim 95 %), rooted ${percent(rooted, all)}; ` +
                `in their own code ${own}, with its callers ${percent(whole, own)}`);
    console.log(`memory ${mb(r.after.memory)}; each 10 s ${r.course.map((m) => m.toFixed(0)).join(', ')} MB`);
    r.lines.forEach((line) => console.log(line));
  },

  async threads() {
    const child = await startReady(load, ['threads', '500']);
    const r = await record(['-a', '-F', '10000']);
    await stop(child);
    const [, kept] = /^(\d+) samples/.exec(r.verdict);
    const [, lost] = /(\d+) lost/.exec(r.verdict);
    console.log(`kept ${kept}, lost ${lost}: ${percent(Number(lost), Number(kept) + Number(lost))} (aim 1 %)`);
    console.log(`CPU ${ofCpu(r.cpu)}; memory ${mb(r.after.memory)}; the file is written ${r.over.toFixed(1)} s after -d`);
    r.lines.forEach((line) => console.log(line));
  },

  async processes() {
    const child = await startReady(load, ['processes', '1000']);
    const r = await record(['-a', '-F', '49'], 15);
    await stop(child);
    console.log(`memory ${mb(r.after.memory)}; aim 150 MB`);
    console.log(`CPU ${ofCpu(r.cpu)}`);
    r.lines.forEach((line) => console.log(line));
  },

  async mappings() {
    const child = await startReady(load, ['mappings', '60000']);
    const began = performance.now();
    const terminal = spawn('script', ['-qefc', `${jprof} -p ${child.pid} -F 99 -d 10 -o ${folder}/m.folded`, '/dev/null']);
    let text = '', first = 0;
    terminal.stdout.setEncoding('utf8').on('data', (more) => {
      text += more;
      if (first === 0 && /, [1-9]\d* samples/.test(text)) first = performance.now() - began;
    });
    await once(terminal, 'exit');
    await stop(child);
    console.log(`first sample ${(first / 1000).toFixed(2)} s after the start; aim 2 s`);
    console.log(text.split(/[\r\n]/).find((line) => / samples in /.test(line))?.replace('\u001b[K', ''));
  },

  async perfmap() {
    const child = await startReady(load, ['perfmap', '2000000']);
    const r = await record(['-p', String(child.pid), '-F', '999'], 15);
    child.stdin.end();
    await child.ended;
    const own = /own CPU ([\d.]+) s/.exec(r.verdict)[1];
    const stacks = parseFolded(r.text);
    const sum = (some) => some.reduce((total, stack) => total + stack.count, 0);
    const named = sum(stacks.filter((stack) => stack.frames.some((frame) => /^function_\d/.test(frame))));
    console.log(`own CPU time to the end of the recording ${own} s; aim 2.5 s; named ${percent(named, sum(stacks))}`);
    console.log(`memory ${mb(r.after.memory)}`);
    r.lines.forEach((line) => console.log(line));
  },
};

for (const name of wanted) {
  if (!states[name]) {
    console.error(`bench: error: no state '${name}'; known: ${Object.keys(states).join(', ')}`);
    process.exit(2);
  }
}
for (const [name, measure] of Object.entries(states)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n${name}`);
  await measure();
}
process.exit(0);
