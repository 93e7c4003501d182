// Makes the pictures of the gallery (docs/gallery/*.webp) from real runs: jprof records, Chromium shows.
//
//   node tools/gallery.mjs          as root, with build/release/jprof, or what JPROF names
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Browser } from '../tests/export/browser.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const jprof = process.env.JPROF || path.join(root, 'build/release/jprof');
const scratch = mkdtempSync(path.join(tmpdir(), 'jprof-gallery-'));
const at = (name) => path.join(scratch, name);
const run = (program, ...words) => execFileSync(program, words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

// What is on the terminal of `jprof top` after some seconds: rows of text with its colours.
async function screenOfTop(pid) {
  const command = `stty cols 110 rows 24; exec ${jprof} top -p ${pid} -F 999 -d 8`;
  const terminal = spawn('script', ['-qfec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8', NO_COLOR: '' } });
  let out = '';
  terminal.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
  await once(terminal, 'close');
  const rows = [];
  // It takes the screen, writes rows that have changed, and gives it back.
  const drawn = out.slice(out.indexOf('\x1b[?1049h'), out.lastIndexOf('\x1b[?1049l'));
  for (const [, row, line] of drawn.matchAll(/\x1b\[(\d+);1H(.*?)\x1b\[0m\x1b\[K/gs)) rows[row - 1] = line;
  return rows;
}

// The rows as a page: bold, reverse, and the colours of the kinds.
function pageOf(rows) {
  const colourOf = (number) => {
    const part = (n) => (n === 0 ? 0 : 55 + 40 * n);
    const cube = number - 16;
    return `rgb(${[cube / 36, cube / 6 % 6, cube % 6].map((n) => part(Math.floor(n))).join()})`;
  };
  const escaped = (text) => text.replace(/[<&]/g, (c) => `&#${c.codePointAt(0)};`);
  const styled = (line) => line.split(/\x1b\[(?=[\d;]*m)/).map((piece, i) => {
    if (i === 0) return escaped(piece);
    const [, codes, text] = /^([\d;]*)m(.*)$/s.exec(piece);
    const fill = /^30;48;5;(\d+)$/.exec(codes);
    const style = fill ? `color:#000;background:${colourOf(Number(fill[1]))}`
      : codes === '7' ? 'color:#16191d;background:#e6e8eb' : codes === '1' ? 'font-weight:bold' : '';
    return `<span style="${style}">${escaped(text)}</span>`;
  }).join('');
  return `<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#16191d"><pre style="margin:14px;`
    + `color:#e6e8eb;font:14px/18px 'DejaVu Sans Mono',monospace">${rows.map((row) => styled(row ?? '')).join('\n')}</pre>`;
}

async function recordService() {
  const node = run('tools/fetch-node', '22.23.3').trim();
  copyFileSync(path.join(root, 'demo/service.js'), at('service.js'));
  const service = spawn(node, [at('service.js'), '60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(service.stdout, 'data');  // it listens
    run(jprof, '-p', String(service.pid), '-F', '999', '-d', '12', '-o', at('service.pb.gz'));
    writeFileSync(at('top.html'), pageOf(await screenOfTop(service.pid)));
  } finally {
    service.kill();
  }
}

function recordWords() {
  run('g++', '-O2', '-g', '-fomit-frame-pointer', 'demo/words.cc', '-o', at('words'));
  for (const how of ['ordered', 'hashed']) run(jprof, '-F', '999', '--inlines', '-o', at(how + '.pb.gz'), '--', at('words'), how);
}

// A picture of the page of `file`, of a report after `act`, at most `height` high; of an SVG, whole rows.
async function show(browser, name, file, { height, dark = false, act = null }) {
  const page = await browser.open('about:blank');
  await page.send('Emulation.setDeviceMetricsOverride', { width: 1000, height, deviceScaleFactor: 1, mobile: false });
  await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
  await page.goto(pathToFileURL(file).href);
  if (act) await page.until("document.documentElement.dataset.ready === '1'");
  if (act) await act(page);
  if (file.endsWith('.svg')) {
    const all = await page.evaluate("document.documentElement.height.baseVal.value");
    const rows = Math.max(0, Math.ceil((all - height) / 16));  // that are not seen
    await page.send('Emulation.setDeviceMetricsOverride', { width: 1000, height: all - 16 * rows, deviceScaleFactor: 1, mobile: false });
    await page.evaluate(`scrollTo(0, ${16 * rows})`);
  }
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
  const { data } = await page.send('Page.captureScreenshot', { format: 'webp', quality: 85 });
  writeFileSync(path.join(root, 'docs/gallery', name), Buffer.from(data, 'base64'));
}

// Drags over a part of the heat map.
async function brush(page) {
  const { x, y, width } = await page.evaluate("(({ x, y, width }) => ({ x, y, width }))(document.querySelector('#heat canvas').getBoundingClientRect())");
  const mouse = (type, part, dy) => page.send('Input.dispatchMouseEvent',
    { type, x: x + width * part, y: y + dy, button: 'left', buttons: 1, clickCount: 1 });
  await mouse('mousePressed', 0.35, 98);
  await mouse('mouseMoved', 0.6, 2);
  await mouse('mouseReleased', 0.6, 2);
  await page.until("!document.getElementById('whole').hidden");
}

await recordService();
recordWords();
run(jprof, 'convert', at('service.pb.gz'), '-o', at('service.svg'));
run(jprof, 'convert', at('service.pb.gz'), '-o', at('service.html'));
run(jprof, 'convert', at('ordered.pb.gz'), '-o', at('words.svg'));
run(jprof, 'diff', at('ordered.pb.gz'), at('hashed.pb.gz'), '-o', at('diff.html'));
mkdirSync(path.join(root, 'docs/gallery'), { recursive: true });
const browser = await Browser.start(process.env.CHROMIUM || '/usr/bin/chromium');
try {
  await show(browser, 'service.webp', at('service.svg'), { height: 800 });
  await show(browser, 'native.webp', at('words.svg'), { height: 560 });
  await show(browser, 'report.webp', at('service.html'), { height: 800, dark: true, act: brush });
  await show(browser, 'diff.webp', at('diff.html'), { height: 560, act: async () => {} });
  await show(browser, 'top.webp', at('top.html'), { height: 460 });
} finally {
  await browser.stop();
  rmSync(scratch, { recursive: true });
}
