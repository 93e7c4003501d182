#!/usr/bin/env node
// Do jprof and node's own --cpu-prof tell the same story of the same run?
//
// A workload runs once, with --cpu-prof and sampled by jprof at 999 Hz. From both come the shares of
// self time of each JavaScript function, known by script and line of its definition; printed is the
// histogram intersection, the sum over all functions of the smaller of both shares: 1 is agreement,
// 0 none. The aim is 0.9.
//
// Self time is meant as --cpu-prof means it: a sample belongs to the innermost JavaScript function on
// the stack, whatever builtin, C++ or kernel code that one called. Samples that --cpu-prof shows as
// (garbage collector), (program) or (idle) are left out there, and here those inside a collection,
// and those without a JavaScript function. Nodes of builtins count for their caller in both.
//
// The optimizer's inlining is off, so that both see the same frames. Two samplings of one run differ
// by chance alone: with n samples each and a function's share p, by sqrt(2p/n) or so; hence the
// long runs.
//
//   usage: node bench/cpu_prof_agreement.mjs [SECONDS]     (default 20; needs root)
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { nodeBinary, nodeVersions, parseFolded, record, root, scriptFrame, startReady, table } from './lib.mjs';

const seconds = process.argv[2] || '20';
const workloads = ['bench/workloads/mix.js', 'bench/workloads/text.js', 'demo/service.js'];
const flags = ['--no-turbo-inlining', '--max-inlined-bytecode-size=0'];

const key = (file, line) => `${file.replace(/^file:\/\//, '')}:${line}`;

function add(histogram, k, weight) {
  histogram.set(k, (histogram.get(k) || 0) + weight);
}

function fromCpuProfile(profile) {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  for (const node of profile.nodes) for (const child of node.children || []) nodes.get(child).parent = node;
  const histogram = new Map();
  profile.samples.forEach((id, i) => {
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
  for (const { frames, count } of stacks) {
    if (frames.some(isCollection)) continue;
    const script = frames.map(scriptFrame).filter(Boolean).pop();
    if (script) add(histogram, key(script.file, script.line), count);
  }
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

function worst(a, b) {
  const sumA = total(a);
  const sumB = total(b);
  return [...new Set([...a.keys(), ...b.keys()])]
    .map((k) => ({ k, jprof: (a.get(k) || 0) / sumA, node: (b.get(k) || 0) / sumB }))
    .sort((x, y) => Math.abs(y.jprof - y.node) - Math.abs(x.jprof - x.node))
    .slice(0, 3);
}

const rows = [['node', 'workload', 'samples of jprof', 'of --cpu-prof', 'intersection', 'aim 0.9']];
const details = [];
let failed = false;
for (const version of nodeVersions) {
  for (const workload of workloads) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'cpu-prof-'));
    const node = await startReady(nodeBinary(version), [
      ...flags, '--cpu-prof', `--cpu-prof-dir=${folder}`, path.join(root, workload), seconds,
    ]);
    const { done } = record(['-p', String(node.pid), '-F', '999', '--format', 'folded']);
    await new Promise((resolve) => setTimeout(resolve, 1000));  // it has attached
    node.stdin.write('x');
    const { out } = await done;
    await node.ended;
    const profile = JSON.parse(readFileSync(path.join(folder, readdirSync(folder)[0]), 'utf8'));
    rmSync(folder, { recursive: true });
    const ours = fromFolded(parseFolded(out));
    const theirs = fromCpuProfile(profile);
    const shared = intersection(ours, theirs);
    failed ||= shared < 0.9;
    rows.push([version, path.basename(workload), total(ours), total(theirs), shared.toFixed(3), shared >= 0.9 ? 'yes' : 'NO']);
    for (const w of worst(ours, theirs)) {
      details.push(`${version} ${path.basename(workload)}: ${path.basename(w.k)} ${(100 * w.jprof).toFixed(1)} % / ${(100 * w.node).toFixed(1)} %`);
    }
  }
}
table(rows);
console.log(`\nlargest differences (jprof / --cpu-prof):\n${details.join('\n')}`);
process.exit(failed ? 1 : 0);
