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
// server that renders pages; node's default flags, of functions that were inlined both tell; at
// 3999 Hz; the aim is 0.95.
//
// Self time is meant as --cpu-prof means it: a sample belongs to the innermost JavaScript function on
// the stack, whatever builtin, C++ or kernel code that one called. Samples that --cpu-prof shows as
// (garbage collector), (program) or (idle) are left out there, and here those inside a collection,
// and those without a JavaScript function. Nodes of builtins count for their caller in both.
//
// --cpu-prof is no judge where a builtin without a frame of its own runs on top (property accesses, calls,
// string concatenation): it takes the frame that it finds for the builtin's, and charges the caller of the
// function that called the builtin. A loop that calls `outer(); strings();`, each of which runs for
// milliseconds, has a quarter of the time there. So there is a second figure, "excused": a sample of
// jprof's with a builtin on top may count for that caller as well, where it agrees better there.
//
// Only what both have seen counts: jprof's recording begins and ends within the run, and of --cpu-prof's
// samples those are taken whose time, on the same clock, lies within it.
//
// Two samplings of one run differ by chance alone: with n samples each and a function's share p, by
// sqrt(2p/n) or so. A large program has many small functions, so what chance costs is printed
// beside: the mean intersection of either side's samples, drawn anew at random from both together. The
// aim for "real" is for the excused figure as a share of that.
//
//   usage: node bench/cpu_prof_agreement.mjs small|real [SECONDS] [VERSION...]     (default 20; needs root)
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { nodeBinary, nodeVersions, parseFolded, record, root, scriptFrame, startReady, table } from './lib.mjs';

const sets = {
  small: {
    workloads: ['bench/workloads/mix.js', 'bench/workloads/text.js', 'demo/service.js'],
    flags: ['--no-turbo-inlining', '--max-inlined-bytecode-size=0'], rate: 999, aim: 0.9, real: false,
  },
  real: {
    workloads: ['bench/programs/compiler.js', 'bench/programs/linter.js', 'bench/programs/server.js'],
    flags: [], rate: 3999, aim: 0.95, real: true,
  },
};
const [set, seconds = '20', ...versions] = process.argv.slice(2);
if (!sets[set]) {
  console.error('usage: node bench/cpu_prof_agreement.mjs small|real [SECONDS] [VERSION...]');
  process.exit(2);
}
const { workloads, flags, rate, aim, real } = sets[set];
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

const key = (file, line) => `${file.replace(/^file:\/\//, '')}:${line}`;

function add(histogram, k, weight) {
  histogram.set(k, (histogram.get(k) || 0) + weight);
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

const isCollection = (frame) => /v8::internal::(Heap::(CollectGarbage|PerformGarbageCollection)|IncrementalMarking)/.test(frame);

function fromFolded(stacks) {
  const histogram = new Map();
  const movable = new Map();  // "function caller" -> samples with a builtin on top of the function
  for (const { frames, count } of stacks) {
    if (frames.some(isCollection)) continue;
    const keys = frames.map((frame) => {
      const script = scriptFrame(frame);
      return script && key(script.file, script.line);
    });
    const leaf = keys.findLastIndex(Boolean);
    if (leaf < 0) continue;
    add(histogram, keys[leaf], count);
    // Inlined functions go with the frame that they are in.
    const whole = frames.findLastIndex((frame, i) => i <= leaf && keys[i] && !frame.endsWith('_[i]'));
    const caller = keys.findLast((k, i) => i < whole && k);
    if (leaf + 1 < frames.length && caller) add(movable, `${keys[leaf]}\n${caller}`, count);
  }
  return { histogram, movable };
}

const total = (histogram) => [...histogram.values()].reduce((a, b) => a + b, 0);

function intersection(a, b) {
  const sumA = total(a);
  const sumB = total(b);
  let shared = 0;
  for (const [k, weight] of a) shared += Math.min(weight / sumA, (b.get(k) || 0) / sumB);
  return shared;
}

// `ours` with samples moved to callers where that brings it nearer to `theirs`.
function excused({ histogram, movable }, theirs) {
  const moved = new Map(histogram);
  const scale = total(histogram) / total(theirs);
  const surplus = (k) => (moved.get(k) || 0) - scale * (theirs.get(k) || 0);
  for (const [edge, weight] of movable) {
    const [from, to] = edge.split('\n');
    const n = Math.min(weight, surplus(from), -surplus(to));
    if (n <= 0) continue;
    add(moved, from, -n);
    add(moved, to, n);
  }
  return moved;
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

const rows = [['node', 'workload', 'samples of jprof', 'of --cpu-prof', 'intersection', 'excused', 'same by chance', 'excused of it', `aim ${aim}`]];
const details = [];
let failed = false;
const environment = real ? { ...process.env, NODE_PATH: packages() } : process.env;
for (const version of versions.length > 0 ? versions : nodeVersions) {
  for (const workload of workloads) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'cpu-prof-'));
    const node = await startReady(nodeBinary(version), [
      ...flags, '--cpu-prof', `--cpu-prof-interval=${Math.round(1e6 / rate)}`, `--cpu-prof-dir=${folder}`,
      path.join(root, workload), String(Number(seconds) + 4),
    ], { env: environment });
    node.stdin.write('x');
    await sleep(2000);
    const begin = monotonicUs();
    const { out } = await record(['-p', String(node.pid), '-F', String(rate), '-d', seconds, '--format', 'folded']).done;
    const end = begin + 1e6 * Number(seconds);
    await node.ended;
    const profile = JSON.parse(readFileSync(path.join(folder, readdirSync(folder)[0]), 'utf8'));
    rmSync(folder, { recursive: true });
    const recorded = fromFolded(parseFolded(out));
    const ours = recorded.histogram;
    const theirs = fromCpuProfile(profile, begin, end);
    const shared = intersection(ours, theirs);
    const sharedExcused = intersection(excused(recorded, theirs), theirs);
    const chance = byChance(ours, theirs);
    const good = real ? sharedExcused >= aim * chance : shared >= aim;
    failed ||= !good;
    rows.push([version, path.basename(workload), total(ours), total(theirs), shared.toFixed(3), sharedExcused.toFixed(3),
      chance.toFixed(3), (sharedExcused / chance).toFixed(3), good ? 'yes' : 'NO']);
    for (const w of worst(ours, theirs)) {
      details.push(`${version} ${path.basename(workload)}: ${path.basename(w.k)} ${(100 * w.jprof).toFixed(1)} % / ${(100 * w.node).toFixed(1)} %`);
    }
  }
}
table(rows);
console.log(`\nlargest differences (jprof / --cpu-prof):\n${details.join('\n')}`);
process.exit(failed ? 1 : 0);
