// What the pictures cost: size, time to write, and in Chromium the time from the beginning of the
// navigation to the first content (title, verdict) and to the first frame with the graph in it.
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

// In the page: when the picture is made and a frame with it has been shown.
const WATCH = `
  window.painted = new Promise((resolve) => {
    const done = () => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())));
    if (location.pathname.endsWith(".svg")) addEventListener("load", done);
    else new MutationObserver((_, observer) => {
      if (!document.documentElement?.dataset.ready) return;
      observer.disconnect();
      done();
    }).observe(document, { attributes: true, childList: true, subtree: true, attributeFilter: ["data-ready"] });
  });`;

const scratch = mkdtempSync(path.join(tmpdir(), 'jprof-picture-'));
const browser = await Browser.start(chromium);
try {
  console.log(`${'picture'.padEnd(46)}    size    written  first paint     graph`);
  for (const [what, format, samples, stacks, depth] of [
    ['HTML, 1,000,000 samples of 1,000,000 stacks', 'html', 1000000, 1000000, 12],
    ['HTML, 1,000,000 samples of 100,000 stacks', 'html', 1000000, 100000, 30],
    ['SVG, 1,000,000 samples of 1,000,000 stacks', 'svg', 1000000, 1000000, 12],
    ['SVG, 33,000 frames', 'svg', 5000, 5000, 14],
  ]) {
    const file = path.join(scratch, `picture.${format}`);
    const written = execFileSync(program, [format, file, samples, stacks, depth], { encoding: 'utf8' }).trim();
    const times = [];
    const first = [];
    for (let run = 0; run < runs; run += 1) {
      const page = await browser.open('about:blank');
      await page.send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
      await page.goto(pathToFileURL(file).href);
      times.push(await page.evaluate('window.painted'));
      first.push(await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"));
      await browser.send('Target.closeTarget', { targetId: page.targetId });
    }
    const median = (all) => `${(all.sort((a, b) => a - b)[runs >> 1] / 1000).toFixed(2)} s`;
    const size = `${(statSync(file).size / 1e6).toFixed(1)} MB`;
    console.log(`${what.padEnd(46)}${size.padStart(8)}${(written + ' s').padStart(11)}`
      + `${median(first).padStart(13)}${median(times).padStart(10)}`);
  }
} finally {
  await browser.stop();
  rmSync(scratch, { recursive: true });
}
