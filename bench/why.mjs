// How long `jprof why` takes, from its start to its end, to name each of twelve causes; the processes
// are staged one by one, and who names another cause fails.
//
//   node bench/why.mjs [rounds]        (STUCK: tests/programs/stuck, where another build is to be taken)
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { jprof, nodeBinary, root, startReady, stop } from './lib.mjs';

const rounds = Number(process.argv[2] ?? 3);
const stuck = process.env.STUCK ?? path.join(root, 'build/release/tests/programs/stuck');
const node = nodeBinary('22.23.3');
const script = path.join(root, 'tests/programs/stuck.js');
const native = (state) => startReady(stuck, [state]);
const js = (state) => startReady(node, [script, state]);

const cases = [
  ['loop in JavaScript', () => js('loop'), / in spinInJs .*stuck\.js:[67]:/],
  ['loop in C++', () => native('loop'), / in SpinInCpp\(\) /],
  ['regular expression', () => js('regexp'), /matching a regular expression in matchBadly /],
  ['garbage collection', () => js('gc'), /collecting garbage in \d+ % of /],
  ['full pipe', () => native('pipe'), /blocked in a write to a full pipe .*whose reader slow-reader/],
  ['full System V queue', () => native('queue'), /blocked in sending to System V message queue .* is full/],
  ['deadlock of two threads', () => native('locks'), /deadlock: thread \d+ stuck in LockBoth/],
  ['deadlock of two processes', () => native('sockets'), /deadlock across processes: /],
  ['sleeping timer', () => native('sleep'), /: sleeps \(/],
  ['stopped', () => native('sleep'), /stopped by a signal/],
  ['zombie', () => native('zombie'), /has exited \(exit status 3\) and is a zombie/],
  ['disk sleep', () => native('vfork'), /in uninterruptible sleep: /],
];

const stateOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '')[0];

async function seconds([name, stage, expected]) {
  const child = await stage();
  let pid = child.pid;
  if (name === 'zombie') pid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  if (name === 'stopped') {
    child.kill('SIGSTOP');
    while (stateOf(pid) !== 'T') await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const begin = process.hrtime.bigint();
  const { stdout, stderr } = spawnSync(jprof, ['why', `${pid}`], { encoding: 'utf8' });
  const time = Number(process.hrtime.bigint() - begin) / 1e9;
  child.stdin.end(); // the queue is removed by who made it
  if (name === 'full System V queue') await child.ended;
  else await stop(child);
  if (!expected.test(stdout.split('\n')[0])) {
    console.log(`${name}: another cause was named:\n${stdout}${stderr}`);
    process.exitCode = 1;
  }
  return time;
}

for (const one of cases) {
  const times = [];
  for (let i = 0; i < rounds; i++) times.push(await seconds(one));
  times.sort((a, b) => a - b);
  console.log(`${one[0].padEnd(26)} ${times[rounds >> 1].toFixed(2)} s, worst ${times.at(-1).toFixed(2)} s`);
}
