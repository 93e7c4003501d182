// What the benchmarks share: node binaries, the program under test, recordings as folded stacks.
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const jprof = process.env.JPROF || path.join(root, 'build/release/jprof');
export const nodeVersions = ['18.20.8', '20.20.2', '22.23.3'];

if (!existsSync(jprof)) {
  console.error(`bench: error: no ${jprof}; build it: cmake --preset release && cmake --build --preset release`);
  process.exit(1);
}

export function nodeBinary(version) {
  return execFileSync(path.join(root, 'tools/fetch-node'), [version], { encoding: 'utf8' }).trim();
}

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function start(command, args, options) {
  const child = spawn(command, args, options);
  children.add(child);
  child.ended = once(child, 'exit').then(([code, signal]) => {
    children.delete(child);
    return signal || code;
  });
  return child;
}

// Resolves when the program has said "ready".
export async function startReady(command, args, options = {}) {
  const child = start(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([once(lines, 'line'), child.ended.then((s) => [`ended: ${s}`])]);
  if (line !== 'ready') throw new Error(`${command} ${args.join(' ')}: ${line}`);
  return child;
}

export function stop(child) {
  child.kill('SIGKILL');
  return child.ended;
}

// Starts a recording; `done` resolves to what it wrote and its verdict.
export function record(args) {
  const child = start(jprof, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const done = child.ended.then((status) => {
    if (status !== 0) throw new Error(`jprof ${args.join(' ')}: ${status}\n${err}`);
    return { out, verdict: err.trim().split('\n').pop() };
  });
  return { child, done };
}

// [{frames: [root, ..., leaf], count}], the process's name left out.
export function parseFolded(text) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const blank = line.lastIndexOf(' ');
      return { frames: line.slice(0, blank).split(';').slice(1), count: Number(line.slice(blank + 1)) };
    });
}

// {name, file, line} of a JavaScript frame of folded stacks, an inlined one too, undefined for all others.
export function scriptFrame(frame) {
  const match = /^(.*) (\S.*):(\d+)_\[[ij]\]$/.exec(frame);
  return match && { name: match[1], file: match[2], line: Number(match[3]) };
}

export const percent = (part, whole) => `${((100 * part) / whole).toFixed(2)} %`;

export function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  for (const row of rows) console.log(row.map((cell, i) => String(cell).padEnd(widths[i])).join('  ').trimEnd());
}
