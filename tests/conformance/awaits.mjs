// Does `jprof --async` show the callers that V8's own stack trace has as `at async f (file:line:column)`?
//
// awaits.js tells the truth and runs; jprof samples it live. Judged is each sample in which one of its
// functions works:
//
//   chain   its functions and those who await, up to the outermost, are those of a true stack; where V8
//           shows nobody, nobody is shown
//   further of right chains: an older V8 does not follow it so far; it is what the newest one shows
//   lines   of right chains, of each function that awaits or calls: the line
//
// Left out, and counted: samples of its functions at other work, which are in the midst of an await or of
// another change from one function to the next.
import path from 'node:path';
import * as live from './live.mjs';

const script = path.join(live.here, 'awaits.js');
const isWorking = (name) => /^work/.test(name);
const thresholds = { chain: 0.995, lines: 0.99 };

// True stacks by the functions that work, innermost function first, each of frames {name, file, line, column,
// isAsync}; `newest`: the truth of the newest V8, for what that one follows further.
function parseTruth(lines, newest) {
  const truth = { scenarios: new Map(), chains: new Map(), further: new Map() };
  for (const line of lines) {
    const { scenario, chains } = JSON.parse(line);
    for (const chain of chains) {
      const frames = chain.map(([name, file, at, column, isAsync]) => ({ name, file, line: at, column, isAsync }));
      const key = keyOf(frames);
      if (!truth.chains.has(key)) truth.chains.set(key, []);
      truth.chains.get(key).push(frames);
      truth.scenarios.set(key, scenario);
    }
  }
  for (const [key, chains] of truth.chains) {
    const goesOn = (longer) => chains.some((chain) => chain.length < longer.length &&
      textOf(chain) === textOf(longer.slice(0, chain.length)));
    truth.further.set(key, newest ? (newest.chains.get(key) || []).filter(goesOn) : []);
  }
  return truth;
}
const nameOf = ({ name, file, isAsync }) =>
  `${isAsync ? 'async ' : ''}${name === '' || (file === '' && name === 'eval') ? '(anonymous)' : name}`;
const keyOf = (frames) => frames.filter((f) => !f.isAsync).map(nameOf).join(' < ');
const textOf = (frames) => frames.map((f) => `${nameOf(f)}:${f.line}`).join(' < ');

// Of a sample's frames, outermost first, those of the script and who awaits, innermost first.
function ownFrames(frames) {
  const result = [];
  for (const frame of frames.slice().reverse()) {
    const isAsync = frame.name.startsWith('async ');
    const name = isAsync ? frame.name.slice(6) : frame.name;
    const isOwn = frame.file.endsWith('/awaits.js') || (frame.file === '' && frame.image === '[v8]' && frame.start > 0);
    if (isOwn || isAsync || live.isUnresolved(frame)) {
      result.push({ name: name === 'anonymous' ? '(anonymous)' : name, file: frame.file, line: frame.line,
        column: frame.column, isAsync, tier: frame.tier });
    }
  }
  return result;
}

class Score {
  judged = 0;
  chain = 0;
  places = 0;
  lines = 0;
  columns = 0;
  further = 0;
  awaited = 0;  // judged, and V8 shows somebody who awaits
  between = 0;
  tiers = { '~': 0, '^': 0, '+': 0, '*': 0 };  // of the functions that V8 went on with
  scenarios = new Set();
  known = 0;
  mistakes = new Map();

  mistake(text, n) {
    this.mistakes.set(text, (this.mistakes.get(text) || 0) + n);
  }
  // One sample may be at the edge of what it works in, however few there are.
  get bad() {
    return this.scenarios.size < 0.5 * this.known || this.awaited < 0.5 * this.judged ||
      this.chain < Math.min(thresholds.chain * this.judged, this.judged - 1) ||
      this.lines < thresholds.lines * this.places;
  }
}

function judge(sample, truth, score) {
  const seen = ownFrames(sample.frames);
  if (!seen.some((f) => isWorking(f.name) && !f.isAsync)) {
    if (seen.length > 0) score.between += sample.count;
    return;
  }
  score.judged += sample.count;
  const resumed = seen.filter((f) => !f.isAsync).pop();
  if (resumed.tier) score.tiers[resumed.tier] += sample.count;
  const key = keyOf(seen);
  const chains = truth.chains.get(key) || [];
  if (truth.scenarios.has(key)) score.scenarios.add(truth.scenarios.get(key));
  // Of the true stacks with these functions, the one that fits best by lines: innermost is `work` itself.
  const bestOf = (candidates) => {
    const wanted = seen.map(nameOf).join();
    let best = null;
    for (const chain of candidates.filter((c) => c.map(nameOf).join() === wanted)) {
      const right = (f, i) => i > 0 && f.file !== '' && f.line === seen[i].line;
      const fit = { chain, lines: chain.filter(right).length,
        columns: chain.filter((f, i) => right(f, i) && f.column === seen[i].column).length,
        places: chain.filter((f, i) => i > 0 && f.file !== '').length };
      if (best === null || fit.lines > best.lines) best = fit;
    }
    return best;
  };
  let best = bestOf(chains);
  if (best === null) {
    best = bestOf(truth.further.get(key) || []);
    if (best !== null) score.further += sample.count;
  }
  if (chains.some((chain) => chain.some((f) => f.isAsync))) score.awaited += sample.count;
  if (best === null) {
    score.mistake(`${textOf(seen)}   true is ${chains.length > 0 ? textOf(chains[0]) : 'none of it'}`, sample.count);
    return;
  }
  score.chain += sample.count;
  score.places += best.places * sample.count;
  score.lines += best.lines * sample.count;
  score.columns += best.columns * sample.count;
  if (best.lines < best.places) score.mistake(`lines ${textOf(seen)}   true is ${textOf(best.chain)}`, sample.count);
}

export const heading = ['Node', 'mode', 'tiers %', 'chains', 'lines', 'columns', 'further', 'judged', 'awaited', 'between'];
export const cells = (score) => [live.share(score.chain, score.judged), live.share(score.lines, score.places),
  live.share(score.columns, score.places),
  live.share(score.further, score.judged), score.judged, score.awaited, score.between];

const newestNode = '26.10.0';
let newest = null;

async function truthOf(child) {
  const { lines, ready } = await live.linesUntilReady(child);
  if (!ready) throw new Error(`${child.spawnargs.join(' ')}: ${child.errors}`);
  return { child, lines };
}

export async function run(version, flags, seconds, rate) {
  if (!newest) {
    const { child, lines } = await truthOf(live.start(live.nodeBinary(newestNode), [script]));
    child.kill('SIGKILL');
    newest = parseTruth(lines);
  }
  const { child, lines } = await truthOf(live.start(live.nodeBinary(version), [...flags, script]));
  const { samples } = await live.sample(child, seconds, rate, ['--async']);
  const truth = parseTruth(lines, newest);
  const score = new Score();
  score.known = new Set(truth.scenarios.values()).size;
  for (const sample of samples) judge(sample, truth, score);
  score.unseen = [...new Set(truth.scenarios.values())].filter((name) => !score.scenarios.has(name));
  return score;
}
