// The scripts of the pictures cut labels as the picture that is written does (label_text_test.cc), and give
// packages colours that can be told apart.
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
  const hues = names.slice(from, from + 12).map((name) => hueOf(colour(name, 0))).sort((a, b) => a - b);
  hues.forEach((hue, i) => assert.ok((hues[(i + 1) % 12] - hue + 360) % 360 >= 18, hues.join()));
}
// The heaviest has its own, whoever else there is; any order of the names gives the same.
assert.equal(colour(names[0], 3), Trees.packageColours(new Map([[names[0], 1]]))(names[0], 3));
const reversed = Trees.packageColours(new Map([...weights].reverse()));
for (const name of [...names, "unknown"]) assert.equal(reversed(name, 5), colour(name, 5), name);
console.log("all passed");
