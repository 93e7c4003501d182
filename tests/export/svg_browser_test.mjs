// The flame graph as a reader meets it: a browser, a mouse, a keyboard.
//
//   node svg_browser_test.mjs CHROMIUM WRITE_PROFILE SCRATCH_DIR
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser } from "./browser.mjs";

const [chromium, writeProfile, scratch] = process.argv.slice(2);

// 1000 samples. `walk` calls itself: its 500 samples count once.
const PROFILE = String.raw`
# title: node app.js (pid 4711)
# comment: 1,000 samples, 0 lost
# comment: jprof -p 4711
node;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j] 100
node;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j];walk /srv/app.js:12_[j] 150
node;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j];walk /srv/app.js:12_[j];ArrayMap_[b] 250
node;main;handle /srv/app.js:3_[j];Write Log /srv/app.js:50_[j];write;ksys_write_[k] 200
node;main;operator()(int) 100
node;main;operatorint 50
node;main;[unknown] libz.so+0x12_[u] 50
node;main;"><script>window.forged=1</script>]]><img src=x onerror=window.forged=1> 100
`;

mkdirSync(scratch, { recursive: true });
const file = join(scratch, "browser.svg");
execFileSync(writeProfile, ["svg", file], { input: PROFILE });
const picture = readFileSync(file, "utf8");
const url = pathToFileURL(file).href;

writeFileSync(join(scratch, "before.txt"), "node;main;gone /srv/app.js:99_[j];write 400\nnode;main;write 100\n");
const diff = join(scratch, "diff.svg");
execFileSync(writeProfile, ["svg", diff, join(scratch, "before.txt")], { input: PROFILE });
const diffUrl = pathToFileURL(diff).href;

const mapped = join(scratch, "mapped.svg");
execFileSync(writeProfile, ["svg", mapped], { input:
  "# generated: handle = h /srv/dist/app.js:1:4711\nnode;handle /srv/app.js:3_[j];write 5\n" });
const mappedUrl = pathToFileURL(mapped).href;

const THIN = 2000;
const many = join(scratch, "thin.svg");
execFileSync(writeProfile, ["svg", many], { input: Array.from({ length: THIN }, (_, i) =>
  `node;main;thin${String(i).padStart(4, "0")} 1\n`).join("") });
const manyUrl = pathToFileURL(many).href;

function write(name, text) {
  const path = join(scratch, name);
  execFileSync(writeProfile, ["svg", path], { input: text });
  return pathToFileURL(path).href;
}
// `main` itself is never executing; 300 of its callees are too thin to be drawn.
const thinnerUrl = write("thinner.svg", "node;main;wide 1000000\n" + Array.from({ length: 300 },
  (_, i) => `node;main;thin${i} 1\n`).join(""));
// As wide as what it calls, `main` is hardly ever executing itself.
const callerUrl = write("caller.svg", "node;main;wide 1000000\nnode;main 10\n");
// All but three of the 21,003 frames are of one sample.
const crowdedUrl = write(
  "crowded.svg", Array.from({ length: 7000 }, (_, i) => `node;main;a${i};b${i};c${i} 1\n`).join(""));
const allUrl = write("all.svg", "app;all 10\napp;other 30\n");
const nineComments = Array.from({ length: 9 }, (_, i) => `# comment: c${i}\n`).join("");
const nineUrl = write("nine.svg", nineComments + "node;main 1\n");

const browser = await Browser.start(chromium);
let failures = 0;

// What the tests ask the page; `frame(name)` is the first frame whose name begins so.
const HELPERS = `
  window.frame = (name, nth = 0) => [...document.querySelectorAll("#frames > g")]
    .filter((g) => g.querySelector("title").textContent.startsWith(name))[nth];
  window.rect = (name, nth = 0) => frame(name, nth).querySelector("rect");
  window.focusOn = (name) => { frame(name).setAttribute("tabindex", "-1"); frame(name).focus(); };
  window.geometry = () => JSON.stringify([...document.querySelectorAll("#frames rect")]
    .map((r) => ["x", "y", "width", "height", "fill"].map((a) => r.getAttribute(a))));
  window.text = (id) => document.getElementById(id).textContent;
  window.hidden = (id) => document.getElementById(id).classList.contains("hide");
  window.matches = () => [...document.querySelectorAll("#frames > g.match")]
    .map((g) => g.querySelector("title").textContent.replace(/ \\([^(]*\\)$/, ""));
  window.params = () => Object.fromEntries(new URLSearchParams(location.search));
  true`;

async function test(name, body, query = "", address = url) {
  const page = await browser.open(address + query);
  try {
    await page.evaluate(HELPERS);
    await body(page);
    assert.deepEqual(page.exceptions, [], "the page threw");
    for (const asked of page.requests) assert.ok(asked.split("?")[0] === address, `asked for ${asked}`);
    assert.equal(await page.evaluate("window.forged"), undefined, "a name became markup");
    console.log(`ok   ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
}

const searchFor = async (page, text) => {
  await page.press("f", { control: true });
  await page.until("document.activeElement.id === 'field'");
  await page.type(text);
  await page.press("Enter");
};

try {
  await test("the unzoomed picture keeps the file's attributes in any window", async (page) => {
    // As the file has it.
    const before = JSON.stringify([...picture.matchAll(/<title>.*?<\/title><rect (.*?)\/>/g)]
      .map(([, rect]) => [...rect.matchAll(/="(.*?)"/g)].map(([, value]) => value)));
    assert.equal(await page.evaluate("geometry()"), before);
    await page.send("Emulation.setDeviceMetricsOverride",
                    { width: 1800, height: 700, deviceScaleFactor: 1, mobile: false });
    await page.until("rect('all').getBoundingClientRect().width > 1700");
    assert.equal(await page.evaluate("geometry()"), before);
    assert.equal(await page.evaluate("rect('all').getAttribute('width')"), "1180.00");
    const ratio = await page.evaluate(
      "rect('handle').getBoundingClientRect().width / rect('all').getBoundingClientRect().width");
    assert.ok(Math.abs(ratio - 0.7) < 0.002, `handle has ${ratio} of the width`);
  });

  await test("a narrow window cuts nothing off", async (page) => {
    for (const width of [1400, 900, 600, 400]) {
      await page.send("Emulation.setDeviceMetricsOverride",
                      { width, height: 500, deviceScaleFactor: 1, mobile: false });
      await page.until(`rect('all').getBoundingClientRect().width <= ${width - 19}`);
      const [right, bottom, top, end] = JSON.parse(await page.evaluate(`JSON.stringify([
        Math.max(...[...document.querySelectorAll("#header text, #header #legend rect")]
          .map((e) => e.getBoundingClientRect().right)),
        Math.max(...[...document.querySelectorAll("#legend text")]
          .map((e) => e.getBoundingClientRect().bottom)),
        Math.min(...[...document.querySelectorAll("#frames rect")]
          .map((e) => e.getBoundingClientRect().top)),
        document.documentElement.getBoundingClientRect().bottom])`));
      assert.ok(right <= width, `header ends at ${right} of ${width}`);
      assert.ok(bottom <= top, `the legend ends at ${bottom}, the frames begin at ${top}`);
      const all = await page.evaluate("rect('all').getBoundingClientRect().bottom");
      const details = await page.evaluate("document.getElementById('details').getBoundingClientRect().top");
      assert.ok(all <= details, `the root ends at ${all}, the details begin at ${details}`);
      assert.ok(end - details < 34, "the details are at the end");
    }
    await page.send("Emulation.setDeviceMetricsOverride",
                    { width: 1200, height: 800, deviceScaleFactor: 1, mobile: false });
    await page.until("text('title') === 'node app.js (pid 4711)'");
  });

  await test("a zoomed frame's label leaves out the folders too", async (page) => {
    const label = "frame('handle').querySelector('text').textContent";
    assert.equal(await page.evaluate(label), "handle app.js:3");
    await page.click("rect('handle')");
    assert.equal(await page.evaluate(label), "handle app.js:3");
    await page.hover("rect('handle')");
    assert.equal(await page.evaluate("text('details')"), "handle /srv/app.js:3 (700 samples, 70.00%) \u00b7 itself 0.00% \u00b7 JavaScript \u00b7 srv/");
  });

  await test("a click zooms, dims the callers and hides the rest", async (page) => {
    const x = await page.evaluate("rect('Write Log').getAttribute('x')");
    const y = await page.evaluate("rect('Write Log').getAttribute('y')");
    assert.equal(await page.evaluate("hidden('unzoom')"), true);
    await page.click("rect('Write Log')");
    assert.equal(await page.evaluate("rect('Write Log').getAttribute('x')"), "10.00");
    assert.equal(await page.evaluate("rect('Write Log').getAttribute('width')"), "1180.00");
    assert.equal(await page.evaluate("rect('ksys_write').getAttribute('width')"), "1180.00");
    for (const caller of ["all", "node", "main", "handle"]) {
      assert.equal(await page.evaluate(`frame('${caller} ').classList.contains('parent')`), true);
      assert.equal(await page.evaluate(`rect('${caller} ').getAttribute('width')`), "1180.00");
    }
    for (const other of ["walk", "operatorint", "ArrayMap"]) {
      assert.equal(await page.evaluate(`getComputedStyle(frame('${other}')).display`), "none");
    }
    assert.deepEqual(await page.evaluate("params()"), { x, y });
    assert.equal(await page.evaluate("hidden('unzoom')"), false);
  });

  await test("Reset Zoom brings the picture back", async (page) => {
    const before = await page.evaluate("geometry()");
    await page.click("rect('Write Log')");
    assert.notEqual(await page.evaluate("geometry()"), before);
    await page.click("document.getElementById('unzoom')");
    assert.equal(await page.evaluate("geometry()"), before);
    assert.equal(await page.evaluate("document.querySelectorAll('#frames .hide, #frames .parent').length"), 0);
    assert.deepEqual(await page.evaluate("params()"), {});
    assert.equal(await page.evaluate("hidden('unzoom')"), true);
  });

  await test("the address restores zoom and search", async (page) => {
    await page.click("rect('handle')");
    await searchFor(page, "walk");
    const query = await page.evaluate("location.search");
    await page.goto(url + query);
    await page.evaluate(HELPERS);
    assert.equal(await page.evaluate("rect('handle').getAttribute('width')"), "1180.00");
    assert.equal(await page.evaluate("frame('main').classList.contains('parent')"), true);
    assert.equal(await page.evaluate("text('matched')"), "Matched: 50.0% (71.4% of this view)");
    assert.equal(await page.evaluate("location.search"), query);
  });

  await test("an address that names no frame shows the whole picture", async (page) => {
    assert.equal(await page.evaluate("document.querySelectorAll('#frames .hide').length"), 0);
  }, "?x=1.00&y=2");

  await test("search counts each column once", async (page) => {
    await searchFor(page, "walk");
    assert.equal(await page.evaluate("matches().length"), 2);
    assert.equal(await page.evaluate("text('matched')"), "Matched: 50.0%");
    assert.equal(await page.evaluate("hidden('matched')"), false);
    assert.equal(await page.evaluate("document.getElementById('search').classList.contains('show')"), true);
    assert.notEqual(await page.evaluate("getComputedStyle(rect('walk')).fill"),
                    await page.evaluate("getComputedStyle(rect('handle')).fill"));
    assert.deepEqual(await page.evaluate("params()"), { s: "walk" });
    await page.click("document.getElementById('search')");
    assert.equal(await page.evaluate("matches().length"), 0);
    assert.equal(await page.evaluate("hidden('matched')"), true);
    assert.deepEqual(await page.evaluate("params()"), {});
  });

  await test("what is matched stands beside the hint", async (page) => {
    await page.send("Emulation.setDeviceMetricsOverride",
                    { width: 600, height: 500, deviceScaleFactor: 1, mobile: false });
    await page.until("rect('all').getBoundingClientRect().width < 600");
    const [end, begin] = await page.evaluate(`[document.getElementById("details").getBoundingClientRect().right,
      document.getElementById("matched").getBoundingClientRect().left]`);
    assert.ok(end < begin, `the hint ends at ${end}, the share begins at ${begin}`);
  }, "?s=walk");

  await test("what is typed is text", async (page) => {
    await searchFor(page, "operator()(");
    assert.deepEqual(await page.evaluate("matches()"), ["operator()(int)"]);
    await searchFor(page, "[unknown]");
    assert.deepEqual(await page.evaluate("matches()"), ["[unknown] libz.so+0x12"]);
    await searchFor(page, "<script>");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 10.0%");
    await searchFor(page, "no such text [a-z]");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 0.0%");
  });

  await test("a pattern that no frame holds as text is a regular expression", async (page) => {
    await searchFor(page, "ksys|Array");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 45.0%");
    await searchFor(page, "/^oper.*t$/");
    assert.deepEqual(await page.evaluate("matches()"), ["operatorint"]);
  });

  await test("the address's s is a regular expression", async (page) => {
    assert.equal(await page.evaluate("text('matched')"), "Matched: 15.0%");
  }, "?s=%5Eoperator");

  await test("an s that is no regular expression is text", async (page) => {
    assert.deepEqual(await page.evaluate("matches()"), ["operator()(int)"]);
  }, "?s=%29%28int");

  await test("Ctrl-I ignores case", async (page) => {
    await searchFor(page, "WALK");
    assert.equal(await page.evaluate("matches().length"), 0);
    await page.press("i", { control: true });
    assert.equal(await page.evaluate("matches().length"), 2);
    assert.equal(await page.evaluate("document.getElementById('ignorecase').classList.contains('show')"), true);
    await page.press("i", { control: true });
    assert.equal(await page.evaluate("matches().length"), 0);
  });

  await test("F3 and / open the search, Escape drops what was typed", async (page) => {
    await page.press("F3");
    await page.until("document.activeElement.id === 'field'");
    await page.type("main");
    await page.until("matches().length === 1");
    await page.press("Escape");
    assert.equal(await page.evaluate("matches().length"), 0);
    assert.equal(await page.evaluate("document.getElementById('field')"), null);
    await page.press("/");
    await page.until("document.activeElement.id === 'field'");
    assert.equal(await page.evaluate("document.activeElement.value"), "");
  });

  await test("the pointer shows details", async (page) => {
    await page.hover("rect('Write Log')");
    assert.equal(await page.evaluate("text('details')"), "Write Log /srv/app.js:50 (200 samples, 20.00%) \u00b7 itself 0.00% \u00b7 JavaScript \u00b7 srv/");
    await page.hover("document.getElementById('title')");
    assert.match(await page.evaluate("text('details')"), /^click zooms/);
  });

  await test("the generated place of an original is told", async (page) => {
    assert.match(readFileSync(mapped, "utf8"), /<title>handle [^<]*\nh \/srv\/dist\/app\.js:1:4711<\/title>/);
    await page.hover("rect('handle')");
    assert.match(await page.evaluate("text('details')"),
                 /^handle \/srv\/app\.js:3 \(5 samples.* \u00b7 from h \/srv\/dist\/app\.js:1:4711$/);
    await page.hover("rect('write')");
    assert.doesNotMatch(await page.evaluate("text('details')"), /from/);
  }, "", mappedUrl);

  await test("callers of what is zoomed stay so when the arrows reach them", async (page) => {
    const isParent = () => page.evaluate("frame('main').classList.contains('parent')");
    await page.evaluate("focusOn('handle')");
    await page.press("Enter");
    assert.equal(await isParent(), true);
    await page.press("ArrowDown");
    assert.match(await page.evaluate("document.activeElement.getAttribute('aria-label')"), /^main /);
    assert.equal(await isParent(), true);
  });

  await test("arrows walk, Enter zooms, Escape goes back step by step", async (page) => {
    const focused = () => page.evaluate("document.activeElement.querySelector('title').textContent");
    const widthOf = (name) => page.evaluate(`rect('${name}').getAttribute('width')`);
    for (let i = 0; i < 3; i += 1) await page.press("ArrowUp");
    assert.equal(await focused(), "handle /srv/app.js:3 (700 samples, 70.00%)");
    assert.ok((await page.evaluate("text('details')")).startsWith(await focused()));
    await page.press("ArrowUp");
    assert.match(await focused(), /^walk/);
    await page.press("ArrowLeft");
    assert.match(await focused(), /^Write Log/);
    await page.press("ArrowDown");
    await page.press("Enter");
    assert.equal(await widthOf("handle"), "1180.00");
    await page.press("ArrowUp");
    await page.press("Enter");
    assert.equal(await widthOf("walk"), "1180.00");
    await page.press("Escape");
    assert.equal(await widthOf("handle"), "1180.00");
    assert.notEqual(await widthOf("walk"), "1180.00");
    await page.press("Escape");
    assert.notEqual(await widthOf("handle"), "1180.00");
  });

  await test("Tab reaches one frame and every button", async (page) => {
    const seen = [];
    for (let i = 0; i < 8; i += 1) {
      await page.press("Tab");
      seen.push(await page.evaluate(
        "document.activeElement.id || document.activeElement.querySelector?.('title')?.textContent"));
    }
    assert.equal(seen[0], "all (1,000 samples, 100%)");
    assert.ok(seen.includes("search") && seen.includes("ignorecase"), seen.join());
    await page.evaluate("document.getElementById('search').focus()");
    await page.press("Enter");
    await page.until("document.activeElement.id === 'field'");
  });

  // [depth, name, samples] of what is shown, callers first.
  const SHOWN = `JSON.stringify([...document.querySelectorAll("#frames > g:not(.hide)")].map((g) => {
    const [, name, samples] = /^([^]*) \\(([\\d,]+) samples/.exec(g.firstChild.textContent);
    return [Math.round(Math.abs(frame('all').getBoundingClientRect().top - g.getBoundingClientRect().top) / 16),
            name, Number(samples.replace(",", ""))];
  }).filter(([, name]) => name[0] !== '"'))`;
  const shown = async (page) => JSON.parse(await page.evaluate(SHOWN));
  const press = (page, id) => page.click(`document.getElementById('${id}')`);

  await test("an icicle has the root at the top, and arrows follow the picture", async (page) => {
    const x = await page.evaluate("rect('handle').getAttribute('x')");
    const flames = await page.evaluate("geometry()");
    await press(page, "icicle");
    assert.ok(await page.evaluate(
      "rect('all').getBoundingClientRect().top < rect('handle').getBoundingClientRect().top"));
    assert.equal(await page.evaluate("rect('handle').getAttribute('x')"), x);
    assert.deepEqual(await page.evaluate("params()"), { v: "icicle" });
    for (let i = 0; i < 3; i += 1) await page.press("ArrowDown");
    assert.match(await page.evaluate("document.activeElement.firstChild.textContent"), /^handle/);
    await page.press("Escape");
    assert.deepEqual(await page.evaluate("params()"), {});
    assert.equal(await page.evaluate("geometry()"), flames);
  });

  await test("inverted: what was executing, below it its callers", async (page) => {
    await press(page, "inverted");
    const view = await shown(page);
    assert.deepEqual(view.filter(([depth]) => depth === 1).map(([, name, n]) => [name, n]).sort(),
      [["ArrayMap", 250], ["[unknown] libz.so+0x12", 50], ["ksys_write", 200], ["operator()(int)", 100],
       ["operatorint", 50], ["walk /srv/app.js:12", 250]]);
    const at = view.findIndex(([, name]) => name === "walk /srv/app.js:12" );
    assert.ok(view.some(([depth, name, n]) => depth === 2 && name === "walk /srv/app.js:12" && n === 150), String(at));
    await searchFor(page, "main");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 100%");
  });

  await test("recursion is merged into its outermost frame", async (page) => {
    await press(page, "merged");
    const view = await shown(page);
    assert.deepEqual(view.filter(([, name]) => name === "walk /srv/app.js:12"), [[4, "walk /srv/app.js:12", 500]]);
    assert.ok(view.some(([depth, name, n]) => depth === 5 && name === "ArrayMap" && n === 250));
  });

  await test("focus, ignore and hide, by key and by menu; Escape takes them back", async (page) => {
    const before = await page.evaluate("geometry()");
    await page.evaluate("focusOn('Write Log')");
    await page.press("f");
    assert.deepEqual(await shown(page), [[0, "all", 200], [1, "node", 200], [2, "main", 200],
      [3, "handle /srv/app.js:3", 200], [4, "Write Log /srv/app.js:50", 200], [5, "write", 200], [6, "ksys_write", 200]]);
    assert.deepEqual(await page.evaluate("params()"), { f: "^Write Log \\/srv\\/app\\.js:50$" });
    await page.press("Escape");
    assert.equal(await page.evaluate("geometry()"), before);
    const menu = (name, item) => page.chooseFromMenu(`rect('${name}')`, item);
    await menu("walk", "Ignore");
    assert.equal((await shown(page))[0][2], 500);
    assert.equal((await shown(page)).some(([, name]) => /^walk|^Array/.test(name)), false);
    await menu("handle", "Hide");
    const view = await shown(page);
    assert.equal(view.some(([, name]) => /^handle/.test(name)), false);
    assert.ok(view.some(([depth, name, n]) => depth === 3 && /^Write Log/.test(name) && n === 200));
    assert.equal(await page.evaluate("hidden('unfilter')"), false);
    await press(page, "unfilter");
    assert.equal(await page.evaluate("geometry()"), before);
    assert.deepEqual(await page.evaluate("params()"), {});
  });

  await test("letters in the menu act and close it; Escape closes it and nothing else",
             async (page) => {
    const isOpen = () => page.evaluate("document.getElementById('menu') !== null");
    await page.openMenu("rect('walk')");
    await page.press("h");
    assert.equal(await isOpen(), false);
    assert.equal((await shown(page)).some(([, name]) => /^walk/.test(name)), false);
    await page.openMenu("rect('handle')");
    await page.press("Escape");
    assert.equal(await isOpen(), false);
    assert.equal((await shown(page)).some(([, name]) => /^walk/.test(name)), false);
    await page.openMenu("rect('handle')");
    await page.press("ArrowLeft");
    assert.match(await page.evaluate("document.activeElement.textContent"), /^Zoom in/);
    await page.press("/");
    await page.until("document.activeElement.id === 'field'");
    assert.equal(await isOpen(), false);
  });

  await test("keys of an input method are not the picture's", async (page) => {
    const width = "rect('handle').getAttribute('width')";
    await page.click("rect('handle')");
    await page.press("/");
    await page.until("document.activeElement.id === 'field'");
    await page.send("Input.imeSetComposition", { text: "ka", selectionStart: 2, selectionEnd: 2 });
    await page.press("Escape");
    assert.equal(await page.evaluate(width), "1180.00");
    assert.equal(await page.evaluate("document.activeElement.id"), "field");
  });

  await test("a function named as the root is not the root", async (page) => {
    const fill = await page.evaluate("rect('all (10 ').getAttribute('fill')");
    assert.notEqual(await page.evaluate("rect('all').getAttribute('fill')"), fill);
    await page.evaluate("focusOn('all (10 ')");
    await page.press("f");
    assert.deepEqual(await shown(page), [[0, "all", 10], [1, "app", 10], [2, "all", 10]]);
    const fillOfRoot = "rect('all (10 samples, 100.00%)').getAttribute('fill')";
    assert.equal(await page.evaluate(fillOfRoot), fill);
    await page.press("Escape");
    await page.evaluate("focusOn('all (10 ')");
    await page.press("x");
    assert.deepEqual(await shown(page), [[0, "all", 30], [1, "app", 30], [2, "other", 30]]);
  }, "", allUrl);

  await test("the address restores the view, its filters and its zoom", async (page) => {
    assert.equal((await shown(page))[0][2], 500);
    assert.equal(await page.evaluate("rect('walk').getAttribute('width')"), "1180.00");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 50.0% (50.0% of this view)");
    assert.equal(await page.evaluate("rect('walk').getBoundingClientRect().top > rect('all').getBoundingClientRect().top"), true);
    await page.press("Escape");
    await page.press("Escape");
    assert.equal(await page.evaluate("params().f"), undefined);
  }, "?v=icicle+merged&f=%5Ewalk&s=ArrayMap&x=10.00&y=" + /<rect x="[\d.]+" y="(\d+)"/.exec(
    picture.slice(picture.indexOf("<title>walk ")))[1]);

  await test("views of a comparison keep what vanished, its colours and its shares", async (page) => {
    const title = (name) => page.evaluate(`frame('${name}').querySelector('title').textContent`);
    assert.equal(await title("gone"), "gone /srv/app.js:99 (0 samples, 0.00%; -80.00%)");
    await press(page, "inverted");
    assert.equal(await page.evaluate("frame('write', 1).querySelector('title').textContent"), "write (0 samples, 0.00%; -100.00%)");
    assert.equal(await title("gone"), "gone /srv/app.js:99 (0 samples, 0.00%; -80.00%)");
    assert.equal(await page.evaluate("rect('write', 1).getAttribute('fill')"), "#3f86d9");
    assert.match(await title("ArrayMap"), /^ArrayMap \(250 samples, 25\.00%; \+25\.00%\)$/);
    assert.equal(await page.evaluate("rect('ArrayMap').getAttribute('width')"), "147.50");
    await searchFor(page, "ArrayMap");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 25.0%");
  }, "", diffUrl);

  await test("thin frames are drawn together, and answer all the same", async (page) => {
    assert.equal(readFileSync(many, "utf8").match(/^<g class="k/gm).length, THIN);
    assert.ok(await page.evaluate("document.querySelectorAll('#frames > g').length") < 10);
    const boxes = (selector) => page.evaluate(`[...document.querySelectorAll('${selector}')]
      .reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0)`);
    assert.equal(await boxes("#thin > path"), THIN);
    // The 1,001st of them: half a pixel wide, in the middle of the row above `main`.
    const at = await page.evaluate(`(() => {
      const { left, top, width } = rect('main').getBoundingClientRect();
      return { x: left + width * 1000.5 / ${THIN}, y: top - 8 };
    })()`);
    await page.send("Input.dispatchMouseEvent", { type: "mouseMoved", ...at });
    assert.match(await page.evaluate("text('details')"), /^thin1000 \(1 samples, 0\.05%\)/);
    for (const type of ["mousePressed", "mouseReleased"]) {
      await page.send("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
    }
    assert.equal(await page.evaluate("rect('thin1000').getAttribute('width')"), "1180.00");
    assert.equal(await page.evaluate("frame('thin1000').querySelector('text').textContent"), "thin1000");
    assert.equal(await page.evaluate("document.querySelectorAll('#thin > path').length"), 0);
    assert.match(JSON.stringify(await page.evaluate("params()")), /"x":"\d+\.\d\d"/);
    await page.press("Escape");
    await searchFor(page, "/thin0[0-4]/");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 25.0%");
    assert.equal(await boxes("#thin > path.match"), THIN / 4);
    await page.evaluate("focusOn('main')");
    await page.press("ArrowUp");
    await page.press("ArrowRight");
    assert.match(await page.evaluate("document.activeElement.getAttribute('aria-label')"), /^thin0001 \(1 samples/);
    await press(page, "inverted");
    assert.ok(await page.evaluate("document.querySelectorAll('#frames > g').length") < 10);
    await press(page, "inverted");
    assert.deepEqual(await page.evaluate("params()"), { s: "thin0[0-4]" });
    // A finger that rests there has not moved there before.
    await press(page, "merged");
    await page.evaluate(`document.documentElement.dispatchEvent(new MouseEvent("contextmenu",
      { clientX: ${at.x}, clientY: ${at.y}, bubbles: true, cancelable: true }))`);
    assert.ok(await page.evaluate("document.getElementById('menu') !== null"));
  }, "", manyUrl);

  await test("colours by package, and back", async (page) => {
    const fill = () => page.evaluate("rect('handle').getAttribute('fill')");
    const before = await fill();
    await press(page, "bypackage");
    assert.match(await fill(), /^hsl/);
    // Of one package, one hue.
    const hue = async (name) => (await page.evaluate(`rect('${name}').getAttribute('fill')`)).split(",")[0];
    assert.equal(await hue("Write Log"), await hue("handle"));
    assert.notEqual(await hue("write ("), await hue("handle"));
    assert.match(await page.evaluate("text('packagelegend')"), /srv\/ 25\.0%/);
    await press(page, "bypackage");
    assert.equal(await fill(), before);
  });

  await test("the verdict unfolds", async (page) => {
    assert.doesNotMatch(await page.evaluate("document.getElementById('subtitle').lastChild.previousSibling.textContent"), /jprof -p/);
    await page.evaluate("document.getElementById('subtitle').focus()");
    await page.press("Enter");
    assert.match(await page.evaluate("document.getElementById('subtitle').lastChild.previousSibling.textContent"), /jprof -p/);
  });

  await test("of more than eight comments the verdict says how many there are", async (page) => {
    await page.evaluate("document.getElementById('subtitle').focus()");
    await page.press("Enter");
    const lines = await page.evaluate(
      "[...document.querySelectorAll('#subtitle > tspan')].map((line) => line.textContent)");
    assert.deepEqual(lines.slice(-3, -1), ["c7", "1 more comment"]);
  }, "", nineUrl);

  await test("dark for who prefers it, light on paper", async (page) => {
    const background = "getComputedStyle(document.getElementById('background')).fill";
    assert.equal(await page.evaluate(background), "rgb(255, 255, 255)");
    await page.send("Emulation.setEmulatedMedia",
                    { features: [{ name: "prefers-color-scheme", value: "dark" }] });
    assert.equal(await page.evaluate(background), "rgb(22, 25, 29)");
    await page.send("Emulation.setEmulatedMedia",
                    { media: "print", features: [{ name: "prefers-color-scheme", value: "dark" }] });
    assert.equal(await page.evaluate(background), "rgb(255, 255, 255)");
    assert.equal(await page.evaluate("getComputedStyle(document.getElementById('search')).display"), "none");
  });

  await test("in the dark what a comparison has unchanged does not glare", async (page) => {
    const fills = () => page.evaluate(`[...new Set(
      [...document.querySelectorAll("#frames rect[fill='#ececec']")]
        .map((r) => getComputedStyle(r).fill))]`);
    assert.deepEqual(await fills(), ["rgb(236, 236, 236)"]);
    await page.send("Emulation.setEmulatedMedia",
                    { features: [{ name: "prefers-color-scheme", value: "dark" }] });
    assert.deepEqual(await fills(), ["rgb(134, 141, 150)"]);
    assert.equal(await page.evaluate("getComputedStyle(rect('gone')).fill"), "rgb(63, 134, 217)");
    await press(page, "inverted");
    assert.deepEqual(await fills(), ["rgb(134, 141, 150)"]);
  }, "", diffUrl);

  await test("a printed picture is light, and has all its colours", async (page) => {
    await page.send("Emulation.setEmulatedMedia",
                    { features: [{ name: "prefers-color-scheme", value: "dark" }] });
    const { pages, fills } = await page.printed();
    assert.equal(pages, 1);
    for (const [r, g, b] of fills) assert.ok(r + g + b > 1.2, `${r} ${g} ${b} is dark`);
    const drawn = new Set(fills.map(String));
    const rounded = (hex) => String(hex.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16) / 255).map((n) => Number(n.toFixed(4))));
    for (const [, fill] of picture.matchAll(/<g class="w.*? fill="#([0-9a-f]{6})"/g)) {
      assert.ok(drawn.has(rounded(fill)), `nothing is #${fill} in ${[...drawn].join(" ")}`);
    }
  });

  await test("what a frame has itself does not include what is not drawn", async (page) => {
    assert.match(await page.evaluate("text('leftout')"), /^not drawn: 300 frames/);
    await page.hover("rect('main')");
    assert.match(await page.evaluate("text('details')"), /^main \(1,000,300 samples, 100\.00%\) \u00b7 itself 0\.00%/);
    await press(page, "merged");
    await page.hover("rect('main')");
    assert.match(await page.evaluate("text('details')"), /^main .* \u00b7 itself at most 0\.03%/);
    assert.match(await page.evaluate("text('leftout')"), /part of their callers$/);
    await press(page, "merged");
    await press(page, "bypackage");
    assert.match(await page.evaluate("text('leftout')"), /part of their callers$/);
  }, "", thinnerUrl);

  await test("what a view leaves out is told", async (page) => {
    assert.equal(await page.evaluate("text('leftout')"), "");
    const top = "rect('wide').getBoundingClientRect().top - "
      + "document.getElementById('legend').getBoundingClientRect().bottom";
    const gap = await page.evaluate(top);
    await press(page, "inverted");
    assert.equal(await page.evaluate("text('leftout')"),
                 "not drawn: 1 frame, and its callers, thinner than 0.1 px");
    const [told, legend] = await page.evaluate(`["leftout", "legend"].map((id) => {
      const { top, bottom } = document.getElementById(id).getBoundingClientRect();
      return { top, bottom };
    })`);
    assert.ok(told.bottom <= legend.top + 1,
              `it ends at ${told.bottom}, the legend begins at ${legend.top}`);
    await press(page, "inverted");
    assert.equal(await page.evaluate("text('leftout')"), "");
    assert.equal(await page.evaluate(top), gap);
  }, "", callerUrl);

  await test("of too many frames of one width as many as can be are kept", async (page) => {
    await press(page, "merged");
    const drawn = await page.evaluate(`document.querySelectorAll("#frames > g").length
      + [...document.querySelectorAll("#thin > path")]
          .reduce((sum, path) => sum + path.getAttribute("d").split("M").length - 1, 0)`);
    assert.equal(drawn, 20000);
    assert.equal(await page.evaluate("text('leftout')"),
                 "not drawn: 1,003 thin frames beyond 20,000");
  }, "", crowdedUrl);

  await test("the address remembers that case is ignored", async (page) => {
    assert.equal(await page.evaluate("text('matched')"), "Matched: 50.0%");
    assert.equal(await page.evaluate("document.getElementById('ignorecase').classList.contains('show')"), true);
    await press(page, "ignorecase");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 0.0%");
    assert.deepEqual(await page.evaluate("params()"), { s: "WALK" });
    await press(page, "ignorecase");
    assert.deepEqual(await page.evaluate("params()"), { s: "WALK", c: "1" });
  }, "?s=WALK&c=1");

  await test("a screen reader is told what the frame is", async (page) => {
    await page.evaluate("focusOn('ArrayMap')");
    assert.equal(await page.evaluate("document.activeElement.getAttribute('aria-label')"),
                 "ArrayMap (250 samples, 25.00%), itself 25.00%, builtin, level 6");
  });

  await test("the picture is whole without scripts", async (page) => {
    await page.send("Emulation.setScriptExecutionDisabled", { value: true });
    await page.goto(url + "?s=walk");
    const { root } = await page.send("DOM.getDocument", { depth: 1 });
    const all = async (selector) =>
      (await page.send("DOM.querySelectorAll", { nodeId: root.nodeId, selector })).nodeIds;
    assert.equal((await all("#frames > g")).length, 14);
    assert.equal((await all("#frames .hide")).length, 0);
    const [label] = await all("#frames > g:nth-child(3) > text");
    const { outerHTML } = await page.send("DOM.getOuterHTML", { nodeId: label });
    assert.match(outerHTML, />main<\/text>/);
    for (const button of ["unzoom", "search", "ignorecase"]) {
      assert.equal((await all(`#${button}.hide`)).length, 1, button);
    }
  });
} finally {
  await browser.stop();
}
console.log(failures === 0 ? "all passed" : `${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
