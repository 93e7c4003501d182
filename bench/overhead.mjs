#!/usr/bin/env node
// What jprof itself takes while and after it records.
//
//   CPU       user and system time of its process over 30 s at 99 Hz on a busy node, between two
//             readings of /proc/PID/stat while it records: loading and naming are not in it
//   memory    resident memory (VmRSS) during that time and the peak (VmHWM) to its end
//   naming    from the end of -d to the finished SVG: to the exit of the process, less -d, counted
//             from the line "recording" on its terminal; the median of 7 runs of 5 s, node's binary
//             in the page cache
//   loss      samples taken and lost at 4,999 Hz on both CPUs for 10 s, -a, two busy processes
//
// Aims: CPU in user space below 0.5 % of one CPU, memory below 60 MB, naming within 300 ms, loss 0 or
// counted.
//
//   usage: node bench/overhead.mjs [cpu] [naming] [loss]      (all by default; needs root)
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { jprof, nodeBinary, nodeVersions, root, startReady, stop, table } from './lib.mjs';

const wanted = process.argv.slice(2);
const runs = (name) => wanted.length === 0 || wanted.includes(name);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ticksPerSecond = 100;  // USER_HZ, the same on all architectures of Linux today

function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond };
}


function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kb = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)[1]);
  return { now: kb('VmRSS') / 1024, peak: kb('VmHWM') / 1024, anonymous: kb('RssAnon') / 1024 };
}

// Starts jprof on a terminal of script(1), so that its progress can be seen; resolves when it records.
async function startRecording(args) {
  const command = [jprof, ...args].join(' ');
  os.setPriority(0);
  const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] });
  os.setPriority(os.constants.priority.PRIORITY_HIGH);  // the clock that reads the clock comes first
  const recording = { child, text: '', ended: once(child, 'exit') };
  await new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      recording.text += text;
      if (recording.text.includes('recording: ')) resolve();
    });
    child.on('exit', () => reject(new Error(`jprof ended: ${recording.text}`)));
  });
  recording.began = performance.now();
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  recording.pid = Number(children.split(' ')[0]);
  recording.verdict = () => recording.text.split(/[\r\n]/).find((line) => / samples in /.test(line))?.replace('\u001b[K', '');
  return recording;
}

async function startNode(version) {
  os.setPriority(0);
  const node = await startReady(nodeBinary(version), [path.join(root, 'bench/workloads/mix.js'), '3600']);
  node.stdin.write('x');
  return node;
}

async function measureCpu() {
  const rows = [['node', 'CPU user', 'CPU system', 'of one CPU, user', 'all', 'memory', 'of it private', 'peak to the end']];
  for (const version of nodeVersions) {
    const node = await startNode(version);
    const folder = mkdtempSync(path.join(os.tmpdir(), 'overhead-'));
    const recording = await startRecording(['-p', String(node.pid), '-F', '99', '-d', '34', '-o', path.join(folder, 'out.svg')]);
    await sleep(1500);
    const before = { ...cpuSeconds(recording.pid), at: performance.now() };
    let now = memory(recording.pid);
    for (let i = 0; i < 30; i++) {
      await sleep(1000);
      now = memory(recording.pid);
    }
    const after = { ...cpuSeconds(recording.pid), at: performance.now() };
    let peak = now.peak;
    const poll = setInterval(() => {
      try {
        peak = Math.max(peak, memory(recording.pid).peak);
      } catch {
        clearInterval(poll);
      }
    }, 5);
    await recording.ended;
    clearInterval(poll);
    await stop(node);
    rmSync(folder, { recursive: true });
    const seconds = (after.at - before.at) / 1000;
    const user = after.user - before.user;
    const system = after.system - before.system;
    const share = (cpu) => `${((100 * cpu) / seconds).toFixed(2)} %`;
    rows.push([version, `${user.toFixed(2)} s`, `${system.toFixed(2)} s`, share(user), share(user + system),
      `${now.now.toFixed(0)} MB`, `${now.anonymous.toFixed(0)} MB`, `${peak.toFixed(0)} MB`]);
  }
  console.log('CPU time and memory, 99 Hz, 30 s of a busy node');
  table(rows);
}

async function measureNaming() {
  const rows = [['node', 'median', 'smallest', 'largest', 'SVG']];
  for (const version of nodeVersions) {
    const node = await startNode(version);
    const folder = mkdtempSync(path.join(os.tmpdir(), 'overhead-'));
    const out = path.join(folder, 'out.svg');
    const times = [];
    for (let i = 0; i < 8; i++) {
      const recording = await startRecording(['-p', String(node.pid), '-F', '99', '-d', '5', '-o', out]);
      await recording.ended;
      if (i > 0) times.push(performance.now() - recording.began - 5000);  // the first warms the cache
    }
    const size = statSync(out).size;
    await stop(node);
    rmSync(folder, { recursive: true });
    times.sort((a, b) => a - b);
    const ms = (t) => `${t.toFixed(0)} ms`;
    rows.push([version, ms(times[3]), ms(times[0]), ms(times[6]), `${(size / 1024).toFixed(0)} KB`]);
  }
  console.log('\nfrom the end of -d to the finished SVG, the target still busy');
  table(rows);
}

async function measureLoss() {
  const spinners = await Promise.all([startNode(nodeVersions[1]), startNode(nodeVersions[2])]);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'overhead-'));
  const recording = await startRecording(['-a', '-F', '4999', '-d', '10', '-o', path.join(folder, 'out.svg')]);
  await sleep(9500);
  const cpu = cpuSeconds(recording.pid);
  const peak = memory(recording.pid).peak;
  await recording.ended;
  await Promise.all(spinners.map(stop));
  rmSync(folder, { recursive: true });
  console.log('\n4,999 Hz on every CPU, 10 s, two busy node processes');
  console.log(recording.verdict());
  console.log(`before the end: ${cpu.user.toFixed(2)} s user, ${cpu.system.toFixed(2)} s system, peak ${peak.toFixed(0)} MB`);
}

if (runs('cpu')) await measureCpu();
if (runs('naming')) await measureNaming();
if (runs('loss')) await measureLoss();
process.exit(0);
