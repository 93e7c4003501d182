#!/usr/bin/env node
// Does jprof see the stacks that V8 itself reports?
//
// target.js tells the truth, V8's own stack of each scenario, and runs the scenarios in turn; jprof
// samples it live. A sample is judged when one of the scenarios' functions is on its stack: its
// functions, from the outermost of a scenario on, must be those of a true stack, as far as they go
// (a sample may be taken before the innermost is called). Judged are
//
//   chain   all functions: name, file, and the definition stands where the call is
//   lines   of right chains, each function that calls another one of the chain: the line of the call
//   leaf    the innermost function is one of the scenario's, and executes on a line of its own
//   in loop of samples whose innermost function is the one that all scenarios work in: the line is one
//           of its loop, where nearly all of its time goes
//
// Stacks through WebAssembly are judged by their functions alone, and in a column of their own. Every
// other sample is left out, and counted, by the reason:
//
//   harness    between two scenarios: target.js is on the stack, none of the scenarios
//   node       JavaScript of Node's own alone: the event loop turns
//   starting   a scenario sets up its timer, its promise
//   native     no JavaScript on a stack that is whole: collector, compiler, other threads
//   cut        no JavaScript on a stack that is not whole: a scenario may have been lost there
//
//   usage: conformance.mjs [--nodes 20.20.2,22.23.3] [--modes default,ignition,...] [--leaves small,big]
//                          [--seconds N] [--rate HZ] [--awaits N] [--check] [--details]
//
// --awaits: seconds for each mode of a second table, of those who await (awaits.mjs); 0 leaves a table out.
// --check: exit with 1 where a figure misses its threshold. --details: the commonest mistakes.
// The environment's JPROF names the program under test (build/release/jprof). Needs root.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as awaits from './awaits.mjs';
import * as live from './live.mjs';

const { here, isUnresolved, row, share } = live;
const ownFiles = ['scenarios.js', 'scenarios.mjs'].map((name) => path.join(here, name));
const harness = path.join(here, 'target.js');

// What V8 flags make a mode, since which major there is such a thing, the tiers that at least a fifth of its
// frames must have, and those that none may have. A flag with a number in front is one of that major and
// later ones. (In 22 Maglev compiles nothing without TurboFan.)
const modes = {
  default: { flags: [], since: 12, meant: '+*', never: '' },
  // Without the recording, which makes V8 work out where the lines of the scripts begin.
  unrecorded: { flags: [], since: 12, separate: true, meant: '+*', never: '' },
  ignition: { flags: ['--no-opt', '16--no-sparkplug', '22--no-maglev'], since: 12, meant: '~', never: '^+*' },
  sparkplug: { flags: ['--always-sparkplug', '--no-opt', '22--no-maglev'], since: 16, meant: '^', never: '+*' },
  maglev: { flags: ['--maglev', '--no-turbofan'], since: 23, meant: '+', never: '*' },
  // One scenario alone, each function of WebAssembly with a frame of its own.
  wasm: { flags: ['24--no-wasm-inlining'], since: 12, only: 'wasm', meant: '+*', never: '' },
  'no-maglev': { flags: ['--no-maglev'], since: 22, meant: '*', never: '+' },
};
const thresholds = { chain: 0.995, lines: 0.99, leaf: 0.995, inLoop: 0.95, wasmChain: 0.99 };

const wanted = live.options(process.argv.slice(2), {
  nodes: ['18.20.8', '20.20.2', '22.23.3', '24.21.0', '26.10.0'], modes: Object.keys(modes),
  leaves: ['small', 'big'], seconds: 5, rate: 499, awaits: 5, check: false, details: false,
});

const major = (version) => Number(version.split('.')[0]);
const flagsOf = (mode, version) => modes[mode].flags
  .map((flag) => /^(\d*)(.*)$/.exec(flag))
  .filter(([, since]) => major(version) >= Number(since))
  .map(([, , flag]) => flag);

// ---- the truth

// Last line of the definition that begins on line `start` of one of the scenarios' files: where its
// brackets balance.
const sources = new Map(ownFiles.map((file) => [file, readFileSync(file, 'utf8').split('\n')]));
function lastLine(file, start) {
  let depth = 0;
  for (let line = start; line <= sources.get(file).length; line++) {
    for (const c of sources.get(file)[line - 1]) {
      if ('([{'.includes(c)) depth++;
      if (')]}'.includes(c)) depth--;
    }
    if (depth <= 0) return line;
  }
  return start;
}
const within = (frame, line) =>
  !sources.has(frame.file) || (frame.start <= line && line <= lastLine(frame.file, frame.start));

// First and last line of the loop of the functions that work.
const loops = new Map(['smallLeaf', 'bigLeaf'].map((name) => {
  const source = sources.get(ownFiles[0]);
  const first = source.findIndex((line, i) => i > source.indexOf(`function ${name}(r) {`) && /^  for /.test(line)) + 1;
  return [name, [first, lastLine(ownFiles[0], first)]];
}));

// Names that a function got at run time; V8 keeps the written or the inferred one as well.
const namedAtRunTime = new Set(['computed1', 'built-at-run-time', '[symbolic]', '[Symbol.iterator]']);

function sameFunction(seen, truth) {
  if (truth.file === 'wasm://') return seen.name === truth.name;
  if (seen.file !== truth.file) return false;
  if (truth.name === '' || namedAtRunTime.has(truth.name)) return within(seen, truth.line);
  // V8 calls the code of eval and of `new Function` alike.
  const alike = truth.file === '' && truth.name === 'eval' && /^\(?anonymous\)?$/.test(seen.name);
  return (seen.name === truth.name || alike) && within(seen, truth.line);
}

function parseTruth(lines) {
  const byRoot = new Map();
  const rootOf = ({ name, file }) => `${file} ${name}`;
  for (const line of lines) {
    for (const chain of JSON.parse(line).chains) {
      const frames = chain.map(([name, file, at, column]) => ({ name, file, line: at, column }));
      const key = rootOf(frames[0]);
      if (!byRoot.has(key)) byRoot.set(key, []);
      byRoot.get(key).push(frames);
    }
  }
  return { scenarios: byRoot.size, chains: (frame) => byRoot.get(rootOf(frame)) };
}

// ---- judging

class Score {
  judged = 0;
  chain = 0;
  callers = 0;
  lines = 0;
  columns = 0;
  noLine = 0;
  leaf = 0;
  working = 0;
  inLoop = 0;
  wasm = 0;
  wasmChain = 0;
  left = { harness: 0, node: 0, starting: 0, native: 0, cut: 0 };
  mistakes = new Map();
  scenarios = new Set();
  tiers = { '~': 0, '^': 0, '+': 0, '*': 0 };  // of the scenarios' frames
  known = 0;  // scenarios that there are

  add(other) {
    for (const key of ['judged', 'chain', 'callers', 'lines', 'columns', 'noLine', 'leaf', 'working', 'inLoop', 'wasm', 'wasmChain']) this[key] += other[key];
    for (const key of Object.keys(this.left)) this.left[key] += other.left[key];
    for (const tier of Object.keys(this.tiers)) this.tiers[tier] += other.tiers[tier];
    for (const [text, n] of other.mistakes) this.mistake(text, n);
    for (const name of other.scenarios) this.scenarios.add(name);
    this.known = other.known;
  }
  mistake(text, n) {
    this.mistakes.set(text, (this.mistakes.get(text) || 0) + n);
  }
}

const isScript = (frame) => live.isScript(frame) || frame.name.startsWith('wasm');
const isOfNode = (frame) => /^(node:|internal\/|[a-z_]+\.js$)/.test(frame.file);
const starters = new Set(['timers', 'ticks', 'immediates', 'promises']);

function textOf(frames) {
  return frames.map((f) => `${f.name}:${f.line}:${f.column}${f.inlined ? 'i' : ''}`).join(' > ');
}

function reasonLeftOut(frames) {
  if (frames.some((f) => f.file === harness)) return 'harness';
  if (frames.some(isScript)) return 'node';
  const whole = !frames.some((f) => f.name === '[truncated]') &&
    frames.slice(0, 6).some((f) => /node::Start|_main|start_thread|clone|libc\.so/.test(f.name));
  return whole ? 'native' : 'cut';
}

function judge(sample, truth, score) {
  for (const frame of sample.frames) frame.file = frame.file.replace(/^file:\/\//, '');
  const script = sample.frames.filter((f) => isScript(f) || isUnresolved(f));
  const from = script.findIndex((f) => ownFiles.includes(f.file));
  if (from < 0) {
    score.left[reasonLeftOut(sample.frames)] += sample.count;
    return;
  }
  const seen = script.slice(from);
  if (starters.has(seen[0].name)) {
    score.left.starting += sample.count;
    return;
  }
  for (const frame of seen) if (frame.tier) score.tiers[frame.tier] += sample.count;
  const ofWasm = seen[0].name === 'wasm';
  if (ofWasm) score.wasm += sample.count;
  else score.judged += sample.count;
  const chains = truth.chains(seen[0]);
  if (!chains) {
    score.mistake(`chain begins with ${textOf(seen)}, called from ${sample.frames.slice(0, sample.frames.indexOf(seen[0])).map((f) => f.name).slice(-4).join(' > ')}`, sample.count);
    return;
  }
  score.scenarios.add(seen[0].name);
  // Of the true stacks the one that fits best: by functions, then by lines.
  let best = { functions: -1, lines: 0 };
  for (const chain of chains) {
    let functions = 0;
    let lines = 0;
    while (functions < seen.length && functions < chain.length && sameFunction(seen[functions], chain[functions])) {
      if (functions > 0) lines += seen[functions - 1].line === chain[functions - 1].line;
      functions++;
    }
    if (functions > best.functions || (functions === best.functions && lines > best.lines)) {
      best = { functions, lines, chain };
    }
  }
  // What a function of Node calls, on its own account, is not of the chain.
  let length = seen.length;
  while (length > best.functions && isOfNode(seen[length - 1])) length--;
  const leaf = seen[length - 1];
  const known = chains.some((chain) => chain.some((f) => f.name === leaf.name && f.file === leaf.file));
  if (ofWasm) {
    if (best.functions === length) score.wasmChain += sample.count;
    else score.mistake(`chain ${textOf(seen)}   true is ${textOf(best.chain)}`, sample.count);
    return;
  }
  if (best.functions < length) {
    score.leaf += known && within(leaf, leaf.line) ? sample.count : 0;
    score.mistake(`chain ${textOf(seen)}   true is ${textOf(best.chain)}`, sample.count);
    return;
  }
  score.chain += sample.count;
  if (leaf.line === 0 || within(leaf, leaf.line)) score.leaf += sample.count;
  else score.mistake(`leaf ${textOf(seen)}: not a line of ${leaf.name}`, sample.count);
  if (loops.has(leaf.name)) {
    const [first, last] = loops.get(leaf.name);
    score.working += sample.count;
    if (first <= leaf.line && leaf.line <= last) score.inLoop += sample.count;
    else score.mistake(`line ${leaf.line} of ${leaf.name} is not in its loop`, sample.count);
  }
  for (let i = 0; i + 1 < length; i++) {
    const frame = seen[i];
    const expected = best.chain[i];
    score.callers += sample.count;
    score.lines += frame.line === expected.line ? sample.count : 0;
    score.columns += frame.line === expected.line && frame.column === expected.column ? sample.count : 0;
    score.noLine += frame.line === 0 ? sample.count : 0;
    if (frame.line !== expected.line) {
      score.mistake(`line ${textOf([frame])} of ${frame.file || 'eval'} is ${expected.line}, before ${seen[i + 1].name}`, sample.count);
    }
  }
}

// ---- running

async function run(version, mode, leaf) {
  const target = (what) => live.start(live.nodeBinary(version),
    [...flagsOf(mode, version), path.join(here, 'target.js'), what], { CONFORMANCE_LEAF: leaf, CONFORMANCE_ONLY: modes[mode].only || '' });
  const recorded = modes[mode].separate && (await live.linesUntilReady(target('record'))).lines;
  const child = target(recorded ? 'sample' : 'both');
  const { lines, ready } = await live.linesUntilReady(child);
  if (!ready) throw new Error(`node ${version} ${mode}: ${child.errors}`);
  const { samples } = await live.sample(child, wanted.seconds, wanted.rate);
  const truth = parseTruth(recorded || lines);
  const score = new Score();
  score.known = truth.scenarios;
  for (const sample of samples) judge(sample, truth, score);
  return score;
}

const framesIn = (score, tiers) => [...tiers].reduce((sum, tier) => sum + score.tiers[tier], 0);
const tierMissed = (score, mode, least) => framesIn(score, modes[mode].never) > 0 ||
  framesIn(score, modes[mode].meant) < least * framesIn(score, '~^+*');

function printMistakes(score) {
  const worst = [...score.mistakes].sort((a, b) => b[1] - a[1]).slice(0, 12);
  for (const [text, n] of worst) console.log(`    ${n} x ${text}`);
}

// In percent, those that there are.
function tiersOf({ tiers }) {
  const all = Object.values(tiers).reduce((a, b) => a + b);
  return Object.entries(tiers).filter(([, n]) => n > 0).map(([tier, n]) => `\`${tier}\`${Math.round(100 * n / all)}`).join(' ');
}

let failed = false;
if (wanted.seconds > 0) {
  row(['Node', 'mode', 'tiers %', 'chains', 'lines', 'columns', 'leaf', 'in loop', 'judged', 'wasm chains', 'judged', 'left out: harness', 'node', 'starting', 'native', 'cut']);
  row(Array(16).fill('---'));
}
for (const version of wanted.seconds > 0 ? wanted.nodes : []) {
  for (const mode of wanted.modes) {
    if (major(version) < modes[mode].since) continue;
    const score = new Score();
    for (const leaf of wanted.leaves) score.add(await run(version, mode, leaf));
    row([version, mode, tiersOf(score), share(score.chain, score.judged), share(score.lines, score.callers),
      share(score.columns, score.callers), share(score.leaf, score.judged), share(score.inLoop, score.working), score.judged,
      share(score.wasmChain, score.wasm), score.wasm, ...Object.values(score.left)]);
    // Few scenarios seen: too little was measured to say anything.
    const bad = tierMissed(score, mode, 0.2) || score.scenarios.size < 0.5 * score.known || score.chain < thresholds.chain * score.judged ||
      score.lines < thresholds.lines * score.callers || score.leaf < thresholds.leaf * score.judged ||
      (mode === 'ignition' && score.inLoop < thresholds.inLoop * score.working) ||
      (modes[mode].only === 'wasm' && (score.wasm === 0 || score.wasmChain < thresholds.wasmChain * score.wasm));
    failed ||= bad;
    if (wanted.details || (wanted.check && bad)) {
      printMistakes(score);
      console.log(`    scenarios seen: ${score.scenarios.size} of ${score.known}, callers without a line: ${score.noLine}`);
    }
  }
}

if (wanted.awaits > 0) {
  console.log('');
  row(awaits.heading);
  row(Array(awaits.heading.length).fill('---'));
}
for (const version of wanted.awaits > 0 ? wanted.nodes : []) {
  for (const mode of wanted.modes) {
    if (major(version) < modes[mode].since || modes[mode].separate || modes[mode].only) continue;
    const score = await awaits.run(version, flagsOf(mode, version), wanted.awaits, wanted.rate);
    row([version, mode, tiersOf(score), ...awaits.cells(score)]);
    const bad = score.bad || tierMissed(score, mode, 0.01);
    failed ||= bad;
    if (!wanted.details && !(wanted.check && bad)) continue;
    printMistakes(score);
    console.log(`    scenarios not seen: ${score.unseen.join(', ')}`);
  }
}
process.exitCode = wanted.check && failed ? 1 : 0;
