#!/usr/bin/env node
// Do jprof and node's own --cpu-prof tell the same story of the same run?
//
// A workload runs once, with --cpu-prof and sampled by jprof. From both come the shares of self time of
// each JavaScript function, known by script and line of its definition; printed is the histogram
// intersection, the sum over all functions of the smaller of both shares: 1 is agreement, 0 none.
//
// "small": programs of some dozen functions, the optimizer's inlining off, at 999 Hz; the aim is 0.9.
//
// "real": packages from npm in the versions of bench/programs/package.json: a compiler, a linter, a
// server that renders pages; node's default flags; at 3999 Hz; the aim is 0.95.
//
// "known": a program that measures the time of each of its functions (bench/workloads/known.js): what
// both say of them, beside the truth. The aim is for jprof's intersection with the truth: 0.95.
//
// Self time: a sample belongs to the innermost JavaScript function on the stack, whatever builtin, C++
// or kernel code that one called. Samples that --cpu-prof shows as (garbage collector), (program) or
// (idle) are left out there, and here those inside a collection, those in --cpu-prof's own signal handler,
// and those without a JavaScript function.
//
// --cpu-prof means something else in two cases, by which most samples of a real program are touched: it
// charges inlined functions to those that they are in, and a builtin without a frame to its caller's caller.
// So there is a second figure, "by its rules": of jprof's samples, each counted as --cpu-prof counts such
// a state (bench/as_cpu_prof.mjs has the rules and their source). It is made from jprof's samples and the
// code of node alone. The aim for "real" is for that figure, as a share of what chance leaves possible:
// two samplings of one run differ, with n samples each and a function's share p, by sqrt(2p/n) or so, and
// a large program has many small functions. "Same by chance" is the mean intersection of either side's
// samples, drawn anew at random from both together.
//
// Not accounted for: --cpu-prof counts by the clock, also while the thread waits in a system call that its
// signals interrupt; jprof counts CPU time.
//
// Only what both have seen counts: jprof's recording begins and ends within the run, and of --cpu-prof's
// samples those are taken whose time, on the same clock, lies within it.
//
//   usage: node bench/cpu_prof_agreement.mjs small|real|known [SECONDS] [VERSION...]
//   (default 20; needs root, binutils). HZ=9999 in the environment samples at that rate; ONLY=compiler
//   takes the workloads with that in their name.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { add, key, selfTimes } from './as_cpu_prof.mjs';
import { nodeBinary, nodeVersions, percent, record, root, startReady, table } from './lib.mjs';
import { readPprof } from './pprof.mjs';

const sets = {
  small: {
    workloads: ['bench/workloads/mix.js', 'bench/workloads/text.js', 'demo/service.js'],
    flags: ['--no-turbo-inlining', '--max-inlined-bytecode-size=0'], rate: 999, aim: 0.9, real: false,
  },
  real: {
    workloads: ['bench/programs/compiler.js', 'bench/programs/linter.js', 'bench/programs/server.js'],
    flags: [], rate: 3999, aim: 0.95, real: true,
  },
  known: { workloads: ['bench/workloads/known.js'], flags: [], rate: 3999, aim: 0.95, real: true },
};
const [set, seconds = '20', ...versions] = process.argv.slice(2);
if (!sets[set]) {
  console.error('usage: node bench/cpu_prof_agreement.mjs small|real|known [SECONDS] [VERSION...]');
  process.exit(2);
}
const { flags, aim, real } = sets[set];
const rate = Number(process.env.HZ) || sets[set].rate;
const workloads = sets[set].workloads.filter((name) => name.includes(process.env.ONLY || ''));
const monotonicUs = () => Number(process.hrtime.bigint() / 1000n);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Installs the packages at first; returns the folder that holds them.
function packages() {
  const folder = path.join(root, 'build/programs');
  const modules = path.join(folder, 'node_modules');
  if (!existsSync(modules)) {
    mkdirSync(folder, { recursive: true });
    copyFileSync(path.join(root, 'bench/programs/package.json'), path.join(folder, 'package.json'));
    execFileSync('npm', ['install', '--silent', '--no-package-lock'], { cwd: folder, stdio: 'inherit' });
  }
  return modules;
}

function fromCpuProfile(profile, begin, end) {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  for (const node of profile.nodes) for (const child of node.children || []) nodes.get(child).parent = node;
  const histogram = new Map();
  let time = profile.startTime;
  profile.samples.forEach((id, i) => {
    time += profile.timeDeltas[i];
    if (time < begin || time > end) return;
    let node = nodes.get(id);
    while (node && node.callFrame.url === '') node = node.parent;
    // Weighted by the number of samples: what a tick that came late stands for is time when the
    // process did not run.
    if (node) add(histogram, key(node.callFrame.url, node.callFrame.lineNumber + 1), 1);
  });
  return histogram;
}

const total = (histogram) => [...histogram.values()].reduce((a, b) => a + b, 0);

function intersection(a, b) {
  const sumA = total(a);
  const sumB = total(b);
  let shared = 0;
  for (const [k, weight] of a) shared += Math.min(weight / sumA, (b.get(k) || 0) / sumB);
  return shared;
}

// What the intersection would be on the average if both had sampled the very same thing.
function byChance(a, b) {
  const pool = [];
  for (const histogram of [a, b]) for (const [k, weight] of histogram) for (let i = 0; i < weight; i++) pool.push(k);
  const draw = (n) => {
    const histogram = new Map();
    for (let i = 0; i < n; i++) add(histogram, pool[Math.floor(Math.random() * pool.length)], 1);
    return histogram;
  };
  const rounds = 20;
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += intersection(draw(total(a)), draw(total(b)));
  return sum / rounds;
}

function worst(a, b) {
  const sumA = total(a);
  const sumB = total(b);
  return [...new Set([...a.keys(), ...b.keys()])]
    .map((k) => ({ k, jprof: (a.get(k) || 0) / sumA, node: (b.get(k) || 0) / sumB }))
    .sort((x, y) => Math.abs(y.jprof - y.node) - Math.abs(x.jprof - x.node))
    .slice(0, 6);
}

const rows = [['node', 'workload', 'samples of jprof', 'of --cpu-prof', 'intersection', 'by its rules', 'same by chance', 'of it', `aim ${aim}`]];
const details = [];
const known = [['node', 'function', 'truth', 'jprof', '--cpu-prof', 'jprof by its rules']];
let failed = false;
const environment = set === 'real' ? { ...process.env, NODE_PATH: packages() } : process.env;
for (const version of versions.length > 0 ? versions : nodeVersions) {
  for (const workload of workloads) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'cpu-prof-'));
    const pprof = path.join(folder, 'jprof.pb.gz');
    const binary = nodeBinary(version);
    const node = await startReady(binary, [
      ...flags, '--cpu-prof', `--cpu-prof-interval=${Math.round(1e6 / rate)}`, `--cpu-prof-dir=${folder}`,
      path.join(root, workload), String(Number(seconds) + 4),
    ], { env: environment });
    const said = [];
    createInterface({ input: node.stdout }).on('line', (line) => said.push(line));
    node.stdin.write('x');
    await sleep(2000);
    const begin = monotonicUs();
    await record(['-p', String(node.pid), '-F', String(rate), '-d', seconds, '-o', pprof]).done;
    const end = begin + 1e6 * Number(seconds);
    await node.ended;
    const profileName = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'));
    const profile = JSON.parse(readFileSync(path.join(folder, profileName), 'utf8'));
    const ours = selfTimes(readPprof(pprof), binary);
    rmSync(folder, { recursive: true });
    const theirs = fromCpuProfile(profile, begin, end);
    const plain = intersection(ours.own, theirs);
    const translated = intersection(ours.theirs, theirs);
    const chance = byChance(ours.theirs, theirs);
    const name = path.basename(workload);
    const truth = set === 'known' && new Map();
    if (truth) {
      const measured = JSON.parse(said.at(-1));
      const file = path.join(root, workload);
      readFileSync(file, 'utf8').split('\n').forEach((line, i) => {
        const [, f] = /^function (\w+)/.exec(line) || [];
        const k = key(file, i + 1);
        const share = (histogram) => percent(histogram.get(k) || 0, total(histogram));
        if (measured[f]) truth.set(k, measured[f]);
        if (f && f !== 'cpuTime') {
          known.push([version, f, percent(measured[f] || 0, 1), share(ours.own), share(theirs), share(ours.theirs)]);
        }
      });
      known.push([version, 'intersection with the truth', '', intersection(ours.own, truth).toFixed(3), intersection(theirs, truth).toFixed(3), '']);
    }
    const good = truth ? intersection(ours.own, truth) >= aim : real ? translated >= aim * chance : plain >= aim;
    failed ||= !good;
    rows.push([version, name, total(ours.own), total(theirs), plain.toFixed(3), translated.toFixed(3), chance.toFixed(3),
      (translated / chance).toFixed(3), good ? 'yes' : 'NO']);
    for (const w of worst(ours.theirs, theirs)) {
      details.push(`${version} ${name}: ${path.basename(w.k)} ${(100 * w.jprof).toFixed(1)} % / ${(100 * w.node).toFixed(1)} %`);
    }
  }
}
table(rows);
if (set === 'known') {
  console.log('');
  table(known);
}
console.log(`\nlargest differences (jprof by its rules / --cpu-prof):\n${details.join('\n')}`);
process.exit(failed ? 1 : 0);
