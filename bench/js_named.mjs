#!/usr/bin/env node
// How many samples in JavaScript code have a name for every JavaScript frame?
//
// Workloads run without any flag and are sampled at 999 Hz from their start. Of the samples with at
// least one JavaScript frame, or one that is JavaScript but has no name ("[v8: ...]", "[unknown]
// [jit]"), printed is the share of those in which all are named. The aim is 99 %.
//
//   usage: node bench/js_named.mjs [SECONDS]     (default 8; needs root)
import path from 'node:path';
import { nodeBinary, nodeVersions, parseFolded, percent, record, root, scriptFrame, startReady, table } from './lib.mjs';

const seconds = process.argv[2] || '8';
const workloads = ['bench/workloads/mix.js', 'bench/workloads/text.js', 'demo/service.js'];
const isUnnamed = (frame) => frame.startsWith('[v8: ') || frame.startsWith('[unknown] [jit]');

const rows = [['node', 'workload', 'samples', 'with JavaScript', 'all frames named', 'share', 'aim 99 %']];
let failed = false;
for (const version of nodeVersions) {
  for (const workload of workloads) {
    const node = await startReady(nodeBinary(version), [path.join(root, workload), seconds]);
    const { done } = record(['-p', String(node.pid), '-F', '999', '--format', 'folded']);
    await new Promise((resolve) => setTimeout(resolve, 1000));  // it has attached
    node.stdin.write('x');
    const { out } = await done;
    let all = 0;
    let script = 0;
    let named = 0;
    for (const { frames, count } of parseFolded(out)) {
      all += count;
      const unnamed = frames.some(isUnnamed);
      if (unnamed || frames.some(scriptFrame)) script += count;
      if (!unnamed && frames.some(scriptFrame)) named += count;
    }
    const good = named >= 0.99 * script;
    failed ||= !good;
    rows.push([version, path.basename(workload), all, script, named, percent(named, script), good ? 'yes' : 'NO']);
  }
}
table(rows);
process.exit(failed ? 1 : 0);
