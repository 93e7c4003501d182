// Spins under thirty JavaScript functions of different names: DEPTH of its own, the others are Node's
// that run it. Optimized code would inline them: run with --no-opt.
//
// "new": other functions every 9 ms, so that a sampler at 99 Hz meets new names only.
//
//   usage: node --no-opt deep_stack.js [SECONDS [DEPTH [new]]]
'use strict';
const [seconds = '60', depth = '30', kind] = process.argv.slice(2);
let made = 0;
function make() {
  const name = (i) => `f${made}_${i}`;
  let source = `let sink = 0; function ${name(0)}() { for (let i = 0; i < 20000; i++) sink += i; return sink; }\n`;
  for (let i = 1; i < depth; i++) source += `function ${name(i)}() { return ${name(i - 1)}() + 1; }\n`;
  const run = new Function(`${source} return ${name(depth - 1)};`)();
  made++;
  return run;
}
process.stdout.write('ready\n');
const end = Date.now() + seconds * 1000;
const lifetime = kind === 'new' ? 9 : seconds * 1000;
while (Date.now() < end) {
  const run = make();
  for (const begin = performance.now(); performance.now() - begin < lifetime;) run();
}
