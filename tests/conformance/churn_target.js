// Makes functions and drops them as fast as it can, with forced collections of the garbage. Where a
// function belongs follows from its name alone, so that one which is shown by another's name is noticed:
//
//   made_K, caller_K    by eval, new Function and vm (these in the file churn-K.js) in turn, K counting up,
//                       after K % 37 empty lines; caller_K calls made_K, and is called by bucketB, B = K % 16
//   closure_I           one of sixteen functions, closures of it by the million; called from invoke_I
//
// Before "ready" it prints how many lines this V8 puts before the text of new Function.
//
//   usage: node --expose-gc churn_target.js
'use strict';
const vm = require('vm');

let sink = 0;
let kept = [];

const body = (k) => `function made_${k}(x) {
  let s = x;
  for (let i = 0; i < 300; i++) s = (s * 31 + i) % 65521;
  return s;
}
function caller_${k}(x) {
  let s = 0;
  for (let i = 0; i < 4; i++) {
    s += made_${k}(x + i);
  }
  return s;
}
`;
const blank = (k) => '\n'.repeat(k % 37);

const byEval = (k) => (0, eval)(`${blank(k)}${body(k)}caller_${k}`);
const byFunction = (k) => new Function(`${blank(k)}${body(k)}return caller_${k}`)();
const byScript = (k) => vm.runInThisContext(`${blank(k)}(function () { ${body(k)}return caller_${k} })()`,
  { filename: `churn-${k}.js` });
const ways = [byEval, byFunction, byScript];

// bucket0 ... bucket15: functions of their own, which lasts.
const buckets = [];
const invokers = [];
for (let i = 0; i < 16; i++) {
  buckets.push(new Function('f', 'times', `return function bucket${i}(f, times) {
    let s = 0;
    for (let n = 0; n < times; n++) {
      s += f(n);
    }
    return s;
  }`)());
  invokers.push(new Function('kept', `
    function make_${i}(seed) {
      return function closure_${i}(x) {
        let s = seed;
        for (let n = 0; n < 20; n++) s = (s * 33 + n + x) % 65497;
        return s;
      };
    }
    return function invoke_${i}(times) {
      let s = 0;
      for (let n = 0; n < times; n++) {
        const closure = make_${i}(n);
        s += closure(n);
        if (n % 8 === 0) kept.push(closure);
      }
      return s;
    }`)(kept));
}

const ofFunction = new Function('return new Error().stack')().split('\n')[1];
console.log(Number(/(\d+):\d+\)$/.exec(ofFunction)[1]) - 1);
console.log('ready');
for (let k = 0; ; k++) {
  const f = ways[k % 3](k);
  // Some get hot: compiled, and their code goes away with them.
  sink += buckets[k % 16](f, k % 50 === 0 ? 600 : 6);
  sink += invokers[k % 16](300);
  if (k % 5 === 0) kept.push(f);
  if (kept.length > 50000) kept.length = 0;
  if (k % 400 === 0) gc();
  if (k % 100 === 0) gc(true);
}
