// Gets into the state that its argument names, and stays there; says "ready" just before.
'use strict';

function spinInJs(items) {
  let sum = 0;
  for (let i = 0; ; i = (i + 1) % items.length) {
    sum = (sum + items[i]) & 0xffff;
  }
}

function matchBadly(text) {
  return /^(a+)+$/.test(text);
}

// Makes garbage beside much that is none, and has all of it marked each time.
function fillHeap() {
  const keep = [];
  while (process.memoryUsage().heapUsed < 60e6) {
    for (let i = 0; i < 1e5; i++) keep.push({ i, text: 'x' + i });
  }
  require('v8').setFlagsFromString('--gc-global');
  process.stdout.write('ready\n');
  for (let n = 0; ; n++) keep[(n * 7919) % keep.length] = { n, list: new Array(20).fill(n) };
}

// The child ends with the test, which has the other end of its input.
function backUp() {
  require('child_process').execFileSync('cat', { stdio: 'inherit' });
}

const states = {
  loop() {
    process.stdout.write('ready\n');
    spinInJs([1, 2, 3]);
  },
  regexp() {
    process.stdout.write('ready\n');
    matchBadly('a'.repeat(60) + 'b');
  },
  gc: fillHeap,
  child() {
    process.stdout.write('ready\n');
    backUp();
  },
  idle() {
    process.stdin.on('data', () => {});
    setInterval(() => {}, 100);
    process.stdout.write('ready\n');
  },
};
states[process.argv[2]]();
