// How fast profiles are read and written, and in how much memory; flamegraph.pl beside it. The same
// stacks are drawn sorted, as collapsers write them, and in any order.
//
//   node bench/convert.mjs [FOLDED_STACKS [PERF_SCRIPT_MB]]      1,000,000 stacks, 1,000 MB
//   RUNS=N        of each picture, by jprof and by flamegraph.pl; the median counts (3)
//   FLAMEGRAPH=FOLDER (of flamegraph.pl; else it is looked for in PATH)
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const program = process.env.CONVERT_RATE || path.join(root, 'build/release/bench/convert_rate');
const jprof = process.env.JPROF || path.join(root, 'build/release/jprof');
const stacks = process.argv[2] || '1000000';
const bytes = String(Number(process.argv[3] || 1000) * 1e6);

const peers = [process.env.FLAMEGRAPH, ...process.env.PATH.split(':')].filter(Boolean)
  .map((folder) => path.join(folder, 'flamegraph.pl')).filter(existsSync);

const scratch = mkdtempSync(path.join(process.env.TMPDIR || tmpdir(), 'jprof-convert-'));
const file = (name) => path.join(scratch, name);
const convert = (from, to) => {
  const said = execFileSync(program, [file(from), file(to)], { encoding: 'utf8' });
  console.log(`${from} -> ${to}: ${said.trim()}`);
};
const run = (name, ...command) => {
  const [wall, cpu, mb] = execFileSync(program, ['run', ...command], { encoding: 'utf8' }).split(' ').map(Number);
  return { name, wall, cpu, mb };
};
const say = ({ name, wall, cpu, mb }) => console.log(`${name}: ${wall} s, CPU ${cpu} s, peak ${mb} MB`);
const median = (name, ...command) => {
  const runs = Array.from({ length: Number(process.env.RUNS || 3) }, () => run(name, ...command));
  return runs.sort((a, b) => a.wall - b.wall)[runs.length >> 1];
};
// Lines in another order, the same each time.
const shuffle = (from, to) => {
  const lines = readFileSync(file(from), 'latin1').trimEnd().split('\n');
  let state = 1;
  for (let i = lines.length - 1; i > 0; --i) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    const j = Math.floor(state / 2 ** 32 * (i + 1));
    [lines[i], lines[j]] = [lines[j], lines[i]];
  }
  const fd = openSync(file(to), 'w');
  for (let i = 0; i < lines.length; i += 100000) {
    writeSync(fd, lines.slice(i, i + 100000).join('\n') + '\n', null, 'latin1');
  }
  closeSync(fd);
};

try {
  execFileSync(program, ['make-folded', file('sorted.folded'), stacks]);
  shuffle('sorted.folded', 'shuffled.folded');
  for (const from of ['sorted.folded', 'shuffled.folded']) {
    const ours = median(`${from} -> SVG`, jprof, 'convert', file(from), '-o', file('out.svg'));
    say(ours);
    if (peers.length === 0) continue;
    const theirs = median(`${from} -> flamegraph.pl`, 'perl', peers[0], file(from));
    say(theirs);
    console.log(`  ${(theirs.wall / ours.wall).toFixed(0)} times faster, in 1/${(theirs.mb / ours.mb).toFixed(0)} of the memory`);
  }
  if (peers.length === 0) console.log('no flamegraph.pl: FLAMEGRAPH=FOLDER names a checkout of it');
  convert('sorted.folded', 'stacks.pb.gz');
  for (const name of ['sorted.folded', 'shuffled.folded']) rmSync(file(name));
  execFileSync(program, ['make-perf', file('script.txt'), bytes]);
  convert('script.txt', 'script.pb.gz');
} finally {
  rmSync(scratch, { recursive: true });
}
