// The Firefox Profiler reads what the exporter writes: the published release of its command line, which
// has the loader, the upgrades of old formats and the call trees of profiler.firefox.com.
//
//   node firefox_test.mjs NODE WRITE_PROFILE SCRATCH_DIR
//
// NODE: 24 or newer, which the release asks for. The release comes from npm, once for each build directory.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PACKAGE = "firefox-devtools-profiler-cli", VERSION = "0.10.0";
const [node, writeProfile, scratchArgument] = process.argv.slice(2);
const scratch = resolve(scratchArgument);
const release = join(scratch, "package", "dist", "profiler-cli.js");

mkdirSync(scratch, { recursive: true });
if (!existsSync(release)) {
  execFileSync("npm", ["pack", `@firefox-devtools/profiler-cli@${VERSION}`, "--silent"], { cwd: scratch });
  execFileSync("tar", ["-xzf", `${PACKAGE}-${VERSION}.tgz`], { cwd: scratch });
}

// Short: the path of a socket is in it.
const sessions = mkdtempSync(join(tmpdir(), "firefox-"));
const environment = { ...process.env, PROFILER_CLI_SESSION_DIR: sessions, PROFILER_CLI_NO_SYMBOLICATE: "1" };
const SESSION = "test";
const ask = (...words) => execFileSync(node, [release, ...words, "--session", SESSION],
                                       { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const answer = (...words) => JSON.parse(ask(...words, "--json"));

const wait = () => new Promise((resolve) => setTimeout(resolve, 100));

// Whether the daemon has told that it listens. A question before that clears its socket away.
function listens() {
  try {
    return JSON.parse(readFileSync(join(sessions, `${SESSION}.json`), "utf8")) !== null;
  } catch {
    return false;
  }
}

// What `load` starts, which gives up after half a second.
let daemon;
async function load(text) {
  const file = join(scratch, "out.firefox.json");
  execFileSync(writeProfile, ["firefox", file], { input: text });
  daemon = spawn(node, [release, "--daemon", file, "--session", SESSION],
                 { env: environment, stdio: "ignore" });
  for (; !listens(); await wait()) assert.equal(daemon.exitCode, null, "the daemon has ended");
  for (;; await wait()) {
    try {
      ask("status");
      return;
    } catch (error) {
      if (daemon.exitCode !== null || !/loading|connect/i.test(error.stderr)) throw error;
    }
  }
}

// {name: [total, self]} in milliseconds.
function functions(thread) {
  const { functions: all, weightType } = answer("thread", "functions", "--thread", thread, "--include-idle");
  assert.equal(weightType, "tracing-ms");
  return Object.fromEntries(all.map((f) => [f.nameWithLibrary, [f.totalSamples, f.selfSamples]]));
}

const near = (actual, expected, what) => assert.ok(Math.abs(actual - expected) < 1e-3, `${what}: ${actual}, not ${expected}`);
const MS = 10.10101;  // of a sample

try {
  await load(String.raw`
# title: node app.js (pid 4711)
# time: 1700000000000000000 30000000000
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j] 40
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j];ArrayMap_[b] 30
node@4711;main (/usr/bin/node+0x1000);render /srv/app.js:12_[j];render /srv/app.js:12_[j] 5
node@4711;main (/usr/bin/node+0x1000);mark_[i];lib /srv/node_modules/x/i.js:3_[j] 7
node@4711;main (/usr/bin/node+0x1000);forged\x3bframe 7\x0aline 9;</script>\xff\xe2\x80\xa8 10
node@4711 3
node@4711/4712:worker;write (/usr/lib/libc.so.6+0x20);ksys_write ([kernel]+0x20)_[k] 20
other@4800;idle (/usr/bin/other+0x10) 1
`);
  const { threads } = answer("thread", "list");
  assert.deepEqual(threads.map((t) => [t.name, t.processName, String(t.pid), t.tid]).sort(), [
    ["node", "node", "4711", 4711], ["other", "other", "4800", 4800], ["worker", "node", "4711", 4712]]);
  const handle = Object.fromEntries(threads.map((t) => [t.name, t.threadHandle]));

  const main = functions(handle.node);
  for (const [name, total, self] of [
    ["node!main", 92, 0], ["app.js!render", 75, 45], ["ArrayMap", 30, 30], ["node!mark", 7, 0], ["i.js!lib", 7, 7],
    ["forged;frame 7\\nline 9", 10, 0], ["</script>\\xff\\u2028", 10, 10],
  ]) {
    assert.ok(main[name], `${name} of ${Object.keys(main)}`);
    near(main[name][0], total * MS, name);
    near(main[name][1], self * MS, name);
  }
  assert.equal(Object.keys(main).length, 7);
  near(functions(handle.worker)["libc.so.6!write"][0], 20 * MS, "write");
  near(functions(handle.other)["other!idle"][1], MS, "idle");

  // Categories, and what the profiler knows of a function.
  const shares = (thread) => Object.fromEntries(answer("thread", "samples", "--thread", thread, "--include-idle")
    .categoryBreakdown.categories.map((c) => [c.name, Math.round(c.samples / MS)]));
  const categories = shares(handle.node);
  assert.deepEqual([categories.JavaScript, categories.Builtins, categories.node_modules, categories.Native], [45, 30, 7, 10]);
  assert.equal(shares(handle.worker).Kernel, 20);
  const { functions: listed } = answer("thread", "functions", "--thread", handle.node, "--include-idle");
  const render = answer("function", "info", listed.find((f) => f.name === "render").functionHandle);
  assert.equal(render.isJS, true, JSON.stringify(render));
  assert.match(ask("thread", "samples-top-down", "--thread", handle.node), /main[^]*render[^]*ArrayMap/);
  assert.match(ask("profile", "meta"), /node app\.js \(pid 4711\)/);
  console.log("all passed");
} finally {
  daemon?.kill();
  rmSync(sessions, { recursive: true, force: true });
}
