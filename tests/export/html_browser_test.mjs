// The report as a reader meets it: a browser, a mouse, a keyboard.
//
//   node html_browser_test.mjs CHROMIUM WRITE_PROFILE SCRATCH_DIR
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser } from "./browser.mjs";

const [chromium, writeProfile, scratch] = process.argv.slice(2);

// 400 samples, 10.1 ms apart: 4.04 s. Main thread 300, worker 100, which comes last.
const PROFILE = String.raw`
# title: node app.js (pid 4711)
# comment: 400 samples, 0 lost
# comment: jprof -p 4711
# generated: handle = h /srv/dist/app.js:1:4711
node@4711;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j] 50
node@4711;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j];walk /srv/app.js:12_[j];ArrayMap_[b] 150
node@4711;main;v8::internal::Heap::CollectGarbage;memmove 40
node@4711;main;"><script>window.forged=1</script> 60
node@4711/4712:worker;start;walk /srv/app.js:12_[j] 100
`;

// The same program before: `walk` called ArrayMap less, and something else took its place.
const BEFORE = String.raw`
# title: node app.js (pid 4600)
node@4711;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j] 50
node@4711;main;handle /srv/app.js:3_[j];walk /srv/app.js:12_[j];walk /srv/app.js:12_[j];ArrayMap_[b] 50
node@4711;main;v8::internal::Heap::CollectGarbage;memmove 40
node@4711;main;"><script>window.forged=1</script> 60
node@4711;main;gone /srv/app.js:99_[j] 200
`;

// So large that what is drawn first has a block of its own: 12,000 functions of one sample each.
const LARGE = `${PROFILE}node@4711;main;wide /srv/app.js:1_[j] 90000\n`
  + Array.from({ length: 12000 }, (_, i) => `node@4711;main;narrow;f${i} 1`).join("\n") + "\n";

mkdirSync(scratch, { recursive: true });
function write(name, text, ...more) {
  const file = join(scratch, name);
  execFileSync(writeProfile, ["html", file, ...more], { input: text });
  return pathToFileURL(file).href;
}
const url = write("report.html", PROFILE);
writeFileSync(join(scratch, "before.txt"), BEFORE);
const diffUrl = write("diff.html", PROFILE, join(scratch, "before.txt"));
const untimedUrl = write("untimed.html", "node;main 1\n");
// Lines of `f`: at 5 below `a`, at 6 below `b`, at 7 it calls what is hidden.
const linesUrl = write("lines.html", String.raw`
node;a;f /srv/app.js:3,5_[j] 10
node;b;f /srv/app.js:3,6_[j] 20
node;b;f /srv/app.js:3,7_[j];deep 30
`);
const longUrl = write(
  "long.html", Array.from({ length: 103 }, (_, i) => `node;f /srv/app.js:3,${i + 4}_[j] 1\n`).join(""));
// Hardly ever is `f` called by `rare`.
const rareUrl = write("rare.html", "node;main;f 100000\nnode;rare;f 1\n");
// As of formats that know no processes.
const namedUrl = write("named.html", "node@0;main 10\npython@0;main 20\n");
const browser = await Browser.start(chromium);
let failures = 0;

// `shown`: what a canvas of the page was told to draw last, as {text, x, y}.
const HELPERS = `
  window.params = () => Object.fromEntries(new URLSearchParams(location.search));
  window.text = (id) => document.getElementById(id).textContent;
  window.rows = () => [...document.querySelectorAll("#list tbody tr")].map((r) => [...r.children].map((c) => c.textContent));
  window.heat = () => document.querySelector("#heat canvas");
  window.colourAt = (label, i = 0) => {
    const at = spot(label, i).getBoundingClientRect();
    const canvas = document.querySelectorAll(".graph canvas")[i];
    const box = canvas.getBoundingClientRect(), pen = canvas.getContext("2d");
    return [...pen.getImageData(at.x - box.x - 5, at.y - box.y + 6, 1, 1).data].join();
  };
  true`;
const SPY = `
  const drawn = new Map();
  const proto = CanvasRenderingContext2D.prototype;
  const { fillText, clearRect } = proto;
  proto.clearRect = function (...a) { drawn.set(this.canvas, []); return clearRect.apply(this, a); };
  proto.fillText = function (t, x, y) { drawn.get(this.canvas)?.push({ text: t, x, y }); return fillText.call(this, t, x, y); };
  document.addEventListener("DOMContentLoaded", () => { window.early = window.labels(); });
  window.drawn = (i = 0) => drawn.get(document.querySelectorAll(".graph canvas")[i]) ?? [];
  window.labels = (i = 0) => drawn(i).map((d) => d.text);
  window.spot = (label, i = 0) => { const d = window.drawn(i).find((d) => d.text.startsWith(label));
    const b = document.querySelectorAll(".graph canvas")[i].getBoundingClientRect();
    const top = document.querySelectorAll(".graph")[i].scrollTop;
    return { getBoundingClientRect: () => ({ x: b.x + d.x + 4, y: b.y + d.y - top - 4, width: 0, height: 0 }) }; };`.replace("window.labels = (i = 0) => drawn(i)", "window.labels = (i = 0) => window.drawn(i)");

async function test(name, body, address = url, media = []) {
  const page = await browser.open("about:blank");
  try {
    await page.send("Page.addScriptToEvaluateOnNewDocument", { source: `{${SPY}}` });
    await page.send("Emulation.setEmulatedMedia", { features: media });
    await page.goto(address);
    await page.until("document.documentElement.dataset.ready === '1'");
    await page.evaluate(HELPERS);
    await body(page);
    assert.deepEqual(page.exceptions, [], "the page threw");
    for (const asked of page.requests) assert.ok(asked.split("?")[0] === address.split("?")[0], `asked for ${asked}`);
    assert.equal(await page.evaluate("window.forged"), undefined, "a name became markup");
    console.log(`ok   ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
}

const labels = (page, i = 0) => page.evaluate(`labels(${i})`);
const press = (page, id) => page.click(`document.getElementById('${id}')`);

try {
  await test("the graph shows names, the verdict is whole", async (page) => {
    const shown = await labels(page);
    for (const name of ["all", "node", "main", "handle app.js:3", "walk app.js:12", "start", "ArrayMap"]) {
      assert.ok(shown.includes(name), `${name} in ${shown}`);
    }
    assert.match(await page.evaluate("text('verdict')"), /400 samples, 0 lost/);
    await press(page, "more-verdict");
    assert.ok(await page.evaluate("[...document.querySelectorAll('#verdict p')].some((p) => p.offsetHeight > 0 && /jprof -p 4711/.test(p.textContent))"));
    assert.match(await page.evaluate("text('legend')"), /GC 10\.0%/);
  });

  await test("the generated place of an original is told", async (page) => {
    await page.hover("spot('handle')");
    assert.match(await page.evaluate("text('details')"), /from h \/srv\/dist\/app\.js:1:4711$/);
    await press(page, "tab-functions");
    assert.ok(await page.evaluate(`[...document.querySelectorAll("#list td[title]")]
      .some((cell) => cell.title === "handle /srv/app.js:3\\nh /srv/dist/app.js:1:4711")`));
    await page.click("[...document.querySelectorAll('#list tbody tr')].find((row) => /handle/.test(row.textContent))");
    assert.match(await page.evaluate("text('chosen')"), /^handle \/srv\/app\.js:3 \(from h \/srv\/dist\/app\.js:1:4711\): itself/);
  });

  await test("without times nothing is said of a heat map", async (page) => {
    assert.doesNotMatch(await page.evaluate("text('details')"), /heat map/);
    assert.equal(await page.evaluate("document.getElementById('heat').hidden"), true);
  }, untimedUrl);

  await test("a click zooms, the address remembers, Escape goes back", async (page) => {
    await page.click("spot('handle')");
    await page.until("params().z !== undefined");
    assert.equal((await labels(page)).includes("start"), false);
    const { z } = await page.evaluate("params()");
    await page.goto(url + "?z=" + z);
    await page.until("document.documentElement.dataset.ready === '1'");
    assert.equal((await labels(page)).includes("start"), false);
    assert.ok((await labels(page)).includes("handle app.js:3"));
    await page.press("Escape");
    assert.ok((await labels(page)).includes("start"));
  });

  await test("search counts each column once and is in the address", async (page) => {
    await page.press("/");
    await page.until("document.activeElement.id === 'search'");
    await page.type("walk");
    await page.until("text('matched') !== ''");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 75.0%");
    assert.equal(await page.evaluate("params().s"), "walk");
  });

  await test("brushing the heat map selects a range, and the graph follows", async (page) => {
    const box = await page.evaluate("(({x, y, width, height}) => ({x, y, width, height}))(heat().getBoundingClientRect())");
    const column = box.width / 5;
    // From the start of the last full second to its end: samples of the worker alone.
    const at = (x, y, type) => page.send("Input.dispatchMouseEvent",
      { type, x: box.x + x, y: box.y + y, button: "left", buttons: 1, clickCount: 1 });
    await at(3 * column + 10, 98, "mousePressed");
    await at(3 * column + 10, 50, "mouseMoved");
    await at(4 * column + 10, 97, "mouseMoved");
    await at(4 * column + 10, 97, "mouseReleased");
    await page.until("!labels().includes('handle app.js:3')");
    assert.ok((await labels(page)).includes("start"));
    const { t } = await page.evaluate("params()");
    assert.match(t, /^3000000-40\d+$/);
    await press(page, "whole");
    assert.ok((await labels(page)).includes("handle app.js:3"));
  });

  await test("the heat map is walked by keys", async (page) => {
    await page.evaluate("heat().focus()");
    await page.press("ArrowRight");
    assert.match(await page.evaluate("text('details')"), /^1\.\d+ s to 1\.\d+ s: \d+ samples/);
    await page.press("ArrowRight", { shift: true });
    assert.match((await page.evaluate("params()")).t, /^1000000-2040000$/);
  });

  await test("split by thread and by process; one thread alone", async (page) => {
    await page.evaluate("document.getElementById('split').value = 'thread'; document.getElementById('split').dispatchEvent(new Event('change'))");
    assert.ok((await labels(page)).some((l) => /^worker \(thread 4712/.test(l)));
    await page.evaluate("document.getElementById('split').value = ''; document.getElementById('split').dispatchEvent(new Event('change'))");
    const worker = await page.evaluate("[...document.querySelectorAll('#thread option')].find((o) => /^worker/.test(o.textContent)).value");
    await page.evaluate(`document.getElementById('thread').value = '${worker}'; document.getElementById('thread').dispatchEvent(new Event('change'))`);
    assert.equal((await labels(page)).includes("main"), false);
    assert.ok((await labels(page)).includes("start"));
  });

  await test("icicle, inverted, recursion merged, by package", async (page) => {
    const y = () => page.evaluate("drawn().find((d) => d.text === 'all').y");
    const before = await y();
    await press(page, "icicle");
    assert.ok(await y() < before);
    await press(page, "inverted");
    const walks = await page.evaluate("drawn().filter((d) => d.text === 'walk app.js:12').length");
    assert.equal(walks, 3);  // itself; below ArrayMap; that one's caller
    await press(page, "inverted");
    await press(page, "merged");
    assert.equal(await page.evaluate("drawn().filter((d) => d.text === 'walk app.js:12').length"), 2);
    await press(page, "bypackage");
    assert.match(await page.evaluate("text('legend')"), /srv\//);
    assert.equal((await page.evaluate("params()")).v, "icicle merged bypackage");
  });

  await test("focus, ignore and hide by key, taken back by Escape", async (page) => {
    await page.evaluate("document.querySelector('.graph canvas').focus()");
    for (let i = 0; i < 3; i += 1) await page.press("ArrowUp");
    assert.match(await page.evaluate("text('details')"), /^handle .*200 samples, 50\.00%/);
    await page.press("h");
    assert.equal((await labels(page)).includes("handle app.js:3"), false);
    assert.ok((await labels(page)).includes("walk app.js:12"));
    await page.press("Escape");
    for (let i = 0; i < 3; i += 1) await page.press("ArrowUp");
    await page.press("x");
    assert.equal((await labels(page)).includes("ArrayMap"), false);
    await page.press("Escape");
    for (let i = 0; i < 3; i += 1) await page.press("ArrowUp");
    await page.press("f");
    assert.equal((await labels(page)).includes("start"), false);
    assert.deepEqual(await page.evaluate("params()"), { f: "^handle \\/srv\\/app\\.js:3$" });
  });

  await test("the table sorts; callers, callees and lines of a function", async (page) => {
    await press(page, "tab-functions");
    const rows = await page.evaluate("rows()");
    assert.deepEqual(rows.slice(0, 2).map((r) => [r[4], r[0], r[2]]),
      [["ArrayMap", "150", "150"], ["walk app.js:12", "150", "300"]]);
    await page.click("document.querySelectorAll('#list th button')[2]");
    assert.deepEqual((await page.evaluate("rows()")).slice(0, 2).map((r) => [r[4], r[2]]),
      [["main", "300"], ["walk app.js:12", "300"]]);
    await page.click("document.querySelectorAll('#list tbody tr')[1]");
    assert.match(await page.evaluate("text('chosen')"), /^walk .*itself 37\.50%, with what it calls 75\.00%/);
    const up = await labels(page, 2), down = await labels(page, 3);
    assert.ok(up.includes("handle app.js:3") && up.includes("start"), up.join());
    assert.ok(down.includes("ArrayMap"), down.join());
    assert.equal(await page.evaluate("document.querySelector('[aria-sort=descending], [aria-sort=ascending]') !== null"), true);
  });

  await test("the lines of a function are of what is in focus, not ignored, with what is hidden", async (page) => {
    const lines = () => page.evaluate(`[...document.querySelectorAll("#lines tbody tr")]
      .map((row) => [row.lastChild.textContent, row.children[0].textContent, row.children[2].textContent])`);
    const show = async (query) => {
      await page.goto(linesUrl + "?tab=functions&fn=" + await numberOf("f") + query);
      await page.until("document.documentElement.dataset.ready === '1'");
      return lines();
    };
    await press(page, "tab-functions");
    const numberOf = async (name) => {
      await page.evaluate(`[...document.querySelectorAll("#rows tr")].find((row) => row.lastChild.textContent.startsWith("${name}")).click()`);
      return new URLSearchParams(await page.evaluate("location.search")).get("fn");
    };
    assert.deepEqual(await show(""), [["line 7", "0", "30"], ["line 6", "20", "20"], ["line 5", "10", "10"]]);
    assert.deepEqual(await show("&f=%5Ea%24"), [["line 5", "10", "10"]]);
    assert.deepEqual(await show("&i=%5Ea%24"), [["line 7", "0", "30"], ["line 6", "20", "20"]]);
    assert.deepEqual(await show("&h=deep"), [["line 7", "30", "30"], ["line 6", "20", "20"], ["line 5", "10", "10"]]);
  }, linesUrl);

  await test("of a function with very many lines the others are counted", async (page) => {
    const lines = await page.evaluate(
      "[...document.querySelectorAll('#lines tbody tr')].map((row) => row.lastChild.textContent)");
    assert.equal(lines.length, 101);
    assert.equal(lines[100], "3 more lines");
  }, longUrl + "?tab=functions");

  await test("processes without a number are told apart by their names", async (page) => {
    await page.evaluate("document.getElementById('split').value = 'process'; document.getElementById('split').dispatchEvent(new Event('change'))");
    const shown = await labels(page);
    assert.ok(shown.includes("node") && shown.includes("python"), shown.join());
    assert.ok(!shown.some((label) => /process|thread/.test(label)), shown.join());
    const options = await page.evaluate("[...document.querySelectorAll('#thread option')].map((o) => [o.value, o.textContent])");
    assert.deepEqual(options.map(([, text]) => text), ["all threads (2)", "python 66.7%", "node 33.3%", "python 66.7%", "node 33.3%"]);
    const [value] = options[2];
    await page.goto(namedUrl + "?r=" + encodeURIComponent(value));
    await page.until("document.documentElement.dataset.ready === '1'");
    assert.equal((await labels(page)).includes("python"), false);
    assert.ok((await labels(page)).includes("node"));
  }, namedUrl);

  await test("time order leaves out what is ignored or not in focus", async (page) => {
    await press(page, "tab-time");
    assert.ok((await labels(page, 1)).includes("handle app.js:3"), String(await labels(page, 1)));
    assert.equal((await labels(page, 1)).includes("memmove"), false);
    await page.goto(url + "?tab=time&f=memmove");
    await page.until("document.documentElement.dataset.ready === '1'");
    await page.evaluate(HELPERS);
    const shown = await labels(page, 1);
    assert.ok(shown.includes("memmove") && !shown.includes("handle app.js:3"), shown.join());
    // 40 samples of main that are in focus stand alone: 2.02 s to 2.42 s.
    await page.hover("spot('node', 1)");
    assert.match(await page.evaluate("text('details')"), /^node .* 2\.02\d s to 2\.42\d s/);
  }, url + "?i=CollectGarbage");

  await test("time order is walked by keys", async (page) => {
    const at = () => page.evaluate("text('details')");
    await page.evaluate("document.querySelectorAll('.graph canvas')[1].focus()");
    await page.press("ArrowDown");
    assert.match(await at(), /^node \u00b7 0\.000 s to 3\.030 s/);
    for (const name of ["main", "handle", "walk", "walk", "ArrayMap"]) {
      await page.press("ArrowDown");
      assert.ok((await at()).startsWith(name), `${await at()} is not ${name}`);
    }
    for (let i = 0; i < 3; i += 1) await page.press("ArrowUp");
    assert.match(await at(), /^handle/);
    await page.press("ArrowRight");
    assert.match(await at(), /^v8::internal::Heap::CollectGarbage/);
    assert.match(await page.evaluate("document.activeElement.getAttribute('aria-label')"), /CollectGarbage/);
    await page.press("ArrowLeft");
    assert.match(await at(), /^handle/);
    await page.press("ArrowRight");
    await page.press("Enter");
    assert.match((await page.evaluate("params()")).t, /^20\d+-24\d+$/);
    await page.press("Escape");
    await page.press("ArrowDown");
    await page.press("ArrowDown");
    await page.press("x");
    assert.deepEqual(await page.evaluate("params()"), { tab: "time", i: "^main$" });
  }, url + "?tab=time");

  await test("the address remembers case and order", async (page) => {
    assert.equal((await page.evaluate("rows()"))[0][4], "walk app.js:12");
    assert.equal(await page.evaluate("rows().length"), 1);
    assert.equal(await page.evaluate("document.getElementById('ignorecase').getAttribute('aria-pressed')"), "true");
    await press(page, "ignorecase");
    assert.equal(await page.evaluate("rows().length"), 0);
    await page.goto(url + "?tab=functions&sort=-total");
    await page.until("document.documentElement.dataset.ready === '1'");
    await page.evaluate(HELPERS);
    const totals = (await page.evaluate("rows()")).map((row) => Number(row[2]));
    assert.deepEqual(totals, [...totals].sort((a, b) => a - b));
    assert.equal(await page.evaluate("document.querySelector('[aria-sort=ascending]').textContent"), "total");
    await page.click("document.querySelectorAll('#list th button')[4]");
    assert.equal((await page.evaluate("params()")).sort, "name");
  }, url + "?tab=functions&s=WALK&c=1");

  await test("an address with another picture's order is read", async (page) => {
    assert.equal((await page.evaluate("rows()"))[0][4], "ArrayMap");
  }, url + "?tab=functions&sort=total-before");

  await test("hide, focus and ignore by menu", async (page) => {
    await page.chooseFromMenu("spot('handle')", "Hide");
    assert.equal((await labels(page)).includes("handle app.js:3"), false);
    assert.ok((await labels(page)).includes("walk app.js:12"));
    await page.chooseFromMenu("spot('memmove')", "Ignore");
    assert.equal((await labels(page)).includes("memmove"), false);
    await page.chooseFromMenu("spot('start')", "Focus");
    assert.equal((await labels(page)).includes("main"), false);
    assert.deepEqual(Object.keys(await page.evaluate("params()")).sort(), ["f", "h", "i"]);
    await press(page, "unfilter");
    assert.deepEqual(await page.evaluate("params()"), {});
    assert.ok((await labels(page)).includes("main"));
  });

  await test("letters in the menu act and close it; Escape closes it and nothing else",
             async (page) => {
    const isOpen = () => page.evaluate("document.getElementById('menu') !== null");
    await page.click("spot('handle')");
    await page.until("params().z !== undefined");
    const before = await page.evaluate("params()");
    await page.openMenu("spot('walk')");
    await page.press("Escape");
    assert.equal(await isOpen(), false);
    assert.deepEqual(await page.evaluate("params()"), before);
    const isOnGraph = "document.activeElement === document.querySelector('.graph canvas')";
    assert.equal(await page.evaluate(isOnGraph), true);
    await page.openMenu("spot('walk')");
    await page.press("h");
    assert.equal(await isOpen(), false);
    assert.equal((await page.evaluate("params()")).h, "^walk \\/srv\\/app\\.js:12$");
    assert.equal((await labels(page)).includes("walk app.js:12"), false);
    await page.openMenu("spot('handle')");
    await page.press("/");
    assert.equal(await page.evaluate("document.activeElement.id"), "search");
    assert.equal(await isOpen(), false);
    await page.openMenu("spot('start')");
    await page.press("t");
    assert.equal((await page.evaluate("params()")).tab, "functions");
    assert.match(await page.evaluate("text('chosen')"), /^start: /);
  });

  await test("keys of an input method are not the report's", async (page) => {
    await page.press("/");
    await page.send("Input.imeSetComposition", { text: "ka", selectionStart: 2, selectionEnd: 2 });
    await page.press("Escape");
    assert.equal(await page.evaluate("document.activeElement.id"), "search");
  });

  await test("a thread is no function: keys that take one do nothing there", async (page) => {
    const before = await labels(page);
    await page.evaluate("document.querySelector('.graph canvas').focus()");
    await page.press("ArrowUp");
    assert.match(await page.evaluate("text('details')"), /^node \(thread/);
    for (const key of "fxhts") await page.press(key);
    assert.deepEqual(await page.evaluate("params()"), { g: "thread" });
    assert.deepEqual(await labels(page), before);
  }, url + "?g=thread");

  await test("who calls the collector is not the collector, what it calls is, inverted or not",
             async (page) => {
    await page.evaluate("document.querySelector('#rows td[title*=CollectGarbage]').click()");
    await page.hover("spot('main', 2)");
    assert.match(await page.evaluate("text('details')"), /^main .* \u00b7 native code/);
    await page.hover("spot('memmove', 3)");
    assert.match(await page.evaluate("text('details')"), /^memmove .* \u00b7 garbage collector/);
    await press(page, "inverted");
    await page.hover("spot('memmove', 3)");
    assert.match(await page.evaluate("text('details')"), /^memmove .* \u00b7 garbage collector/);
    await press(page, "tab-time");
    const colour = await page.evaluate("colourAt('memmove', 1)");
    await press(page, "inverted");
    assert.equal(await page.evaluate("colourAt('memmove', 1)"), colour);
  }, url + "?tab=functions");

  await test("callers that are not followed are told", async (page) => {
    const told = () =>
      page.evaluate("[document.getElementById('leftout').offsetHeight > 0, text('leftout')]");
    assert.equal((await told())[0], false);
    await press(page, "inverted");
    const notDrawn = "not drawn: 1 frame, and its callers, of less than 0.005% of ";
    assert.deepEqual(await told(), [true, notDrawn + "all"]);
    await press(page, "tab-functions");
    assert.deepEqual(await told(), [true, notDrawn + "f"]);
    await press(page, "tab-time");
    assert.equal((await told())[0], false);
  }, rareUrl);

  await test("on paper the report is light, as wide as the page, and whole", async (page) => {
    await page.send("Emulation.setDeviceMetricsOverride", { width: 1400, height: 320, deviceScaleFactor: 1, mobile: false });
    await page.until("innerWidth === 1400");
    await page.evaluate(`addEventListener("beforeprint", () => {
      const blank = (canvas, x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
      const strips = [...document.querySelectorAll(".graph .strip")];
      window.paper = { labels: labels(), heat: blank(heat(), heat().width - 4, 2),
                       strips: strips.length,
                       height: strips.reduce((sum, strip) => sum + strip.height, 0),
                       drawn: document.querySelector(".graph canvas").height };
    }); true`);
    const { pages, fills } = await page.printed();
    assert.equal(pages, 1);
    const [red, green, blue, alpha] = (await page.evaluate("paper")).heat;
    assert.ok(alpha === 0 || red + green + blue > 600, `${red} ${green} ${blue} is dark`);
    assert.ok((await page.evaluate("paper")).labels.includes("ArrayMap"));
    // Pages end between strips.
    const { strips, height, drawn } = await page.evaluate("paper");
    assert.ok(strips > 0 && height === drawn, `${strips} strips, ${height} of ${drawn}`);
    assert.equal(await page.evaluate("document.querySelectorAll('.strip').length"), 0);
    // The legend's colours.
    assert.ok(new Set(fills.map(String)).size >= 3, JSON.stringify(fills));
    assert.equal(await page.evaluate("document.querySelector('.graph canvas').width"), 1380);
    assert.match(String(await page.evaluate("[...heat().getContext('2d').getImageData(heat().width - 4, 2, 1, 1).data]")), /^28,32,38,/);
  }, url, [{ name: "prefers-color-scheme", value: "dark" }]);

  for (const address of [url, diffUrl]) {
    await test("a narrow window cuts nothing off", async (page) => {
      await page.send("Emulation.setDeviceMetricsOverride", { width: 400, height: 800, deviceScaleFactor: 1, mobile: false });
      await page.until("document.querySelector('.graph canvas').clientWidth === 380");
      const right = await page.evaluate("Math.max(...[...document.querySelectorAll('header *, nav *, #legend *, canvas')].map((e) => e.getBoundingClientRect().right))");
      assert.ok(right <= 400, `it ends at ${right}`);
      await press(page, "tab-functions");
      const [left, width, list] = await page.evaluate(`(() => {
        const box = document.querySelector("#rows td:last-child").getBoundingClientRect();
        return [box.left, box.width, document.getElementById("list").getBoundingClientRect().right];
      })()`);
      assert.ok(width >= 150 && left + width <= list && list <= 400, `names are from ${left}, ${width} wide, in a list to ${list}`);
      assert.match(await page.evaluate("document.querySelector('#rows td:last-child').textContent"), /ArrayMap/);
    }, address);
  }

  await test("without scripts the report has its title, its verdict and what to do", async (page) => {
    await page.send("Emulation.setScriptExecutionDisabled", { value: true });
    await page.goto(url);
    const { nodes } = await page.send("Accessibility.getFullAXTree");
    const said = nodes.filter((node) => node.role?.value === "StaticText").map((node) => node.name.value).join("\n");
    for (const text of ["node app.js (pid 4711)", "400 samples, 0 lost", "jprof -p 4711", "an SVG (-o out.svg) does not"]) {
      assert.ok(said.includes(text), `${text} is not in ${said}`);
    }
    await page.send("Emulation.setScriptExecutionDisabled", { value: false });
  });

  await test("time order shows one thread, a click goes in", async (page) => {
    await press(page, "tab-time");
    const shown = await labels(page, 1);
    assert.ok(shown.includes("handle app.js:3"), shown.join());
    assert.equal(shown.includes("start"), false);
    await page.click("spot('memmove', 1)");
    await page.until("params().t !== undefined");
    assert.equal((await labels(page, 1)).includes("handle app.js:3"), false);
    await page.press("Escape");
    assert.ok((await labels(page, 1)).includes("handle app.js:3"));
  });

  await test("dark for who prefers it", async (page) => {
    assert.equal(await page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(22, 25, 29)");
  }, url, [{ name: "prefers-color-scheme", value: "dark" }]);

  await test("of a large profile the widest frames are drawn before the rest is read", async (page) => {
    const early = await page.evaluate("window.early");
    assert.ok(early.includes("all") && early.includes("wide app.js:1") && early.includes("narrow"), early.join());
    const shown = await labels(page);
    for (const name of early) assert.ok(shown.includes(name), name);
    await page.click("spot('narrow')");
    await page.until("params().z !== undefined");
    await page.hover("spot('narrow')");
    assert.match(await page.evaluate("text('details')"), /^narrow \(12,000 samples, 11\.\d+%\)/);
  }, write("large.html", LARGE));

  await test("a small report has no head", async (page) => {
    assert.deepEqual(await page.evaluate("window.early"), []);
  });

  await test("the address restores range, filters, view, thread and search", async (page) => {
    assert.equal(await page.evaluate("text('whole').slice(0, 12)"), "1.0 s to 3.0");
    assert.equal((await labels(page)).includes("memmove"), false);  // ignored
    assert.equal((await labels(page)).includes("start"), false);    // another thread
    assert.equal(await page.evaluate("document.getElementById('inverted').getAttribute('aria-pressed')"), "true");
    assert.equal(await page.evaluate("document.getElementById('search').value"), "walk");
    assert.match(await page.evaluate("text('matched')"), /^Matched: [1-9]/);
    const query = await page.evaluate("location.search");
    await page.goto(url + query);
    await page.until("document.documentElement.dataset.ready === '1'");
    assert.equal(await page.evaluate("location.search"), query);
  }, url + "?t=1000000-3000000&i=CollectGarbage&v=inverted&r=t+0&s=walk");

  await test("a comparison shows what grew, shrank and vanished", async (page) => {
    const shown = await labels(page);
    for (const name of ["gone app.js:99", "start", "ArrayMap", "memmove"]) assert.ok(shown.includes(name), `${name} in ${shown}`);
    assert.equal(await page.evaluate("text('legend')"),
                 "change of the share (width: mean of both):more, up to +50.00%less, down to -50.00%");
    await page.hover("spot('gone')");
    assert.match(await page.evaluate("text('details')"), /^gone \/srv\/app\.js:99 \(0 samples, 0\.00%; -50\.00%\) \u00b7 before 50\.00%/);
    await page.hover("spot('ArrayMap')");
    assert.match(await page.evaluate("text('details')"), /^ArrayMap \(150 samples, 37\.50%; \+25\.00%\) \u00b7 before 12\.50%/);
    // Blue and red, as far apart as they changed.
    const colour = (name) => page.evaluate(`(() => {
      const at = spot('${name}').getBoundingClientRect();
      const canvas = document.querySelector(".graph canvas"), box = canvas.getBoundingClientRect();
      const d = canvas.getContext("2d").getImageData(at.x - box.x - 5, at.y - box.y + 6, 1, 1).data;
      return [d[0], d[1], d[2]];
    })()`);
    await page.hover("document.getElementById('legend')");
    const [red, , blue] = await colour("gone");
    assert.ok(blue > red + 60, `gone is ${await colour("gone")}`);
    const [more, , less] = await colour("ArrayMap");
    assert.ok(more > less + 20, `ArrayMap is ${await colour("ArrayMap")}`);
    await page.press("/");
    await page.type("walk");
    await page.until("text('matched') !== ''");
    assert.equal(await page.evaluate("text('matched')"), "Matched: 25.0% before, 75.0% after");
  }, diffUrl);

  await test("in the dark what a comparison has unchanged does not glare", async (page) => {
    assert.equal(await page.evaluate("colourAt('all')"), "134,141,150,255");
  }, diffUrl, [{ name: "prefers-color-scheme", value: "dark" }]);

  await test("a comparison's functions and lines have both sides and sort by the change", async (page) => {
    await press(page, "tab-functions");
    assert.deepEqual(await page.evaluate("[...document.querySelectorAll('#heads th')].map((t) => t.textContent)"),
      ["itself before", "after", "change", "total before", "after", "change", "function"]);
    const rows = () => page.evaluate("rows()");
    assert.deepEqual((await rows())[0], ["12.50%", "37.50%", "+25.00%", "12.50%", "37.50%", "+25.00%", "ArrayMap"]);
    assert.deepEqual((await rows()).at(-1), ["50.00%", "0.00%", "-50.00%", "50.00%", "0.00%", "-50.00%", "gone app.js:99"]);
    await page.click("document.querySelectorAll('#heads button')[3]");
    assert.equal((await rows())[0][6], "main");
    await page.click("document.querySelectorAll('#heads button')[5]");
    assert.deepEqual((await rows())[0].slice(5), ["+50.00%", "walk app.js:12"]);
    await page.click("document.querySelectorAll('#rows tr')[0]");
    assert.match(await page.evaluate("text('chosen')"), /itself 12\.50% before, 37\.50% after \(\+25\.00%\), with what it calls 25\.00% before/);
    assert.ok((await labels(page, 2)).includes("start"));
  }, diffUrl);

  await test("a comparison inverted, and a range of time of both", async (page) => {
    await press(page, "inverted");
    assert.ok((await labels(page)).includes("gone app.js:99"));
    await page.hover("spot('gone')");
    assert.match(await page.evaluate("text('details')"), /^gone .* \(0 samples, 0\.00%; -50\.00%\)/);
    await press(page, "inverted");
    const side = "document.getElementById('side')";
    assert.equal(await page.evaluate(side + ".hidden"), false);
    await page.evaluate(side + ".value = 'before'; " + side + ".dispatchEvent(new Event('change'))");
    assert.equal((await page.evaluate("params()")).side, "before");
    await page.evaluate("heat().focus()");
    await page.press("ArrowRight");
    await page.press("ArrowRight", { shift: true });
    assert.match((await page.evaluate("params()")).t, /^1000000-2040000$/);
    assert.equal((await labels(page)).includes("gone app.js:99"), false);
    await press(page, "tab-time");
    assert.ok((await labels(page, 1)).length > 0);
  }, diffUrl);

  await test("the policy is in force", async (page) => {
    const blocked = await page.evaluate(`new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
      const script = document.createElement("script");
      script.textContent = "window.forged = 1";
      document.body.append(script);
    })`);
    assert.match(blocked, /^script-src/);
  });
} finally {
  await browser.stop();
}
console.log(failures === 0 ? "all passed" : `${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
