// What the pictures cost: size, time to write, and in Chromium the time from the beginning of the
// navigation to the first frame with the graph in it.
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
  console.log('picture                                size      written   first paint');
  for (const [what, format, samples, depth] of [
    ['HTML, a million samples and stacks', 'html', 1000000, 12],
    ['HTML, a hundred thousand', 'html', 100000, 12],
    ['SVG, a million samples and stacks', 'svg', 1000000, 12],
    ['SVG, twenty thousand', 'svg', 20000, 3],
  ]) {
    const file = path.join(scratch, `picture.${format}`);
    const written = execFileSync(program, [format, file, samples, depth], { encoding: 'utf8' }).trim();
    const times = [];
    for (let run = 0; run < runs; run += 1) {
      const page = await browser.open('about:blank');
      await page.send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
      await page.goto(pathToFileURL(file).href);
      times.push(await page.evaluate('window.painted'));
      await browser.send('Target.closeTarget', { targetId: page.targetId });
    }
    times.sort((a, b) => a - b);
    const size = `${(statSync(file).size / 1e6).toFixed(1)} MB`;
    console.log(`${what.padEnd(36)}${size.padStart(8)}${(written + ' s').padStart(11)}${(times[runs >> 1] / 1000).toFixed(2).padStart(11)} s`);
  }
} finally {
  await browser.stop();
  rmSync(scratch, { recursive: true });
}
