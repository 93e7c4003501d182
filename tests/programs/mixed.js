// Works in JavaScript and, below it, in native code of all kinds: compression, hashing, files, JSON,
// regular expressions, sorting.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

const rows = [];
for (let i = 0; i < 300; i++) rows.push({ id: i, name: `name ${(i * 7919) % 1009}`, half: i / 2 });

function json() {
  return JSON.stringify(JSON.parse(JSON.stringify(rows)));
}
function sort() {
  return rows.slice().sort((a, b) => a.name.localeCompare(b.name)).length;
}
function match(text) {
  return text.replace(/name ([0-9]+)/g, (all, digits) => digits + all).length;
}
function compress(text) {
  return zlib.gunzipSync(zlib.gzipSync(text)).length;
}
function hash(text) {
  crypto.pbkdf2Sync(text, 'salt', 50, 32, 'sha512');
  return crypto.createHash('sha256').update(text).digest('hex');
}
function files() {
  for (let i = 0; i < 20; i++) fs.readFileSync(__filename, 'utf8');
}
function turn() {
  const text = json();
  sort();
  match(text);
  compress(text);
  hash(text);
  files();
  setImmediate(turn);
}
process.stdout.write('ready\n');
turn();
