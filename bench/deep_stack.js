// Spins under thirty JavaScript functions of different names. Optimized code would inline them: run
// with --no-opt.
'use strict';
let source = 'let sink = 0; function f0() { for (let i = 0; i < 20000; i++) sink += i; return sink; }\n';
for (let i = 1; i < 30; i++) source += `function f${i}() { return f${i - 1}() + 1; }\n`;
const run = new Function(`${source} return f29;`)();
process.stdout.write('ready\n');
const end = Date.now() + Number(process.argv[2] || 60) * 1000;
while (Date.now() < end) run();
