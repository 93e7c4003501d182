// A child process that runs, and what jprof sees of it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parsePprof } from '../testing/pprof.mjs';

export const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const jprof = process.env.JPROF || path.join(root, 'build/release/jprof');

export const nodeBinary = (version) =>
  execFileSync(path.join(root, 'tools/fetch-node'), [version], { encoding: 'utf8' }).trim();

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export function start(command, args, environment = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
  children.add(child);
  child.errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (child.errors += text));
  child.ended = once(child, 'close').then(([status]) => {
    children.delete(child);
    return status;
  });
  return child;
}

// The lines that a child prints before "ready", or before its end.
export async function linesUntilReady(child) {
  const lines = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') return { lines, ready: true };
    lines.push(line);
  }
  return { lines, ready: false };
}

// Samples a child for some seconds, and goes on where others have the CPU until there are half the samples that one
// CPU gives; then ends it. What parsePprof() returns, each frame with the `tier` of its code, one of ~ ^ + * or
// nothing; and jprof's last words. `more`: further options of jprof.
export async function sample(child, seconds, rate, more = []) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'conformance-'));
  const output = path.join(folder, 'profile.pb.gz');
  const samples = [];
  let verdict = '';
  const taken = () => samples.reduce((sum, { count }) => sum + count, 0);
  for (let recordings = 0; recordings < 20 && taken() < seconds * rate / 2; recordings++) {
    const recording = start(jprof, ['-p', String(child.pid), '-F', String(rate), '-d', String(seconds),
      '--tiers', '--format', 'pprof', '-o', output, ...more]);
    const status = await recording.ended;
    if (status !== 0) throw new Error(`jprof: ${status}\n${recording.errors}`);
    samples.push(...parsePprof(readFileSync(output)));
    verdict = recording.errors.trim().split('\n').pop();
  }
  child.kill('SIGKILL');
  await child.ended;
  for (const frame of new Set(samples.flatMap((s) => s.frames))) {
    const marked = frame.image === '[v8]' && /^([~^+*])(.*)$/s.exec(frame.name);
    frame.tier = marked ? marked[1] : '';
    if (marked) frame.name = marked[2];
  }
  rmSync(folder, { recursive: true });
  return { samples, verdict };
}

// A JavaScript frame of which nothing is known; a function of a script.
export const isUnresolved = (frame) => /^\[(v8: |unknown\] \[jit\])/.test(frame.name);
export const isScript = (frame) => frame.image === '[v8]' && (frame.file !== '' || frame.start > 0);

// "--name value" and "--name" into `defaults`: lists by commas, numbers, booleans.
export function options(args, defaults) {
  const out = { ...defaults };
  for (let i = 0; i < args.length; i++) {
    const name = args[i].slice(2);
    if (!args[i].startsWith('--') || !(name in out)) throw new Error(`unknown argument ${args[i]}`);
    if (typeof out[name] === 'boolean') out[name] = true;
    else if (typeof out[name] === 'number') out[name] = Number(args[++i]);
    else out[name] = args[++i].split(',');
  }
  return out;
}

export const share = (part, whole) => (whole === 0 ? '-' : (100 * part / whole).toFixed(2));
export const row = (cells) => console.log(`| ${cells.join(' | ')} |`);
