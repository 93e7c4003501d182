// A chain of calls of every kind that has a name of its own, down to spinHere, which never returns.
// live_v8_test.cc knows each link by the text of its definition.
'use strict';

let sink = 0;

function spinHere() {
  process.stdout.write('ready\n');
  for (;;) sink = (sink * 31 + 7) | 0;
}

const holder = { deep: {} };
holder.deep.arrow = () => { spinHere(); sink++; };

function plainFunction() { holder.deep.arrow(); sink++; }

function größeÄndern() { plainFunction(); sink++; }

function 名前を描く() { größeÄndern(); sink++; }

// Many locals that inner functions capture: their names are in one table.
function manyLocals() {
  const captured = [];
  let a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12, a13, a14, a15, a16, a17, a18,
      a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37,
      a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56,
      a57, a58, a59, a60, a61, a62, a63, a64, a65, a66, a67, a68, a69, a70, a71, a72, a73, a74, a75,
      a76, a77, a78, a79;
  captured.push(() => [a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12, a13, a14,
    a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33,
    a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52,
    a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, a64, a65, a66, a67, a68, a69, a70, a71,
    a72, a73, a74, a75, a76, a77, a78, a79]);
  名前を描く();
  sink += captured.length;
}

class Painter {
  constructor() { this.paint(); sink++; }
  paint() { const self = () => this; Painter.fromCanvas(); sink += self() ? 1 : 0; }
  static fromCanvas() { manyLocals(); sink++; }
}

const direct = eval(`
  (function fromEval() { new Painter(); sink++; })
`);

function viaBuiltin() { [1].map(function eachItem() { direct(); sink++; }); sink++; }

function outermost() { viaBuiltin(); sink++; }

if (globalThis.gc) { gc(); gc(); }
outermost();
