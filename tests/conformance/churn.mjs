#!/usr/bin/env node
// Is a function ever shown by the name of another?
//
// churn_target.js makes functions at full speed, by eval, new Function and vm, closures by the million, while the
// collector moves and frees them. Each sample is checked: file, line of definition and executing line
// must fit a function's name, caller and callee must belong together, and stand below the bucket that
// follows from the name. A name of another function would be right in all that only by rare chance.
//
//   wrong        samples with a frame that contradicts another; the aim is 0
//   lost         samples in which a caller is missing: made_K right below its bucket; the aim is below 0.5 %
//   unresolved   samples with a JavaScript frame of which nothing is known, of those with JavaScript;
//                the aim is below 1 %
//
//   usage: churn.mjs [--nodes 18.20.8,...] [--seconds 60] [--rate 999] [--check] [--details]
import path from 'node:path';
import { here, isScript, isUnresolved, linesUntilReady, nodeBinary, options, row, sample, share, start } from './live.mjs';

const wanted = options(process.argv.slice(2), {
  nodes: ['18.20.8', '20.20.2', '22.23.3', '24.21.0', '26.10.0'], seconds: 60, rate: 999, check: false, details: false,
});

const bucketOf = (k) => `bucket${k % 16}`;
const isLost = (frames) => frames.some((frame, i) => /^made_/.test(frame.name) && i > 0 &&
  frames[i - 1].name === bucketOf(Number(frame.name.slice(5))));

// What of a stack contradicts itself; undefined: nothing. `linesBefore` lines precede the text of new Function.
function contradiction(frames, linesBefore) {
  const script = frames.filter((f) => isScript(f) || isUnresolved(f));
  for (let i = 0; i < script.length; i++) {
    const frame = script[i];
    const before = script[i - 1];
    if (isUnresolved(frame)) continue;
    const [, kind, number] = /^(made|caller|closure|invoke|make)_(\d+)$/.exec(frame.name) || [];
    const ofChurn = /^churn-(\d+)\.js$/.exec(frame.file);
    if (ofChurn && kind === undefined && frame.name !== '(anonymous)') return `${frame.name} in ${frame.file}`;
    const known = before && !isUnresolved(before);
    if (kind === 'made' || kind === 'caller') {
      const k = Number(number);
      const first = 1 + (k % 37) + (k % 3 === 1 ? linesBefore : 0) + (kind === 'made' ? 0 : 5);
      const lines = kind === 'made' ? 5 : 7;
      if (frame.file !== (k % 3 === 2 ? `churn-${k}.js` : '')) return `${frame.name} in ${frame.file || 'no file'}`;
      if (frame.start !== 0 && frame.start !== first) return `${frame.name} begins on ${frame.start}, not ${first}`;
      if (frame.line !== 0 && (frame.line < first || frame.line >= first + lines)) {
        return `${frame.name} executes line ${frame.line} of ${first} to ${first + lines - 1}`;
      }
      const right = kind === 'made' ? [`caller_${k}`, bucketOf(k)] : [bucketOf(k)];
      if (known && !right.includes(before.name)) return `${frame.name} called by ${before.name}`;
    } else if (kind) {
      if (frame.file !== '') return `${frame.name} in ${frame.file || 'no file'}`;
      if (kind !== 'invoke' && known && before.name !== `invoke_${number}`) return `${frame.name} called by ${before.name}`;
    }
    if (known && /^caller_/.test(before.name) && kind !== 'made') return `${frame.name} called by ${before.name}`;
    if (known && /^(made|closure|make)_/.test(before.name)) return `${frame.name} called by ${before.name}`;
  }
  return undefined;
}

row(['Node', 'samples', 'with JavaScript', 'of made functions', 'different ones', 'wrong', 'lost', 'unresolved', '%']);
row(Array(9).fill('---'));
let failed = false;
for (const version of wanted.nodes) {
  const child = start(nodeBinary(version), ['--expose-gc', path.join(here, 'churn_target.js')]);
  const begin = await linesUntilReady(child);
  if (!begin.ready) throw new Error(`node ${version}: ${child.errors}`);
  const linesBefore = Number(begin.lines.at(-1));
  const { samples, verdict } = await sample(child, wanted.seconds, wanted.rate);
  const counts = { all: 0, script: 0, made: 0, wrong: 0, lost: 0, unresolved: 0 };
  const names = new Set();
  const notes = new Map();
  for (const { frames, count } of samples) {
    counts.all += count;
    const unresolved = frames.some(isUnresolved);
    if (unresolved || frames.some(isScript)) counts.script += count;
    if (unresolved) counts.unresolved += count;
    const made = frames.filter((f) => /^(made|caller|closure)_/.test(f.name));
    if (made.length > 0) counts.made += count;
    for (const frame of made) names.add(frame.name);
    const wrong = contradiction(frames, linesBefore);
    if (wrong) counts.wrong += count;
    if (isLost(frames)) counts.lost += count;
    const note = wrong || (unresolved && `unresolved: ${frames.map((f) => f.name).slice(-4).join(' > ')}`);
    if (note) notes.set(note, (notes.get(note) || 0) + count);
  }
  row([version, counts.all, counts.script, counts.made, names.size, counts.wrong, counts.lost, counts.unresolved, share(counts.unresolved, counts.script)]);
  const bad = counts.wrong > 0 || counts.lost >= 0.005 * counts.script || counts.unresolved >= 0.01 * counts.script || counts.made < 100;
  failed ||= bad;
  if (wanted.details || (wanted.check && bad)) {
    for (const [text, n] of [...notes].sort((a, b) => b[1] - a[1]).slice(0, 15)) console.log(`    ${n} x ${text}`);
    console.log(`    ${verdict}`);
  }
}
process.exitCode = wanted.check && failed ? 1 : 0;
