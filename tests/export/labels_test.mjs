// The scripts of the pictures cut labels as the picture that is written does (label_text_test.cc).
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
console.log("all passed");
