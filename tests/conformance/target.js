// The program that is sampled: prints what V8's own stack was in each scenario, then "ready", then runs
// them in turn, for ever. A line is JSON: {scenario, chains: [[[name, file, line, column], ...], ...]},
// outermost function first, from the first one of a scenario's file on.
//
//   usage: node target.js record|sample|both     record ends after the truth, sample does not tell it
//   environment: CONFORMANCE_LEAF=small|big; CONFORMANCE_ONLY=the name of a scenario: no other
'use strict';
const path = require('path');
const { isMainThread, parentPort, Worker } = require('worker_threads');
const scenarios = require('./scenarios.js');

const mode = process.argv[2];
const sliceMs = 25;
const ownFiles = ['scenarios.js', 'scenarios.mjs'].map((name) => path.join(__dirname, name));

const only = process.env.CONFORMANCE_ONLY;
const isWanted = (scenario) => !only || scenario.name === only;

let chains = [];
const plainPath = (file) => (file || '').replace(/^file:\/\//, '');
scenarios.onRecord((error) => {
  const saved = Error.prepareStackTrace;
  Error.prepareStackTrace = (_, sites) => sites;
  const sites = error.stack;
  Error.prepareStackTrace = saved;
  const chain = [];
  for (const site of sites) {
    if (site.isAsync && site.isAsync()) break;
    const ofWasm = site.toString().includes('wasm-function[');
    if (!ofWasm && !site.getFileName() && site.getEvalOrigin() === undefined) continue;  // a builtin
    chain.unshift([site.getFunctionName() || '', ofWasm ? 'wasm://' : plainPath(site.getFileName()),
      site.getLineNumber(), site.getColumnNumber()]);
  }
  chains.push(chain.slice(chain.findIndex((frame) => ownFiles.includes(frame[1]))));
});

function milliseconds() {
  const t = process.hrtime();
  return t[0] * 1000 + t[1] / 1e6;
}
function drive(scenario, ms) {
  const end = milliseconds() + ms;
  while (milliseconds() < end) {
    for (let i = 0; i < 20; i++) scenario(false);
  }
}
async function driveLater(scenario, ms) {
  const end = milliseconds() + ms;
  while (milliseconds() < end) {
    for (let i = 0; i < 5; i++) await scenario(false);
  }
}

async function recordAll(list, later) {
  const truth = [];
  for (const scenario of list) {
    chains = [];
    if (later) await scenario(true);
    else scenario(true);
    truth.push({ scenario: scenario.name, chains });
  }
  return truth;
}

async function main() {
  Error.stackTraceLimit = 200;
  let moduleScenarios = [];
  try {
    const module = await import('./scenarios.mjs');
    moduleScenarios = [module.moduleFunction, module.default];
  } catch (e) {
    process.stderr.write(`no ECMAScript modules: ${e.message}\n`);
  }
  const sync = scenarios.sync.concat(moduleScenarios).filter(isWanted);
  const later = scenarios.later.filter(isWanted);
  const worker = new Worker(__filename, { argv: [mode], stdin: false });
  const fromWorker = () => new Promise((done) => worker.once('message', done));

  if (mode !== 'sample') {
    worker.postMessage('record');
    const truth = [].concat(await recordAll(sync, false), await recordAll(later, true),
      await fromWorker());
    for (const one of truth) console.log(JSON.stringify(one));
    if (mode === 'record') process.exit(0);
  }
  for (const scenario of sync) drive(scenario, 10);
  console.log('ready');
  for (;;) {
    for (const scenario of sync) drive(scenario, sliceMs);
    for (const scenario of later) await driveLater(scenario, sliceMs);
    worker.postMessage('drive');
    await fromWorker();
  }
}

async function serve(message) {
  Error.stackTraceLimit = 200;
  const ofWorker = scenarios.worker.filter(isWanted);
  if (message === 'record') {
    parentPort.postMessage(await recordAll(ofWorker, false));
    return;
  }
  for (const scenario of ofWorker) drive(scenario, sliceMs);
  parentPort.postMessage('done');
}

if (isMainThread) main();
else parentPort.on('message', serve);
