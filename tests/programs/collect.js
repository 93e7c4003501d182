// At a byte on stdin has the collector run, five times over the whole heap and seven over the young
// generation, and says so. Needs --expose-gc.
'use strict';
process.stdin.on('data', () => {
  for (let i = 0; i < 5; i++) globalThis.gc();
  for (let i = 0; i < 7; i++) globalThis.gc({ type: 'minor' });
  process.stdout.write('done\n');
});
process.stdout.write('ready\n');
