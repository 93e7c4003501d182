// Stands still in functions whose arguments are known. Writes "ready" first.
'use strict';
const fs = require('fs');

class Canvas {
  constructor(name) {
    this.name = name;
    this.width = 640;
    this.list = [1, 'two', null];
  }
  paint(text, numbers) {
    leaf(1, -7, 'say "hé"\n' + text, true, null, undefined, this);
  }
}

function leaf(one, seven, text, yes, nothing, missing, canvas) {
  fs.writeSync(1, 'ready\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  return [one, seven, text, yes, nothing, missing, canvas];
}

function middle(call, big, canvas) {
  canvas.paint('x'.repeat(100), [1.5, -0.25]);
  return [call, big];
}

function many(...all) {
  middle(Math.max, 12345678901234567890n, new Canvas('main'));
  return all;
}

// Fewer than it has parameters, and more than are shown.
function few(a, b, c) {
  many(1, 2, 3, 4, 5, 6, 7, 8, 9);
  return [a, b, c];
}

few({ deep: { x: 1 }, f: 0.5 });
