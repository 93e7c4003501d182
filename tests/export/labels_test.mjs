// The scripts of the pictures cut labels as the picture that is written does (label_text_test.cc),
// give packages colours that can be told apart, and keep the widest of too many frames.
//
//   node labels_test.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const Trees = new Function(read("../../web/tree.js") + "\nreturn Trees;")();

const cases = read("labels.txt").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
assert.ok(cases.length > 30);
for (const line of cases) {
  const [characters, label, shown] = line.split("\t");
  assert.equal(Trees.fit(label, Number(characters) + 0.01, () => 1), shown, line);
}

// Of the heaviest twelve no two have hues that are nearer than 18 degrees, nor of the next twelve.
const hueOf = (colour) => Number(/^hsl\((\d+),/.exec(colour)[1]);
const names = Array.from({ length: 40 }, (_, i) => `package${i * 7}`);
const weights = new Map(names.map((name, i) => [name, 1000 - i]));
const colour = Trees.packageColours(weights);
for (const from of [0, 12]) {
  const some = names.slice(from, from + 12);
  const hues = some.map((name) => hueOf(colour(name, 0))).sort((a, b) => a - b);
  hues.forEach((hue, i) => assert.ok((hues[(i + 1) % 12] - hue + 360) % 360 >= 18, hues.join()));
}
// The heaviest has its own, whoever else there is; any order of the names gives the same.
assert.equal(colour(names[0], 3), Trees.packageColours(new Map([[names[0], 1]]))(names[0], 3));
const reversed = Trees.packageColours(new Map([...weights].reverse()));
for (const name of [...names, "unknown"]) assert.equal(reversed(name, 5), colour(name, 5), name);

// all(6) calls a(5) and e(1); a calls b(3) and d(1), b calls c(3), e calls f(1).
const tree = {
  count: 7, leftOut: 2,
  label: Int32Array.of(0, 1, 2, 3, 4, 5, 6), parent: Int32Array.of(0, 0, 1, 2, 1, 0, 5),
  depth: Int32Array.of(0, 1, 2, 3, 2, 1, 2), end: Int32Array.of(7, 5, 4, 4, 5, 7, 7),
  self: Float64Array.of(0, 1, 0, 3, 1, 0, 1), total: Float64Array.of(6, 5, 3, 3, 1, 1, 1),
};
// Of the three that weigh 1 the lowest is kept.
const widest = Trees.widest(tree, 5);
assert.deepEqual([widest.count, widest.leftOut, widest.crowded], [5, 2, 2]);
assert.deepEqual([...widest.label], [0, 1, 2, 3, 5]);
assert.deepEqual([...widest.parent], [0, 0, 1, 2, 0]);
assert.deepEqual([...widest.depth], [0, 1, 2, 3, 1]);
assert.deepEqual([...widest.end], [5, 4, 4, 4, 5]);
assert.deepEqual([...widest.total], [6, 5, 3, 3, 1]);
assert.equal(Trees.widest(tree, 7).count, 7);
console.log("all passed");
