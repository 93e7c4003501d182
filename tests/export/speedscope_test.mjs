// speedscope imports what the exporters write: its published release, in a browser, is given the
// files and asked to save them as its own JSON, which is then looked at.
//
//   node speedscope_test.mjs CHROMIUM WRITE_PROFILE SCRATCH_DIR
//
// The release comes from npm, once for each build directory.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser } from "./browser.mjs";

const VERSION = "1.25.0";
const [chromium, writeProfile, scratchArgument] = process.argv.slice(2);
const scratch = resolve(scratchArgument);
const release = join(scratch, "package", "dist", "release", "index.html");

mkdirSync(scratch, { recursive: true });
if (!existsSync(release)) {
  execFileSync("npm", ["pack", `speedscope@${VERSION}`, "--silent"], { cwd: scratch });
  execFileSync("tar", ["-xzf", `speedscope-${VERSION}.tgz`], { cwd: scratch });
}

const PROFILE = String.raw`
# title: node app.js (pid 4711)
# time: 1700000000000000000 30000000000
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j] 40
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j];ArrayMap_[b] 30
node@4711;main (/usr/bin/node+0x1000);write (/usr/lib/libc.so.6+0x20);ksys_write ([kernel]+0x20)_[k] 20
node@4711;main (/usr/bin/node+0x1000);forged\x3bframe 7\x0aline 9;\xff\xe2\x80\xa8 10
`;

const browser = await Browser.start(chromium);
let failures = 0;

// The profile as speedscope understood it: {frame names root first: weight}.
async function imported(format, name) {
  const file = join(scratch, name);
  execFileSync(writeProfile, [format, file], { input: PROFILE });
  const loader = join(scratch, name + ".js");
  writeFileSync(loader, `speedscope.loadFileFromBase64(${JSON.stringify(name)}, ` +
                        `"${readFileSync(file).toString("base64")}")`);
  const page = await browser.open("about:blank");
  await page.send("Page.addScriptToEvaluateOnNewDocument", { source: `
    window.errors = [];
    window.addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
    window.alert = (text) => errors.push(text);
    URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return "#"; };
  ` });
  await page.goto(pathToFileURL(release).href + "#localProfilePath=" + encodeURIComponent(loader));
  // The Export button is there once a profile is loaded.
  await page.until("errors.length > 0 || document.body.innerText.includes('Export')");
  await page.press("s", { control: true });
  await page.until("errors.length > 0 || window.saved !== undefined");
  assert.deepEqual(await page.evaluate("errors"), []);
  const saved = JSON.parse(await page.evaluate("window.saved"));
  assert.equal(saved.profiles.length, 1);
  const [profile] = saved.profiles;
  // Opening and closing of frames along the weights: what lies between two events is the stack's.
  assert.equal(profile.type, "evented");
  const stacks = {};
  const open = [];
  let at = profile.startValue;
  for (const event of profile.events) {
    if (event.at > at && open.length > 0) {
      const key = open.map((frame) => saved.shared.frames[frame].name).join(" > ");
      stacks[key] = (stacks[key] ?? 0) + event.at - at;
    }
    at = event.at;
    if (event.type === "O") open.push(event.frame);
    else assert.equal(open.pop(), event.frame);
  }
  return { stacks, frames: saved.shared.frames, unit: profile.unit };
}

async function test(name, body) {
  try {
    await body();
    console.log(`ok   ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
}

try {
  await test("folded", async () => {
    const { stacks } = await imported("folded", "out.folded");
    assert.deepEqual(stacks, {
      "node > main > render /srv/app.js:12_[j]": 40,
      "node > main > render /srv/app.js:12_[j] > ArrayMap_[j]": 30,
      "node > main > write > ksys_write_[k]": 20,
      "node > main > forged:frame 7\\nline_9 > \\xff\\u2028": 10,
    });
  });

  await test("pprof", async () => {
    const { stacks, frames, unit } = await imported("pprof", "out.pb.gz");
    const ns = 10_101_010;
    assert.equal(unit, "nanoseconds");
    assert.deepEqual(stacks, {
      "main > render": 40 * ns,
      "main > render > ArrayMap": 30 * ns,
      "main > write > ksys_write": 20 * ns,
      "main > forged;frame 7\\nline 9 > \\xff\\u2028": 10 * ns,
    });
    const render = frames.find((frame) => frame.name === "render");
    assert.equal(render.file, "/srv/app.js");
    assert.equal(render.line, 12);
  });
  await test("speedscope", async () => {
    const { stacks, frames, unit } = await imported("speedscope", "out.speedscope.json");
    const ns = 10_101_010;
    assert.equal(unit, "nanoseconds");
    assert.deepEqual(stacks, {
      "main > render": 40 * ns,
      "main > render > ArrayMap": 30 * ns,
      "main > write > ksys_write": 20 * ns,
      "main > forged;frame 7\\nline 9 > \\xff\\u2028": 10 * ns,
    });
    const render = frames.find((frame) => frame.name === "render");
    assert.equal(render.file, "/srv/app.js");
    assert.equal(render.line, 12);
  });

  await test("cpuprofile", async () => {
    const { stacks, unit } = await imported("cpuprofile", "out.cpuprofile");
    assert.equal(unit, "microseconds");
    const names = ["main > render", "main > render > ArrayMap", "main > write > ksys_write",
                   "main > forged;frame 7\\nline 9 > \\xff\\u2028"];
    assert.deepEqual(Object.keys(stacks).sort(), names.sort());
    assert.ok(Math.abs(stacks["main > render > ArrayMap"] - 30 * 10_101.01) < 2, JSON.stringify(stacks));
  });
} finally {
  await browser.stop();
}
console.log(failures === 0 ? "all passed" : `${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
