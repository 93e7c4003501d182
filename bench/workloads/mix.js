// CPU-bound JavaScript of several kinds: recursion, typed arrays, objects, closures, classes.
// Says ready, waits for a byte, works for argv[2] seconds (default 8), exits.
'use strict';

function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

function sieve(limit) {
  const composite = new Uint8Array(limit + 1);
  let primes = 0;
  for (let i = 2; i <= limit; i++) {
    if (composite[i]) continue;
    primes++;
    for (let j = i * i; j <= limit; j += i) composite[j] = 1;
  }
  return primes;
}

function multiply(a, b, n) {
  const c = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++) {
      const x = a[i * n + k];
      for (let j = 0; j < n; j++) c[i * n + j] += x * b[k * n + j];
    }
  return c;
}

class Board {
  constructor(size) {
    this.size = size;
    this.solutions = 0;
  }
  place(row, columns, left, right) {
    if (row === this.size) {
      this.solutions++;
      return;
    }
    for (let c = 0; c < this.size; c++) {
      if (this.isFree(c, row, columns, left, right)) {
        this.place(row + 1, columns | (1 << c), left | (1 << (row + c)), right | (1 << (row - c + this.size)));
      }
    }
  }
  isFree(c, row, columns, left, right) {
    return !(columns & (1 << c)) && !(left & (1 << (row + c))) && !(right & (1 << (row - c + this.size)));
  }
}

class Tree {
  constructor(key) {
    this.key = key;
    this.left = this.right = null;
  }
  insert(key) {
    if (key < this.key) {
      if (this.left) this.left.insert(key);
      else this.left = new Tree(key);
    } else {
      if (this.right) this.right.insert(key);
      else this.right = new Tree(key);
    }
  }
  depth() {
    return 1 + Math.max(this.left ? this.left.depth() : 0, this.right ? this.right.depth() : 0);
  }
}

function buildTree(count, seed) {
  const tree = new Tree(0.5);
  for (let i = 0; i < count; i++) {
    seed = (seed * 16807) % 2147483647;
    tree.insert(seed / 2147483647);
  }
  return tree.depth();
}

const compose = (...steps) => (x) => steps.reduce((value, step) => step(value), x);
const pipeline = compose((x) => x + 1, (x) => x * 1.000001, (x) => Math.sqrt(x), (x) => x * x);
function runPipeline(times) {
  let x = 1;
  for (let i = 0; i < times; i++) x = pipeline(x);
  return x;
}

const n = 96;
const a = Float64Array.from({ length: n * n }, (_, i) => (i % 7) - 3);
const tasks = [
  () => fibonacci(24),
  () => sieve(300000),
  () => multiply(a, a, n),
  () => new Board(8).place(0, 0, 0, 0),
  () => buildTree(6000, 7),
  () => runPipeline(30000),
];

process.stdin.once('data', () => {
  const end = Date.now() + 1000 * Number(process.argv[2] || 8);
  for (let i = 0; Date.now() < end; i++) tasks[i % tasks.length]();
  process.exit(0);
});
process.stdout.write('ready\n');
