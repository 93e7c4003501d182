// Drives a headless Chromium through the DevTools protocol on a pipe: no port, no library.
//
//   const browser = await Browser.start(pathOfChromium);
//   const page = await browser.open(url);
//   await page.evaluate("document.title");
//   await browser.stop();
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";

const DEADLINE_MS = 60_000;

export class Browser {
  static async start(chromium) {
    const browser = new Browser();
    browser.home = mkdtempSync(join(tmpdir(), "jprof-browser-"));
    browser.child = spawn(
      chromium,
      ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--remote-debugging-pipe", "--window-size=1200,800",
        "--hide-scrollbars", `--user-data-dir=${browser.home}`, "about:blank"],
      { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"], detached: true,
        env: { ...process.env, HOME: browser.home } });
    browser.errors = "";
    browser.child.stderr.on("data", (data) => { browser.errors += data; });
    browser.child.on("exit", () => browser.fail(new Error("chromium ended: " + browser.errors)));
    browser.child.on("error", (error) => browser.fail(error));
    browser.input = browser.child.stdio[3];
    browser.input.on("error", (error) => browser.fail(error));
    let rest = Buffer.alloc(0);
    browser.child.stdio[4].on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
        browser.receive(JSON.parse(rest.subarray(0, end).toString()));
      }
    });
    return browser;
  }

  constructor() {
    this.nextId = 1;
    this.waiting = new Map();
    this.listeners = new Set();
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  receive(message) {
    if (message.id === undefined) {
      for (const listener of this.listeners) listener(message);
      return;
    }
    const call = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) call.reject(new Error(JSON.stringify(message.error)));
    else call.resolve(message.result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), DEADLINE_MS);
      const done = (settle) => (value) => { clearTimeout(timer); settle(value); };
      this.waiting.set(id, { resolve: done(resolve), reject: done(reject) });
      this.input.write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    });
  }

  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    page.targetId = targetId;
    for (const domain of ["Page", "Runtime", "Network"]) await page.send(domain + ".enable");
    this.listeners.add((message) => {
      if (message.sessionId !== sessionId) return;
      if (message.method === "Network.requestWillBeSent") page.requests.add(message.params.request.url);
      if (message.method === "Runtime.exceptionThrown") {
        page.exceptions.push(message.params.exceptionDetails.exception?.description ??
                             message.params.exceptionDetails.text);
      }
    });
    await page.goto(url);
    return page;
  }

  async stop() {
    const ended = once(this.child, "exit");
    this.fail(new Error("stopped"));
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    if (this.child.exitCode === null && this.child.signalCode === null) await ended;
    rmSync(this.home, { recursive: true, force: true, maxRetries: 10 });
  }
}

class Page {
  constructor(browser, sessionId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.exceptions = [];
    this.requests = new Set();  // addresses
  }

  send(method, params) { return this.browser.send(method, params, this.sessionId); }

  async goto(url) {
    const loaded = new Promise((resolve) => {
      const listener = (message) => {
        if (message.sessionId !== this.sessionId || message.method !== "Page.loadEventFired") return;
        this.browser.listeners.delete(listener);
        resolve();
      };
      this.browser.listeners.add(listener);
    });
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate",
      { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  // Waits until the expression is true: for what a page does in its own time.
  async until(expression) {
    const end = Date.now() + DEADLINE_MS;
    while (!(await this.evaluate(expression))) {
      if (Date.now() > end) throw new Error("never became true: " + expression);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  // A real click in the middle of what the expression gives.
  async click(expression) {
    const { x, y } = await this.middleOf(expression);
    const at = { x, y, button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...at });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...at });
  }

  // The menu of what the expression gives.
  async openMenu(expression) {
    const at = await this.middleOf(expression);
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.send("Input.dispatchMouseEvent", { type, ...at, button: "right", clickCount: 1 });
    }
    await this.until("document.getElementById('menu') !== null");
  }

  // The button of that menu that begins with `item`.
  async chooseFromMenu(expression, item) {
    await this.openMenu(expression);
    await this.click(`[...document.querySelectorAll('#menu button')].find((b) => b.textContent.startsWith('${item}'))`);
  }

  // On paper: {pages, fills, images}, colours [r, g, b] from 0 to 1 that fill what is no text, and of
  // images {width, height}. Backgrounds are left out, as browsers do unless asked.
  async printed() {
    const { data } = await this.send("Page.printToPDF", { printBackground: false });
    const pdf = Buffer.from(data, "base64"), text = pdf.toString("latin1");
    const fills = [], images = [];
    for (const { 0: whole, 1: dictionary, index } of text.matchAll(/<<([^<>]*)>>\s*stream\r?\n/g)) {
      const number = (key) => Number(new RegExp(`/${key} (\\d+)`).exec(dictionary)?.[1]);
      if (/\/Subtype \/Image/.test(dictionary)) {
        if (!/DeviceGray/.test(dictionary)) images.push({ width: number("Width"), height: number("Height") });
      } else if (/\/FlateDecode/.test(dictionary)) {
        const begin = index + whole.length;
        const drawn = inflateSync(pdf.subarray(begin, begin + number("Length"))).toString("latin1");
        for (const [, r, g, b] of drawn.matchAll(/([\d.]+) ([\d.]+) ([\d.]+) rg\b(?:(?!\bBT\b|\brg\b)[^])*?\bf\b/g)) {
          fills.push([r, g, b].map(Number));
        }
      }
    }
    return { pages: text.match(/\/Type \/Page\b(?!s)/g).length, fills, images };
  }

  async hover(expression) {
    const { x, y } = await this.middleOf(expression);
    await this.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
  }

  middleOf(expression) {
    return this.evaluate(`(() => {
      const box = (${expression}).getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`);
  }

  async press(key, { control = false, shift = false } = {}) {
    const printable = key.length === 1 && !control;
    const codes = { Enter: 13, Escape: 27, Tab: 9, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39,
                    ArrowDown: 40, F3: 114, f: 70, i: 73 };
    const event = { key, windowsVirtualKeyCode: codes[key] ?? 0,
                    modifiers: (control ? 2 : 0) + (shift ? 8 : 0) };
    if (printable) event.text = key;
    if (key === "Enter") event.text = "\r";
    await this.send("Input.dispatchKeyEvent",
                    { type: event.text ? "keyDown" : "rawKeyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event, text: undefined });
  }

  async type(text) { await this.send("Input.insertText", { text }); }
}
