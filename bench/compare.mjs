#!/usr/bin/env node
// jprof beside perf (record -g, script, and the classic Perl scripts), bpftrace's profile probe, node's own
// --cpu-prof and --perf-basic-prof: what the same recording costs.
//
//   chain    record SECONDS s of a busy node at 999 Hz, to the finished SVG: CPU time of all processes of the
//            tool, peak of their resident memory together, time from the end of the recording to the SVG
//   quiet    CPU time of the tool's processes while they record the same at 99 Hz for SECONDS s
//   target   CPU time that a program needs for the same work while it is profiled at 999 Hz (node's own
//            profilers: at their 1,000 Hz): what the profiler takes in the target itself, interrupts included
//
// Each tool runs in a control group of its own, which counts what its processes used, those that ended
// too. Runs are interleaved: one of each tool, ROUNDS times; the medians are shown, and the ratio to jprof's.
//
//   usage: bench/compare [--install] [chain] [quiet] [target]     (all by default; needs root and cgroup v2)
//          SECONDS=30 ROUNDS=3 NODE=22.23.3 FLAMEGRAPH=FOLDER     (of stackcollapse-perf.pl and flamegraph.pl)
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { jprof, nodeBinary, root, startReady, stop, table } from './lib.mjs';

const words = process.argv.slice(2);
const install = words.includes('--install');
const wanted = words.filter((word) => !word.startsWith('-'));
const known = ['chain', 'quiet', 'target'];
for (const word of words) {
  if (word === '--install' || known.includes(word)) continue;
  console.error(`bench: error: what is '${word}'? known: --install ${known.join(' ')}`);
  process.exit(2);
}
const seconds = Number(process.env.SECONDS || 30);
const rounds = Number(process.env.ROUNDS || 3);
const node = nodeBinary(process.env.NODE || '22.23.3');
const folder = mkdtempSync(path.join(os.tmpdir(), 'compare-'));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values) => values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)];

// --- The peers -------------------------------------------------------------------------------------

function find(program) {
  try {
    return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

const missing = [];
function require(program, debianPackage) {
  if (find(program) === '' && install) execFileSync('apt-get', ['install', '-y', '-qq', debianPackage], { stdio: 'inherit' });
  if (find(program) === '') missing.push(`${program}: apt-get install ${debianPackage}, or --install`);
  return find(program);
}
process.env.BPFTRACE_CACHE_USER_SYMBOLS = '1';  // else it reads node's symbols for each stack
const perf = require('perf', 'linux-perf');
const bpftrace = require('bpftrace', 'bpftrace');
const scripts = ['stackcollapse-perf.pl', 'flamegraph.pl'].map((name) => {
  const given = path.join(process.env.FLAMEGRAPH || '', name);
  return process.env.FLAMEGRAPH && existsSync(given) ? given : find(name);
});
if (scripts.includes('')) missing.push('stackcollapse-perf.pl, flamegraph.pl: no package has them; FLAMEGRAPH=FOLDER names a checkout');
for (const what of missing) console.log(`missing, left out: ${what}`);

// --- What a command takes --------------------------------------------------------------------------

const mount = readFileSync('/proc/mounts', 'utf8').split('\n').find((line) => / cgroup2 /.test(line))?.split(' ')[1];
if (!mount) {
  console.error('bench: error: no cgroup v2 is mounted');
  process.exit(1);
}
const group = path.join(mount, `jprof-compare-${process.pid}`);
process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
  try { rmdirSync(group); } catch { /* it was not made */ }
});

// Runs a line of shell; its CPU time in seconds, and the peak of resident memory in MB.
async function take(line) {
  mkdirSync(group, { recursive: true });
  const usage = () => Number(/usage_usec (\d+)/.exec(readFileSync(`${group}/cpu.stat`, 'utf8'))[1]) / 1e6;
  const before = usage();
  const child = spawn('sh', ['-c', `echo $$ > ${group}/cgroup.procs; ${line}`], { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const ended = once(child, 'exit');
  let peak = 0, over = false;
  const watch = (async () => {
    while (!over) {
      let pages = 0;
      for (const pid of readFileSync(`${group}/cgroup.procs`, 'utf8').split('\n').filter(Boolean)) {
        try { pages += Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]); } catch { /* gone */ }
      }
      peak = Math.max(peak, pages * 4096 / 2 ** 20);
      await sleep(50);
    }
  })();
  const began = performance.now();
  const [status] = await ended;
  over = true;
  await watch;
  if (status !== 0) throw new Error(`${line}: ${status}\n${err}`);
  return { cpu: usage() - before, peak, wall: (performance.now() - began) / 1000, err };
}

// One of each, again and again; the rows of each tool's runs.
async function interleave(tools, run) {
  const results = new Map(tools.map((tool) => [tool, []]));
  for (let round = 0; round < rounds; round++) {
    for (const tool of tools) results.get(tool).push(await run(tool));
  }
  return results;
}

function print(results, columns) {
  const first = results.values().next().value;
  const rows = [['', ...columns.flatMap(({ title }) => [title, 'of jprof\'s'])]];
  for (const [tool, runs] of results) {
    rows.push([tool.name, ...columns.flatMap(({ key, digits, unit }) => {
      const value = median(runs.map((run) => run[key]));
      const base = median(first.map((run) => run[key]));
      if (Number.isNaN(value)) return ['', ''];
      return [`${value.toFixed(digits)} ${unit}`, base > 0 ? (value / base).toFixed(2) : ''];
    })]);
  }
  table(rows);
}

async function startNode() {
  // With a perf map, which perf's names come from; jprof does not need it.
  const child = await startReady(node, ['--perf-basic-prof', path.join(root, 'bench/workloads/mix.js'), '36000'], { cwd: folder });
  child.stdin.write('x');
  await sleep(1000);
  return child;
}

// --- The tables ------------------------------------------------------------------------------------

const stacksOfBpftrace = (hz, pid) => `profile:hz:${hz} /pid == ${pid}/ { @[ustack, kstack] = count(); } interval:s:${seconds} { exit(); }`;

async function chain() {
  const child = await startNode();
  const svg = path.join(folder, 'out.svg');
  const tools = [{ name: 'jprof', line: `${jprof} -p ${child.pid} -F 999 -d ${seconds} -o ${svg}` }];
  if (perf && !scripts.includes('')) {
    tools.push({ name: 'perf record -g, script, Perl scripts',
      line: `${perf} record -q -F 999 -g -p ${child.pid} -o perf.data -- sleep ${seconds} && ` +
            `${perf} script -i perf.data 2>/dev/null | ${scripts[0]} | ${scripts[1]} > ${svg}` });
  }
  const results = await interleave(tools, async (tool) => {
    rmSync(svg, { force: true });
    const taken = await take(tool.line);
    return { ...taken, after: taken.wall - seconds, size: statSync(svg).size / 1024 };
  });
  await stop(child);
  console.log(`\nchain: ${seconds} s at 999 Hz of a busy node, to the finished SVG (aim: a tenth of perf's CPU time)`);
  print(results, [{ title: 'CPU', key: 'cpu', digits: 2, unit: 's' }, { title: 'memory', key: 'peak', digits: 0, unit: 'MB' },
    { title: 'besides the recording', key: 'after', digits: 2, unit: 's' }, { title: 'SVG', key: 'size', digits: 0, unit: 'KB' }]);
}

async function quiet() {
  const child = await startNode();
  const tools = [{ name: 'jprof', line: `${jprof} -p ${child.pid} -F 99 -d ${seconds} -o out.pb.gz` }];
  if (perf) tools.push({ name: 'perf record -g', line: `${perf} record -q -F 99 -g -p ${child.pid} -o perf.data -- sleep ${seconds}` });
  if (bpftrace) {
    writeFileSync(path.join(folder, 'quiet.bt'), stacksOfBpftrace(99, child.pid));
    tools.push({ name: 'bpftrace, profile', line: `timeout -s INT ${seconds + 60} ${bpftrace} -q quiet.bt > stacks.txt` });
  }
  const results = await interleave(tools, (tool) => take(tool.line));
  await stop(child);
  console.log(`\nquiet: ${seconds} s at 99 Hz of a busy node, start and end included (perf: without names, they come with perf script)`);
  print(results, [{ title: 'CPU', key: 'cpu', digits: 2, unit: 's' }, { title: 'memory', key: 'peak', digits: 0, unit: 'MB' }]);
}

async function target() {
  const work = `${path.join(root, 'bench/workloads/fixed.js')} ${seconds * 200}`;
  const profilers = [{ name: 'jprof', command: (pid) => [jprof, '-p', pid, '-F', '999', '-o', 'out.pb.gz'] },
    { name: 'nothing' }];
  if (perf) profilers.push({ name: 'perf record -g', command: (pid) => [perf, 'record', '-q', '-F', '999', '-g', '-p', pid, '-o', 'perf.data'] });
  if (bpftrace) profilers.push({ name: 'bpftrace, profile', command: (pid) => [bpftrace, '-q', '-e', stacksOfBpftrace(999, pid).replace(/interval.*/, '')] });
  profilers.push({ name: '--cpu-prof', flags: `--cpu-prof --cpu-prof-dir=${folder}` });
  profilers.push({ name: '--perf-basic-prof alone', flags: '--perf-basic-prof' });
  const results = await interleave(profilers, async ({ command, flags }) => {
    // The profiler is outside of the group.
    const pidFile = path.join(folder, 'pid');
    rmSync(pidFile, { force: true });
    const taken = take(`echo $$ > ${pidFile}; exec ${node} ${flags || ''} ${work}`);
    let profiler;
    if (command) {
      while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await sleep(5);
      const [program, ...args] = command(readFileSync(pidFile, 'utf8').trim());
      profiler = spawn(program, args, { cwd: folder, stdio: 'ignore' });
      profiler.ended = once(profiler, 'exit');
    }
    const result = await taken;
    if (profiler) {
      profiler.kill('SIGINT');
      await profiler.ended;
    }
    return result;
  });
  console.log('\ntarget: CPU time of the same work, profiled at 999 Hz');
  const bare = median([...results.entries()].find(([tool]) => tool.name === 'nothing')[1].map((run) => run.cpu));
  const rows = [['', 'CPU', 'more than with nothing']];
  for (const [tool, runs] of results) {
    const cpu = median(runs.map((run) => run.cpu));
    rows.push([tool.name, `${cpu.toFixed(2)} s`, `${((100 * (cpu - bare)) / bare).toFixed(1)} %`]);
  }
  table(rows);
}

console.log(`node ${process.env.NODE || '22.23.3'}, ${rounds} rounds; load ${os.loadavg().map((l) => l.toFixed(1)).join(' ')}`);
for (const [name, measure] of Object.entries({ chain, quiet, target })) {
  if (wanted.length === 0 || wanted.includes(name)) await measure();
}
process.exit(0);
