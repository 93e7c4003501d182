// JavaScript and WebAssembly that call each other for ever:
//   jsOuter > wasmOuter > (a function without name) > wasmInner > jsBack > wasmOuter > ... > wasmInner
// The innermost wasmInner loops as often as the first argument says. With a second one, the module has
// no section of names. After "ready", a line says what V8 calls the module: "" if it does not tell.
'use strict';

// Newer versions inline WebAssembly into WebAssembly: each is to be a frame.
const node = parseInt(process.versions.node);
if (node >= 22) {
  require('v8').setFlagsFromString(node >= 24 ? '--no-wasm-inlining'
                                              : '--no-experimental-wasm-inlining');
}
const loops = Number(process.argv[2] || 200000);
const named = process.argv.length < 4;

// Integers below 2^28 as LEB128.
const number = n => (n < 128 ? [n] : [(n & 127) | 128, ...number(n >> 7)]);
const bytes = list => [...number(list.length), ...list];
const text = s => bytes([...Buffer.from(s)]);
const vector = list => [...number(list.length), ...[].concat(...list)];
const section = (id, content) => [id, ...bytes(content)];
const code = (locals, ops) => bytes([...locals, ...ops, 0x0b]);

const I32 = 0x7f;
const CALL = 0x10, GET = 0x20, SET = 0x21, TEE = 0x22, GLOBAL_GET = 0x23, GLOBAL_SET = 0x24, CONST = 0x41;
const ADD = 0x6a, SUB = 0x6b, MUL = 0x6c, IF = 0x04, ELSE = 0x05, LOOP = 0x03, BR_IF = 0x0d, END = 0x0b;

// Signed LEB128 wants a bit for the sign: padded to five bytes.
const constant = n => [CONST, (n & 127) | 128, ((n >> 7) & 127) | 128, ((n >> 14) & 127) | 128,
                       ((n >> 21) & 127) | 128, 0];
// Function 0 is the import.
const functions = [
  code([0], [GET, 0, CALL, 2, ...constant(1), ADD]),  // 1: wasmOuter
  code([0], [GET, 0, CALL, 3, ...constant(1), ADD]),  // 2: has no name
  code([1, 1, I32], [                                 // 3: wasmInner
    GET, 0, IF, I32,
    GET, 0, CALL, 0, ...constant(1), ADD,
    ELSE,
    ...constant(loops), SET, 1,
    LOOP, 0x40,
    GLOBAL_GET, 0, ...constant(31), MUL, GET, 1, ADD, GLOBAL_SET, 0,
    GET, 1, ...constant(1), SUB, TEE, 1, BR_IF, 0,
    END,
    GLOBAL_GET, 0,
    END]),
];
const names = [[1, ...text('wasmOuter')], [3, ...text('wasmInner')]];
const wire = Uint8Array.from([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  ...section(1, vector([[0x60, 1, I32, 1, I32]])),
  ...section(2, vector([[...text('env'), ...text('jsBack'), 0, 0]])),
  ...section(3, vector([[0], [0], [0]])),
  ...section(6, vector([[I32, 1, CONST, 7, END]])),
  ...section(7, vector([[...text('wasmOuter'), 0, 1]])),
  ...section(10, vector(functions)),
  ...(named ? section(0, [...text('name'), 1, ...bytes(vector(names))]) : []),
]);

let instance;
let url = '';
function jsBack(n) {
  if (url === null) url = (/wasm:\/\/wasm\/[0-9a-f]*/.exec(new Error().stack) || [''])[0];
  return instance.exports.wasmOuter(n - 1) + 1;
}
function jsOuter(n) { return instance.exports.wasmOuter(n) + 1; }

instance = new WebAssembly.Instance(new WebAssembly.Module(wire), {env: {jsBack}});
for (let i = 0; i < 20; i++) jsOuter(1);
url = null;
jsOuter(1);
if (globalThis.gc) { gc(); gc(); }
process.stdout.write('ready\n' + url + '\n');
for (;;) jsOuter(1);
