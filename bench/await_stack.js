// Spins in an asynchronous function that went on after an await, at the end of a chain of functions that
// await each other.
//
//   usage: node await_stack.js SECONDS LENGTH
'use strict';
const [seconds, length] = process.argv.slice(2).map(Number);
let sink = 0;
function spin() {
  for (let i = 0; i < 20000; i++) sink += i;
}
async function leaf() {
  await null;
  process.stdout.write('ready\n');
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) spin();
}
async function step(n) {
  if (n === 1) return await leaf();
  return await step(n - 1);
}
step(length);
