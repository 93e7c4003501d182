// Functions whose names and places a test knows. All are called from one place that sees several of
// them, so the optimizer inlines none and each stays a frame of its own. Says ready when all of them
// ran often enough to have been compiled; runs until it is ended.
'use strict';

let sink = 0;

function spin(turns) {
  for (let i = 0; i < turns; i++) sink = (sink * 1103515245 + 12345 + i) & 0x7fffffff;
  return sink;
}

function plainFunction(turns) {
  for (let i = 0; i < turns; i++) sink = (sink * 69069 + 1 + i) & 0x7fffffff;
  return sink;
}

const arrowFunction = (turns) => {
  for (let i = 0; i < turns; i++) sink = (sink * 1664525 + 1013904223 + i) & 0x7fffffff;
  return sink;
};

class Shape {
  computeArea(turns) {
    for (let i = 0; i < turns; i++) sink = (sink * 22695477 + 1 + i) & 0x7fffffff;
    return sink;
  }
  static fromText(turns) {
    for (let i = 0; i < turns; i++) sink = (sink * 134775813 + 1 + i) & 0x7fffffff;
    return sink;
  }
}

exports.inferredName = function (turns) {
  for (let i = 0; i < turns; i++) sink = (sink * 214013 + 2531011 + i) & 0x7fffffff;
  return sink;
};

const größeΩ = function (turns) {
  for (let i = 0; i < turns; i++) sink = (sink * 16843009 + 826366247 + i) & 0x7fffffff;
  return sink;
};

const functions = [
  spin, plainFunction, arrowFunction, Shape.prototype.computeArea, Shape.fromText,
  exports.inferredName, größeΩ,
];

function callAll(rounds) {
  for (let i = 0; i < rounds; i++) functions[i % functions.length](20000);
}

callAll(400);
process.stdout.write('ready\n');
for (;;) callAll(1000);
