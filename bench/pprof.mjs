// Reads what `jprof -o FILE.pb.gz` writes (export/profile.proto), as far as the benchmarks need it.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

// The fields of a message in bytes[p..end): [number, value], or [number, begin, end] for what has a length.
function* fields(bytes, p, end) {
  const varint = () => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = bytes[p++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (p < end) {
    const tag = varint();
    if (tag % 8 === 2) {
      const length = varint();
      yield [tag >> 3, p, p + length];
      p += length;
    } else {
      yield [tag >> 3, varint()];
    }
  }
}

function varints(bytes, p, end) {
  const out = [];
  for (let value = 0, unit = 1; p < end; p++) {
    value += (bytes[p] & 127) * unit;
    unit *= 128;
    if (bytes[p] < 128) {
      out.push(value);
      value = 0;
      unit = 1;
    }
  }
  return out;
}

// [{count, frames: [{address, lines: [{name, file, start}]}]}], the leaf first; lines of one frame are
// what was inlined there, innermost first.
export function readPprof(file) {
  const bytes = gunzipSync(readFileSync(file));
  const message = (begin, end) => Object.fromEntries([...fields(bytes, begin, end)].map(([n, value]) => [n, value]));
  const strings = [];
  const functions = new Map();
  const locations = new Map();
  const samples = [];
  for (const [number, begin, end] of fields(bytes, 0, bytes.length)) {
    if (number === 6) {
      strings.push(bytes.toString('utf8', begin, end));
    } else if (number === 5) {
      const f = message(begin, end);
      functions.set(f[1], { name: f[2], file: f[4] || 0, start: f[5] || 0 });
    } else if (number === 4) {
      const frame = { address: 0, lines: [] };
      for (const [n, value, valueEnd] of fields(bytes, begin, end)) {
        if (n === 1) locations.set(value, frame);
        else if (n === 3) frame.address = value;
        else if (n === 4) frame.lines.push(message(value, valueEnd)[1]);
      }
    } else if (number === 2) {
      const sample = {};
      for (const [n, value, valueEnd] of fields(bytes, begin, end)) {
        if (n === 1) sample.frames = varints(bytes, value, valueEnd);
        else if (n === 2) [sample.count] = varints(bytes, value, valueEnd);
      }
      samples.push(sample);
    }
  }
  for (const f of functions.values()) {
    f.name = strings[f.name];
    f.file = strings[f.file];
  }
  for (const frame of locations.values()) frame.lines = frame.lines.map((id) => functions.get(id));
  return samples.map(({ count, frames }) => ({ count, frames: frames.map((id) => locations.get(id)) }));
}
