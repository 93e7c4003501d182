// What a trap that does not match costs each system call, of whichever process: a call that fails at
// once, without a trap and with some, in turn, the least of many rounds each.
//
//   node bench/trap.mjs [rounds]
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

const jprof = process.env.JPROF ?? 'build/release/jprof';
const call = (process.env.CALL_COST ?? 'build/release/bench/call_cost');
const rounds = Number(process.argv[2] ?? 3);

const traps = {
  'no trap': null,
  'a trap of another call': ['fsync errno=EIO'],
  'of this call and another error': ['close errno=EINTR'],
  'of this call and another name': ['close errno=EBADF comm=nobody'],
  'of the duration of another call': ['fsync duration>900ms'],
  'of this call and its duration': ['close duration>10s'],
  'the same, by the clock': ['close duration>900ms'],
  'of any call': ['any errno=EOVERFLOW uid=12345'],
};

async function measure(trap) {
  if (trap === null) return Number(execFileSync(call));
  const child = spawn(jprof, ['trap', ...trap], { stdio: ['ignore', 'ignore', 'pipe'] });
  let told = '';
  while (!told.includes('armed')) told += (await once(child.stderr, 'data'))[0];
  const cost = Number(execFileSync(call));
  child.kill('SIGKILL');
  await once(child, 'exit');
  return cost;
}

const least = {};
for (let i = 0; i < rounds; i++) {
  for (const [name, trap] of Object.entries(traps)) {
    least[name] = Math.min(least[name] ?? Infinity, await measure(trap));
  }
}
for (const [name, cost] of Object.entries(least)) {
  console.log(`${name.padEnd(34)} ${cost.toFixed(0).padStart(5)} ns a call, ${(cost - least['no trap']).toFixed(0).padStart(4)} more`);
}
