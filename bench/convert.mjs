// How fast profiles are read and written, and in how much memory; flamegraph.pl beside it.
//
//   node bench/convert.mjs [FOLDED_STACKS [PERF_SCRIPT_MB]]      1,000,000 stacks, 1,000 MB
//   FLAMEGRAPH=FOLDER (of flamegraph.pl; else it is looked for in PATH)
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const program = process.env.CONVERT_RATE || path.join(root, 'build/release/bench/convert_rate');
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
try {
  execFileSync(program, ['make-folded', file('stacks.folded'), stacks]);
  convert('stacks.folded', 'stacks.svg');
  convert('stacks.folded', 'stacks.pb.gz');
  if (peers.length === 0) {
    console.log('no flamegraph.pl: FLAMEGRAPH=FOLDER names a checkout of it');
  } else {
    const said = execFileSync(program, ['run', 'perl', peers[0], file('stacks.folded')], { encoding: 'utf8' });
    console.log(`stacks.folded -> flamegraph.pl: ${said.trim()}`);
  }
  rmSync(file('stacks.folded'));
  execFileSync(program, ['make-perf', file('script.txt'), bytes]);
  convert('script.txt', 'script.pb.gz');
} finally {
  rmSync(scratch, { recursive: true });
}
