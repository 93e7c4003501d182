// Blocks its main thread in system calls, below JavaScript functions: files, pipes, children,
// waiting for memory.
'use strict';
const fs = require('fs');
const { execFileSync } = require('child_process');

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
function read() {
  for (let i = 0; i < 20; i++) fs.readFileSync(__filename, 'utf8');
}
function list() {
  for (let i = 0; i < 20; i++) fs.readdirSync('/usr/lib').map((name) => fs.lstatSync('/usr/lib/' + name));
}
function child() {
  execFileSync('/bin/true');
}
function turn() {
  sleep(5);
  read();
  list();
  child();
  setTimeout(turn, 5);
}
process.stdout.write('ready\n');
turn();
