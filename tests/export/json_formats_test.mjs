// What is JSON is what its readers demand: every index in range, every table as long as it says, no
// sample lost. Firefox's is checked against the rules of its processed format, version 48.
//
//   node json_formats_test.mjs WRITE_PROFILE SCRATCH_DIR
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const [writeProfile, scratchArgument] = process.argv.slice(2);
const scratch = resolve(scratchArgument);
mkdirSync(scratch, { recursive: true });

const PERIOD = 10_101_010;
const ONE_THREAD = String.raw`
# title: node "app.js" \x1b
# time: 1700000000000000000 30000000000
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j] 40
node@4711;main (/usr/bin/node+0x1000);mark_[i];q"\\\xff\xe2\x80\xa8\x01</script> 30
node@4711 5
`;
const TWO_THREADS = ONE_THREAD + String.raw`node@4711/4712:worker;k ([kernel]+0x20)_[k] 25
`;

function written(format, text) {
  const file = join(scratch, "out." + format);
  execFileSync(writeProfile, [format, file], { input: text });
  const bytes = readFileSync(file, "utf8");
  // Nothing invisible; lines are broken between elements alone.
  assert.doesNotMatch(bytes, /[\u0000-\u0009\u000b-\u001f\u007f\u2028\ufffd]/);
  return JSON.parse(bytes);
}

function checkSpeedscope() {
  const { shared, profiles, exporter, name } = written("speedscope", TWO_THREADS);
  assert.equal(exporter, "jprof");
  assert.equal(name, 'node "app.js" \\x1b');
  assert.deepEqual(profiles.map((p) => p.name), ["node 4711", "node 4711/4712 worker"]);
  const sums = {};
  for (const p of profiles) {
    assert.equal(p.type, "sampled");
    assert.equal(p.unit, "nanoseconds");
    assert.equal(p.samples.length, p.weights.length);
    assert.equal(p.endValue, p.weights.reduce((a, b) => a + b, 0));
    p.samples.forEach((stack, i) => {
      const key = stack.map((f) => shared.frames[f].name).join(" > ");
      sums[key] = (sums[key] ?? 0) + p.weights[i];
    });
  }
  // The other thread begins when the first has ended: empty until then, as is what has no stack.
  const names = Object.keys(sums);
  assert.equal(sums[""], (75 + 5) * PERIOD);
  assert.equal(sums["main > render"], 40 * PERIOD);
  assert.equal(sums["k"], 25 * PERIOD);
  assert.equal(names.length, 4);
  assert.ok(names.some((n) => n.startsWith('main > mark > q"')), names.join("\n"));
  const render = shared.frames.find((f) => f.name === "render");
  assert.deepEqual([render.file, render.line], ["/srv/app.js", 12]);
  assert.equal(shared.frames.find((f) => f.name === "main").file, "/usr/bin/node");
}

function checkCpuprofile(text, samples) {
  const p = written("cpuprofile", text);
  const byId = new Map(p.nodes.map((n) => [n.id, n]));
  assert.equal(byId.size, p.nodes.length);
  assert.equal(p.nodes[0].callFrame.functionName, "(root)");
  const seen = new Set([p.nodes[0].id]);
  for (const node of p.nodes) {
    for (const child of node.children) {
      assert.ok(byId.has(child) && !seen.has(child));
      seen.add(child);
    }
    const { functionName, scriptId, url, lineNumber, columnNumber } = node.callFrame;
    assert.equal(typeof functionName + typeof scriptId + typeof url, "stringstringstring");
    assert.ok(Number.isInteger(lineNumber) && Number.isInteger(columnNumber));
  }
  assert.equal(seen.size, p.nodes.length);
  assert.equal(p.samples.length, p.timeDeltas.length);
  assert.ok(p.samples.every((id) => byId.has(id)));
  assert.ok(p.timeDeltas.every((d) => d >= 0));
  assert.equal(p.nodes.reduce((sum, n) => sum + n.hitCount, 0), samples);
  const end = p.startTime + p.timeDeltas.reduce((a, b) => a + b, 0);
  assert.equal(p.startTime, 1_700_000_000_000_000);
  assert.ok(p.endTime - end >= 10_100 && p.endTime - end <= 10_102);
  assert.ok(Math.abs(p.endTime - p.startTime - samples * PERIOD / 1000) <= 1);
  const render = p.nodes.find((n) => n.callFrame.functionName === "render");
  assert.equal(render.callFrame.url, "/srv/app.js");
  assert.equal(render.callFrame.lineNumber, 11);
  assert.equal(render.hitCount, 40);
  return p;
}

function checkFirefox() {
  const { meta, libs, threads } = written("firefox", TWO_THREADS);
  assert.equal(meta.preprocessedProfileVersion, 48);
  assert.equal(meta.startTime, 1_700_000_000_000);
  assert.equal(meta.interval, 10.10101);
  assert.deepEqual(libs, []);
  assert.equal(threads.length, 2);
  let weight = 0;
  for (const t of threads) {
    assert.equal(typeof t.pid, "string");
    for (const name of ["samples", "markers", "stackTable", "frameTable", "funcTable", "resourceTable", "nativeSymbols"]) {
      for (const [column, values] of Object.entries(t[name])) {
        if (Array.isArray(values)) assert.equal(values.length, t[name].length, `${name}.${column}`);
      }
    }
    const within = (values, table, nullable) => {
      for (const v of values) {
        if (v === null || v === -1) assert.ok(nullable);
        else assert.ok(Number.isInteger(v) && v >= 0 && v < table, `${v} of ${table}`);
      }
    };
    const strings = t.stringArray.length;
    within(t.samples.stack, t.stackTable.length, true);
    within(t.stackTable.frame, t.frameTable.length);
    t.stackTable.prefix.forEach((prefix, i) => assert.ok(prefix === null || prefix < i));
    within(t.stackTable.category, meta.categories.length);
    within(t.frameTable.func, t.funcTable.length);
    within(t.frameTable.category, meta.categories.length);
    within(t.funcTable.name, strings);
    within(t.funcTable.fileName, strings, true);
    within(t.funcTable.resource, t.resourceTable.length, true);
    within(t.resourceTable.name, strings);
    t.samples.time.forEach((time, i) => assert.ok(i === 0 || time >= t.samples.time[i - 1]));
    weight += t.samples.weight.reduce((a, b) => a + b, 0);
    assert.equal(t.samples.weightType, "tracing-ms");
  }
  assert.ok(Math.abs(weight - 100 * PERIOD / 1e6) < 1e-3);
  assert.deepEqual(threads.map((t) => [t.name, t.processName, t.pid, t.tid, t.isMainThread]),
                   [["node", "node", "4711", 4711, true], ["worker", "node", "4711", 4712, false]]);
  const kernel = threads[1];
  const category = kernel.frameTable.category[kernel.stackTable.frame[kernel.samples.stack[0]]];
  assert.equal(meta.categories[category].name, "Kernel");
}

checkSpeedscope();
const alone = checkCpuprofile(ONE_THREAD, 75);
assert.ok(alone.nodes.some((n) => n.callFrame.functionName === "(program)" && n.hitCount === 5));
const both = checkCpuprofile(TWO_THREADS, 100);
assert.ok(both.nodes.some((n) => n.callFrame.functionName === "node 4711/4712 worker"));
checkFirefox();
console.log("all passed");
