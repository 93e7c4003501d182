// What the pictures cost: size, CPU time to write, and in Chromium the time from the beginning of the
// navigation to the first content (title, verdict), to the first frame with the graph in it, and until
// all of it is read and can be used.
//
//   node bench/picture.mjs [RUNS]        medians; 5 runs
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Browser } from '../tests/export/browser.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const program = process.env.PICTURE_PROFILE || path.join(root, 'build/release/bench/picture_profile');
const chromium = process.env.CHROMIUM || '/usr/bin/chromium';
const runs = Number(process.argv[2] || 5);

// In the page: when the graph has been drawn and shown (the SVG draws itself: its first content), and
// when the picture is complete.
const WATCH = `
  const shown = (resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())));
  window.complete = new Promise((resolve) => {
    if (location.pathname.endsWith(".svg")) addEventListener("load", () => shown(resolve));
    else new MutationObserver((_, observer) => {
      if (!document.documentElement?.dataset.ready) return;
      observer.disconnect();
      shown(resolve);
    }).observe(document, { attributes: true, childList: true, subtree: true, attributeFilter: ["data-ready"] });
  });
  window.graph = new Promise((resolve) => {
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (...text) {
      if (this.canvas.closest(".graph")) shown(resolve);
      return fillText.apply(this, text);
    };
  });`;

const scratch = mkdtempSync(path.join(tmpdir(), 'jprof-picture-'));
const browser = await Browser.start(chromium);
try {
  console.log(`${'picture'.padEnd(46)}    size    written  first paint     graph  complete`);
  for (const [what, format, samples, stacks, depth] of [
    ['HTML, 1,000,000 samples of 1,000,000 stacks', 'html', 1000000, 1000000, 12],
    ['HTML, 1,000,000 samples of 100,000 stacks', 'html', 1000000, 100000, 30],
    ['SVG, 1,000,000 samples of 1,000,000 stacks', 'svg', 1000000, 1000000, 12],
    ['SVG, 20,000 frames', 'svg', 2170, 2170, 14],
  ]) {
    const file = path.join(scratch, `picture.${format}`);
    const written = execFileSync(program, [format, file, samples, stacks, depth], { encoding: 'utf8' }).trim();
    const first = [], graph = [], complete = [];
    for (let run = 0; run < runs; run += 1) {
      const page = await browser.open('about:blank');
      await page.send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
      await page.goto(pathToFileURL(file).href);
      complete.push(await page.evaluate('window.complete'));
      first.push(await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"));
      graph.push(format === 'svg' ? first.at(-1) : await page.evaluate('window.graph'));
      await browser.send('Target.closeTarget', { targetId: page.targetId });
    }
    const median = (all) => `${(all.sort((a, b) => a - b)[runs >> 1] / 1000).toFixed(2)} s`;
    const size = `${(statSync(file).size / 1e6).toFixed(1)} MB`;
    console.log(`${what.padEnd(46)}${size.padStart(8)}${(written + ' s').padStart(11)}`
      + `${median(first).padStart(13)}${median(graph).padStart(10)}${median(complete).padStart(10)}`);
  }
} finally {
  await browser.stop();
  rmSync(scratch, { recursive: true });
}
