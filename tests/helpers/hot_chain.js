// Functions that call each other for ever, so often that they are compiled by every tier there is:
// hotOuter > hotMiddle > hotInner > hotLeaf. Without inlining each is a frame.
'use strict';

let sink = 0;

function hotLeaf(n) { for (let i = 0; i < n; i++) sink = (sink * 31 + i) | 0; return sink; }
function hotInner(n) { return hotLeaf(n) + hotLeaf(n + 1) + 1; }
function hotMiddle(n) { return hotInner(n) + hotInner(n + 1) + 1; }
function hotOuter(n) { return hotMiddle(n) + hotMiddle(n + 1) + 1; }

for (let i = 0; i < 20000; i++) hotOuter(20);
if (globalThis.gc) { gc(); gc(); }
process.stdout.write('ready\n');
for (;;) hotOuter(200);
