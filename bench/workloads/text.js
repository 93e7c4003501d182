// JavaScript that leans on the runtime: sorting with a comparator, regular expressions with
// callbacks, JSON, maps of strings. Says ready, waits for a byte, works for argv[2] seconds (default
// 8), exits.
'use strict';

const words = Array.from({ length: 3000 }, (_, i) => `w${(i * 7919) % 3001}-${(i * 31) % 97}`);
const text = words.join(' ');
const records = words.map((word, i) => ({ id: i, word, tags: [word.slice(0, 2), word.slice(-2)], score: (i * 37) % 101 }));
const json = JSON.stringify(records);

function byScoreThenWord(a, b) {
  return a.score - b.score || (a.word < b.word ? -1 : a.word > b.word ? 1 : 0);
}
function sortRecords() {
  return records.slice().sort(byScoreThenWord)[0];
}

function capitalize(match, letter, number) {
  return letter.toUpperCase() + (Number(number) + 1);
}
function rewriteText() {
  return text.replace(/([a-z])(\d+)/g, capitalize).length;
}

function revive(key, value) {
  return key === 'score' ? value * 2 : value;
}
function parseJson() {
  return JSON.parse(json, revive).length;
}
function printJson() {
  return JSON.stringify(records, (key, value) => (key === 'tags' ? undefined : value)).length;
}

function countLetters() {
  const counts = new Map();
  for (const word of words) for (const c of word) counts.set(c, (counts.get(c) || 0) + 1);
  return [...counts].sort(([x], [y]) => (x < y ? -1 : 1)).length;
}

function joinTags() {
  return records.filter((r) => r.tags.some((t) => t.endsWith('1'))).map((r) => r.tags.join('/')).join().length;
}

const tasks = [sortRecords, rewriteText, parseJson, printJson, countLetters, joinTags];

process.stdin.once('data', () => {
  const end = Date.now() + 1000 * Number(process.argv[2] || 8);
  for (let i = 0; Date.now() < end; i++) tasks[i % tasks.length]();
  process.exit(0);
});
process.stdout.write('ready\n');
