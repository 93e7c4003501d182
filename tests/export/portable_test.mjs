// The pictures are for every browser: nothing in web/ is of one engine alone, or newer than it says.
// Only Chromium is driven in the other tests, so what it would forgive is looked for here.
//
//   node portable_test.mjs WEB_DIR
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [web] = process.argv.slice(2);
const read = (name) => readFileSync(join(web, name), "utf8");
const folder = (name) => readdirSync(join(web, name)).map((file) => join(name, file));

// Without comments and what is quoted.
const bare = (script) => script.replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, "").replace(/"(?:[^"\\\n]|\\.)*"/g, '""');

const ONE_ENGINE = /\b(?:webkit|moz|ms)[A-Z]\w*|\bchrome\.|\buserAgentData\b|\bscrollIntoViewIfNeeded\b|\bshow(?:Save|Open)FilePicker\b|\bevent\.path\b|\bperformance\.memory\b|\bnavigator\.(?:connection|deviceMemory|keyboard|scheduling)\b|\brequestIdleCallback\b|\bdocument\.all\b|\bcaptureStackTrace\b|\bstyle\.zoom\b|\bgetIntersectionList\b/;
// Firefox and Safari had them after 2021.
const AFTER_2021 = /\bstructuredClone\b|\bhasOwn\(|\.(?:findLast|findLastIndex|toSorted|toReversed|toSpliced|with|groupBy|fromAsync|at)\(|\bDecompressionStream\b|\bfromBase64\b|\bOffscreenCanvas\b|\(\?<[=!]/;
// There is no body in an SVG, and its elements are made with a namespace.
const ONLY_HTML = /\bdocument\.body\b|\bdocument\.createElement\(|\binner(?:HTML|Text)\b|\bclassName\b|\binsertAdjacentHTML\b/;
// Of a name that is asked for before it is used.
const guarded = (script) => script.replace(/^ *if \(Uint8Array\.fromBase64\) .*$/m, "");

const PROPERTIES = new Set(`align-items background border border-collapse border-color border-radius border-style
  border-top bottom box-shadow box-sizing break-inside color color-scheme content cursor display fill fill-opacity flex
  flex-basis flex-direction flex-shrink flex-wrap font font-size font-weight gap height justify-content left margin
  margin-left margin-right max-height max-width min-height min-width object-fit object-position opacity order outline
  outline-offset overflow overflow-wrap overflow-x overflow-y padding pointer-events position print-color-adjust right
  stroke stroke-width table-layout text-align text-decoration text-overflow top touch-action vector-effect vertical-align
  white-space width z-index`.split(/\s+/));

function checkScript(name, rules) {
  const script = guarded(bare(read(name)));
  for (const rule of rules) assert.doesNotMatch(script, rule, name + ": " + rule.exec(script)?.[0]);
}

function checkStyle(name) {
  const style = read(name).replace(/\/\*.*?\*\//gs, "").replace(/"[^"]*"/g, '""');
  const selectors = /:has\(|::-webkit|::-moz|@(?!media\b)[a-z-]+|&/;
  assert.doesNotMatch(style, selectors, name + ": " + selectors.exec(style)?.[0]);
  for (const [, block] of style.matchAll(/\{([^{}]*)\}/g)) {
    const names = block.split(";").map((part) => part.split(":")[0].trim()).filter((property) => property !== "");
    for (const property of names) {
      if (property.startsWith("--")) continue;
      const standard = property.replace(/^-webkit-/, "");
      assert.ok(PROPERTIES.has(standard), `${name}: is ${property} known to all browsers?`);
      assert.ok(names.includes(standard), `${name}: ${property} without ${standard}`);
    }
  }
}

const shared = readdirSync(web).filter((file) => file.endsWith(".js"));
for (const name of [...shared, ...folder("flamegraph")]) {
  checkScript(name, [ONE_ENGINE, AFTER_2021, ONLY_HTML]);
}
// The report says that it takes a browser of 2023.
for (const name of folder("report")) checkScript(name, [ONE_ENGINE]);
for (const name of readdirSync(web).filter((file) => file.endsWith(".css"))) checkStyle(name);
console.log("all passed");
